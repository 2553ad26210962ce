"""Agreement on pairs of methods by another measure than tau, where one is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from preflamp_stats.inference.agreement import agreement_between
from preflamp_stats.inference.resampled import ResampledStudy
from preflamp_stats.metric import PAIRS
from preflamp_stats.tables.rows import metric_pairs, pair_rows
from preflamp_stats.tables.table import Table

__all__ = ["AGREEMENT"]


def _rows(studies: Sequence[ResampledStudy]) -> Iterator[pd.DataFrame]:
    for study, upstream, downstream in metric_pairs(studies):
        if study.settings.agreement != "tau":
            found = agreement_between(study, upstream.info.name, downstream.info.name)
            yield pair_rows(found, study, "agreement", "resample", "interval")


def _caption(frame: pd.DataFrame) -> str:
    soft = bool((frame["agreement"] == "soft-pairwise").any())
    told = (
        "Soft pairwise accuracy (Thompson et al. 2024): one minus the mean distance between the "
        "p-values that the two metrics give to each pair of methods, by swapping them {unit} by "
        "{unit}. It depends on the size of the study; the interval is for studies of this size. "
        if soft
        else "Pairwise accuracy with tie calibration (Deutsch et al. 2023): share of the pairs of "
        "methods that both metrics order alike or both call a tie; values upstream within the "
        "threshold are tied, the one that makes the share largest. The interval allows for the "
        "{unit}s, not for the choice of the threshold, unless it is the percentile one. "
    )
    return f"{told}{{intervals}}"


AGREEMENT = Table(
    name="agreement",
    title="On how many pairs of methods do metrics agree?",
    question="predict",
    rows=_rows,
    caption=_caption,
    reading="1 is perfect agreement; unrelated rankings agree on half of the pairs, and softly on "
    "two thirds where both metrics are unsure.",
    estimate_of=PAIRS.name,
)

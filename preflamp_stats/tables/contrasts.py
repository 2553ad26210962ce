"""Every two methods compared, in each metric that was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from preflamp_stats.inference.contrasts import contrasts_between
from preflamp_stats.inference.resampled import ResampledStudy
from preflamp_stats.tables.rows import asked_metrics, tidy
from preflamp_stats.tables.table import Table

__all__ = ["CONTRASTS"]


def _rows(studies: Sequence[ResampledStudy]) -> Iterator[pd.DataFrame]:
    for study, metric in asked_metrics(studies):
        if metric.estimate["method"].size > 1:
            found = contrasts_between(study, metric.info.name)
            frame = tidy(found, study, {"metric": metric.info.name})
            yield frame[frame["estimate"].notna()]


CONTRASTS = Table(
    name="contrasts",
    title="Methods compared",
    question="write",
    rows=_rows,
    caption="Differences between two methods, A minus B, paired by "
    "{unit}. Intervals: {level}, and "
    "adjusted p-values, both simultaneous over the pairs of a dataset, model and metric.",
    reading="A minus B on the same users. Adjusted p-values hold for all pairs of a dataset, model "
    "and metric at once.",
)

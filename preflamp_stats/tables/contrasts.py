"""Every two methods compared, in each metric that was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from preflamp_stats.inference.contrasts import contrasts_between
from preflamp_stats.inference.resampled import ResampledStudy
from preflamp_stats.results import ResultTable
from preflamp_stats.tables import words
from preflamp_stats.tables.rows import asked_metrics, tidy
from preflamp_stats.tables.table import Table

__all__ = ["CONTRASTS"]


def _rows(studies: Sequence[ResampledStudy]) -> Iterator[pd.DataFrame]:
    for study, metric in asked_metrics(studies):
        if metric.estimate["method"].size > 1:
            found = contrasts_between(study, metric.info.name)
            frame = tidy(found, study, {"metric": metric.info.name})
            yield frame[frame["estimate"].notna()]


def _answer(tables: Mapping[str, ResultTable]) -> str:
    """Count the pairs of methods that are shown to differ, metric by metric."""
    frame, too_few = words.judgeable(tables["contrasts"].frame)
    if frame.empty:
        return f"Cannot be judged: {too_few}."
    told = [
        f"in {tables['contrasts'].metric(name).words}, "
        f"{(rows['p_adjusted'] <= 1 - rows['level']).sum()} of {len(rows)}"
        for name, rows in frame.groupby("metric", sort=False)
    ]
    basis = words.sample(frame)
    return f"Comparisons of two methods that show a difference: {'; '.join(told)} ({basis})."


CONTRASTS = Table(
    name="contrasts",
    title="Methods compared",
    question="differ",
    rows=_rows,
    caption="Differences between two methods, A minus B, paired by {unit}. Intervals ({level}) and "
    "adjusted p-values hold for all pairs of a dataset, model and metric at once. {anytime}",
    reading="A difference is shown where the interval leaves 0 out.",
    answer=_answer,
)

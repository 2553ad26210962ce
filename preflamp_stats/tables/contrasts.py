"""Every two methods compared, in each metric that was asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from preflamp_stats.analysis.evidence import DatasetEvidence
from preflamp_stats.inference.contrasts import contrasts_between
from preflamp_stats.tables.rows import asked_metrics, each_dataset, tidy
from preflamp_stats.tables.table import Table

__all__ = ["CONTRASTS"]


@each_dataset
def _rows(evidence: DatasetEvidence) -> Iterator[pd.DataFrame]:
    settings = evidence.settings
    for metric in asked_metrics(evidence):
        if metric.estimate["method"].size > 1:
            found = contrasts_between(
                metric,
                n_resamples=settings.resamples,
                seed=settings.seed,
                dataset=evidence.name,
                level=settings.level,
            )
            frame = tidy(found, evidence, {"metric": metric.info.name})
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

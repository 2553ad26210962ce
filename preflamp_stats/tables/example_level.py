"""Is the text better where the pair is ranked right? The association over examples."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from preflamp_stats.analysis.evidence import DatasetEvidence
from preflamp_stats.inference.example_level import example_association
from preflamp_stats.tables.rows import each_dataset, metric_pairs, tidy
from preflamp_stats.tables.table import Table

__all__ = ["EXAMPLE_LEVEL"]


@each_dataset
def _rows(evidence: DatasetEvidence) -> Iterator[pd.DataFrame]:
    settings = evidence.settings
    for upstream, downstream in metric_pairs(evidence):
        if (upstream.info.kind, downstream.info.kind) == ("discrimination", "generation"):
            pair = {"upstream": upstream.info.name, "downstream": downstream.info.name}
            found = example_association(
                evidence.ds,
                pair["downstream"],
                upstream=pair["upstream"],
                level=settings.level,
                options=settings.metric_options,
            )
            yield tidy(found, evidence, pair)


EXAMPLE_LEVEL = Table(
    name="example_level",
    title="Is the text better where the pair is ranked right?",
    question="predict",
    rows=_rows,
    caption="How much better the text of an example is where its pair is ranked right instead of "
    "wrong, methods and users taken into account. An association, not an effect: an example "
    "that is easy to rank may be easy to write. Estimator: {estimators}; errors by leaving out "
    "each user in turn. Intervals: {level}.",
    reading="Above 0: where a method ranks a user's pair right, it also writes the better text for "
    "that user. This is within methods; tau is between them.",
    estimate_of="downstream",
)

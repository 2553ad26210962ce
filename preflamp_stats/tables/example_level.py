"""Is the text better where the pair is ranked right? The association over examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from preflamp_stats.inference.example_level import example_association
from preflamp_stats.inference.resampled import ResampledStudy
from preflamp_stats.tables.rows import metric_pairs, tidy
from preflamp_stats.tables.table import Table

__all__ = ["EXAMPLE_LEVEL"]


def _rows(studies: Sequence[ResampledStudy]) -> Iterator[pd.DataFrame]:
    for study, *metrics in metric_pairs(studies):
        if [metric.info.kind for metric in metrics] == ["discrimination", "generation"]:
            upstream, downstream = (metric.info.name for metric in metrics)
            found = example_association(
                study.ds,
                downstream,
                upstream=upstream,
                level=study.settings.level,
                options=study.settings,
            )
            yield tidy(found, study, {"upstream": upstream, "downstream": downstream})


EXAMPLE_LEVEL = Table(
    name="example_level",
    title="Is the text better where the pair is ranked right?",
    question="predict",
    rows=_rows,
    caption="How much better the text of an example is where its pair is ranked right instead of "
    "wrong, methods and users taken into account. An association, not an effect: an example "
    "that is easy to rank may be easy to write. Estimator: {estimators}; errors by leaving out "
    "each user in turn. Intervals: {level}.",
    reading="This is within methods; tau is between them.",
    estimate_of="downstream",
)

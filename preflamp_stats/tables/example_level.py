"""Is the text better where the pair is ranked right? The association over examples."""

from __future__ import annotations

import xarray as xr

from preflamp_stats.inference.example_level import example_association
from preflamp_stats.inference.resampled import ResampledStudy
from preflamp_stats.tables.rows import both_per_pair, each_pair
from preflamp_stats.tables.table import Table

__all__ = ["EXAMPLE_LEVEL"]


def _ask(study: ResampledStudy, upstream: str, downstream: str) -> xr.Dataset:
    found = example_association(
        study.ds,
        downstream,
        upstream=upstream,
        level=study.settings.level,
        options=study.settings.metric_options,
    )
    return found.assign_attrs(upstream=upstream, downstream=downstream)


EXAMPLE_LEVEL = Table(
    name="example_level",
    title="Is the text better where the pair is ranked right?",
    question="predict",
    rows=each_pair(_ask, where=both_per_pair),
    caption="How much better the text of an example is where its pair is ranked right instead of "
    "wrong, methods and users taken into account. An association, not an effect: an example "
    "that is easy to rank may be easy to write. Estimator: {estimators}; errors by leaving out "
    "each user in turn. Intervals: {level}.",
    reading="Above 0: where a method ranks a user's pair right, it also writes the better text for "
    "that user. This is within methods; tau is between them.",
    estimate_of="downstream",
)

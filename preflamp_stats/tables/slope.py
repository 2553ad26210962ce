"""What twenty points upstream buy downstream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from preflamp_stats.inference.resampled import ResampledStudy
from preflamp_stats.inference.slope import slope_between
from preflamp_stats.results import ResultTable
from preflamp_stats.settings import Settings
from preflamp_stats.tables import words
from preflamp_stats.tables.rows import metric_pairs, pair_rows
from preflamp_stats.tables.table import Table

__all__ = ["SLOPE"]


def _rows(studies: Sequence[ResampledStudy]) -> Iterator[pd.DataFrame]:
    for study, upstream, downstream in metric_pairs(studies):
        if upstream.info.kind == "discrimination":
            found = slope_between(study, upstream.info.name, downstream.info.name)
            yield pair_rows(found, study, "step")


def _finding(table: ResultTable, settings: Settings) -> Iterator[str]:
    """Say what a step of the upstream accuracy goes with downstream, over the models."""
    frame, _ = words.judgeable(words.deployed(table.frame, table))
    for dataset, group in words.metric_groups(frame):
        above, below = (table.metric(group[s].iloc[0]) for s in ("upstream", "downstream"))
        values = words.span(group["estimate"], below.scale)
        if len(group) == 1:
            values = words.bracketed(group.iloc[0], below.scale)
        text = (
            f"{dataset}{100 * group['step'].iloc[0]:g} points of {above.words} go with {values}"
            f"{words.in_unit(below)}"
        )
        if len(group) > 1:
            away = group[(group["low"] > 0) | (group["high"] < 0)]
            text += f" over {words.counted(len(group), 'model')}"
            text += f"; {len(away)} of {len(group)} intervals exclude 0"
        yield f"{text}."


SLOPE = Table(
    name="slope",
    title="What do twenty points buy?",
    question="predict",
    rows=_rows,
    caption="Difference downstream that goes with twenty points of the upstream metric, over these "
    "methods, both metrics freed from sampling noise; p_equivalence is the probability, given "
    "the data, that it is not within {margin} of 0. "
    "Intervals: {level}, from draws of the methods' true values.",
    reading="An interval that includes 0 leaves open whether anything is gained.",
    finding=_finding,
    estimate_of="downstream",
)

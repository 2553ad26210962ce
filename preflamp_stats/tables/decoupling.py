"""Do gains upstream come with gains downstream? A verdict on every pair of methods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from preflamp_stats.inference.decoupling import decoupling_between
from preflamp_stats.inference.resampled import ResampledStudy
from preflamp_stats.results import ResultTable, distinct
from preflamp_stats.settings import Settings
from preflamp_stats.tables import words
from preflamp_stats.tables.rows import asked_pairs, having, pair_rows
from preflamp_stats.tables.table import Table

__all__ = ["DECOUPLING"]


def _rows(studies: Sequence[ResampledStudy]) -> Iterator[pd.DataFrame]:
    settings = studies[0].settings
    frames: dict[str, list[pd.DataFrame]] = {study.name: [] for study in studies}
    for upstream, downstream in asked_pairs(settings):
        # The margins are for a share of pairs and for generation quality.
        both = {
            study.name: study
            for study in having(studies, upstream, downstream)
            if study.summed[upstream].info.kind == "discrimination"
            and study.summed[downstream].info.kind == "generation"
        }
        judgements = decoupling_between(
            list(both.values()),
            upstream,
            downstream,
            margin=settings.margin,
            discrimination_margin=settings.discrimination_margin,
        )
        for name, found in judgements.items():
            frame = pair_rows(found, both[name])
            frames[name].append(frame[frame["upstream_difference"].notna()])
    for of_dataset in frames.values():
        yield from of_dataset


def _finding(table: ResultTable, settings: Settings) -> Iterator[str]:
    """Count the verdicts on pairs of methods, for each dataset and pair of metrics."""
    frame, remark = words.judged(table.frame, table, "upstream", "downstream")
    for dataset, rows in words.by_dataset(frame):
        for (above, below), group in rows.groupby(["upstream", "downstream"], sort=False):
            counts = group["verdict"].value_counts()
            shown = [f"{v} in {counts.get(v, 0)}" for v in ("decoupled", "reversed", "coupled")]
            yield (
                f"{dataset}{table.metric(above).words} and {table.metric(below).words} are "
                f"{words.listed(shown)} of {words.counted(len(group), 'comparison')} of two "
                f"methods; {counts.get('inconclusive', 0)} inconclusive, which shows nothing "
                "either way."
            )
    if remark:
        yield remark


def _answer(tables: Mapping[str, ResultTable]) -> str:
    """Say whether gains upstream come with better text, by the verdicts on pairs of methods."""
    table = tables.get("decoupling")
    if table is None:
        return ""
    frame, remark = words.judged(table.frame, table, "upstream", "downstream")
    if frame.empty:
        return remark
    counts = frame["verdict"].value_counts()
    coupled, turned, apart = (counts.get(v, 0) for v in ("coupled", "reversed", "decoupled"))
    above, below = (
        words.listed([table.metric(name).words for name in distinct(frame, side)])
        for side in ("upstream", "downstream")
    )
    start = "Often" if coupled > turned + apart else "Not as a rule"
    if coupled + turned + apart < len(frame) / 2:
        start = "Mostly open"
    text = (
        f"{start}: of {words.counted(len(frame), 'comparison')} of two methods, the one with "
        f"higher {above} is shown to have better {below} in {coupled}, worse in {turned}, "
        f"and equal within the margin in {apart}."
    )
    return f"{text} {remark}".rstrip()


DECOUPLING = Table(
    name="decoupling",
    title="Do gains upstream come with gains downstream?",
    question="write",
    rows=_rows,
    caption="Differences between two methods, A minus B. Decoupled: the upstream metric differs by "
    "more than {least} while the downstream one is equivalent "
    "within {margin}. Coupled, reversed: both differ by more than their margins, "
    "in the same or in opposite directions. Each verdict is shown as a whole, corrected for "
    "the number of pairs in all datasets and models; inconclusive is no evidence of anything. "
    "Intervals: {level} simultaneous over pairs.",
    reading="Each row compares two methods, A minus B. Decoupled means shown to write equally well "
    "although the accuracies differ; it takes an equivalence test, not a large p-value. "
    "Inconclusive means that the data cannot tell.",
    finding=_finding,
    answer=_answer,
)

"""Do gains upstream come with gains downstream? A verdict on every pair of methods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from preflamp_stats.inference.decoupling import decoupling_between
from preflamp_stats.inference.resampled import ResampledStudy
from preflamp_stats.results import ResultTable
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


def _answer(tables: Mapping[str, ResultTable]) -> str:
    """Say whether gains upstream come with better text, by the verdicts on pairs of methods."""
    if "decoupling" not in tables:
        return ""
    table = tables["decoupling"]
    frame, remark = words.judged(table.frame, table, "upstream", "downstream")
    judged, too_few = words.judgeable(frame.drop(columns="dataset", errors="ignore"))
    if too_few and judged.empty:
        return f"Cannot be judged: {too_few}."
    told = [_verdicts(rows, table) for _, rows in words.metric_groups(judged)]
    return " ".join(filter(None, [*told, remark]))


def _verdicts(rows: pd.DataFrame, table: ResultTable) -> str:
    above, below = (table.metric(rows[s].iloc[0]).words for s in ("upstream", "downstream"))
    counts = rows["verdict"].value_counts()
    coupled, turned, apart = (counts.get(v, 0) for v in ("coupled", "reversed", "decoupled"))
    start = "Often" if coupled > turned + apart else "Not as a rule"
    if coupled + turned + apart < len(rows) / 2:
        start = "Mostly open"
    return (
        f"{start}: of {words.counted(len(rows), 'comparison')} of two methods, the one with better "
        f"{above} is shown to have better {below} in {coupled}, worse in {turned}, and equal "
        f"within the margin in {apart} ({words.sample(rows)})."
    )


DECOUPLING = Table(
    name="decoupling",
    title="Do gains upstream come with gains downstream?",
    question="write",
    rows=_rows,
    caption="Differences between two methods, A minus B. Decoupled: the upstream metric differs by "
    "more than {least} while the downstream one is equivalent within {margin}. Coupled, reversed: "
    "both differ by more than their margins, in the same or in opposite directions. Each verdict "
    "is corrected for the number of pairs in all datasets and models. Intervals: {level} "
    "simultaneous over pairs. {anytime}",
    reading="Decoupled takes an equivalence test, not a large p-value. Inconclusive means that the "
    "data cannot tell: it is no evidence of anything.",
    answer=_answer,
)

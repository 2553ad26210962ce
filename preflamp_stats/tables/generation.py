"""How good the generated texts are, and numbers that are known only per method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import pandas as pd

from preflamp_stats.inference.resampled import ResampledStudy
from preflamp_stats.kernels.rouge import ROUGE_METRICS
from preflamp_stats.results import ResultTable, table_frame
from preflamp_stats.settings import Settings
from preflamp_stats.tables import words
from preflamp_stats.tables.rows import metric_rows
from preflamp_stats.tables.table import Table

__all__ = ["GENERATION", "METHOD_METRICS"]

_MOST_METRICS = 6
"""Metrics whose spread is told; the tables have all."""


def _rows_of(kind: str, studies: Sequence[ResampledStudy]) -> Iterator[pd.DataFrame]:
    """Rows of every metric of a kind, one below the other."""
    for study in studies:
        for name, metric in study.metrics.items():
            if metric.info.kind == kind:
                yield metric_rows(study, metric, {"metric": name})


def _caption(frame: pd.DataFrame) -> str:
    by_reference = frame["metric"].isin(ROUGE_METRICS)
    against = "ROUGE F1 against {reference}"
    what = f"Quality of the generated text: {against}"
    if not by_reference.all():
        what = "Quality of the generated text, by metrics of the file in their own units"
        what += f"; {against}" if by_reference.any() else ""
    return what + " ({mean}). {intervals}"


def _finding(table: ResultTable, settings: Settings) -> Iterator[str]:
    """Spread of the metrics that were asked for."""
    there = set(table.frame["metric"])
    asked = [m for m in (*settings.downstream, *settings.upstream) if m in there]
    for name in asked[:_MOST_METRICS]:
        yield from words.spread(table.frame[table.frame["metric"] == name], table.metric(name))


def _answer(tables: Mapping[str, ResultTable]) -> str:
    if "decoupling" in tables or table_frame(tables, "generation").empty:
        return ""
    known = tables["coverage"].frame if "coverage" in tables else pd.DataFrame()
    lacking = "" if "reward" in known or "best_of_k" in tables else "No rewards in this file. "
    shown = next(iter(tables["generation"].findings), "")
    return f"{lacking}{shown}".rstrip()


GENERATION = Table(
    name="generation",
    title="Generation quality",
    question="write",
    rows=partial(_rows_of, "generation"),
    caption=_caption,
    reading="Bold is the best as printed, not shown to be better than the next.",
    finding=_finding,
    answer=_answer,
    ranked=True,
)
METHOD_METRICS = Table(
    name="method_metrics",
    title="Numbers known only per method",
    rows=partial(_rows_of, "method"),
    caption="Numbers given per method by the file.",
    reading="No sampling error is known for these.",
    finding=_finding,
)

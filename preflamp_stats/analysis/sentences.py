"""What an analysis says in words; every sentence follows from a number in a table."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from preflamp_stats.analysis.evidence import DatasetEvidence
from preflamp_stats.results import ResultTable
from preflamp_stats.settings import Settings

__all__ = ["metric_words", "notes", "summary"]

_METRICS = {
    "rm_accuracy": "RM accuracy",
    "policy_accuracy": "policy accuracy",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
}


def metric_words(name: str) -> str:
    """Name of a metric as it reads in a sentence."""
    return _METRICS.get(name, name)


def summary(tables: Mapping[str, ResultTable], settings: Settings) -> list[str]:
    """Sum up the tables in plain sentences, one for each tau and one for each dataset's spread."""
    sentences = []
    if "tau" in tables:
        sentences += [_tau_sentence(row) for row in _rows(tables["tau"].frame)]
    for name in ("rm_accuracy", "policy_accuracy"):
        if name in tables:
            sentences += list(_spread_sentences(tables[name].frame, metric_words(name)))
    if "generation" in tables:
        frame = tables["generation"].frame
        for metric in [m for m in settings.downstream if m in set(frame["metric"])]:
            sentences += list(
                _spread_sentences(frame[frame["metric"] == metric], metric_words(metric))
            )
    return sentences


def notes(evidence: Sequence[DatasetEvidence], settings: Settings) -> list[str]:
    """List what was left out and why, and what a reader must mind."""
    found = []
    asked = dict.fromkeys([*settings.upstream, *settings.downstream])
    for dataset in evidence:
        absent = [metric_words(name) for name in asked if name not in dataset.metrics]
        if absent:
            found.append(f"{dataset.name}: not in the file and left out: {', '.join(absent)}.")
        if dataset.units.kind == "examples" and settings.resample != "examples":
            found.append(
                f"{dataset.name}: the file names no users, so each example is taken as its own "
                "unit; if users wrote several examples each, the intervals are too narrow."
            )
        elif dataset.units.kind == "users" and len(dataset.units.labels) < 20:
            found.append(
                f"{dataset.name}: only {len(dataset.units.labels)} users; intervals that resample "
                "so few are rough."
            )
    return found


Row = Mapping[Hashable, Any]


def _rows(frame: pd.DataFrame) -> list[Row]:
    return [*frame.to_dict("records")]


def _tau_sentence(row: Row) -> str:
    pair = f"{metric_words(row['upstream'])} and {metric_words(row['downstream'])}"
    text = f"{_where(row)}: Kendall's tau between {pair}"
    if math.isnan(row["estimate"]):
        return f"{text} is undefined: {row['note']}."
    text += f" over {row['n_methods']} methods is {row['estimate']:.2f}"
    if math.isnan(row["low"]):
        return f"{text} ({row['note']})."
    text += f" [{row['low']:.2f}, {row['high']:.2f}]"
    if row["low"] > 0:
        return f"{text}: they rank methods alike more often than not."
    if row["high"] < 0:
        return f"{text}: they rank methods in opposite ways more often than not."
    return f"{text}: the data leave open whether they rank methods alike."


def _spread_sentences(frame: pd.DataFrame, metric: str) -> Iterable[str]:
    groups: dict[str, list[Row]] = {}
    for row in _rows(frame):
        groups.setdefault(_where(row), []).append(row)
    for where, rows in groups.items():
        if len(rows) > 1:
            ordered = sorted(rows, key=lambda row: float(row["estimate"]))
            low, high = ordered[0], ordered[-1]
            yield (
                f"{where}: {metric} runs from {100 * low['estimate']:.1f} ({low['method']}) "
                f"to {100 * high['estimate']:.1f} ({high['method']})."
            )


def _where(row: Row) -> str:
    return ", ".join(str(row[key]) for key in ("dataset", "model") if key in row)

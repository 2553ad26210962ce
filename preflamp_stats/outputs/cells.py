"""Cells, headings and remarks that tables of every shape share."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from preflamp_stats.outputs.formatting import (
    MISSING,
    interval,
    label,
    one_line,
    row_scales,
    value_text,
)
from preflamp_stats.outputs.grid import Cell
from preflamp_stats.quantities import Quantity, number
from preflamp_stats.results import ResultTable

__all__ = [
    "ACROSS",
    "METHOD_KEYS",
    "best_rows",
    "column_label",
    "estimate_cells",
    "fixed_remarks",
    "footnotes",
    "heading",
    "key_tuples",
    "level_remarks",
    "metric_heading",
]

METHOD_KEYS = ("method", "method_family")
ACROSS = ("model", "metric", "dataset")
"""Keys that may go across a table; as headings of rows they speak for themselves."""


def best_rows(table: ResultTable) -> list[bool]:
    """Which rows hold the best estimate of their group, judged as printed.

    A group is all rows that differ in the method only. Nothing is marked where the table has no
    better and worse, where nobody has said which direction of a metric is better (it is known of
    accuracies and ROUGE), where a group has fewer than two estimates, or where all print alike.

    Parameters
    ----------
    table : ResultTable

    Returns
    -------
    list of bool
        One for each row of ``table.frame``.
    """
    frame = table.frame
    marks = [False] * len(frame)
    if not table.ranked or "estimate" not in frame or frame.empty:
        return marks
    keys = [key for key in table.keys if key not in METHOD_KEYS]
    keys += [column for column in ("share", "bin_low", "bin_high") if column in frame]
    better = [metric.sign for metric in table.row_metrics()]
    printed = [
        round(float(value) * scale.factor, scale.decimals)
        for value, scale in zip(frame["estimate"], row_scales(table), strict=True)
    ]
    groups: dict[Hashable, list[int]] = {}
    for position, key in enumerate(key_tuples(frame, keys)):
        if not math.isnan(printed[position]) and better[position]:
            groups.setdefault(key, []).append(position)
    for rows in groups.values():
        top = max(printed[row] * better[row] for row in rows)
        if min(printed[row] * better[row] for row in rows) < top:
            for row in rows:
                marks[row] = printed[row] * better[row] == top
    return marks


def estimate_cells(table: ResultTable, marks: Sequence[str]) -> list[Cell]:
    """Estimate and interval of every row; marks are the letters of its footnote."""
    frame = table.frame
    if "estimate" not in frame:
        return [Cell("")] * len(frame)
    nothing = [math.nan] * len(frame)
    columns = zip(
        frame["estimate"],
        frame.get("low", nothing),
        frame.get("high", nothing),
        row_scales(table),
        best_rows(table),
        marks,
        strict=True,
    )
    return [
        Cell(number(value, scale) or MISSING, interval(low, high, scale), best, mark)
        for value, low, high, scale, best, mark in columns
    ]


def footnotes(frame: pd.DataFrame) -> tuple[list[str], dict[str, str]]:
    """Letter of every row's note (empty without one), and the letter of each text."""
    if "note" not in frame:
        return [""] * len(frame), {}
    texts = ["" if pd.isna(note) else one_line(note) for note in frame["note"]]
    letters: dict[str, str] = {}
    for text in texts:
        if text and text not in letters:
            place = len(letters)
            letters[text] = "abcdefghijklmnopqrstuvwxyz"[place % 26] * (place // 26 + 1)
    return [letters.get(text, "") for text in texts], letters


def key_tuples(frame: pd.DataFrame, keys: Sequence[str]) -> list[tuple[Any, ...]]:
    """Key of every row; a missing key is None, so that it equals itself."""
    columns = [[None if pd.isna(value) else value for value in frame[key]] for key in keys]
    return list(zip(*columns, strict=True)) if columns else [()] * len(frame)


def metric_heading(metric: Quantity) -> str:
    """Metric as a heading, with the units of one that has its own."""
    name = label(metric.name)
    if name == metric.name:
        name = one_line(metric.words)
    unit = one_line(metric.scale.unit) if metric.scale.factor == 1 else ""
    return f"{name} ({unit})" if unit else name


def heading(group: Mapping[str, Any], metrics: Mapping[str, Quantity] | None = None) -> str:
    """Heading of the rows that share some keys, as ``"tldr · 1B · ROUGE-1"``."""
    parts = []
    for key, value in group.items():
        if key == "metric" and metrics is not None and value in metrics:
            parts.append(metric_heading(metrics[value]))
            continue
        text = label(value_text(value)) or "all"
        parts.append(text if key in ACROSS else f"{label(key)} {text}")
    return " · ".join(parts)


def fixed_remarks(
    frame: pd.DataFrame,
    keys: Sequence[str],
    varying: Sequence[str],
    metrics: Mapping[str, Quantity] | None = None,
) -> list[str]:
    """Keys that are the same in all rows, as ``"Scoring: sequence"``."""
    if frame.empty:
        return []
    constant = [key for key in keys if key not in varying and key not in METHOD_KEYS]
    texts = []
    for key in constant:
        text = value_text(frame[key].iloc[0])
        known = key == "metric" and metrics is not None and text in metrics
        texts.append((key, metric_heading(metrics[text]) if known and metrics else label(text)))
    return [f"{column_label(key)}: {text}" for key, text in texts if text]


def level_remarks(frame: pd.DataFrame, cells: Sequence[Cell]) -> list[str]:
    """What the brackets are, where there are any."""
    levels: list[float] = sorted(set(frame["level"].dropna())) if "level" in frame else []
    if len(levels) == 1 and any(cell.interval for cell in cells):
        return [f"Brackets: {float(levels[0]) * 100:g} % interval"]
    return []


def column_label(column: str) -> str:
    """Name of a column as a heading."""
    text = label(column)
    return (
        text if text != column else column.removeprefix("n_").replace("_", " ").strip().capitalize()
    )

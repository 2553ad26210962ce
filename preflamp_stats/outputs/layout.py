"""From a tidy table to the grid that a reader sees: methods down, models across, notes below.

Markdown, LaTeX and HTML draw the same :class:`~preflamp_stats.outputs.grid.Grid`; they differ in
marks and escaping only.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import pandas as pd

from preflamp_stats.outputs.formatting import (
    MISSING,
    PLAIN,
    Scale,
    count,
    interval,
    label,
    number,
    one_line,
    p_value,
    row_scales,
    sample_sizes,
    value_text,
)
from preflamp_stats.outputs.grid import Block, Cell, Grid, Row
from preflamp_stats.results import ResultTable

__all__ = ["axis_of", "best_rows", "lay_out"]

_STUB = ("method", "method_family")
_ACROSS = ("model", "metric", "dataset")
_MAX_ACROSS = 6
_MAX_WITH_INTERVALS = 5
_COUNTS = {"n_examples", "n_users", "n_methods"}


def axis_of(frame: pd.DataFrame) -> str:
    """Column that a curve runs along: ``bin``, ``share``, ``weight``, or empty for a plain table.

    Examples
    --------
    >>> axis_of(pd.DataFrame({"weight": [0.0, 1.0, float("inf")]}))
    'weight'
    """
    if "bin_low" in frame and "bin_high" in frame:
        return "bin"
    if "share" in frame:
        return "share"
    return "weight" if "weight" in frame and frame["weight"].nunique() > 2 else ""


def best_rows(table: ResultTable) -> list[bool]:
    """Which rows hold the best estimate of their group, judged as printed.

    A group is all rows that differ in the method only. Nothing is marked where the table has no
    better and worse, where a group has fewer than two estimates, or where all print alike.

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
    if not table.higher_is_better or "estimate" not in frame or frame.empty:
        return marks
    keys = [key for key in table.keys if key not in _STUB]
    keys += [column for column in ("share", "bin_low", "bin_high") if column in frame]
    scales = row_scales(table)
    printed = [
        round(float(value) * scale.factor, scale.decimals)
        for value, scale in zip(frame["estimate"], scales, strict=True)
    ]
    groups: dict[Hashable, list[int]] = {}
    for position, key in enumerate(_tuples(frame, keys)):
        if not math.isnan(printed[position]):
            groups.setdefault(key, []).append(position)
    for rows in groups.values():
        top = max(printed[row] for row in rows)
        if min(printed[row] for row in rows) < top:
            for row in rows:
                marks[row] = printed[row] == top
    return marks


def lay_out(table: ResultTable) -> Grid:
    """Arrange a tidy table for reading.

    A table of estimates by method becomes methods × models (or metrics, datasets, weights), grouped
    by what else varies. Any other table, known or not, keeps a row for each of its rows. Columns
    that are the same throughout move to the remarks.

    Parameters
    ----------
    table : ResultTable

    Returns
    -------
    Grid
    """
    frame = table.frame.reset_index(drop=True)
    if axis_of(frame) == "bin":
        edges = zip(frame["bin_low"], frame["bin_high"], strict=True)
        bins = [f"{value_text(low)} to {value_text(high)}" for low, high in edges]
        frame = frame.assign(bin=bins)
    marks, footnotes = _footnotes(frame)
    cells = _estimates(table, marks)
    return _pivot(table, frame, cells, footnotes) or _flat(table, frame, cells, footnotes)


def _pivot(
    table: ResultTable, frame: pd.DataFrame, cells: list[Cell], footnotes: dict[str, str]
) -> Grid | None:
    """Methods down, one other key across; None where that does not fit the table."""
    if "method" not in frame or "estimate" not in frame or frame.empty:
        return None
    axis = axis_of(frame)
    keys = [key for key in table.keys if key not in _STUB and key != axis]
    varying = [key for key in keys if frame[key].nunique(dropna=False) > 1]
    candidates = [k for k in _ACROSS if k in varying and frame[k].nunique() <= _MAX_ACROSS]
    across = axis or (candidates[0] if candidates else "")
    down = [key for key in varying if key != across]
    if frame.duplicated([*down, "method", *([across] if across else [])]).any():
        return None

    headings = list(dict.fromkeys(frame[across])) if across else ["estimate"]
    if axis in {"weight", "share"}:
        headings = sorted(headings)
    bare = len(headings) > _MAX_WITH_INTERVALS
    families = "method_family" in frame and frame["method_family"].nunique() > 1
    lookup: dict[Any, Cell] = {}
    rows_of: dict[Any, dict[Any, Any]] = {}
    columns = zip(
        _tuples(frame, down),
        frame["method"],
        frame["method_family"] if families else frame["method"],
        frame[across] if across else ["estimate"] * len(frame),
        cells,
        strict=True,
    )
    for group, method, family, heading, cell in columns:
        rows_of.setdefault(group, {})[method] = family
        shown = Cell(cell.text, "", cell.best, cell.mark) if bare else cell
        lookup[group, method, heading] = shown

    blocks = []
    sizes = []
    for group, methods in rows_of.items():
        inside = [key == group for key in _tuples(frame, down)]
        sizes.append(sample_sizes(frame[inside]))
        rows = tuple(
            Row(
                (one_line(method), value_text(family)) if families else (one_line(method),),
                tuple(lookup.get((group, method, h), Cell(MISSING)) for h in headings),
            )
            for method, family in methods.items()
        )
        blocks.append((_heading(dict(zip(down, group, strict=True))), rows))
    same_size = len(set(sizes)) == 1
    remarks = [*_fixed(frame, keys, varying), *_level(frame, cells if not bare else [])]
    if bare and any(cell.interval for cell in cells):
        remarks.append(f"Intervals are in {table.name}.csv")
    if same_size and "–" in sizes[0] and across and not axis:
        by_heading = [(h, sample_sizes(frame[frame[across] == h])) for h in headings]
        remarks.append("; ".join(f"{label(value_text(h))}: {size}" for h, size in by_heading))
    elif same_size and sizes[0]:
        remarks.append(sizes[0])
    return Grid(
        stub=("Method", "Family") if families else ("Method",),
        columns=tuple(
            value_text(h) if axis else label(value_text(h)) if across else label(table.name)
            for h in headings
        ),
        spanner=label(axis) if axis else label(across).capitalize() if across else "",
        blocks=tuple(
            Block(heading if same_size or not size else _with_size(heading, size), rows)
            for (heading, rows), size in zip(blocks, sizes, strict=True)
        ),
        remarks=tuple(remarks),
        footnotes=tuple((mark, text) for text, mark in footnotes.items()),
    )


def _flat(
    table: ResultTable, frame: pd.DataFrame, cells: list[Cell], footnotes: dict[str, str]
) -> Grid:
    """Keep a row for each row: keys first, estimate with its interval, then every other column."""
    keys = table.keys
    varying = [key for key in keys if frame[key].nunique(dropna=False) > 1]
    stub = varying or keys
    others = [c for c in frame.columns if c not in keys and c not in {"note", "level"}]
    merged = {f"{c}_{end}" for c in others for end in ("low", "high")} | {"low", "high"}
    shown = [c for c in others if c not in merged and c not in {"estimate", "bin_low", "bin_high"}]
    constant = [
        column
        for column in shown
        if len(frame) > 1
        and frame[column].nunique(dropna=False) == 1
        and (column in _COUNTS or not pd.api.types.is_numeric_dtype(frame[column]))
    ]
    shown = [c for c in shown if c not in constant and not frame[c].isna().all()]
    scales = row_scales(table)
    # One key of several becomes the heading of its rows rather than a column of repetitions.
    grouped = len(varying) > 1 and frame[varying[0]].nunique() <= len(frame) / 2
    group, stub = (varying[0], varying[1:]) if grouped else ("", stub)
    blocks: dict[str, list[Row]] = {}
    for position, record in enumerate(frame.to_dict("records")):
        values = [cells[position]] if "estimate" in frame else []
        values += [_other(record, column, scales[position]) for column in shown]
        labels = tuple(label(value_text(record[key])) or MISSING for key in stub)
        heading = _heading({group: record[group]}) if group else ""
        blocks.setdefault(heading, []).append(Row(labels, tuple(values)))
    fixed = [*keys, *(c for c in constant if c not in _COUNTS)]
    sizes = sample_sizes(frame[[c for c in constant if c in _COUNTS]])
    estimate = "tau" if table.name == "tau" else "estimate"
    return Grid(
        stub=tuple(label(key).capitalize() if key in table.keys else label(key) for key in stub),
        columns=tuple(
            [label(estimate)] * ("estimate" in frame) + [_column_label(column) for column in shown]
        ),
        spanner="",
        blocks=tuple(Block(heading, tuple(rows)) for heading, rows in blocks.items()),
        remarks=(
            *_fixed(frame, fixed, [*varying, *stub]),
            *_level(frame, cells),
            *([sizes] if sizes else []),
        ),
        footnotes=tuple((mark, text) for text, mark in footnotes.items()),
    )


def _other(record: dict[Hashable, Any], column: str, scale: Scale) -> Cell:
    """Cell of a column that is neither key nor estimate, by its name and type."""
    value = record[column]
    if isinstance(value, str | bool) or value is None or value is pd.NA:
        return Cell(label(value_text(value)) or MISSING)
    if column.startswith("p_"):
        return Cell(p_value(float(value)) or MISSING)
    if column.startswith("n_"):
        return Cell(count(float(value)) or MISSING)
    low, high = record.get(f"{column}_low"), record.get(f"{column}_high")
    if low is not None and high is not None:
        return Cell(number(value, PLAIN) or MISSING, interval(low, high, PLAIN))
    if column in {"ceiling", "corrected", "best_value"}:
        return Cell(number(float(value), scale) or MISSING)
    return Cell(value_text(value) or MISSING)


def _estimates(table: ResultTable, marks: Sequence[str]) -> list[Cell]:
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


def _footnotes(frame: pd.DataFrame) -> tuple[list[str], dict[str, str]]:
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


def _tuples(frame: pd.DataFrame, keys: list[str]) -> list[tuple[Any, ...]]:
    """Key of every row; a missing key is None, so that it equals itself."""
    columns = [[None if pd.isna(value) else value for value in frame[key]] for key in keys]
    return list(zip(*columns, strict=True)) if columns else [()] * len(frame)


def _heading(group: dict[str, Any]) -> str:
    parts = []
    for key, value in group.items():
        text = label(value_text(value)) or "all"
        parts.append(text if key in _ACROSS else f"{label(key)} {text}")
    return " · ".join(parts)


def _with_size(heading: str, size: str) -> str:
    return f"{heading} ({size})" if heading else size


def _fixed(frame: pd.DataFrame, keys: Sequence[str], varying: Sequence[str]) -> list[str]:
    """Keys that are the same in all rows, as ``"Scoring: sequence"``."""
    if frame.empty:
        return []
    constant = [key for key in keys if key not in varying and key not in _STUB]
    texts = [(key, value_text(frame[key].iloc[0])) for key in constant]
    return [f"{label(key).capitalize()}: {label(text)}" for key, text in texts if text]


def _level(frame: pd.DataFrame, cells: Sequence[Cell]) -> list[str]:
    levels: list[float] = sorted(set(frame["level"].dropna())) if "level" in frame else []
    if len(levels) == 1 and any(cell.interval for cell in cells):
        return [f"Brackets: {float(levels[0]) * 100:g} % interval"]
    return []


def _column_label(column: str) -> str:
    text = label(column)
    return text if text != column else column.replace("_", " ").strip().capitalize()

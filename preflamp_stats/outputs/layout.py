"""From a tidy table to the grid that Markdown, LaTeX and HTML draw: text in cells, no markup yet.

A table of estimates by method has methods down, models (or metrics, datasets, weights) across. Any
other keeps a row for each of its rows, or stands upright where it has few rows and many columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from preflamp_stats.columns import COLUMNS, Column, Kind, declared
from preflamp_stats.io.schema import UNNAMED_DATASET
from preflamp_stats.metric import COEFFICIENT, POINTS, Scale, number
from preflamp_stats.outputs.formatting import (
    MISSING,
    count,
    interval,
    one_line,
    p_value,
    sample_sizes,
    value_text,
)
from preflamp_stats.results import ResultTable

MOST_ROWS = 40
"""Rows of a table of pairs of methods that are shown; its CSV has all."""
_MAX_ACROSS = 6
_MAX_WITH_INTERVALS = 5
_UPRIGHT_ROWS = 3
_MOST_NAMED = 3
_METHOD = ("method", "method_family")
_ACROSS = ("model", "metric", "dataset")
"""Keys that may go across a table; as headings of rows they speak for themselves."""
_VERDICTS = ("decoupled", "reversed", "coupled", "inconclusive")
_PRINTED: dict[Kind, Callable[[Any], str]] = {
    "p value": p_value,
    "count": count,
    "share": lambda value: number(float(value), POINTS) or MISSING,
    "own number": value_text,
}
Footnotes = tuple[tuple[str, str], ...]
_PLACES = {column.name: place for place, column in enumerate(COLUMNS)}


@dataclass(frozen=True)
class Cell:
    """One estimate or value, not yet escaped.

    Parameters
    ----------
    text : str
        The value.
    interval : str
        In brackets; empty where none is claimed.
    best : bool
        Best of its group.
    mark : str
        Letter of a footnote.
    """

    text: str
    interval: str = ""
    best: bool = False
    mark: str = ""


@dataclass(frozen=True)
class Row:
    """Labels of a row, then its cells."""

    labels: tuple[str, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Block:
    """Rows under one heading; the heading is empty where there is one block only."""

    heading: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Grid:
    """What a reader sees of a table, before any markup.

    Parameters
    ----------
    stub : tuple of str
        Headings of the label columns.
    columns : tuple of str
        Headings of the value columns.
    spanner : str
        What the value columns are ("Model"); empty where each is its own thing.
    blocks : tuple of Block
        Rows in groups.
    remarks : tuple of str
        What holds for the whole table: level, fixed settings, sample sizes.
    footnotes : tuple of (str, str)
        Letter and text.
    """

    stub: tuple[str, ...]
    columns: tuple[str, ...]
    spanner: str
    blocks: tuple[Block, ...]
    remarks: tuple[str, ...] = ()
    footnotes: Footnotes = ()


def lay_out(table: ResultTable) -> Grid:
    """Arrange a tidy table for reading.

    Columns that are the same throughout move to the remarks. A long table of pairs of methods shows
    the rows that tell most and says how many are left.

    Parameters
    ----------
    table : ResultTable

    Returns
    -------
    Grid
    """
    frame = table.frame.reset_index(drop=True)
    if {"bin_low", "bin_high"} <= set(frame):
        edges = zip(frame["bin_low"], frame["bin_high"], strict=True)
        frame["bin"] = [f"{value_text(low)} to {value_text(high)}" for low, high in edges]
    marks, notes = _footnotes(frame)
    cells = _estimates(table, marks)
    return _by_method(table, frame, cells, notes) or _by_row(table, frame, cells, notes)


def best_rows(table: ResultTable) -> list[bool]:
    """Which rows hold the best estimate of their group, judged as printed.

    A group is all rows that differ in the method only. Nothing is marked where the table has no
    better and worse, where nobody has said which direction of a metric is better, where a group has
    fewer than two estimates, or where all print alike.

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
    if not table.ranked or "estimate" not in frame:
        return marks
    keys = [key for key in table.keys if key not in _METHOD]
    keys += [column for column in ("share", "bin_low", "bin_high") if column in frame]
    rows = zip(_tuples(frame, keys), table.row_metrics(), frame["estimate"], strict=True)
    groups: dict[Hashable, dict[int, float]] = {}
    for position, (key, metric, value) in enumerate(rows):
        if metric.sign and not math.isnan(value):
            printed = round(float(value) * metric.scale.factor, metric.scale.decimals)
            groups.setdefault(key, {})[position] = printed * metric.sign
    for group in groups.values():
        top = max(group.values())
        for position, merit in group.items():
            marks[position] = merit == top > min(group.values())
    return marks


def _by_method(
    table: ResultTable, frame: pd.DataFrame, cells: Sequence[Cell], notes: Footnotes
) -> Grid | None:
    """Methods down, one other key across; None where that does not show the whole table."""
    if "method" not in frame or "estimate" not in frame or frame.empty:
        return None
    values, _ = _columns(frame, table.keys)
    if any(column.kind != "count" for column in values):
        return None
    axis = next((c for c in map(str, frame) if declared(c).kind == "axis"), "")
    if not axis and "weight" in frame and frame["weight"].nunique() > 2:
        axis = "weight"
    keys = [key for key in table.keys if key not in (*_METHOD, axis)]
    varying = [key for key in keys if frame[key].nunique(dropna=False) > 1]
    candidates = [k for k in _ACROSS if k in varying and frame[k].nunique() <= _MAX_ACROSS]
    across = axis or next(iter(candidates), "")
    down = [key for key in varying if key != across]
    if frame.duplicated([*down, "method", *([across] if across else [])]).any():
        return None

    headings = list(dict.fromkeys(frame[across])) if across else [""]
    if axis and pd.api.types.is_numeric_dtype(frame[axis]):
        headings = sorted(headings)
    bare = len(headings) > _MAX_WITH_INTERVALS
    stub = [
        key for key in _METHOD if key in frame and (key == "method" or frame[key].nunique() > 1)
    ]
    groups = list(frame.groupby(down, sort=False, dropna=False)) if down else [((), frame)]
    sizes = [sample_sizes(rows) for _, rows in groups]
    same_size = len(set(sizes)) == 1
    blocks = []
    for (key, rows), size in zip(groups, sizes, strict=True):
        found: dict[str, dict[Any, Cell]] = {}
        labels = {}
        for position, record in zip(rows.index, rows.to_dict("records"), strict=True):
            cell = cells[position]
            cell = Cell(cell.text, "", cell.best, cell.mark) if bare else cell
            found.setdefault(record["method"], {})[record[across] if across else ""] = cell
            labels[record["method"]] = tuple(value_text(record[each]) for each in stub)
        heading = _heading(dict(zip(down, key, strict=True)), table)
        if not same_size and size:
            heading = f"{heading} ({size})" if heading else size
        shown = (
            (labels[m], [by.get(h, Cell(MISSING)) for h in headings]) for m, by in found.items()
        )
        blocks.append(Block(heading, tuple(Row(own, tuple(told)) for own, told in shown)))
    remarks = _fixed(table, frame, [key for key in keys if key not in varying])
    remarks += _brackets(frame, [] if bare else cells)
    if bare and any(cell.interval for cell in cells):
        remarks.append(f"Intervals are in {table.name}.csv")
    if same_size and "–" in sizes[0] and across and not axis:
        by_heading = [(h, sample_sizes(frame[frame[across] == h])) for h in headings]
        sized = (f"{_key_text(table, across, h)}: {size}" for h, size in by_heading)
        remarks.append("; ".join(sized))
    elif same_size:
        remarks.append(sizes[0])
    remarks.append(_unknown_directions(table))
    named = {metric.name: metric.heading for metric in table.row_metrics()}
    only = one_line(next(iter(named.values()))) if len(named) == 1 else "Estimate"
    titles = [_key_text(table, across, h) for h in headings] if across else [only]
    heads = tuple(declared(key).label for key in stub)
    spanner = declared(across).label if across else ""
    return Grid(heads, tuple(titles), spanner, tuple(blocks), tuple(filter(None, remarks)), notes)


def _by_row(
    table: ResultTable, frame: pd.DataFrame, cells: Sequence[Cell], notes: Footnotes
) -> Grid:
    """A row for each row: keys first, estimate with its interval, then every other column."""
    shown, left = _most_telling(frame, table.name)
    keys = table.keys
    pairs = _is_pairs(frame)
    varying = [key for key in keys if frame[key].nunique(dropna=False) > 1]
    columns, constant = _columns(frame, keys)
    n_columns = len(columns) + ("estimate" in frame)
    upright = len(shown) == 1 or (1 < len(shown) <= _UPRIGHT_ROWS and n_columns > _MAX_ACROSS)
    # Keys become headings of rows rather than columns of repetitions.
    stub = varying or ([] if upright else keys)
    if pairs:
        stub = ["method_a", "method_b"]
    elif len(varying) > 1 and not upright:
        inner = ["model"] if len(varying) > 2 and "model" in varying else varying[1:]
        outer = frame[[key for key in varying if key not in inner]].drop_duplicates()
        stub = inner if len(outer) <= len(frame) / 2 else varying
    groups = [key for key in varying if key not in stub]
    metrics = table.row_metrics()
    blocks: dict[str, list[Row]] = {}
    for position, record in zip(shown, frame.iloc[shown].to_dict("records"), strict=True):
        values = [cells[position]] if "estimate" in frame else []
        values += [_cell(record, column, table, metrics[position].scale) for column in columns]
        labels = tuple(_key_text(table, key, record[key]) or MISSING for key in stub)
        heading = _heading({key: record[key] for key in groups}, table)
        blocks.setdefault(heading, []).append(Row(labels, tuple(values)))
    fixed = [key for key in [*keys, *constant] if key not in {*varying, *stub, *_METHOD}]
    counts = [key for key in constant if declared(key).kind == "count"]
    sizes = sample_sizes(frame[[*counts, *(["resample"] if "resample" in frame else [])]])
    drawn = [cell for rows in blocks.values() for row in rows for cell in row.cells]
    titles = [_estimate_title(table, pairs)] * ("estimate" in frame)
    remarks = [
        *_fixed(table, frame, [key for key in fixed if key not in counts]),
        *_brackets(frame, drawn),
        sizes,
        _unknown_directions(table),
        left,
    ]
    titles += [_title(column, table) for column in columns]
    heads = tuple(declared(key).label for key in stub)
    told = tuple(Block(text, tuple(rows)) for text, rows in blocks.items())
    grid = Grid(heads, tuple(titles), "", told, tuple(filter(None, remarks)), notes)
    return _upright(grid) if upright else grid


def _upright(grid: Grid) -> Grid:
    """Turn a grid of few rows: a line for each of its columns."""
    rows = [(block.heading, row) for block in grid.blocks for row in block.rows]
    titles = [" · ".join(filter(None, [heading, *row.labels])) for heading, row in rows]
    turned = tuple(
        Row((title,), tuple(row.cells[place] for _, row in rows))
        for place, title in enumerate(grid.columns)
    )
    columns = tuple(title or "Value" for title in titles)
    return Grid(("",), columns, "", (Block("", turned),), grid.remarks, grid.footnotes)


def _columns(frame: pd.DataFrame, keys: Sequence[str]) -> tuple[list[Column], list[str]]:
    """Columns of values to print, in the order of reading, and those that are all the same."""
    known = [declared(str(c), frame[c]) for c in frame if c not in keys]
    ends = {end for column in known for end in column.interval or ()}
    values, constant = [], []
    for column in known:
        name, shown = column.name, column.shown
        told = column.kind in ("estimate", "axis") or name in ends or column.instead in frame
        if told or shown == "csv" or frame[name].isna().all():
            continue
        same = frame[name].nunique(dropna=False) == 1
        if same and shown == "varying":
            continue
        size = name in ("n_methods", "n_users", "n_examples")
        word = column.kind == "text" and name != "verdict" and len(frame) > 1
        if same and (size or word):
            constant.append(name)
        else:
            values.append(column)
    values.sort(key=lambda column: _PLACES.get(column.name, len(_PLACES)))
    return values, constant


def _cell(record: Mapping[Hashable, Any], column: Column, table: ResultTable, own: Scale) -> Cell:
    """Cell of a column that is neither key nor estimate; ``own`` is the scale of the estimate."""
    value = record[column.name]
    if column.kind == "text" or pd.isna(value):
        return Cell(value_text(value) or MISSING)
    if column.kind in _PRINTED:
        return Cell(_PRINTED[column.kind](value))
    scale = COEFFICIENT if column.kind == "coefficient" else own
    if column.of and column.of != "estimate":
        scale = table.metric(str(record[column.of])).scale
    low, high = (record.get(end, math.nan) for end in column.interval or ("", ""))
    return Cell(number(value, scale), interval(low, high, scale))


def _estimates(table: ResultTable, marks: Sequence[str]) -> list[Cell]:
    """Estimate and interval of every row; marks are the letters of its footnote."""
    frame = table.frame
    if "estimate" not in frame:
        return [Cell("")] * len(frame)
    ends = [frame[end] if end in frame else [math.nan] * len(frame) for end in ("low", "high")]
    columns = (frame["estimate"], *ends, table.row_metrics(), best_rows(table), marks)
    return [
        Cell(number(value, metric.scale) or MISSING, interval(low, high, metric.scale), best, mark)
        for value, low, high, metric, best, mark in zip(*columns, strict=True)
    ]


def _footnotes(frame: pd.DataFrame) -> tuple[list[str], Footnotes]:
    """Letter of every row's note (empty without one), and each letter with its text."""
    if "note" not in frame:
        return [""] * len(frame), ()
    texts = ["" if pd.isna(note) else one_line(note) for note in frame["note"]]
    letters: dict[str, str] = {}
    for text in filter(None, texts):
        place = len(letters)
        letters.setdefault(text, "abcdefghijklmnopqrstuvwxyz"[place % 26] * (place // 26 + 1))
    marks = tuple((letter, text) for text, letter in letters.items())
    return [letters.get(text, "") for text in texts], marks


def _most_telling(frame: pd.DataFrame, name: str) -> tuple[list[int], str]:
    """Positions of the rows to show, and a remark on those of a table of pairs that are not.

    Rows of a verdict come before those without, small adjusted p-values before large ones, large
    differences before small ones. What is chosen so is shown dataset by dataset and model by model.
    """
    if not _is_pairs(frame) or frame.empty:
        return list(range(len(frame))), ""
    order = pd.DataFrame(index=frame.index)
    if "verdict" in frame:
        ranks = {verdict: place for place, verdict in enumerate(_VERDICTS)}
        order["verdict"] = frame["verdict"].map(ranks).fillna(len(ranks))
    for column in ("p_adjusted", "upstream_p_adjusted", "estimate", "upstream_difference"):
        if column in frame:
            values = frame[column].astype(float)
            order[column] = values if declared(column).kind == "p value" else -values.abs()
    by = [str(column) for column in order]
    kept = [int(row) for row in order.sort_values(by, kind="stable").index[:MOST_ROWS]]
    places = [key for key in (*_ACROSS, "upstream", "downstream") if key in frame]
    group = frame.groupby(places, sort=False, dropna=False).ngroup() if places else order.index
    kept.sort(key=lambda row: group[row])
    rest = frame.drop(kept)
    if rest.empty:
        return kept, ""
    text = f"{len(rest)} further {'row is' if len(rest) == 1 else 'rows are'} in {name}.csv"
    if "verdict" in rest:
        counts = rest["verdict"].value_counts()
        text += f": {', '.join(f'{counts[v]} {v}' for v in _VERDICTS if v in counts)}"
    return kept, text


def _is_pairs(frame: pd.DataFrame) -> bool:
    """Whether a table compares methods two by two."""
    return {"method_a", "method_b"} <= set(frame)


def _tuples(frame: pd.DataFrame, keys: Sequence[str]) -> list[tuple[Any, ...]]:
    """Key of every row; a missing key is None, so that it equals itself."""
    columns = [[None if pd.isna(value) else value for value in frame[key]] for key in keys]
    return list(zip(*columns, strict=True)) if columns else [()] * len(frame)


def _key_text(table: ResultTable, key: str, value: object) -> str:
    """A key as a label; a metric by its words and unit."""
    text = value_text(value)
    named = declared(key).kind == "metric" and text
    return one_line(table.metric(str(value)).heading) if named else text


def _heading(group: Mapping[str, Any], table: ResultTable) -> str:
    """Heading of the rows that share some keys, as ``"tldr · 1B · ROUGE-1"``."""
    texts = ((key, _key_text(table, key, value) or "all") for key, value in group.items())
    return " · ".join(
        text if key in _ACROSS else f"{declared(key).label} {text}" for key, text in texts
    )


def _fixed(table: ResultTable, frame: pd.DataFrame, keys: Sequence[str]) -> list[str]:
    """Columns that are the same in all rows, as ``"Scoring: sequence"``."""
    if frame.empty:
        return []
    texts = ((key, _key_text(table, key, frame[key].iloc[0])) for key in keys)
    # A file without groups has one dataset, which nobody named.
    told = [
        (key, text) for key, text in texts if text and (key, text) != ("dataset", UNNAMED_DATASET)
    ]
    return [f"{declared(key).label}: {text}" for key, text in told]


def _brackets(frame: pd.DataFrame, cells: Sequence[Cell]) -> list[str]:
    """What the brackets are, where there are any."""
    levels = sorted(set(frame["level"].dropna())) if "level" in frame else []
    if len(levels) == 1 and any(cell.interval for cell in cells):
        return [f"Brackets: {float(levels[0]) * 100:g} % interval"]
    return []


def _unknown_directions(table: ResultTable) -> str:
    """Say of which metrics nobody has told the direction, where values are there to be compared."""
    metrics = table.row_metrics() if table.ranked else []
    names = dict.fromkeys(one_line(metric.words) for metric in metrics if not metric.sign)
    if not names:
        return ""
    told = [*list(names)[:_MOST_NAMED], *(["others"] if len(names) > _MOST_NAMED else [])]
    return f"Whether more or less is better is not known for {', '.join(told)}"


def _estimate_title(table: ResultTable, pairs: bool) -> str:
    metrics = {metric.name: metric for metric in table.row_metrics()}
    if any(metric.kind == "agreement" for metric in metrics.values()):
        return "Tau"
    if any(metric.kind == "calibration" for metric in metrics.values()):
        return "ECE"
    if not pairs:
        return "Estimate"
    only = one_line(next(iter(metrics.values())).heading) if len(metrics) == 1 else ""
    return f"{only}, A − B" if only else "A − B"


def _title(column: Column, table: ResultTable) -> str:
    """Heading of a column; a difference is named by its metric where there is one only."""
    if column.kind != "difference" or column.of == "estimate":
        return column.label
    names = table.frame[column.of].unique()
    return f"Δ {_key_text(table, column.of, names[0]) if len(names) == 1 else column.label}"

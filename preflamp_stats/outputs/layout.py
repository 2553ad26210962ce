"""From a tidy table to the grid that a reader sees: methods down, models across, notes below.

Markdown, LaTeX and HTML draw the same :class:`~preflamp_stats.outputs.grid.Grid`; they differ in
marks and escaping only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from preflamp_stats.outputs.cells import (
    ACROSS,
    METHOD_KEYS,
    estimate_cells,
    fixed_remarks,
    footnotes,
    heading,
    key_tuples,
    level_remarks,
    metric_heading,
)
from preflamp_stats.outputs.flat import flat_grid
from preflamp_stats.outputs.formatting import (
    MISSING,
    label,
    metric_of,
    one_line,
    sample_sizes,
    value_text,
)
from preflamp_stats.outputs.grid import Block, Cell, Grid, Row
from preflamp_stats.quantities import quantities
from preflamp_stats.results import ResultTable

__all__ = ["axis_of", "lay_out"]

_MAX_ACROSS = 6
_MAX_WITH_INTERVALS = 5
_COMPARISONS = {"in_context", "contrasts", "decoupling", "regret"}
"""Tables that keep a row for each row although they name methods."""


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


def lay_out(table: ResultTable) -> Grid:
    """Arrange a tidy table for reading.

    A table of estimates by method becomes methods × models (or metrics, datasets, weights), grouped
    by what else varies. Any other table, known or not, keeps a row for each of its rows, except
    that a long one of pairs of methods shows the rows that tell most. Columns that are the same
    throughout move to the remarks.

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
    marks, notes = footnotes(frame)
    cells = estimate_cells(table, marks)
    grid = None if table.name in _COMPARISONS else _pivot(table, frame, cells, notes)
    return grid or flat_grid(table, frame, cells, notes)


def _pivot(
    table: ResultTable, frame: pd.DataFrame, cells: list[Cell], notes: Mapping[str, str]
) -> Grid | None:
    """Methods down, one other key across; None where that does not fit the table."""
    if "method" not in frame or "estimate" not in frame or frame.empty:
        return None
    axis = axis_of(frame)
    keys = [key for key in table.keys if key not in METHOD_KEYS and key != axis]
    varying = [key for key in keys if frame[key].nunique(dropna=False) > 1]
    candidates = [k for k in ACROSS if k in varying and frame[k].nunique() <= _MAX_ACROSS]
    across = axis or (candidates[0] if candidates else "")
    down = [key for key in varying if key != across]
    if frame.duplicated([*down, "method", *([across] if across else [])]).any():
        return None

    headings = list(dict.fromkeys(frame[across])) if across else ["estimate"]
    if axis in {"weight", "share"}:
        headings = sorted(headings)
    bare = len(headings) > _MAX_WITH_INTERVALS
    metrics = quantities(frame, metric_of(table.name))
    families = "method_family" in frame and frame["method_family"].nunique() > 1
    lookup: dict[Any, Cell] = {}
    rows_of: dict[Any, dict[Any, Any]] = {}
    columns = zip(
        key_tuples(frame, down),
        frame["method"],
        frame["method_family"] if families else frame["method"],
        frame[across] if across else ["estimate"] * len(frame),
        cells,
        strict=True,
    )
    for group, method, family, place, cell in columns:
        rows_of.setdefault(group, {})[method] = family
        lookup[group, method, place] = Cell(cell.text, "", cell.best, cell.mark) if bare else cell

    blocks = []
    sizes = []
    for group, methods in rows_of.items():
        inside = [key == group for key in key_tuples(frame, down)]
        sizes.append(sample_sizes(frame[inside]))
        rows = tuple(
            Row(
                (one_line(method), value_text(family)) if families else (one_line(method),),
                tuple(lookup.get((group, method, h), Cell(MISSING)) for h in headings),
            )
            for method, family in methods.items()
        )
        blocks.append((heading(dict(zip(down, group, strict=True)), metrics), rows))
    same_size = len(set(sizes)) == 1
    remarks = fixed_remarks(frame, keys, varying, metrics)
    remarks += level_remarks(frame, cells if not bare else [])
    if bare and any(cell.interval for cell in cells):
        remarks.append(f"Intervals are in {table.name}.csv")
    if same_size and "–" in sizes[0] and across and not axis:
        by_heading = [(h, sample_sizes(frame[frame[across] == h])) for h in headings]
        remarks.append("; ".join(f"{label(value_text(h))}: {size}" for h, size in by_heading))
    elif same_size and sizes[0]:
        remarks.append(sizes[0])

    def title(value: Any) -> str:
        if axis:
            return value_text(value)
        if across == "metric":
            return metric_heading(metrics[str(value)])
        return label(value_text(value)) if across else _value_title(table, metrics)

    return Grid(
        stub=("Method", "Family") if families else ("Method",),
        columns=tuple(map(title, headings)),
        spanner=label(axis) if axis else label(across).capitalize() if across else "",
        blocks=tuple(
            Block(text if same_size or not size else _with_size(text, size), rows)
            for (text, rows), size in zip(blocks, sizes, strict=True)
        ),
        remarks=tuple(remarks),
        footnotes=tuple((mark, text) for text, mark in notes.items()),
    )


def _value_title(table: ResultTable, metrics: Mapping[str, Any]) -> str:
    """Heading of the only column of values: its metric, where there is one metric only."""
    return metric_heading(next(iter(metrics.values()))) if len(metrics) == 1 else "Estimate"


def _with_size(text: str, size: str) -> str:
    return f"{text} ({size})" if text else size

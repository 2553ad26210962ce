"""Tables with a row for each of their rows: taus, comparisons, and any that we do not know."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from preflamp_stats.outputs.cells import (
    column_label,
    fixed_remarks,
    heading,
    level_remarks,
)
from preflamp_stats.outputs.facets import distinct
from preflamp_stats.outputs.formatting import (
    MISSING,
    count,
    interval,
    label,
    p_value,
    row_scales,
    sample_sizes,
    value_text,
)
from preflamp_stats.outputs.grid import Block, Cell, Grid, Row
from preflamp_stats.outputs.pairs import is_pairs, most_telling
from preflamp_stats.quantities import COEFFICIENT, Scale, metric_quantity, number
from preflamp_stats.results import ResultTable

__all__ = ["flat_grid"]

_COUNTS = {"n_examples", "n_users", "n_methods"}
_IN_CSV_ONLY = {
    "bin_high", "bin_low", "df", "dominates", "gain", "gain_high", "gain_low", "higher_is_better",
    "level", "long_name", "n_guided", "naive", "naive_estimate", "note", "p_coupled",
    "p_decoupled", "n_rows", "p_reversed", "parameters", "relative", "se", "step", "units",
    "user_share",
}  # fmt: skip
"""Columns that a reader of the table can do without."""
_OF_TAU = {
    "ceiling", "population_tau", "reliability_downstream", "reliability_upstream", "tau_corrected",
}  # fmt: skip
_ORDER = (
    "chosen", "best", "random",
    "upstream_difference", "upstream_p_adjusted", "downstream_difference", "downstream_p_adjusted",
)  # fmt: skip
_LAST = ("verdict", "dominates_from")


def flat_grid(
    table: ResultTable, frame: pd.DataFrame, cells: Sequence[Cell], notes: Mapping[str, str]
) -> Grid:
    """Keep a row for each row: keys first, estimate with its interval, then every other column.

    A long table of pairs of methods shows the rows that tell most and says how many are left.

    Parameters
    ----------
    table : ResultTable
    frame : DataFrame
        Its rows, numbered from 0.
    cells : sequence of Cell
        Estimate of every row.
    notes : mapping of str to str
        Letter of each footnote's text.

    Returns
    -------
    Grid
    """
    shown, remark = most_telling(frame, table.name)
    keys = table.keys
    varying = [key for key in keys if frame[key].nunique(dropna=False) > 1]
    groups, stub = _groups(frame, varying, keys)
    columns, constant = _columns(frame, keys)
    scales = row_scales(table)
    sides = _side_scales(frame)
    blocks: dict[str, list[Row]] = {}
    for position in shown:
        record = frame.iloc[position].to_dict()
        values = [cells[position]] if "estimate" in frame else []
        values += [_cell(record, column, scales[position], sides) for column in columns]
        labels = tuple(_key_text(key, record[key]) for key in stub)
        text = heading({group: record[group] for group in groups})
        blocks.setdefault(text, []).append(Row(labels, tuple(values)))
    sizes = sample_sizes(frame[[c for c in constant if c in {*_COUNTS, "resample"}]])
    fixed = [*keys, *(c for c in constant if c not in _COUNTS)]
    estimate = "Tau" if table.name in {"tau", "pooled_tau"} else _estimate_title(frame)
    titles = [estimate] * ("estimate" in frame) + [_title(column, frame) for column in columns]
    bracketed = [cell for rows in blocks.values() for row in rows for cell in row.cells]
    remarks = [*fixed_remarks(frame, fixed, [*varying, *stub]), *level_remarks(frame, bracketed)]
    return Grid(
        stub=tuple(column_label(key) for key in stub),
        columns=tuple(titles),
        spanner="",
        blocks=tuple(Block(text, tuple(rows)) for text, rows in blocks.items()),
        remarks=tuple(text for text in (*remarks, sizes, remark) if text),
        footnotes=tuple((mark, text) for text, mark in notes.items()),
    )


def _key_text(key: str, value: object) -> str:
    """A key as a label; only names of metrics are translated."""
    text = value_text(value)
    return (label(text) if key in {"metric", "upstream", "downstream"} else text) or MISSING


def _groups(
    frame: pd.DataFrame, varying: Sequence[str], keys: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Keys that become headings of rows rather than columns of repetitions, and the rest."""
    if is_pairs(frame):
        pair = ["method_a", "method_b"]
        return [key for key in varying if key not in pair], pair
    if len(varying) > 1 and frame[varying[0]].nunique() <= len(frame) / 2:
        return [varying[0]], list(varying[1:])
    return [], list(varying or keys)


def _columns(frame: pd.DataFrame, keys: Sequence[str]) -> tuple[list[str], list[str]]:
    """Columns of values, in the order of reading, and those that are the same throughout."""
    others = [c for c in frame.columns if c not in keys and c not in _IN_CSV_ONLY]
    if "p_adjusted" in others:
        others = [c for c in others if c != "p_value"]
    ends = {end for c in others for end in _ends(frame.columns, c) or ()} | {"low", "high"}
    others = [c for c in others if c not in ends and c != "estimate"]
    constant = [
        column
        for column in others
        if len(frame) > 1
        and frame[column].nunique(dropna=False) == 1
        and (column in _COUNTS or not pd.api.types.is_numeric_dtype(frame[column]))
    ]
    shown = [c for c in others if c not in constant and not frame[c].isna().all()]
    if "verdict" in others and "verdict" not in shown:
        shown, constant = [*shown, "verdict"], [c for c in constant if c != "verdict"]
    shown.sort(key=_reading_order)
    return shown, constant


def _reading_order(column: str) -> int:
    """Place of a column: those that a reader looks for first, and what follows from them last."""
    if column in _LAST:
        return len(_ORDER) + 1
    return _ORDER.index(column) if column in _ORDER else len(_ORDER)


def _ends(columns: Collection[Hashable], column: str) -> tuple[str, str] | None:
    """Columns that hold the interval of another; None where it has none."""
    stems = [column, column.removesuffix("_difference"), column.removesuffix("_tau")]
    for stem in stems:
        if {f"{stem}_low", f"{stem}_high"} <= set(columns):
            return f"{stem}_low", f"{stem}_high"
    return None


def _side_scales(frame: pd.DataFrame) -> dict[tuple[str, str], Scale]:
    """Scale of the differences in each upstream and downstream metric of a table of pairs."""
    found = {}
    for side in ("upstream", "downstream"):
        if {side, f"{side}_difference"} <= set(frame):
            for metric, rows in frame.groupby(side, sort=False):
                values = rows.rename(columns={f"{side}_difference": "value"})[["value"]]
                told = values.rename(columns={"value": "estimate"})
                found[side, str(metric)] = metric_quantity(str(metric), told).scale
    return found


def _cell(
    record: Mapping[Hashable, Any],
    column: str,
    scale: Scale,
    sides: Mapping[tuple[str, str], Scale],
) -> Cell:
    """Cell of a column that is neither key nor estimate, by its name and type."""
    value = record[column]
    if isinstance(value, str | bool) or value is None or value is pd.NA:
        return Cell(label(value_text(value)) or MISSING)
    if column.startswith("p_") or column.endswith("_p_adjusted"):
        return Cell(p_value(float(value)) or MISSING)
    if column.startswith("n_") or column == "users_needed":
        return Cell(count(float(value)) or MISSING)
    side = column.partition("_")[0]
    if column in _OF_TAU:
        scale = COEFFICIENT
    elif (side, str(record.get(side))) in sides:
        scale = sides[side, str(record[side])]
    elif column not in {"random", "best_value"}:
        scale = Scale(1.0, 3)
    ends = _ends(record.keys(), column)
    if ends:
        low, high = (float(record[end]) for end in ends)
        return Cell(number(value, scale) or MISSING, interval(low, high, scale))
    if column in {*_OF_TAU, "random", "best_value"}:
        return Cell(number(float(value), scale) or MISSING)
    return Cell(value_text(value) or MISSING)


def _estimate_title(frame: pd.DataFrame) -> str:
    metrics = distinct(frame, "metric")
    if is_pairs(frame):
        return f"{label(metrics[0])}, A − B" if len(metrics) == 1 else "A − B"
    return "Estimate"


def _title(column: str, frame: pd.DataFrame) -> str:
    """Heading of a column; a difference is named by its metric where there is one only."""
    for side in ("upstream", "downstream"):
        if column == f"{side}_difference":
            metrics = distinct(frame, side)
            name = label(metrics[0]) if len(metrics) == 1 else side.capitalize()
            return f"Δ {name}"
        if column == f"{side}_p_adjusted":
            return "p, differs" if side == "upstream" else "p, equivalent"
    return column_label(column)

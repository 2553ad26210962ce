"""Alternative text of a figure: what a reader who cannot see it should know."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from preflamp_stats.outputs.facets import distinct, facets, table_frame
from preflamp_stats.outputs.figures.selection import metric_order
from preflamp_stats.outputs.formatting import interval, label, row_scales
from preflamp_stats.quantities import Scale, number
from preflamp_stats.results import Analysis

__all__ = ["describe"]

_MOST_METRICS, _MOST_PLACES = 6, 12
"""Nobody listens to a longer text; the table has all."""


def describe(analysis: Analysis, name: str) -> str:
    """Say how much a table holds, and its highest and lowest estimate.

    Parameters
    ----------
    analysis : Analysis
    name : str
        Table.

    Returns
    -------
    str
        Sentences; empty where there is no such table.
    """
    frame = table_frame(analysis.tables, name)
    if frame.empty:
        return ""
    table = analysis.tables[name]
    scales = dict(zip(table.frame.index, row_scales(table), strict=True))
    methods = distinct(frame, "method")
    parts = [f"{len(frame)} estimates"]
    parts += [f"{len(methods)} methods"] if methods else []
    titles = [facet.title for facet in facets(frame) if facet.title]
    if len(titles) > _MOST_PLACES:
        titles = [*titles[:_MOST_PLACES], f"{len(titles) - _MOST_PLACES} more"]
    text = ", ".join(parts) + (f"; {', '.join(titles)}." if titles else ".")
    metrics = metric_order(analysis, distinct(frame, "metric"))[:_MOST_METRICS]
    for metric in metrics or [""]:
        rows = frame[frame["metric"] == metric] if metric else frame
        order = rows.sort_values("estimate", kind="stable").index
        highest, lowest = (
            _estimate(rows.loc[[place]].to_dict("records")[0], scales[place])
            for place in (order[-1], order[0])
        )
        of = f" {label(metric)}" if metric else ""
        text += f" Highest{of}: {highest}; lowest: {lowest}."
    return text


def _estimate(row: Mapping[Hashable, Any], scale: Scale) -> str:
    nothing = float("nan")
    between = interval(row.get("low", nothing), row.get("high", nothing), scale)
    named = [row.get(key) for key in ("method", "dataset", "model", "downstream")]
    where = ", ".join(label(str(value)) for value in named if not pd.isna(value))
    shown = f"{number(row['estimate'], scale)} {between}".strip()
    return f"{shown} ({where})" if where else shown

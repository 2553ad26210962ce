"""Discrimination against generation, by method."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from preflamp_stats.outputs.facets import Facet, distinct, facets, table_frame
from preflamp_stats.outputs.figures.dots import axis_label, same_range
from preflamp_stats.outputs.figures.selection import MOST_IN_LEGEND, facet_rows
from preflamp_stats.outputs.figures.style import (
    MethodStyle,
    bars,
    coarse_ticks,
    facet_text,
    legend,
    method_styles,
    methods_of,
    panels,
    points,
)
from preflamp_stats.quantities import Scale, metric_quantity
from preflamp_stats.results import Analysis

__all__ = ["draw_discrimination_vs_generation", "joined", "scatter_left_out"]

_ROW = 1.75
_MOST_ROWS = 4

_UPSTREAM = ("rm_accuracy", "policy_accuracy")


def generation_metric(analysis: Analysis) -> str:
    """Metric of generation quality that is drawn: the first one asked for, else the first there is.

    Returns
    -------
    str
        Empty where the analysis has no generation quality.
    """
    metrics = distinct(table_frame(analysis.tables, "generation"), "metric")
    asked = [metric for metric in analysis.settings.downstream if metric in metrics]
    return (asked or metrics or [""])[0]


def joined(analysis: Analysis, upstream: str, facet: Facet) -> pd.DataFrame:
    """Discrimination (``_x``) and generation (``_y``) of each method in a dataset and model.

    Parameters
    ----------
    analysis : Analysis
    upstream : {"rm_accuracy", "policy_accuracy"}
    facet : Facet

    Returns
    -------
    DataFrame
        A row for each method (and seed) that has both.
    """
    x = facet.rows(table_frame(analysis.tables, upstream))
    y = facet.rows(table_frame(analysis.tables, "generation"))
    if x.empty or y.empty:
        return pd.DataFrame()
    y = y[y["metric"] == generation_metric(analysis)]
    keys = [key for key in ("method", "seed") if key in x and key in y]
    columns = ["estimate", "low", "high"]
    both = x[[*keys, *columns]].merge(y[[*keys, *columns]], on=keys)
    return both.reset_index(drop=True)


def draw_discrimination_vs_generation(analysis: Analysis) -> Figure | None:
    """Draw every method's generation quality over its discrimination, both with intervals.

    Parameters
    ----------
    analysis : Analysis

    Returns
    -------
    Figure or None
        A row of panels for RM accuracy, then for policy accuracy; None where no method has both
        halves.
    """
    metric = generation_metric(analysis)
    generation = table_frame(analysis.tables, "generation")
    rows, _ = _rows(analysis)
    if not rows:
        return None
    styles = method_styles(analysis)
    quantity_y = metric_quantity(metric, generation[generation["metric"] == metric])
    across = max(len(row) for _, row in rows)
    figure, axes = panels(len(rows), across, row_height=_ROW, extra=0.35, sharey=True)
    seen: list[pd.DataFrame] = []
    for place, (upstream, row) in enumerate(rows):
        quantity_x = metric_quantity(upstream, table_frame(analysis.tables, upstream))
        last = place + 1 == len(rows) or rows[place + 1][0] != upstream
        for panel, facet in zip(axes[place], row, strict=False):
            both = joined(analysis, upstream, facet)
            _points(panel, both, styles, quantity_x.scale, quantity_y.scale)
            seen.append(both)
            panel.set_title(facet_text(facet, 40 if across < 3 else 30), loc="left")
            coarse_ticks(panel.xaxis)
            if last:
                panel.set_xlabel(axis_label(quantity_x))
        for panel in axes[place][len(row) :]:
            panel.set_visible(False)
        axes[place][0].set_ylabel(axis_label(quantity_y))
    coarse_ticks(axes[0][0].yaxis)
    same_range(axes, [[upstream] * len(row) for upstream, row in rows])
    present = set(methods_of(*seen))
    legend(figure, styles, [m for m in styles if m in present][:MOST_IN_LEGEND], lines=False)
    return figure


def scatter_left_out(analysis: Analysis) -> str:
    """Say which panels the figure has no room for."""
    _, left = _rows(analysis)
    return f"Not drawn: {left} further panels." if left else ""


def _rows(analysis: Analysis) -> tuple[list[tuple[str, list[Facet]]], int]:
    """Rows of panels that fit a page, and how many panels do not."""
    generation = table_frame(analysis.tables, "generation")
    if not generation_metric(analysis):
        return [], 0
    rows = [
        (upstream, row)
        for upstream in _UPSTREAM
        for row in facet_rows(facets(table_frame(analysis.tables, upstream), generation))
        if any(not joined(analysis, upstream, facet).empty for facet in row)
    ]
    return rows[:_MOST_ROWS], sum(len(row) for _, row in rows[_MOST_ROWS:])


def _points(
    panel: Axes,
    both: pd.DataFrame,
    styles: dict[str, MethodStyle],
    scale_x: Scale,
    scale_y: Scale,
) -> None:
    if both.empty:
        return
    looks = [styles[str(method)] for method in both["method"]]
    colours = [look.colour for look in looks]
    x, y = both["estimate_x"] * scale_x.factor, both["estimate_y"] * scale_y.factor
    for along, across, factor in (("x", y, scale_x.factor), ("y", x, scale_y.factor)):
        low, high = both[f"low_{along}"] * factor, both[f"high_{along}"] * factor
        bars(panel, across, low, high, colours, along=along)
    points(panel, x, y, looks)

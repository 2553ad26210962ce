"""Estimates by method as dots with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from preflamp_stats.outputs.cells import metric_heading
from preflamp_stats.outputs.facets import table_frame
from preflamp_stats.outputs.figures.selection import Selection, select
from preflamp_stats.outputs.figures.style import (
    GREY,
    MethodStyle,
    bars,
    coarse_ticks,
    facet_text,
    method_styles,
    panels,
    points,
    text,
)
from preflamp_stats.outputs.formatting import metric_of
from preflamp_stats.quantities import POINTS, Quantity, Scale, quantities
from preflamp_stats.results import Analysis

__all__ = ["axis_label", "by_method_selection", "draw_by_method", "limits", "same_range"]

_ROW, _PER_METHOD = 0.5, 0.17
"""Inches of a row of panels, and of a method in it."""


def by_method_selection(analysis: Analysis, table: str) -> Selection:
    """What a figure by method shows of its table."""
    return select(analysis, table, row_height=_ROW, by_method=_PER_METHOD)


def draw_by_method(analysis: Analysis, table: str) -> Figure | None:
    """Draw one dot and interval for each method, in a panel for each dataset, model and metric.

    Parameters
    ----------
    analysis : Analysis
    table : {"rm_accuracy", "policy_accuracy", "generation"}

    Returns
    -------
    Figure or None
        None where the analysis has no such table, or nothing in it.
    """
    frame = table_frame(analysis.tables, table)
    chosen = by_method_selection(analysis, table)
    if not chosen.methods:
        return None
    styles = method_styles(analysis)
    metrics = quantities(frame, metric_of(table))
    figure, axes = panels(
        len(chosen.rows),
        max(map(len, chosen.rows)),
        row_height=_ROW + _PER_METHOD * len(chosen.methods),
        extra=0.1,
        sharey=True,
    )
    one_place = len({facet for row in chosen.rows for _, facet in row}) == 1
    for place, row in enumerate(chosen.rows):
        last = place + 1 == len(chosen.rows) or chosen.rows[place + 1][0][0] != row[0][0]
        for panel, (metric, facet) in zip(axes[place], row, strict=False):
            here = facet.rows(frame)
            here = here[here["metric"] == metric] if "metric" in here else here
            quantity = metrics[metric]
            _dots(panel, here, chosen.methods, styles, quantity.scale)
            coarse_ticks(panel.xaxis)
            name = axis_label(quantity)
            if one_place and len(metrics) > 1:
                # Units that do not fit are on the table.
                panel.set_title(text(name if len(name) <= 34 else quantity.words, 34), loc="left")
            else:
                panel.set_title(facet_text(facet, 40 if len(row) < 3 else 30), loc="left")
                if last:
                    panel.set_xlabel(name)
        for panel in axes[place][len(row) :]:
            panel.set_visible(False)
    names = [[metric for metric, _ in row] for row in chosen.rows]
    same_range(axes, names)
    return figure


def axis_label(metric: Quantity) -> str:
    """Name of a metric with its unit, for an axis."""
    name = text(metric_heading(metric), 60)
    return f"{name} ({POINTS.unit})" if metric.scale == POINTS else name


def _dots(
    panel: Axes,
    frame: pd.DataFrame,
    methods: Sequence[str],
    styles: dict[str, MethodStyle],
    scale: Scale,
) -> None:
    frame = frame[frame["method"].astype(str).isin(methods)]
    names = frame["method"].astype(str)
    # Several estimates of a method (seeds, weights) stand side by side.
    order = frame.groupby(names, sort=False).cumcount()
    many = names.map(names.value_counts())
    offsets = np.where(many > 1, -0.25 + 0.5 * order / (many - 1).clip(lower=1), 0.0)
    places = names.map({method: k for k, method in enumerate(methods)}) + offsets
    looks = [styles[name] for name in names]
    low, high = limits(frame)
    colours = [look.colour for look in looks]
    bars(panel, places, low * scale.factor, high * scale.factor, colours, along="x")
    points(panel, frame["estimate"] * scale.factor, places, looks)
    panel.set_yticks(range(len(methods)), [text(method) for method in methods])
    panel.set_ylim(len(methods) - 0.5, -0.5)
    panel.grid(axis="y", visible=False)


def limits(rows: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Limits of the intervals; NaN where a table claims none."""
    nothing = pd.Series(np.nan, index=rows.index)
    return rows.get("low", nothing), rows.get("high", nothing)


def same_range(axes: Sequence[Sequence[Axes]], metrics: Sequence[Sequence[str]]) -> None:
    """Panels of a metric get one range, so that they compare by eye.

    Parameters
    ----------
    axes : sequence of sequence of Axes
    metrics : sequence of sequence of str
        Metric of each panel; panels beyond those of a row are not used.
    """
    of_metric: dict[str, list[Axes]] = {}
    for row, names in zip(axes, metrics, strict=True):
        for panel, name in zip(row, names, strict=False):
            of_metric.setdefault(name, []).append(panel)
    for metric, same in of_metric.items():
        low = min(panel.get_xlim()[0] for panel in same)
        high = max(panel.get_xlim()[1] for panel in same)
        for panel in same:
            panel.set_xlim(low, high)
            if metric.endswith("accuracy") and low < POINTS.factor / 2 < high:
                panel.axvline(POINTS.factor / 2, color=GREY, linewidth=0.7, linestyle="--")

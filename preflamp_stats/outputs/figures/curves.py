"""Accuracy over the weight, over the share of the response read, and by difference in length."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure

from preflamp_stats.outputs.facets import table_frame
from preflamp_stats.outputs.figures.dots import axis_label, limits
from preflamp_stats.outputs.figures.selection import Selection, select
from preflamp_stats.outputs.figures.style import (
    GREY,
    MethodStyle,
    bars,
    coarse_ticks,
    facet_text,
    legend,
    method_styles,
    panels,
    points,
)
from preflamp_stats.outputs.formatting import metric_of
from preflamp_stats.quantities import quantities
from preflamp_stats.results import Analysis

__all__ = [
    "curve_selection",
    "draw_length_difference",
    "draw_prefix_accuracy",
    "draw_weight_curve",
    "weight_position",
]

_ROW = 1.9
"""Inches of a row of panels."""
_SLANTED: dict[str, Any] = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}


def weight_position(weight: float) -> float:
    """Place of a weight on an axis that shows both ends: w / (1 + w), so 0 → 0 and ∞ → 1.

    Examples
    --------
    >>> [weight_position(w) for w in (0.0, 1.0, math.inf)]
    [0.0, 0.5, 1.0]
    """
    return 1.0 if math.isinf(weight) else weight / (1 + weight)


def draw_weight_curve(analysis: Analysis) -> Figure | None:
    """Draw policy accuracy over the weight w of the reward, from base model to reward alone."""

    def finish(panel: Axes, frame: pd.DataFrame) -> None:
        positions: dict[float, str] = {}
        for weight in sorted(frame["weight"].unique()):
            place = weight_position(weight)
            end = {0.0: "0\nbase\nmodel", 1.0: "∞\nreward\nalone"}.get(place)
            # Labels nearer than this would run into each other; the ends are always named.
            crowded = any(abs(place - other) < 0.13 for other in (*positions, 0.0, 1.0))
            if end or not crowded:
                positions[place] = end or f"{weight:.2g}"
        panel.set_xticks(list(positions), list(positions.values()))
        panel.set_xlim(-0.03, 1.03)

    return _curves(
        analysis,
        "weight_curve",
        lambda rows: rows["weight"].map(weight_position),
        finish,
        "Weight w of the reward",
    )


def draw_prefix_accuracy(analysis: Analysis) -> Figure | None:
    """Draw the accuracy of the reward of a prefix over the share of the response read."""

    def finish(panel: Axes, frame: pd.DataFrame) -> None:
        panel.set_xlim(0, 102)
        coarse_ticks(panel.xaxis)

    label = "Share of the response read (%)"
    return _curves(analysis, "prefix_accuracy", lambda rows: rows["share"] * 100, finish, label)


def draw_length_difference(analysis: Analysis) -> Figure | None:
    """Draw accuracy by the difference in length of the chosen and the rejected response."""
    every = table_frame(analysis.tables, "length_difference")
    if every.empty:
        return None
    bins = sorted(set(zip(every["bin_low"], every["bin_high"], strict=True)))
    methods = curve_selection(analysis, "length_difference").methods
    shifts = np.linspace(-0.28, 0.28, len(methods)) if len(methods) > 1 else [0.0]
    dodge = dict(zip(methods, shifts, strict=True))

    def place(rows: pd.DataFrame) -> pd.Series:
        edges = zip(rows["bin_low"], rows["bin_high"], strict=True)
        number = pd.Series([bins.index(edge) for edge in edges], index=rows.index)
        return number + rows["method"].astype(str).map(dodge)

    def finish(panel: Axes, frame: pd.DataFrame) -> None:
        panel.set_xticks(range(len(bins)), [_bin_label(*edges) for edges in bins], **_SLANTED)
        panel.grid(axis="x", visible=False)

    label = "Difference in length, chosen − rejected (tokens)"
    return _curves(analysis, "length_difference", place, finish, label, joined=False)


def _bin_label(low: float, high: float) -> str:
    if math.isinf(low):
        return f"below {high:.4g}".replace("-", "−")
    if math.isinf(high):
        return f"above {low:.4g}".replace("-", "−")
    return f"{low:.4g} to {high:.4g}".replace("-", "−")


def curve_selection(analysis: Analysis, table: str) -> Selection:
    """What a figure of curves shows of its table."""
    return select(analysis, table, row_height=_ROW)


def _curves(
    analysis: Analysis,
    table: str,
    place: Callable[[pd.DataFrame], pd.Series],
    finish: Callable[[Axes, pd.DataFrame], None],
    label: str,
    *,
    joined: bool = True,
) -> Figure | None:
    """Panels by dataset and model, a line or a set of points for each method, one legend."""
    frame = table_frame(analysis.tables, table)
    chosen = curve_selection(analysis, table)
    if not chosen.methods:
        return None
    styles = method_styles(analysis)
    (quantity,) = quantities(frame, metric_of(table)).values()
    factor = quantity.scale.factor
    across = max(map(len, chosen.rows))
    figure, axes = panels(
        len(chosen.rows), across, row_height=_ROW, extra=0.5, sharex=True, sharey=True
    )
    frame = frame[frame["method"].astype(str).isin(chosen.methods)]
    low, high = limits(frame)
    drawn = frame.assign(
        x=place(frame), y=frame["estimate"] * factor, below=low * factor, above=high * factor
    )
    for number, row in enumerate(chosen.rows):
        for panel, (_, facet) in zip(axes[number], row, strict=False):
            here = facet.rows(drawn)
            looks = [styles[str(method)] for method in here["method"]]
            if joined:
                _bands(panel, here, styles)
                points(panel, here["x"], here["y"], looks, size=2.6)
            else:
                colours = [look.colour for look in looks]
                bars(panel, here["x"], here["below"], here["above"], colours, along="y")
                points(panel, here["x"], here["y"], looks, size=3.4)
            panel.axhline(factor / 2, color=GREY, linewidth=0.7, linestyle="--")
            panel.set_title(facet_text(facet, 40 if across < 3 else 30), loc="left")
            if number + 1 == len(chosen.rows):
                panel.set_xlabel(label)
        for panel in axes[number][len(row) :]:
            panel.set_visible(False)
        axes[number][0].set_ylabel(axis_label(quantity))
    finish(axes[0][0], frame)
    coarse_ticks(axes[0][0].yaxis)
    legend(figure, styles, chosen.methods, lines=joined)
    return figure


def _bands(panel: Axes, rows: pd.DataFrame, styles: dict[str, MethodStyle]) -> None:
    """Lines and their bands, one collection each."""
    keys = [key for key in ("method", "seed", "scoring", "metric") if key in rows]
    lines, areas, looks = [], [], []
    for _, own in rows.sort_values("x", kind="stable").groupby(keys, sort=False, dropna=False):
        x, y, below, above = (own[c].to_numpy(float) for c in ("x", "y", "below", "above"))
        lines.append(np.column_stack([x, y]))
        there = ~(np.isnan(below) | np.isnan(above))
        edge = [np.column_stack([x, v])[there] for v in (below, above)]
        areas.append(np.concatenate([edge[0], edge[1][::-1]]))
        looks.append(styles[str(own["method"].iloc[0])])
    colours = [look.colour for look in looks]
    bands = PolyCollection(areas, facecolors=colours, alpha=0.14, linewidths=0)
    joined = LineCollection(
        lines, colors=colours, linestyles=[look.line for look in looks], linewidths=1.1, zorder=2
    )
    for collection in (bands, joined):
        collection.set_in_layout(False)
        panel.add_collection(collection)
    panel.autoscale_view()

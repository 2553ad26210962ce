"""Accuracy over the weight, over the share of the response read, and by difference in length."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from preflamp_stats.outputs.facets import facets, table_frame
from preflamp_stats.outputs.figures.dots import axis_label, facet_rows, limits
from preflamp_stats.outputs.figures.style import (
    GREY,
    MethodStyle,
    error_bars,
    facet_text,
    legend,
    method_styles,
    methods_of,
    panels,
)
from preflamp_stats.outputs.formatting import scale_of, value_text
from preflamp_stats.results import Analysis

__all__ = ["draw_length_difference", "draw_prefix_accuracy", "draw_weight_curve", "weight_position"]


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

    def draw(panel: Axes, rows: pd.DataFrame, style: MethodStyle, factor: float) -> None:
        _line(panel, rows["weight"].map(weight_position), rows, style, factor)

    def finish(panel: Axes, frame: pd.DataFrame, first: bool) -> None:
        positions: dict[float, str] = {}
        for weight in sorted(frame["weight"].unique()):
            place = weight_position(weight)
            end = {0.0: "0\nbase\nmodel", 1.0: "∞\nreward\nalone"}.get(place)
            # Labels nearer than this would run into each other; the ends are always named.
            crowded = any(abs(place - other) < 0.13 for other in (*positions, 0.0, 1.0))
            if end or not crowded:
                positions[place] = end or value_text(weight)
        panel.set_xticks(list(positions), list(positions.values()))
        panel.set_xlim(-0.03, 1.03)
        panel.set_xlabel("Weight w of the reward")

    return _curves(analysis, "weight_curve", "policy_accuracy", draw, finish)


def draw_prefix_accuracy(analysis: Analysis) -> Figure | None:
    """Draw the accuracy of the reward of a prefix over the share of the response read."""

    def draw(panel: Axes, rows: pd.DataFrame, style: MethodStyle, factor: float) -> None:
        _line(panel, rows["share"] * 100, rows, style, factor)

    def finish(panel: Axes, frame: pd.DataFrame, first: bool) -> None:
        panel.set_xlim(0, 102)
        panel.set_xlabel("Share of the response read (%)")

    return _curves(analysis, "prefix_accuracy", "rm_accuracy", draw, finish)


def draw_length_difference(analysis: Analysis) -> Figure | None:
    """Draw accuracy by the difference in length of the chosen and the rejected response."""
    every = table_frame(analysis.tables, "length_difference")
    if every.empty:
        return None
    bins = sorted(set(zip(every["bin_low"], every["bin_high"], strict=True)))
    methods = methods_of(every)
    dodge = dict(zip(methods, np.linspace(-0.28, 0.28, len(methods)), strict=True))

    def draw(panel: Axes, rows: pd.DataFrame, style: MethodStyle, factor: float) -> None:
        edges = zip(rows["bin_low"], rows["bin_high"], strict=True)
        shift = dodge[str(rows["method"].iloc[0])] if len(methods) > 1 else 0.0
        low, high = limits(rows)
        x = np.array([bins.index(edge) for edge in edges]) + shift
        y = rows["estimate"] * factor
        error_bars(panel, x, y, low=low * factor, high=high * factor, along="y", **style.point)

    def finish(panel: Axes, frame: pd.DataFrame, first: bool) -> None:
        panel.set_xticks(range(len(bins)), [_bin_label(*edges) for edges in bins], **_SLANTED)
        panel.grid(axis="x", visible=False)
        panel.set_xlabel("Difference in length, chosen − rejected (tokens)")

    return _curves(analysis, "length_difference", "rm_accuracy", draw, finish)


def _bin_label(low: float, high: float) -> str:
    if math.isinf(low):
        return f"below {high:.4g}".replace("-", "−")
    if math.isinf(high):
        return f"above {low:.4g}".replace("-", "−")
    return f"{low:.4g} to {high:.4g}".replace("-", "−")


def _line(panel: Axes, x: pd.Series, rows: pd.DataFrame, style: MethodStyle, factor: float) -> None:
    order = np.argsort(x.to_numpy(), kind="stable")
    low, high = limits(rows)
    xs, y, below, above = (v.to_numpy(float)[order] for v in (x, rows["estimate"], low, high))
    panel.fill_between(
        xs, below * factor, above * factor, color=style.colour, alpha=0.14, linewidth=0
    )
    panel.plot(xs, y * factor, linestyle=style.line, markersize=3, **style.point)


def _curves(
    analysis: Analysis,
    table: str,
    metric: str,
    draw: Callable[[Axes, pd.DataFrame, MethodStyle, float], None],
    finish: Callable[[Axes, pd.DataFrame, bool], None],
) -> Figure | None:
    """Panels by dataset and model, a line or a set of points for each method, one legend."""
    frame = table_frame(analysis.tables, table)
    methods = methods_of(frame)
    if not methods:
        return None
    styles = method_styles(analysis)
    scale = scale_of(metric, frame["estimate"])
    rows = facet_rows(facets(frame))
    across = max(len(row) for row in rows)
    figure, axes = panels(len(rows), across, row_height=1.9, extra=0.5, sharex=True, sharey=True)
    extra_keys = [key for key in ("seed", "scoring", "metric") if key in frame]
    for place, row in enumerate(rows):
        for panel, facet in zip(axes[place], row, strict=False):
            here = facet.rows(frame)
            for method in methods:
                own = here[here["method"].astype(str) == method]
                groups = own.groupby(extra_keys, sort=False, dropna=False) if extra_keys else None
                for one in [part for _, part in groups] if groups is not None else [own]:
                    if not one.empty:
                        draw(panel, one, styles[method], scale.factor)
            panel.axhline(scale.factor / 2, color=GREY, linewidth=0.7, linestyle="--")
            panel.set_title(facet_text(facet, 40 if across < 3 else 30), loc="left")
            finish(panel, frame, place == 0)
        for panel in axes[place][len(row) :]:
            panel.set_visible(False)
        axes[place][0].set_ylabel(axis_label(metric, scale))
    for upper in axes[:-1]:
        for panel in upper:
            panel.set_xlabel("")
    legend(figure, styles, methods, lines=table != "length_difference")
    return figure

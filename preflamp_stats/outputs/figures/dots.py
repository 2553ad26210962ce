"""Estimates by method as dots with intervals; tau as a forest plot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from preflamp_stats.outputs.facets import Facet, distinct, facets, table_frame
from preflamp_stats.outputs.figures.style import (
    GREY,
    MethodStyle,
    error_bars,
    facet_text,
    method_styles,
    methods_of,
    panels,
    text,
)
from preflamp_stats.outputs.formatting import POINTS, Scale, label, scale_of
from preflamp_stats.results import Analysis

__all__ = ["axis_label", "draw_by_method", "draw_tau", "facet_rows", "limits", "same_range"]

_MOST_ACROSS = 4


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
    methods = methods_of(frame)
    if not methods:
        return None
    styles = method_styles(analysis)
    metrics = distinct(frame, "metric") or [table]
    rows = [(metric, row) for metric in metrics for row in facet_rows(facets(frame))]
    figure, axes = panels(
        len(rows),
        max(len(row) for _, row in rows),
        row_height=0.5 + 0.17 * len(methods),
        extra=0.1,
        sharey=True,
    )
    for place, (metric, row) in enumerate(rows):
        here = frame[frame["metric"] == metric] if "metric" in frame else frame
        scale = scale_of(metric, here["estimate"])
        last = place + 1 == len(rows) or rows[place + 1][0] != metric
        for panel, facet in zip(axes[place], row, strict=False):
            _dots(panel, facet.rows(here), methods, styles, scale)
            panel.set_title(facet_text(facet, 40 if len(row) < 3 else 30), loc="left")
            if last or metric != metrics[0]:
                panel.set_xlabel(axis_label(metric, scale))
        for panel in axes[place][len(row) :]:
            panel.set_visible(False)
    same_range(axes, [metric for metric, _ in rows])
    return figure


def facet_rows(every: Sequence[Facet]) -> list[list[Facet]]:
    """Facets in rows of panels: a dataset a row, its models across; datasets across without any."""
    if any(facet.model for facet in every):
        datasets = list(dict.fromkeys(facet.dataset for facet in every))
        groups = [[facet for facet in every if facet.dataset == d] for d in datasets]
        if max(len(group) for group in groups) == 1:
            groups = [list(every)]
    else:
        groups = [list(every)]
    return [
        group[start : start + _MOST_ACROSS]
        for group in groups
        for start in range(0, len(group), _MOST_ACROSS)
    ]


def axis_label(metric: str, scale: Scale) -> str:
    """Name of a metric with its unit, for an axis."""
    name = text(label(metric), 40)
    return f"{name} ({scale.unit})" if scale.unit else name


def _dots(
    panel: Axes,
    frame: pd.DataFrame,
    methods: Sequence[str],
    styles: dict[str, MethodStyle],
    scale: Scale,
) -> None:
    for place, method in enumerate(methods):
        rows = frame[frame["method"].astype(str) == method]
        _bars(panel, rows, place, scale, **styles[method].point)
    panel.set_yticks(range(len(methods)), [text(method) for method in methods])
    panel.set_ylim(len(methods) - 0.5, -0.5)
    panel.grid(axis="y", visible=False)


def _bars(panel: Axes, rows: pd.DataFrame, place: int, scale: Scale, **style: object) -> None:
    """Dots of one line of a panel; several estimates of it (seeds, weights) side by side."""
    offsets = np.linspace(-0.25, 0.25, len(rows)) if len(rows) > 1 else np.zeros(len(rows))
    low, high = limits(rows)
    error_bars(
        panel,
        rows["estimate"] * scale.factor,
        place + offsets,
        low=low * scale.factor,
        high=high * scale.factor,
        along="x",
        **style,
    )


def limits(rows: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Limits of the intervals; NaN where a table claims none."""
    nothing = pd.Series(np.nan, index=rows.index)
    return rows.get("low", nothing), rows.get("high", nothing)


def same_range(axes: Sequence[Sequence[Axes]], metrics: Sequence[str]) -> None:
    """Panels of a metric get one range, so that they compare by eye."""
    for metric in dict.fromkeys(metrics):
        same = [
            panel
            for row, name in zip(axes, metrics, strict=True)
            for panel in row
            if name == metric and panel.get_visible()
        ]
        low = min(panel.get_xlim()[0] for panel in same)
        high = max(panel.get_xlim()[1] for panel in same)
        for panel in same:
            panel.set_xlim(low, high)
            if metric.endswith("accuracy") and low < POINTS.factor / 2 < high:
                panel.axvline(POINTS.factor / 2, color=GREY, linewidth=0.7, linestyle="--")


def draw_tau(analysis: Analysis) -> Figure | None:
    """Draw tau with its interval for each dataset and model, and the noise ceiling where known.

    Parameters
    ----------
    analysis : Analysis

    Returns
    -------
    Figure or None
        A panel for each pair of metrics; None where there is no tau.
    """
    frame = table_frame(analysis.tables, "tau")
    if frame.empty:
        return None
    pairs = [
        (up, down)
        for up in distinct(frame, "upstream") or [""]
        for down in distinct(frame, "downstream") or [""]
    ]
    lines = facets(frame)
    across = min(len(pairs), 3)
    down = -(-len(pairs) // across)
    figure, axes = panels(down, across, row_height=0.6 + 0.2 * len(lines), sharey=True, sharex=True)
    flat = [panel for row in axes for panel in row]
    for panel, (upstream, downstream) in zip(flat, pairs, strict=False):
        here = frame
        for column, value in (("upstream", upstream), ("downstream", downstream)):
            here = here[here[column] == value] if value else here
        for place, facet in enumerate(lines):
            rows = facet.rows(here)
            _bars(panel, rows, place, Scale(1, 2), color="#0072B2", marker="o")
            if "ceiling" in rows:
                ceilings = rows["ceiling"].dropna()
                panel.plot(
                    ceilings,
                    [place] * len(ceilings),
                    color="#D55E00",
                    marker="|",
                    linestyle="none",
                    markersize=8,
                    markeredgewidth=1.5,
                )
        panel.axvline(0, color=GREY, linewidth=0.7, linestyle="--")
        panel.set_xlim(-1.05, 1.05)
        panel.set_yticks(range(len(lines)), [facet_text(facet, 34) for facet in lines])
        panel.set_ylim(len(lines) - 0.5, -0.5)
        panel.grid(axis="y", visible=False)
        panel.set_title(f"{text(label(upstream))} → {text(label(downstream))}", loc="left")
        panel.set_xlabel("Kendall's tau")
    for panel in flat[len(pairs) :]:
        panel.set_visible(False)
    if "ceiling" in frame and frame["ceiling"].notna().any():
        handles = [
            Line2D([], [], color="#0072B2", marker="o", label="tau and its interval"),
            Line2D([], [], color="#D55E00", marker="|", linestyle="none", markersize=8,
                   markeredgewidth=1.5, label="noise ceiling"),
        ]  # fmt: skip
        figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure

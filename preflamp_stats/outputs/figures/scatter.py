"""Discrimination against generation, by method."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from preflamp_stats.outputs.facets import Facet, distinct, facets, table_frame
from preflamp_stats.outputs.figures.dots import axis_label, facet_rows, limits, same_range
from preflamp_stats.outputs.figures.style import (
    MethodStyle,
    error_bars,
    facet_text,
    legend,
    method_styles,
    methods_of,
    panels,
)
from preflamp_stats.outputs.formatting import Scale, scale_of
from preflamp_stats.results import Analysis

__all__ = ["draw_discrimination_vs_generation", "joined"]

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
    if not metric:
        return None
    rows = [
        (upstream, row)
        for upstream in _UPSTREAM
        for row in facet_rows(facets(table_frame(analysis.tables, upstream), generation))
        if any(not joined(analysis, upstream, facet).empty for facet in row)
    ]
    if not rows:
        return None
    styles = method_styles(analysis)
    scale_y = scale_of(metric, generation.loc[generation["metric"] == metric, "estimate"])
    across = max(len(row) for _, row in rows)
    figure, axes = panels(len(rows), across, row_height=1.75, extra=0.35, sharey=True)
    seen: list[pd.DataFrame] = []
    for place, (upstream, row) in enumerate(rows):
        scale_x = scale_of(upstream, table_frame(analysis.tables, upstream)["estimate"])
        for panel, facet in zip(axes[place], row, strict=False):
            both = joined(analysis, upstream, facet)
            _points(panel, both, styles, scale_x, scale_y)
            seen.append(both)
            panel.set_title(facet_text(facet, 40 if across < 3 else 30), loc="left")
            panel.set_xlabel(axis_label(upstream, scale_x))
        for panel in axes[place][len(row) :]:
            panel.set_visible(False)
        axes[place][0].set_ylabel(axis_label(metric, scale_y))
    same_range(axes, [upstream for upstream, _ in rows])
    present = set(methods_of(*seen))
    legend(figure, styles, [m for m in styles if m in present], lines=False)
    return figure


def _points(
    panel: Axes,
    both: pd.DataFrame,
    styles: dict[str, MethodStyle],
    scale_x: Scale,
    scale_y: Scale,
) -> None:
    for method in distinct(both, "method"):
        rows = both[both["method"].astype(str) == method]
        x, y = rows["estimate_x"] * scale_x.factor, rows["estimate_y"] * scale_y.factor
        for along, factor in (("x", scale_x.factor), ("y", scale_y.factor)):
            ends = {"low": rows[f"low_{along}"], "high": rows[f"high_{along}"]}
            low, high = limits(pd.DataFrame(ends))
            error_bars(
                panel, x, y, low=low * factor, high=high * factor, along=along,
                **styles[method].point,
            )  # fmt: skip

"""In-context methods against the best reward-guided one, by size of the base model."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from preflamp_stats.outputs.cells import metric_heading
from preflamp_stats.outputs.facets import distinct, table_frame
from preflamp_stats.outputs.figures.dots import limits
from preflamp_stats.outputs.figures.selection import MOST_IN_LEGEND
from preflamp_stats.outputs.figures.style import (
    GREY,
    MethodStyle,
    bars,
    coarse_ticks,
    legend,
    method_styles,
    methods_of,
    panels,
    points,
    text,
)
from preflamp_stats.quantities import POINTS, metric_quantity
from preflamp_stats.results import Analysis

__all__ = ["draw_icl_by_model_size"]

_MOST_ACROSS = 3
_MOST_PANELS = 9


def draw_icl_by_model_size(analysis: Analysis) -> Figure | None:
    """Draw the lead over the best reward-guided method, with its interval, over parameters.

    Parameters
    ----------
    analysis : Analysis

    Returns
    -------
    Figure or None
        A panel for each dataset and metric; a logarithmic axis of parameters where the file tells
        them, else the models in their order. None without the table ``in_context``.
    """
    frame = table_frame(analysis.tables, "in_context").reset_index(drop=True)
    methods = methods_of(frame)[:MOST_IN_LEGEND]
    if not methods:
        return None
    frame = frame[frame["method"].astype(str).isin(methods)]
    keys = [key for key in ("dataset", "metric") if key in frame]
    groups = [group for _, group in frame.groupby(keys, sort=False)][:_MOST_PANELS]
    styles = method_styles(analysis)
    across = min(len(groups), _MOST_ACROSS)
    figure, axes = panels(-(-len(groups) // across), across, row_height=1.9, extra=0.45)
    flat = [panel for row in axes for panel in row]
    metrics = distinct(frame, "metric")
    for panel, group in zip(flat, groups, strict=False):
        metric = str(group["metric"].iloc[0]) if "metric" in group else ""
        quantity = metric_quantity(metric, frame[frame["metric"] == metric] if metric else group)
        sized = "parameters" in group and bool((group["parameters"] > 0).all())
        models = distinct(group, "model")
        for place, method in enumerate(methods):
            own = group[group["method"].astype(str) == method]
            # Beside each other rather than on top: a method's points move by a few per cent.
            shift = place - (len(methods) - 1) / 2
            x = _places(own, models, sized, shift)
            _series(panel, own.assign(x=x).sort_values("x"), styles[method], quantity.scale.factor)
        panel.axhline(0, color=GREY, linewidth=0.7, linestyle="--")
        if sized:
            sizes = group.drop_duplicates("parameters").sort_values("parameters")
            panel.set_xscale("log")
            panel.minorticks_off()
            names = [text(name, 12) for name in sizes.get("model", sizes["parameters"])]
            panel.set_xticks(sizes["parameters"].to_list(), names)
            span = sizes["parameters"].max() / sizes["parameters"].min()
            margin = max(span**0.08, 1.2)
            panel.set_xlim(sizes["parameters"].min() / margin, sizes["parameters"].max() * margin)
        else:
            panel.set_xticks(range(len(models)), [text(model, 12) for model in models])
        parts = [str(group["dataset"].iloc[0])] if "dataset" in group else []
        parts += [metric_heading(quantity)] if len(metrics) > 1 else []
        panel.set_title(text(" · ".join(parts), 34), loc="left")
        panel.set_xlabel("Base model, by parameters" if sized else "Base model")
        unit = f" ({POINTS.unit})" if quantity.scale == POINTS else ""
        panel.set_ylabel(f"Lead over the best\nreward-guided{unit}")
        coarse_ticks(panel.yaxis)
    for panel in flat[len(groups) :]:
        panel.set_visible(False)
    legend(figure, styles, methods, lines=True)
    return figure


def _places(rows: pd.DataFrame, models: list[str], sized: bool, shift: float) -> pd.Series:
    if sized:
        sizes = rows["parameters"].to_numpy(float) * 1.04**shift
        return pd.Series(sizes, index=rows.index)
    if "model" not in rows:
        return pd.Series(0.1 * shift, index=rows.index)
    numbers = [models.index(str(model)) + 0.1 * shift for model in rows["model"]]
    return pd.Series(numbers, index=rows.index)


def _series(panel: Axes, rows: pd.DataFrame, style: MethodStyle, factor: float) -> None:
    low, high = limits(rows)
    colours = [style.colour] * len(rows)
    bars(panel, rows["x"], low * factor, high * factor, colours, along="y")
    points(panel, rows["x"], rows["estimate"] * factor, [style] * len(rows))
    panel.plot(
        rows["x"], rows["estimate"] * factor, color=style.colour, linestyle=style.line,
        linewidth=0.8,
    )  # fmt: skip

"""Curves: over the weight, the share of a response read, its length, and the size of the model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection

from preflamp_stats.outputs.figures import layout, style
from preflamp_stats.outputs.figures.names import shorten
from preflamp_stats.results import Analysis, distinct

_ROW = 1.9
"""Inches of a row of panels."""


def weight_position(weight: float) -> float:
    """Place of a weight on an axis that shows both ends: w / (1 + w), so 0 → 0 and ∞ → 1.

    Examples
    --------
    >>> [weight_position(w) for w in (0.0, 1.0, math.inf)]
    [0.0, 0.5, 1.0]
    """
    return 1.0 if math.isinf(weight) else weight / (1 + weight)


def weight_ticks(weights: Iterable[float]) -> dict[float, str]:
    """Labels of an axis of weights by their place, as many as do not run into each other."""
    positions: dict[float, str] = {}
    for weight in sorted({*weights}):
        place = weight_position(weight)
        end = {0.0: "0\nbase\nmodel", 1.0: "∞\nreward\nalone"}.get(place)
        # Labels nearer than this would run into each other; the ends are always named.
        crowded = any(abs(place - other) < 0.13 for other in (*positions, 0.0, 1.0))
        if end or not crowded:
            positions[place] = end or f"{weight:.2g}"
    return positions


def draw_weight_curve(analysis: Analysis, frame: pd.DataFrame) -> layout.Drawn:
    """Draw policy accuracy over the weight w of the reward, from base model to reward alone."""

    def finish(panel: Axes, rows: pd.DataFrame) -> None:
        positions = weight_ticks(rows["weight"])
        panel.set_xticks(list(positions), list(positions.values()))
        panel.set_xlim(-0.03, 1.03)

    frame = frame.assign(x=frame["weight"].map(weight_position))
    return _curves(analysis, "weight_curve", frame, finish, "Weight w of the reward")


def draw_prefix_accuracy(analysis: Analysis, frame: pd.DataFrame) -> layout.Drawn:
    """Draw the accuracy of the reward of a prefix over the share of the response read."""

    def finish(panel: Axes, rows: pd.DataFrame) -> None:
        panel.set_xlim(0, 102)
        layout.few_ticks(panel.xaxis)

    frame = frame.assign(x=frame["share"] * 100)
    return _curves(analysis, "prefix_accuracy", frame, finish, "Share of the response read (%)")


def draw_length_difference(analysis: Analysis, frame: pd.DataFrame) -> layout.Drawn:
    """Draw accuracy by the difference in length of the chosen and the rejected response."""

    def finish(panel: Axes, rows: pd.DataFrame) -> None:
        bins = sorted(set(zip(rows["bin_low"], rows["bin_high"], strict=True)))
        slanted: Any = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
        panel.set_xticks(range(len(bins)), [_bin_label(*edges) for edges in bins], **slanted)

    # Each dataset has bins of its own.
    own = frame.groupby("dataset")["bin_low"] if "dataset" in frame else frame["bin_low"]
    frame, words = frame.assign(x=own.rank(method="dense") - 1), "Chosen − rejected (tokens)"
    return _curves(analysis, "length_difference", frame, finish, words, shared=False)


def _bin_label(low: float, high: float) -> str:
    if math.isinf(low):
        return f"below {high:.4g}".replace("-", "−")
    if math.isinf(high):
        return f"above {low:.4g}".replace("-", "−")
    return f"{low:.4g} to {high:.4g}".replace("-", "−")


def draw_best_of_k(analysis: Analysis, frame: pd.DataFrame) -> layout.Drawn | None:
    """Draw quality over k, of the best by each reward and, as a line of its own, of the oracle."""
    if frame["k"].nunique() < 2:
        return None
    metric = analysis.tables["best_of_k"].metric

    def finish(panel: Axes, rows: pd.DataFrame) -> None:
        panel.set_xscale("log", base=2)
        largest = int(rows["k"].max())
        panel.set_xticks(powers := [2**e for e in range(largest.bit_length())], map(str, powers))
        panel.minorticks_off()
        keys = [key for key in ("dataset", "model", "method") if key in rows]
        for _, curve in rows.groupby(keys, dropna=False):
            factor = metric(curve["metric"].iloc[0]).scale.factor
            panel.plot(curve["k"], curve["oracle"] * factor, color="0.6", lw=0.6, ls=":", zorder=1)

    words = "k samples (dotted: the best by quality itself)"
    return _curves(analysis, "best_of_k", frame.assign(x=frame["k"]), finish, words)


def draw_in_context(analysis: Analysis, frame: pd.DataFrame) -> layout.Drawn | None:
    """Draw the lead over the best method with a reward model along the size of the base model.

    On a logarithmic axis of parameters where the file tells them, else by the order of the models.
    Nothing is drawn of a single model.
    """
    models = distinct(frame, "model")
    if len(models) < 2:
        return None
    sized = "parameters" in frame and bool((frame["parameters"] > 0).all())
    short = shorten(models, 14)
    x = frame["parameters"] if sized else frame["model"].map(models.index)

    def finish(panel: Axes, rows: pd.DataFrame) -> None:
        ticks = rows.drop_duplicates("x").sort_values("x")
        if sized:
            panel.set_xscale("log")
            panel.minorticks_off()
        panel.set_xticks(ticks["x"].to_list(), [short[str(base)] for base in ticks["base"]])
        panel.margins(x=0.08)

    # The models are what the curves run along: they make no panels.
    frame = frame.assign(x=x).rename(columns={"model": "base"})
    words = "Base model, by parameters" if sized else "Base model"
    lead = "Lead over the best\nwith a reward model"
    return _curves(analysis, "in_context", frame, finish, words, shared=False, of=lead)


def _curves(
    analysis: Analysis,
    name: str,
    frame: pd.DataFrame,
    finish: Callable[[Axes, pd.DataFrame], None],
    words: str,
    *,
    shared: bool = True,
    of: str = "",
) -> layout.Drawn:
    """Panels with a line and a band for each method, one legend.

    Parameters
    ----------
    analysis : Analysis
    name : str
        Table.
    frame : DataFrame
        Its rows, with their place ``x`` on the axis that the curves run along.
    finish : callable
        Ticks and limits of that axis, given a panel and its rows.
    words : str
        Its name.
    shared : bool
        Whether it is the same in all panels.
    of : str
        What the curves are of where it is a difference of their metric.
    """
    rows, left = layout.select(analysis, name, frame, _ROW)
    panels = [panel for row in rows for panel in row]
    looks, note = layout.coloured(analysis, panels)
    entries = [style.entry(each) for each in looks.values() if not each.grey]
    one = len({panel.metric for panel in panels}) == 1
    how: Any = {"entries": entries, "note": note, "sharex": shared, "sharey": one}
    figure = layout.grid(rows, _ROW, x=words, y=of or None, **how)
    for panel in panels:
        _bands(panel.axes, panel.rows, looks)
        panel.axes.axhline(0 if of else panel.chance, **style.REFERENCE)
        layout.few_ticks(panel.axes.yaxis)
        finish(panel.axes, panel.rows)
    return layout.Drawn(figure, left)


def _bands(panel: Axes, rows: pd.DataFrame, looks: dict[str, style.Look]) -> None:
    """Lines and their bands, one collection each; of a grey one the line only."""
    keys = [key for key in ("method", "seed", "scoring", "metric") if key in rows]
    rows = rows.assign(grey=rows["method"].map(lambda method: looks[method].grey))
    own = rows.sort_values(["grey", "x"], ascending=[False, True], kind="stable")
    number = own.groupby(keys, sort=False, dropna=False).ngroup().to_numpy()
    values = own[["x", "value", "below", "above"]].to_numpy(float)
    curves = [values[number == each] for each in range(number.max() + 1)]
    methods = own["method"].to_numpy(str)[np.unique(number, return_index=True)[1]]
    shown = [looks[str(method)] for method in methods]
    colours, styles = [look.colour for look in shown], [look.line for look in shown]
    thick = [0.6 if look.grey else 1.1 for look in shown]
    how: Any = {"colors": colours, "linestyles": styles, "linewidths": thick, "zorder": 2}
    joined = LineCollection([curve[:, :2] for curve in curves], **how)
    areas = []
    for curve, look in zip(curves, shown, strict=True):
        there = curve[~np.isnan(curve).any(axis=1) & (not look.grey)]
        areas.append(np.concatenate([there[:, [0, 2]], there[::-1, [0, 3]]]))
    alpha = 0.14 if sum(not look.grey for look in shown) < 7 else 0.07
    bands = PolyCollection(areas, facecolors=joined.get_colors(), alpha=alpha, linewidths=0)
    for collection in (bands, joined):
        collection.set_in_layout(False)
        panel.add_collection(collection)
    named = own[~own["grey"]]
    style.points(panel, named["x"], named["value"], [looks[m] for m in named["method"]], scale=0.65)
    panel.autoscale_view()

"""What choosing a method by a metric costs, beside what picking one at random does."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from preflamp_stats.outputs.facets import Facet, facets, table_frame
from preflamp_stats.outputs.figures.dots import limits
from preflamp_stats.outputs.figures.selection import metric_order
from preflamp_stats.outputs.figures.style import (
    GREY,
    MethodStyle,
    bars,
    coarse_ticks,
    facet_text,
    panels,
    points,
    text,
)
from preflamp_stats.outputs.formatting import label
from preflamp_stats.quantities import Scale, scale_of
from preflamp_stats.results import Analysis

__all__ = ["draw_regret", "regret_left_out"]

_LINE = 0.16
"""Inches of a line."""
_MOST_LINES, _MOST_PANELS = 40, 3
_CHOSEN = MethodStyle("#0072B2", "o", "-", True)
_RANDOM = MethodStyle(GREY, "s", "-", False)


def draw_regret(analysis: Analysis) -> Figure | None:
    """Draw the loss of the chosen method and its interval, a line for each dataset and model.

    Parameters
    ----------
    analysis : Analysis

    Returns
    -------
    Figure or None
        A panel for each pair of metrics, at most three; None without the table ``regret``.
    """
    frame = table_frame(analysis.tables, "regret").reset_index(drop=True)
    if frame.empty:
        return None
    pairs = _pairs(analysis, frame)[:_MOST_PANELS]
    places = facets(frame)[:_MOST_LINES]
    figure, (row,) = panels(
        1, len(pairs), row_height=0.75 + _LINE * len(places), extra=0.25, sharey=True
    )
    for panel, (upstream, downstream) in zip(row, pairs, strict=True):
        here = frame[(frame["upstream"] == upstream) & (frame["downstream"] == downstream)]
        values = pd.concat([here[c] for c in ("estimate", "random") if c in here])
        scale = scale_of(downstream, values)
        _lines(panel, here, places, scale)
        panel.set_title(text(f"{label(upstream)} → {label(downstream)}", 36), loc="left")
        unit = f" ({scale.unit})" if scale.unit else ""
        panel.set_xlabel(f"Loss against the best{unit}")
        coarse_ticks(panel.xaxis)
        panel.grid(axis="y", visible=False)
        panel.tick_params(axis="y", length=0)
    row[0].set_yticks(range(len(places)), [facet_text(p, 24) or "all" for p in places])
    row[0].set_ylim(len(places) - 0.5, -0.5)
    _legend(figure, random="random" in frame and bool(frame["random"].notna().any()))
    return figure


def regret_left_out(analysis: Analysis) -> str:
    """Say what the figure has no room for."""
    frame = table_frame(analysis.tables, "regret")
    if frame.empty:
        return ""
    parts = [
        f"{left} {noun}{'s' if left > 1 else ''}"
        for left, noun in (
            (len(_pairs(analysis, frame)) - _MOST_PANELS, "pair of metric"),
            (len(facets(frame)) - _MOST_LINES, "line"),
        )
        if left > 0
    ]
    return f"Not drawn, but in regret.csv: {', '.join(parts)}." if parts else ""


def _pairs(analysis: Analysis, frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Pairs of metrics, what users get before what the policy prefers."""
    found = frame[["upstream", "downstream"]].drop_duplicates().astype(str)
    pairs = list(found.itertuples(index=False, name=None))
    order = metric_order(analysis, list(dict.fromkeys(pair[1] for pair in pairs)))
    return sorted(pairs, key=lambda p: (p[1].endswith("accuracy"), order.index(p[1])))


def _lines(panel: Axes, rows: pd.DataFrame, places: list[Facet], scale: Scale) -> None:
    drawn: list[tuple[int, pd.Series[Any]]] = [
        (line, row) for line, place in enumerate(places) for _, row in place.rows(rows).iterrows()
    ]
    if not drawn:
        return
    numbers = [line for line, _ in drawn]
    table = pd.DataFrame([row for _, row in drawn])
    low, high = limits(table)
    colours = [_CHOSEN.colour] * len(table)
    if "random" in table:
        points(panel, table["random"] * scale.factor, numbers, [_RANDOM] * len(table), size=3.4)
    bars(panel, numbers, low * scale.factor, high * scale.factor, colours, along="x")
    points(panel, table["estimate"] * scale.factor, numbers, [_CHOSEN] * len(table))
    panel.axvline(0, color=GREY, linewidth=0.7, linestyle="--")


def _legend(figure: Figure, *, random: bool) -> None:
    marks = [("chosen by the metric", _CHOSEN)] + [("picked at random", _RANDOM)] * random
    handles = [
        Line2D([], [], label=name, linestyle="-" if look.filled else "none", **look.point)
        for name, look in marks
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))

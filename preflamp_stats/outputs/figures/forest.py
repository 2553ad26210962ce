"""Intervals along lines: estimates by method, Kendall's tau, and what a choice costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from preflamp_stats.metric import TAU, Scale
from preflamp_stats.outputs.figures import layout, style
from preflamp_stats.outputs.figures.names import facets, plain, shorten, titles, width
from preflamp_stats.results import Analysis, ResultTable, distinct

_MARGIN = 0.5
"""Inches of a panel around its lines."""
_LINE, _TIGHT = 0.17, 0.115
"""Inches of a line; the smaller where there are many methods."""
_WIDE = 1.6
"""Inches of labels that leave no room for a panel in one column."""
_SURE = 24
"""Methods that every panel has room for."""
_MOST_TAUS, _MOST_PLACES, _MOST_PAIRS = 56, 40, 3
_TAU = {
    "value": style.Look("tau and its interval"),
    "tau_corrected": style.Look("corrected for noise", marker="D", face="white", size=3.2),
    "ceiling": style.Look("noise ceiling", "#D55E00", marker="|", size=7),
}
_REGRET = {
    "random": style.Look("picked at random", style.GREY, marker="s", face="white", size=3.4),
    "value": style.Look("chosen by the metric"),
}
"""Look of what is drawn of a table by its column."""


def draw_by_method(analysis: Analysis, frame: pd.DataFrame, table: str) -> layout.Drawn:
    """Draw one dot and interval for each method, in a panel for each dataset, model and metric.

    Many methods are sorted by the first metric; the best and worst of each panel are always there.
    """
    methods = distinct(frame, "method")
    rows, left = layout.select(analysis, table, frame, _MARGIN + _TIGHT * min(len(methods), _SURE))
    panels, room = [panel for row in rows for panel in row], layout.ROOM / len(rows) - _MARGIN
    looks, note = layout.coloured(analysis, panels)
    methods = [method for method in methods if method in looks]  # the panels may hold no other
    if note:
        fit, every = int(room / _TIGHT), len(looks)
        kept = style.extremes([panel.ranking() for panel in panels], fit, fit)
        alike = [panel.rows for panel in panels if panel.metric == panels[0].metric]
        order = replace(panels[0], rows=pd.concat(alike)).ranking()
        methods = [method for method in dict.fromkeys([*order, *looks]) if method in kept]
        if len(methods) < every:
            note += f" {every - len(methods)} of these stand in {table}.csv only."
    height = _MARGIN + min(_LINE, room / len(methods)) * len(methods)
    labels = [looks[method].label for method in methods]
    wide = max(map(width, labels)) > _WIDE
    figure = layout.grid(rows, height, y="", note=note, wide=wide)
    for panel in panels:
        here = panel.rows[panel.rows["method"].isin(methods)]
        # Several estimates of a method (seeds, weights) stand side by side.
        own = here.groupby("method", sort=False)["value"]
        last = own.transform("size") - 1
        beside = (own.cumcount() / last.clip(lower=1) - 0.5) * 0.5 * (last > 0)
        # Floats, for pandas leaves the texts of a panel without rows what they are.
        at = here["method"].map(methods.index).astype(float) + beside
        looked = [looks[m] for m in here["method"]]
        style.bars(panel.axes, at, here["below"], here["above"], looked, "x")
        style.points(panel.axes, here["value"], at, looked)
        _write_lines(panel.axes, labels)
    layout.same_range(panels)
    return layout.Drawn(figure, left)


def draw_tau(analysis: Analysis, frame: pd.DataFrame) -> layout.Drawn:
    """Draw tau with its interval, a line for each dataset, model and pair of metrics.

    The lines stand below their pair of metrics, or below the upstream one where there is one
    dataset and model only.
    """
    places = facets(frame)
    several, heading = len(places) > 1, titles(places, 34)
    words = _short_words(analysis.tables["tau"], frame, 30)
    lines: list[tuple[str, int | None]] = []
    groups: Any = frame.groupby(["upstream", "downstream"][: 1 + several], sort=False)
    for names, group in groups:
        above = " → ".join(words[name] for name in names)
        lines.append((above if several else f"{above} →", None))
        if several:
            lines += [(heading[p], row) for p in places for row in p.rows(group).index]
        else:
            lines += [(words[name], row) for row, name in group["downstream"].items()]
    shown = lines[:_MOST_TAUS]
    at, rows = zip(*((k, row) for k, (_, row) in enumerate(shown) if row is not None), strict=True)
    panel = layout.Panel(TAU, "", frame.loc[list(rows)])
    wide = len(shown) > 20 or max(width(text) for text, _ in shown) > _WIDE
    height, entries = _MARGIN + 0.145 * len(shown), _entries(panel.rows, _TAU)
    figure = layout.grid([[panel]], height, y="", entries=entries, wide=wide)
    _draw_lines(panel, at, _TAU, [text for text, _ in shown])
    for (_, row), label in zip(shown, panel.axes.get_yticklabels(), strict=True):
        label.set_fontweight("bold" if row is None else "normal")
    panel.axes.set_xlim(-1.05, 1.05)
    panel.axes.set_xticks([-1, -0.5, 0, 0.5, 1])
    left = sum(row is not None for _, row in lines[_MOST_TAUS:])
    return layout.Drawn(figure, f"Not drawn, but in tau.csv: {left} further taus." if left else "")


def draw_regret(analysis: Analysis, frame: pd.DataFrame) -> layout.Drawn:
    """Draw the loss of the chosen method and its interval, a line for each dataset and model.

    A panel for each pair of metrics.
    """
    table, places = analysis.tables["regret"], facets(frame)
    order = layout.metric_order(analysis, distinct(frame, "downstream"))
    # What users get before what the policy prefers.
    order.sort(key=lambda name: table.metric(name).kind == "discrimination")
    found: Any = frame.groupby(["upstream", "downstream"], sort=False)
    pairs = sorted(found, key=lambda pair: order.index(pair[0][1]))
    words = _short_words(table, frame, 26 if len(pairs) < 3 else 16)
    panels = []
    for (upstream, downstream), group in pairs:
        metric = table.metric(downstream)
        unit = f" ({metric.scale.unit})" if metric.scale.unit else ""
        title = f"{words[upstream]} → {words[downstream]}"
        panels.append(layout.Panel(metric, title, group, plain(f"Loss against the best{unit}", 38)))
    drawn, shown = panels[:_MOST_PAIRS], places[:_MOST_PLACES]
    labels, height = [*titles(shown, 24).values()], _MARGIN + 0.1 + 0.16 * len(shown)
    figure = layout.grid([drawn], height, y="", entries=_entries(frame, _REGRET))
    for panel in drawn:
        at = {row: k for k, place in enumerate(shown) for row in place.rows(panel.rows).index}
        _draw_lines(panel, panel.rows.index.map(at), _REGRET, labels)
        layout.few_ticks(panel.axes.xaxis)
    left = {"pair of metrics": [panel.title for panel in panels[_MOST_PAIRS:]]}
    left["line"] = [place.title for place in places[_MOST_PLACES:]]
    return layout.Drawn(figure, layout.left_out("regret", left))


def _short_words(table: ResultTable, frame: pd.DataFrame, longest: int) -> dict[str, str]:
    """Names of the metrics of pairs, short and without their units."""
    names = [*distinct(frame, "upstream"), *distinct(frame, "downstream")]
    words = {each: replace(table.metric(each), scale=Scale(1, 1)).heading for each in names}
    labels = shorten(words.values(), longest)
    return {name: labels[words[name]] for name in names}


def _entries(rows: pd.DataFrame, columns: Mapping[str, style.Look]) -> list[Line2D]:
    """Legend of the columns that hold a number, where they are several."""
    there = [each for each in columns if each in rows and rows[each].notna().any()]
    return [style.entry(columns[each], line=each == "value") for each in there if len(there) > 1]


def _draw_lines(
    panel: layout.Panel, at: ArrayLike, looks: Mapping[str, style.Look], labels: Sequence[str]
) -> None:
    """Draw the interval of each row on its line, and a point of every column that is there."""
    rows, n_rows = panel.rows, len(panel.rows)
    style.bars(panel.axes, at, rows["below"], rows["above"], [looks["value"]] * n_rows, "x")
    for column, look in looks.items():
        if column in rows:
            style.points(panel.axes, rows[column], at, [look] * n_rows)
    panel.axes.axvline(0, **style.REFERENCE)
    _write_lines(panel.axes, labels)


def _write_lines(panel: Axes, labels: Sequence[str]) -> None:
    panel.set_yticks(range(len(labels)), list(labels))
    panel.set_ylim(len(labels) - 0.5, -0.5)
    panel.grid(axis="y", visible=False)
    panel.tick_params(axis="y", length=0)

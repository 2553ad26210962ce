"""Discrimination against generation, by method."""

from __future__ import annotations

from typing import Any

import pandas as pd

from preflamp_stats.outputs.figures import layout, style
from preflamp_stats.outputs.figures.names import facets
from preflamp_stats.results import Analysis, distinct

_ROW = 1.75
_MOST_ROWS = 4
_UPSTREAM = ("rm_accuracy", "policy_accuracy")


def draw(analysis: Analysis, generation: pd.DataFrame) -> layout.Drawn | None:
    """Draw every method's generation quality over its discrimination, both with intervals.

    Rows of panels for RM accuracy, then for policy accuracy; generation quality by the metric that
    was asked for first, else by the first that there is. A method without a reward has no accuracy:
    its quality is a line across.
    """
    names = layout.metric_order(analysis, distinct(generation, "metric"))
    y = generation[generation["metric"] == names[0]]
    quality = analysis.tables["generation"].metric(names[0])
    rows = []
    for upstream in _UPSTREAM:
        x = layout.estimates(analysis, upstream)
        found = layout.facet_rows(facets(x, generation) if len(x) else [])
        heading = layout.headings(found)
        for row in found:
            metric = analysis.tables[upstream].metric(upstream)
            held = [(heading[each], _joined(each.rows(x), each.rows(y))) for each in row]
            rows.append([layout.Panel(metric, title, r) for title, r in held if r["value"].count()])
    rows = [row for row in rows if row]
    left, rows = sum(map(len, rows[_MOST_ROWS:])), rows[:_MOST_ROWS]
    if not rows:
        return None
    panels = [panel for row in rows for panel in row]
    up = [layout.Panel(quality, "", p.rows.assign(value=p.rows["value_y"])) for p in panels]
    looks, note = layout.coloured(analysis, [*up, *panels])
    placed = {m for panel in panels for m in panel.rows.dropna(subset="value")["method"]}
    if set(looks) - placed:
        note = f"{note} Lines across: methods without an accuracy.".strip()
    entries = [
        style.entry(each, line=method not in placed, point=method in placed)
        for method, each in looks.items()
        if not each.grey
    ]
    figure = layout.grid(rows, _ROW, y=layout.axis_label(quality), entries=entries, note=note)
    for panel in panels:
        axes, grey = panel.axes, panel.rows["method"].map(lambda method: looks[method].grey)
        for shown in (panel.rows[grey], panel.rows[~grey]):
            there, absent = shown[shown["value"].notna()], shown[shown["value"].isna()]
            looked = [looks[method] for method in there["method"]]
            style.points(axes, there["value"], there["value_y"], looked)
            for own in absent.to_dict("records"):
                look = looks[own["method"]]
                axes.axhline(own["value_y"], color=look.colour, linestyle=look.line, linewidth=0.9)
                if not look.grey:
                    how: Any = {"color": look.colour, "alpha": 0.12, "linewidth": 0}
                    axes.axhspan(own["below_y"], own["above_y"], **how)
        style.bars(axes, there["value_y"], there["below"], there["above"], looked, "x")
        style.bars(axes, there["value"], there["below_y"], there["above_y"], looked, "y")
        layout.few_ticks(axes.yaxis)
    layout.same_range(panels)
    return layout.Drawn(figure, f"Not drawn: {left} further panels." if left else "")


def _joined(x: pd.DataFrame, y: pd.DataFrame) -> pd.DataFrame:
    """Generation quality (``_y``) of each method (and seed), with its accuracy where it has one."""
    keys = [key for key in ("method", "seed") if key in x and key in y]
    columns = [*keys, "value", "below", "above"]
    return y[columns].merge(x[columns], how="left", on=keys, suffixes=("_y", ""))

"""Kendall's tau of every dataset, model and pair of metrics as a forest plot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from preflamp_stats.outputs.facets import Facet, facets, table_frame
from preflamp_stats.outputs.figures.dots import limits
from preflamp_stats.outputs.figures.style import (
    GREY,
    ONE_COLUMN,
    TWO_COLUMNS,
    MethodStyle,
    bars,
    facet_text,
    panels,
    points,
    text,
)
from preflamp_stats.outputs.formatting import label
from preflamp_stats.quantities import quantities
from preflamp_stats.results import Analysis

__all__ = ["draw_tau", "tau_left_out"]

_MOST_LINES = 56
_LINE = 0.145
"""Inches of a line."""
_TAU = MethodStyle("#0072B2", "o", "-", True)
_CORRECTED = MethodStyle("#0072B2", "D", "-", False)
_CEILING = "#D55E00"


@dataclass(frozen=True)
class _Line:
    """A line of the plot: the heading of a group, or an estimate."""

    text: str
    row: int | None = None
    heading: bool = False


def draw_tau(analysis: Analysis) -> Figure | None:
    """Draw tau with its interval, a line for each dataset, model and pair of metrics.

    Parameters
    ----------
    analysis : Analysis

    Returns
    -------
    Figure or None
        One panel, its lines grouped by pair of metrics, with the noise ceiling and the tau
        corrected for noise where they are known; None where there is no tau.
    """
    frame = table_frame(analysis.tables, "tau").reset_index(drop=True)
    if frame.empty:
        return None
    lines = _lines(frame, _names(analysis))[:_MOST_LINES]
    places = [place for place, line in enumerate(lines) if line.row is not None]
    rows = frame.loc[[line.row for line in lines if line.row is not None]]
    longest = max(len(line.text) for line in lines)
    figure, ((panel,),) = panels(1, 1, row_height=0.55 + _LINE * len(lines), extra=0.25)
    wide = longest >= 24 or len(lines) > 20
    figure.set_figwidth(TWO_COLUMNS if wide else ONE_COLUMN)
    low, high = limits(rows)
    bars(panel, places, low, high, [_TAU.colour] * len(rows), along="x")
    points(panel, rows["estimate"], places, [_TAU] * len(rows))
    marks: list[tuple[str, dict[str, Any]]] = [
        ("tau and its interval", {"color": _TAU.colour, "marker": "o", "markersize": 4})
    ]
    if "tau_corrected" in rows and rows["tau_corrected"].notna().any():
        points(panel, rows["tau_corrected"], places, [_CORRECTED] * len(rows), size=3.2)
        look: dict[str, Any] = {
            "color": _TAU.colour,
            "marker": "D",
            "markerfacecolor": "white",
            "markersize": 3.2,
        }
        marks.append(("corrected for noise", look | {"linestyle": "none"}))
    if "ceiling" in rows and rows["ceiling"].notna().any():
        tick: dict[str, Any] = {
            "color": _CEILING,
            "marker": "|",
            "markersize": 7,
            "markeredgewidth": 1.5,
        }
        panel.plot(rows["ceiling"], places, **(tick | {"linestyle": "none"}))
        marks.append(("noise ceiling", tick | {"linestyle": "none"}))
    panel.axvline(0, color=GREY, linewidth=0.7, linestyle="--")
    panel.set_xlim(-1.05, 1.05)
    panel.set_xticks([-1, -0.5, 0, 0.5, 1])
    panel.set_yticks(range(len(lines)), [line.text for line in lines])
    for line, written in zip(lines, panel.get_yticklabels(), strict=True):
        written.set_fontweight("bold" if line.heading else "normal")
    panel.tick_params(axis="y", length=0)
    panel.set_ylim(len(lines) - 0.5, -0.5)
    panel.grid(axis="y", visible=False)
    panel.set_xlabel("Kendall's tau")
    if len(marks) > 1:
        handles = [Line2D([], [], label=name, **look) for name, look in marks]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(marks) if wide else 2)
    return figure


def tau_left_out(analysis: Analysis) -> str:
    """Say how many taus the plot has no room for."""
    frame = table_frame(analysis.tables, "tau").reset_index(drop=True)
    left = sum(line.row is not None for line in _lines(frame, {})[_MOST_LINES:])
    return f"Not drawn, but in tau.csv: {left} further taus." if left else ""


def _lines(frame: pd.DataFrame, names: Mapping[str, str]) -> list[_Line]:
    """Lines in groups: by pair of metrics, or by upstream metric where there is one place only."""
    if frame.empty:
        return []
    several = len(facets(frame)) > 1
    keys = [key for key in (["upstream", "downstream"] if several else ["upstream"])
            if key in frame]  # fmt: skip
    groups = frame.groupby(keys, sort=False, dropna=False) if keys else [("", frame)]
    lines: list[_Line] = []
    for _, group in groups:
        first = group.iloc[0]
        pair = [text(_metric(first[key], names), 30) for key in keys]
        title = " → ".join(pair) + ("" if several else " →")
        lines.append(_Line(title, heading=True))
        for row, record in zip(group.index, group.to_dict("records"), strict=True):
            if several:
                facet = Facet(_name(record.get("dataset")), _name(record.get("model")))
                shown = facet_text(facet, 34)
            else:
                shown = text(_metric(record.get("downstream"), names), 34)
            lines.append(_Line(shown, row=int(row)))
    return lines


def _names(analysis: Analysis) -> dict[str, str]:
    """Words of the metrics that some table describes."""
    return {
        name: quantity.words
        for table in ("generation", "method_metrics")
        for name, quantity in quantities(table_frame(analysis.tables, table)).items()
    }


def _metric(value: object, names: Mapping[str, str]) -> str:
    name = _name(value)
    known = label(name)
    return names.get(name, name) if known == name else known


def _name(value: object) -> str:
    return value if isinstance(value, str) else ""

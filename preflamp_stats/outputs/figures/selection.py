"""What fits on a page: which metrics, models and methods a figure shows, and what it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from preflamp_stats.outputs.facets import Facet, distinct, facets, table_frame
from preflamp_stats.outputs.formatting import label, metric_of, one_line
from preflamp_stats.results import Analysis

__all__ = ["MOST_IN_LEGEND", "Selection", "facet_rows", "metric_order", "select"]

TALLEST = 9.0
"""Height in inches that still leaves room for a caption on a page."""
MOST_IN_LEGEND = 21
"""Methods that colours and line styles tell apart."""
_MOST_ACROSS = 4
_MOST_PANELS = 6
_MOST_METHODS = 40
_MOST_NAMED = 4


@dataclass(frozen=True)
class Selection:
    """Panels of a figure.

    Parameters
    ----------
    rows : list of list of (str, Facet)
        Panels by row: a metric, and a dataset and model.
    methods : list of str
        Methods that are drawn.
    left_out : str
        A sentence on what is left to the table; empty where all is drawn.
    """

    rows: list[list[tuple[str, Facet]]]
    methods: list[str]
    left_out: str


def select(
    analysis: Analysis, table: str, *, row_height: float, by_method: float = 0.0
) -> Selection:
    """Choose what a figure of a table shows, so that its panels stay readable.

    Metrics that were asked for come first, downstream ones before upstream ones. A further metric
    is drawn as long as the panels are no more than six; panels of the first metric fill the page.

    Parameters
    ----------
    analysis : Analysis
    table : str
    row_height : float
        Inches of a row of panels.
    by_method : float
        Inches that every method adds to a row; 0 where methods are told apart by a legend.

    Returns
    -------
    Selection
    """
    frame = table_frame(analysis.tables, table)
    every = distinct(frame, "method")
    methods = every[: _MOST_METHODS if by_method else MOST_IN_LEGEND]
    places = facets(frame)
    metrics = metric_order(analysis, distinct(frame, "metric")) or [metric_of(table)]
    most_rows = max(1, int((TALLEST - 0.5) / (row_height + by_method * len(methods))))
    if len(places) == 1:
        shown = metrics[:_MOST_PANELS]
        across = 3 if len(shown) > 2 else len(shown)
        pairs = [(metric, places[0]) for metric in shown]
        rows = [pairs[start : start + across] for start in range(0, len(pairs), across)]
    else:
        n_metrics = max(1, _MOST_PANELS // max(len(places), 1))
        rows = [
            [(metric, place) for place in row]
            for metric in metrics[:n_metrics]
            for row in facet_rows(places)
        ]
    rows = rows[:most_rows]
    drawn = list(dict.fromkeys(metric for row in rows for metric, _ in row))
    there = list(dict.fromkeys(place for row in rows for _, place in row))
    left = [
        _left([label(metric) for metric in metrics if metric not in drawn], "metric"),
        _left([place.title for place in places if place not in there], "panel"),
        _left(every[len(methods) :], "method"),
    ]
    text = "; ".join(part for part in left if part)
    return Selection(rows, methods, f"Not drawn, but in {table}.csv: {text}." if text else "")


def metric_order(analysis: Analysis, metrics: Sequence[str]) -> list[str]:
    """Metrics that the settings ask for, downstream before upstream, then all others."""
    asked = [*analysis.settings.downstream, *analysis.settings.upstream]
    return list(dict.fromkeys([*(m for m in asked if m in metrics), *metrics]))


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


def _left(names: Sequence[str], noun: str) -> str:
    if not names:
        return ""
    if len(names) <= _MOST_NAMED:
        return ", ".join(map(one_line, names))
    return f"{len(names)} {noun}s"

"""Panels: what a figure shows, in which rows of panels, and their titles and legend."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from preflamp_stats.metric import POINTS, Metric
from preflamp_stats.outputs.figures.names import Facet, facets, plain, titles, width
from preflamp_stats.outputs.figures.style import REFERENCE, Look, extremes, looks_of
from preflamp_stats.results import Analysis, distinct

ONE_COLUMN, TWO_COLUMNS = 3.03, 6.3
"""Widths in inches of a figure in one column and across both, those of ACL's style."""
TALLEST = 9.0
"""Height in inches that still leaves room for a caption on a page."""
ROOM = TALLEST - 0.6
"""Inches of it for rows of panels, where a note takes the rest."""
_LEGEND_LINE, _ENTRY = 0.15, 0.47
"""Inches: height of a line of a legend, and what an entry takes beside its text."""
_MOST_NAMED = 12
"""Methods that colours tell apart at a glance; of more, the best and worst are coloured."""
_MOST_ACROSS, _MOST_PANELS, _MOST_LISTED = 4, 6, 4


class Drawn(NamedTuple):
    """A figure, and a sentence on what is left to its table; empty where all is drawn."""

    figure: Figure
    left_out: str


@dataclass
class Panel:
    """A panel and what belongs into it.

    Parameters
    ----------
    metric : Metric
        Of its values.
    title : str
    rows : DataFrame
        Drawn in it.
    words : str, optional
        Name of the axis of its values, by default that of the metric; empty where the title says
        it.
    axes : Axes
        Where it is drawn, once it has a place in a figure.
    """

    metric: Metric
    title: str
    rows: pd.DataFrame
    words: str | None = None
    axes: Axes = field(init=False)

    @property
    def chance(self) -> float:
        """What a guess would get, as printed; NaN where the metric has no such value."""
        guessed = self.metric.kind in ("discrimination", "curve")
        return self.metric.scale.factor / 2 if guessed else float("nan")

    def ranking(self) -> list[str]:
        """Methods by their mean, the best first; the highest where nobody said what is better."""
        means = self.rows.groupby("method", sort=False)["value"].mean().dropna()
        order = (means * (self.metric.sign or 1)).sort_values(ascending=False, kind="stable")
        return [str(method) for method in order.index]


def _words(panel: Panel) -> str:
    return axis_label(panel.metric) if panel.words is None else panel.words


def axis_label(metric: Metric) -> str:
    """Name of a metric with its unit, at most as long as a panel is wide."""
    unit = f" ({POINTS.unit})" if metric.scale == POINTS else ""
    return plain(f"{metric.heading}{unit}", 38)


def estimates(analysis: Analysis, name: str) -> pd.DataFrame:
    """Rows of a table that hold an estimate, in the units in which they are drawn.

    Returns
    -------
    DataFrame
        ``value, below, above`` and ``random`` as printed, NaN where the table claims none; empty
        where there is no such table.
    """
    table = analysis.tables.get(name)
    if table is None or "estimate" not in table.frame:
        return pd.DataFrame({"estimate": pd.Series(dtype=float)})
    frame = table.frame.copy()
    factors = [metric.scale.factor for metric in table.row_metrics()]
    for column, source in (("value", "estimate"), ("below", "low"), ("above", "high")):
        frame[column] = frame[source] * factors if source in frame else float("nan")
    if "random" in frame:
        frame["random"] *= factors
    if "method" in frame:
        frame["method"] = frame["method"].astype(str)
    return frame[frame["estimate"].notna()].reset_index(drop=True)


def select(
    analysis: Analysis, name: str, frame: pd.DataFrame, row_height: float
) -> tuple[list[list[Panel]], str]:
    """Choose the panels of a figure by dataset and model, and metric, so that they stay readable.

    Metrics that were asked for come first, downstream ones before upstream ones. A further metric
    is drawn as long as the panels are no more than six; panels of the first metric fill the page.

    Parameters
    ----------
    analysis : Analysis
    name : str
        Table.
    frame : DataFrame
        Its rows that may be drawn.
    row_height : float
        Inches of a row of panels.

    Returns
    -------
    list of list of Panel
        By row.
    str
        A sentence on what is left to the table; empty where all is drawn.
    """
    table, places = analysis.tables[name], facets(frame)
    names = metric_order(analysis, distinct(frame, "metric")) or [table.estimate_of]
    metrics = [table.metric(each) for each in names]
    if len(places) == 1:
        cells = _in_rows([(metric, places[0]) for metric in metrics[:_MOST_PANELS]], 3)
    else:
        fit, across = metrics[: max(1, _MOST_PANELS // len(places))], facet_rows(places)
        cells = [[(metric, place) for place in row] for metric in fit for row in across]
    cells = cells[: max(1, int(ROOM / row_height))]
    drawn = [metric for row in cells for metric, _ in row]
    there = {place for row in cells for _, place in row}
    by_metric = len(places) == 1 and len(drawn) > 1
    heading = headings([[place for _, place in row] for row in cells])

    def panel(metric: Metric, place: Facet) -> Panel:
        own = place.rows(frame)
        own = own[own["metric"] == metric.name] if "metric" in own else own
        title = axis_label(metric) if by_metric else heading[place]
        return Panel(metric, title, own, "" if by_metric else None)

    rows = [[panel(*cell) for cell in row] for row in cells]
    left = {
        "metric": [metric.words for metric in metrics if metric not in drawn],
        "panel": [place.title for place in places if place not in there],
    }
    return rows, left_out(name, left)


def facet_rows(every: Sequence[Facet]) -> list[list[Facet]]:
    """Facets in rows of panels: a dataset a row, its models across; datasets across without any."""
    datasets = dict.fromkeys(facet.dataset for facet in every)
    groups = [[facet for facet in every if facet.dataset == name] for name in datasets]
    if max(map(len, groups), default=0) == 1:
        groups = [list(every)]
    return [row for group in groups for row in _in_rows(group, _MOST_ACROSS)]


def headings(rows: Sequence[Sequence[Facet]]) -> dict[Facet, str]:
    """Titles of panels in rows, as long as there is room."""
    longest = 40 if max(map(len, rows), default=0) < 3 else 30
    return titles([place for row in rows for place in row], longest)


def metric_order(analysis: Analysis, metrics: Sequence[str]) -> list[str]:
    """Metrics that the settings ask for, downstream before upstream, then all others."""
    asked = [*analysis.settings.downstream, *analysis.settings.upstream]
    return list(dict.fromkeys([*(m for m in asked if m in metrics), *metrics]))


def left_out(name: str, left: Mapping[str, Sequence[str]]) -> str:
    """Say what stands in a table only: named where it is little, else counted by its noun."""
    parts = [
        ", ".join(map(plain, names)) if len(names) <= _MOST_LISTED else f"{len(names)} {noun}s"
        for noun, names in left.items()
        if names
    ]
    return f"Not drawn, but in {name}.csv: {'; '.join(parts)}." if parts else ""


def coloured(analysis: Analysis, panels: Sequence[Panel]) -> tuple[dict[str, Look], str]:
    """Looks of the methods in some panels, and a note where most of them are grey.

    Returns
    -------
    dict of str to Look
        By method; the coloured first.
    str
        Which are coloured; empty where all are.
    """
    rankings = [panel.ranking() for panel in panels]
    looks, there = looks_of(analysis), {method for order in rankings for method in order}
    named, note = [method for method in looks if method in there], ""
    if len(there) > _MOST_NAMED:
        named = sorted(extremes(rankings), key=lambda m: [*rankings[0], m].index(m))
        known = all(panel.metric.sign for panel in panels)
        which = "best and worst" if known else "highest and lowest"
        why = "" if known else " (nobody has said which is better)"
        every = " in each panel" if len(panels) > 1 else ""
        rest = f"the other {len(there) - len(named)} in grey"
        note = f"In colour: {which} of {len(there)} methods{every}{why}; {rest}."
    if len(looks) > _MOST_NAMED:
        looks = looks_of(analysis, named)
    return {method: each for method, each in looks.items() if method in there}, note


def grid(
    rows: Sequence[Sequence[Panel]],
    row_height: float,
    *,
    x: str | None = None,
    y: str | None = None,
    entries: Sequence[Line2D] = (),
    note: str = "",
    wide: bool = False,
    sharex: bool = False,
    sharey: bool = True,
) -> Figure:
    """Place panels in a figure, one column wide where one is across, else two columns.

    Parameters
    ----------
    rows : sequence of sequence of Panel
    row_height : float
        Inches of a row; reduced where the figure would outgrow a page.
    x, y : str
        Name of the axis, below the lowest panels of a metric and left of the first of a row; by
        default that of the values.
    entries : sequence of Line2D
        Of the legend, which stands below all panels.
    note : str
        A sentence above the legend.
    wide : bool
        Take two columns for one panel.
    sharex, sharey : bool
        Whether all panels have one axis.
    """
    across = max(map(len, rows))
    inches = TWO_COLUMNS if wide or across > 1 else ONE_COLUMN
    longest = max((width(str(each.get_label())) for each in entries), default=0)
    lines = -(-len(entries) // max(1, int(inches / (longest + _ENTRY))))
    written = textwrap.fill(note, int(18 * inches))
    below = _LEGEND_LINE * (lines + len(written.splitlines()))
    height = min(len(rows) * row_height + 0.25 + below, TALLEST)
    figure = Figure(figsize=(inches, height), layout="constrained")
    axes: Any = figure.subplots(len(rows), across, squeeze=False, sharex=sharex, sharey=sharey)
    if below:
        how: Any = {"ncols": -(-len(entries) // max(1, lines)), "loc": "outside lower center"}
        figure.legend(handles=list(entries), title=written or None, **how)
    for line, row in enumerate(rows):
        for column, panel in enumerate(row):
            panel.axes = axes[line, column]
            panel.axes.set_title(panel.title)
            under = [each[column] for each in rows[line + 1 :] if column < len(each)]
            if not any(each.metric == panel.metric for each in under):
                panel.axes.set_xlabel(_words(panel) if x is None else x)
                if sharex:
                    panel.axes.tick_params(labelbottom=True)
        row[0].axes.set_ylabel(_words(row[0]) if y is None else y)
        for empty in axes[line, len(row) :]:
            empty.set_visible(False)
    return figure


def few_ticks(axis: Axis) -> None:
    """Few ticks on an axis of numbers: they are read, and each costs as much as a point."""
    axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))


def same_range(panels: Sequence[Panel]) -> None:
    """Give panels of a metric one range, so that they compare by eye, and a line at chance."""
    for panel in panels:
        few_ticks(panel.axes.xaxis)
        alike = [each.axes.get_xlim() for each in panels if each.metric == panel.metric]
        panel.axes.set_xlim(min(low for low, _ in alike), max(high for _, high in alike))
    for panel in panels:
        low, high = panel.axes.get_xlim()
        if low < panel.chance < high:
            panel.axes.axvline(panel.chance, **REFERENCE)


def settle(figure: Figure) -> None:
    """Lay a figure out once and keep it so: every format then has the same layout."""
    FigureCanvasAgg(figure)
    for panel in figure.axes:
        for axis in (panel.xaxis, panel.yaxis):
            if not axis.label.get_text():
                # Spare matplotlib looking for the place of a label that is not there.
                axis.set_label_coords(0.5, 0.5)
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
    figure.set_layout_engine("none")


def _in_rows(every: Sequence[Any], across: int) -> list[list[Any]]:
    return [list(every[start : start + across]) for start in range(0, len(every), across)]

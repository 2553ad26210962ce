"""Figures of an analysis: a registry of names, drawings and texts that say what they show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pandas as pd

from preflamp_stats.metric import Metric, number
from preflamp_stats.outputs.figures import curves, forest, scatter
from preflamp_stats.outputs.figures.layout import Drawn, estimates, metric_order, settle
from preflamp_stats.outputs.figures.names import facets
from preflamp_stats.outputs.figures.rendering import KINDS, render
from preflamp_stats.outputs.figures.style import plotting
from preflamp_stats.outputs.formatting import interval, one_line
from preflamp_stats.results import Analysis, distinct

_MOST_METRICS, _MOST_PLACES = 6, 12
"""Nobody listens to a longer text; the table has all."""


@dataclass(frozen=True)
class FigureSpec:
    """A figure that an analysis may have.

    Parameters
    ----------
    title : str
        For headings.
    table : str
        Table beside which a report shows it.
    drawing : callable
        Draws it from an analysis and the rows of the table; None where it needs more than these.
    kind : str
        What it is, the beginning of its alternative text.
    """

    title: str
    table: str
    drawing: Callable[[Analysis, pd.DataFrame], Drawn | None]
    kind: str

    def draw(self, analysis: Analysis) -> Drawn | None:
        """Draw the figure with our settings; None where there is nothing to draw."""
        frame = estimates(analysis, self.table)
        with plotting():
            drawn = None if frame.empty else self.drawing(analysis, frame)
            if drawn is not None:
                settle(drawn.figure)
            return drawn


def _by_method(table: str, title: str) -> FigureSpec:
    kind = f"Dot plot of {title} by method, with intervals."
    return FigureSpec(title, table, partial(forest.draw_by_method, table=table), kind)


FIGURES: dict[str, FigureSpec] = {
    "tau": FigureSpec(
        "Agreement of the rankings", "tau", forest.draw_tau,
        "Forest plot of Kendall's tau between metrics, with intervals.",
    ),
    "discrimination_vs_generation": FigureSpec(
        "Discrimination against generation", "generation", scatter.draw,
        "Scatter plot of generation quality over accuracy, a point with two intervals a method.",
    ),
    "icl_by_model_size": FigureSpec(
        "In-context learning against the best method with a reward model", "in_context",
        curves.draw_in_context,
        "Curves of the difference between methods without a reward model and the best with one, by "
        "size of the base model, with bands.",
    ),
    "regret": FigureSpec(
        "What a choice costs", "regret", forest.draw_regret,
        "Dot plot of what is lost downstream by the method that a metric chooses, with intervals, "
        "beside what a method picked at random loses.",
    ),
    "best_of_k": FigureSpec(
        "Quality of the best of k", "best_of_k", curves.draw_best_of_k,
        "Curves of the quality of the sample with the highest reward among k, over k, with bands.",
    ),
    "rm_accuracy": _by_method("rm_accuracy", "RM accuracy"),
    "policy_accuracy": _by_method("policy_accuracy", "Policy accuracy"),
    "generation": _by_method("generation", "Generation quality"),
    "weight_curve": FigureSpec(
        "Policy accuracy over the weight", "weight_curve", curves.draw_weight_curve,
        "Curves of policy accuracy over the weight of the reward, from the base model (w = 0) to "
        "the reward alone (w = ∞), with bands.",
    ),
    "prefix_accuracy": FigureSpec(
        "When the reward knows", "prefix_accuracy", curves.draw_prefix_accuracy,
        "Curves of the accuracy of the reward over the share of the response read, with bands.",
    ),
    "length_difference": FigureSpec(
        "Accuracy by difference in length", "length_difference", curves.draw_length_difference,
        "Curves of accuracy over the difference in length of the two responses, with bands.",
    ),
}  # fmt: skip
"""Figures by the name of their file."""


@dataclass(frozen=True)
class Rendered:
    """A figure as the content of files and pages.

    Parameters
    ----------
    width : float
        Inches.
    content : mapping of str to bytes
        By kind, see :data:`~preflamp_stats.outputs.figures.rendering.KINDS`.
    alt : str
        Text in place of the figure: what it is, what is in it, what stands out.
    left_out : str
        What the figure leaves to its table; empty where it shows all.
    """

    width: float
    content: Mapping[str, bytes]
    alt: str
    left_out: str


def render_figures(
    analysis: Analysis,
    kinds: Sequence[str] = KINDS,
    *,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Rendered]:
    """Draw every figure that the tables allow, and its content of each kind.

    Parameters
    ----------
    analysis : Analysis
    kinds : sequence of str
        Of :data:`~preflamp_stats.outputs.figures.rendering.KINDS`.
    progress : callable, optional
        Called with what is being done, the figures done, and their number.

    Returns
    -------
    dict of str to Rendered
        By name; the same analysis, the same bytes.
    """
    found = {}
    for place, (name, spec) in enumerate(FIGURES.items()):
        if progress:
            progress("drawing figures", place, len(FIGURES))
        drawn = spec.draw(analysis)
        if drawn is not None:
            figure, left_out = drawn
            alt = f"{spec.kind} {_describe(analysis, spec.table)} {left_out}".strip()
            found[name] = Rendered(figure.get_figwidth(), render(figure, kinds), alt, left_out)
    return found


def _describe(analysis: Analysis, name: str) -> str:
    """Say how much a table holds, and its first and last estimate of each metric."""
    table, frame = analysis.tables[name], estimates(analysis, name)
    methods = distinct(frame, "method")
    parts = [f"{len(frame)} estimates"]
    parts += [f"{len(methods)} methods"] if methods else []
    titles = [place.title for place in facets(frame) if place.title]
    if len(titles) > _MOST_PLACES:
        titles = [*titles[:_MOST_PLACES], f"{len(titles) - _MOST_PLACES} more"]
    text = ", ".join(parts) + (f"; {', '.join(titles)}." if titles else ".")
    by_metric = distinct(frame, table.estimate_of)
    for each in metric_order(analysis, by_metric)[:_MOST_METRICS] or [""]:
        metric = table.metric(each or table.estimate_of)
        rows = frame[frame[table.estimate_of] == each] if each else frame
        first, last = "Highest", "lowest"
        rows = rows.sort_values("estimate", ascending=False, kind="stable")
        if table.ranked and metric.sign:
            first, last = "Best", "worst"
            rows = rows if metric.sign > 0 else rows[::-1]
        best, worst = (_estimate(rows.iloc[place], metric) for place in (0, -1))
        of = f" {one_line(metric.words)}" if each else ""
        text += f" {first}{of}: {best}; {last}: {worst}."
    return text


def _estimate(row: pd.Series, metric: Metric) -> str:
    scale = replace(metric.scale, factor=1.0)
    shown = f"{number(row['value'], scale)} {interval(row['below'], row['above'], scale)}".strip()
    named = [row.get(key) for key in ("method", "dataset", "model", "downstream")]
    where = ", ".join(one_line(value) for value in named if isinstance(value, str))
    return f"{shown} ({where})" if where else shown

"""Figures of an analysis: a registry of names, drawings and texts that say what they show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from matplotlib.figure import Figure

from preflamp_stats.outputs.figures.alt import describe
from preflamp_stats.outputs.figures.curves import (
    draw_length_difference,
    draw_prefix_accuracy,
    draw_weight_curve,
)
from preflamp_stats.outputs.figures.dots import draw_by_method, draw_tau
from preflamp_stats.outputs.figures.scatter import draw_discrimination_vs_generation
from preflamp_stats.outputs.figures.style import figure_bytes, plotting, settle
from preflamp_stats.results import Analysis

__all__ = ["FIGURES", "FigureSpec", "figure_bytes"]


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
        Draws it from an analysis; None where the tables that it needs are absent or empty.
    kind : str
        What it is, the beginning of its alternative text.
    """

    title: str
    table: str
    drawing: Callable[[Analysis], Figure | None]
    kind: str

    def draw(self, analysis: Analysis) -> Figure | None:
        """Draw the figure with our settings; None where there is nothing to draw."""
        with plotting():
            figure = self.drawing(analysis)
            if figure is not None:
                settle(figure)
            return figure

    def alt(self, analysis: Analysis) -> str:
        """Text in place of the figure: what it is, what is in it, what stands out."""
        return f"{self.kind} {describe(analysis, self.table)}".strip()


FIGURES: dict[str, FigureSpec] = {
    "tau": FigureSpec(
        "Agreement of the rankings",
        "tau",
        draw_tau,
        "Forest plot of Kendall's tau between metrics, with intervals.",
    ),
    "discrimination_vs_generation": FigureSpec(
        "Discrimination against generation",
        "generation",
        draw_discrimination_vs_generation,
        "Scatter plot of generation quality over accuracy, a point with two intervals a method.",
    ),
    "rm_accuracy": FigureSpec(
        "RM accuracy",
        "rm_accuracy",
        partial(draw_by_method, table="rm_accuracy"),
        "Dot plot of RM accuracy by method, with intervals.",
    ),
    "policy_accuracy": FigureSpec(
        "Policy accuracy",
        "policy_accuracy",
        partial(draw_by_method, table="policy_accuracy"),
        "Dot plot of policy accuracy by method, with intervals.",
    ),
    "generation": FigureSpec(
        "Generation quality",
        "generation",
        partial(draw_by_method, table="generation"),
        "Dot plot of generation quality by method, with intervals.",
    ),
    "weight_curve": FigureSpec(
        "Policy accuracy over the weight",
        "weight_curve",
        draw_weight_curve,
        "Curves of policy accuracy over the weight of the reward, from the base model (w = 0) to "
        "the reward alone (w = ∞), with bands.",
    ),
    "prefix_accuracy": FigureSpec(
        "When the reward knows",
        "prefix_accuracy",
        draw_prefix_accuracy,
        "Curves of the accuracy of the reward over the share of the response read, with bands.",
    ),
    "length_difference": FigureSpec(
        "Accuracy by difference in length",
        "length_difference",
        draw_length_difference,
        "Dot plot of accuracy by difference in length of the two responses, with intervals.",
    ),
}
"""Figures by the name of their file."""

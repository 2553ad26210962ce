"""Figures of an analysis: a registry of names, drawings and texts that say what they show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from matplotlib.figure import Figure

from preflamp_stats.outputs.figures.alt import describe
from preflamp_stats.outputs.figures.curves import (
    curve_selection,
    draw_length_difference,
    draw_prefix_accuracy,
    draw_weight_curve,
)
from preflamp_stats.outputs.figures.dots import by_method_selection, draw_by_method
from preflamp_stats.outputs.figures.forest import draw_tau, tau_left_out
from preflamp_stats.outputs.figures.in_context import draw_icl_by_model_size
from preflamp_stats.outputs.figures.regret import draw_regret, regret_left_out
from preflamp_stats.outputs.figures.rendering import KINDS, render
from preflamp_stats.outputs.figures.scatter import (
    draw_discrimination_vs_generation,
    scatter_left_out,
)
from preflamp_stats.outputs.figures.style import plotting, settle
from preflamp_stats.results import Analysis

__all__ = ["FIGURES", "FigureSpec", "Rendered", "render_figures"]


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
    leaving : callable, optional
        A sentence on what is left to the table for want of room; empty where all is drawn.
    """

    title: str
    table: str
    drawing: Callable[[Analysis], Figure | None]
    kind: str
    leaving: Callable[[Analysis], str] | None = None

    def draw(self, analysis: Analysis) -> Figure | None:
        """Draw the figure with our settings; None where there is nothing to draw."""
        with plotting():
            figure = self.drawing(analysis)
            if figure is not None:
                settle(figure)
            return figure

    def left_out(self, analysis: Analysis) -> str:
        """Say what the figure leaves to its table; empty where it shows all."""
        return self.leaving(analysis) if self.leaving else ""

    def alt(self, analysis: Analysis) -> str:
        """Text in place of the figure: what it is, what is in it, what stands out."""
        parts = (self.kind, describe(analysis, self.table), self.left_out(analysis))
        return " ".join(part for part in parts if part)


def _by_method(table: str, title: str, words: str) -> FigureSpec:
    return FigureSpec(
        title,
        table,
        partial(draw_by_method, table=table),
        f"Dot plot of {words} by method, with intervals.",
        lambda analysis: by_method_selection(analysis, table).left_out,
    )


def _curves(
    table: str, title: str, drawing: Callable[[Analysis], Figure | None], kind: str
) -> FigureSpec:
    return FigureSpec(
        title, table, drawing, kind, lambda analysis: curve_selection(analysis, table).left_out
    )


FIGURES: dict[str, FigureSpec] = {
    "tau": FigureSpec(
        "Agreement of the rankings",
        "tau",
        draw_tau,
        "Forest plot of Kendall's tau between metrics, with intervals.",
        tau_left_out,
    ),
    "discrimination_vs_generation": FigureSpec(
        "Discrimination against generation",
        "generation",
        draw_discrimination_vs_generation,
        "Scatter plot of generation quality over accuracy, a point with two intervals a method.",
        scatter_left_out,
    ),
    "icl_by_model_size": FigureSpec(
        "In-context learning against the best reward-guided method",
        "in_context",
        draw_icl_by_model_size,
        "Difference between methods without a reward model and the best with one, by size of the "
        "base model, with intervals.",
    ),
    "regret": FigureSpec(
        "What a choice costs",
        "regret",
        draw_regret,
        "Dot plot of what is lost downstream by the method that a metric chooses, with intervals, "
        "beside what a method picked at random loses.",
        regret_left_out,
    ),
    "rm_accuracy": _by_method("rm_accuracy", "RM accuracy", "RM accuracy"),
    "policy_accuracy": _by_method("policy_accuracy", "Policy accuracy", "policy accuracy"),
    "generation": _by_method("generation", "Generation quality", "generation quality"),
    "weight_curve": _curves(
        "weight_curve",
        "Policy accuracy over the weight",
        draw_weight_curve,
        "Curves of policy accuracy over the weight of the reward, from the base model (w = 0) to "
        "the reward alone (w = ∞), with bands.",
    ),
    "prefix_accuracy": _curves(
        "prefix_accuracy",
        "When the reward knows",
        draw_prefix_accuracy,
        "Curves of the accuracy of the reward over the share of the response read, with bands.",
    ),
    "length_difference": _curves(
        "length_difference",
        "Accuracy by difference in length",
        draw_length_difference,
        "Dot plot of accuracy by difference in length of the two responses, with intervals.",
    ),
}
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
    """

    width: float
    content: Mapping[str, bytes]


def render_figures(analysis: Analysis, kinds: Sequence[str] = KINDS) -> dict[str, Rendered]:
    """Draw every figure that the tables allow, and its content of each kind.

    Parameters
    ----------
    analysis : Analysis
    kinds : sequence of str
        Of :data:`~preflamp_stats.outputs.figures.rendering.KINDS`.

    Returns
    -------
    dict of str to Rendered
        By name; the same analysis, the same bytes.
    """
    found = {}
    for name, spec in FIGURES.items():
        figure = spec.draw(analysis)
        if figure is not None:
            found[name] = Rendered(figure.get_figwidth(), render(figure, kinds))
    return found

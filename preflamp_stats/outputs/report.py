"""report.html: the whole analysis in one file that can be sent to a co-author."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from preflamp_stats.outputs.figures import FIGURES, Rendered, render_figures
from preflamp_stats.outputs.formatting import label, sentence
from preflamp_stats.outputs.grid import Grid
from preflamp_stats.outputs.layout import lay_out
from preflamp_stats.results import Analysis

__all__ = ["to_html"]

_MOST_ROWS_OPEN = 60
"""A longer table starts folded, so that the report can be read from top to bottom."""

_PIXELS_PER_INCH = 130
"""Figures are larger on a screen than in print."""

_QUESTIONS = {
    "Does accuracy predict?": ("tau", "pooled_tau", "decoupling"),
    "Does the policy discriminate?": (
        "rm_accuracy",
        "policy_accuracy",
        "weight_curve",
        "prefix_accuracy",
        "length_difference",
    ),
    "Does it write better?": ("generation", "method_metrics", "contrasts"),
    "Does in-context learning win, and from which size?": ("in_context",),
    "Which method would you choose, and what would it cost?": ("regret",),
}
_REST = "Further tables"


@dataclass(frozen=True)
class _Picture:
    source: str
    alt: str
    title: str
    left_out: str
    width: int


@dataclass(frozen=True)
class _Section:
    name: str
    title: str
    caption: str
    grid: Grid
    pictures: tuple[_Picture, ...]
    folded: bool


@dataclass(frozen=True)
class _Question:
    anchor: str
    title: str
    sections: tuple[_Section, ...]


def to_html(analysis: Analysis, figures: Mapping[str, Rendered] | None = None) -> str:
    """Render an analysis as one self-contained page.

    Parameters
    ----------
    analysis : Analysis
    figures : mapping of str to Rendered, optional
        Figures by their name in :data:`~preflamp_stats.outputs.figures.FIGURES`, with their PNG,
        where they are drawn already.

    Returns
    -------
    str
        HTML without scripts or links to elsewhere; figures are inside it. Every text of the
        analysis is escaped.
    """
    if figures is None:
        figures = render_figures(analysis, ("png",))
    environment = Environment(
        loader=PackageLoader("preflamp_stats.outputs"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"label": label, "sentence": sentence, "minus": _minus}
    questions = _questions(analysis, figures)
    return environment.get_template("report.html.j2").render(analysis=analysis, questions=questions)


def _questions(analysis: Analysis, figures: Mapping[str, Rendered]) -> list[_Question]:
    """Tables under the question that they answer; those that answer none of ours come last."""
    known = {name for names in _QUESTIONS.values() for name in names}
    rest = tuple(name for name in analysis.tables if name not in known)
    found = []
    for place, (title, names) in enumerate({**_QUESTIONS, _REST: rest}.items(), start=1):
        there = [name for name in names if name in analysis.tables]
        if there:
            sections = tuple(_section(analysis, name, figures) for name in there)
            found.append(_Question(f"question-{place}", title, sections))
    return found


def _section(analysis: Analysis, name: str, figures: Mapping[str, Rendered]) -> _Section:
    table = analysis.tables[name]
    pictures = tuple(
        _Picture(
            source=_data_uri(figures[key].files["png"]),
            alt=spec.alt(analysis),
            title=spec.title if spec.title != table.title else "",
            left_out=spec.left_out(analysis),
            width=round(figures[key].width * _PIXELS_PER_INCH),
        )
        for key, spec in FIGURES.items()
        if spec.table == name and key in figures
    )
    grid = lay_out(table)
    folded = sum(len(block.rows) for block in grid.blocks) > _MOST_ROWS_OPEN
    return _Section(name, table.title, table.caption, grid, pictures, folded)


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _minus(text: str) -> str:
    """True minus signs in a printed number or interval; other text stays as it is."""
    return text if any(character.isalpha() for character in text) else text.replace("-", "−")

"""report.html: the whole analysis in one file that can be sent to a co-author."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from preflamp_stats.outputs.figures import FIGURES, Rendered, render_figures
from preflamp_stats.outputs.formatting import sentence
from preflamp_stats.outputs.layout import Grid, lay_out
from preflamp_stats.results import Analysis

__all__ = ["to_html"]

_MOST_ROWS_OPEN = 60
"""A longer table starts folded, so that the report can be read from top to bottom."""

_PIXELS_PER_INCH = 130
"""Figures are larger on a screen than in print."""


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
    reading: str
    findings: tuple[str, ...]
    grid: Grid
    pictures: tuple[_Picture, ...]
    folded: bool


@dataclass(frozen=True)
class _Question:
    anchor: str
    title: str
    answer: str
    sections: tuple[_Section, ...]


def to_html(analysis: Analysis, figures: Mapping[str, Rendered] | None = None) -> str:
    """Render an analysis as one self-contained page.

    Parameters
    ----------
    analysis : Analysis
    figures : mapping of str to Rendered, optional
        Figures by their name in :data:`~preflamp_stats.outputs.figures.FIGURES`, with their
        ``palette``, where they are drawn already.

    Returns
    -------
    str
        HTML without links to elsewhere; figures are inside it. Every text of the analysis is
        escaped, and the page's policy lets no script run but our own, which sorts tables.
    """
    if figures is None:
        figures = render_figures(analysis, ("palette",))
    environment = Environment(
        loader=PackageLoader("preflamp_stats.outputs"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"sentence": sentence, "minus": _minus, "prose": _prose}
    questions = [
        _Question(each.name, each.title, each.answer, _sections(analysis, each.tables, figures))
        for each in analysis.questions
    ]
    script = environment.get_template("report.js").render()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return environment.get_template("report.html.j2").render(
        analysis=analysis,
        questions=questions,
        verdict=[question for question in questions if question.answer],
        script=Markup(script),  # our own file, no text of the analysis in it
        script_hash=f"sha256-{digest}",
    )


def _sections(
    analysis: Analysis, names: tuple[str, ...], figures: Mapping[str, Rendered]
) -> tuple[_Section, ...]:
    return tuple(_section(analysis, name, figures) for name in names if name in analysis.tables)


def _section(analysis: Analysis, name: str, figures: Mapping[str, Rendered]) -> _Section:
    table = analysis.tables[name]
    pictures = tuple(
        _Picture(
            source=_data_uri(figures[key].content["palette"]),
            alt=spec.alt(analysis),
            title=spec.title,
            left_out=spec.left_out(analysis),
            width=round(figures[key].width * _PIXELS_PER_INCH),
        )
        for key, spec in FIGURES.items()
        if spec.table == name and key in figures
    )
    grid = lay_out(table)
    return _Section(
        name=name,
        title=table.title,
        caption=table.caption,
        reading=table.reading,
        findings=tuple(table.findings),
        grid=grid,
        pictures=pictures,
        folded=sum(len(block.rows) for block in grid.blocks) > _MOST_ROWS_OPEN,
    )


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _minus(text: str) -> str:
    """True minus signs in a printed number or interval; other text stays as it is."""
    return text if any(character.isalpha() for character in text) else text.replace("-", "−")


def _prose(text: str) -> str:
    """True minus signs before the numbers of a sentence; hyphens stay."""
    return re.sub(r"(?<![\w-])-(?=\d)", "−", text)

"""report.html: the whole analysis in one file that can be sent to a co-author."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from preflamp_stats.outputs.figures import FIGURES, figure_bytes
from preflamp_stats.outputs.formatting import label, sentence
from preflamp_stats.outputs.grid import Grid
from preflamp_stats.outputs.layout import lay_out
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
    width: int


@dataclass(frozen=True)
class _Section:
    name: str
    title: str
    caption: str
    grid: Grid
    pictures: tuple[_Picture, ...]
    folded: bool


def to_html(analysis: Analysis, figures: Mapping[str, Figure] | None = None) -> str:
    """Render an analysis as one self-contained page.

    Parameters
    ----------
    analysis : Analysis
    figures : mapping of str to Figure, optional
        Figures by their name in :data:`~preflamp_stats.outputs.figures.FIGURES`, where they are
        drawn already.

    Returns
    -------
    str
        HTML without scripts or links to elsewhere; figures are inside it. Every text of the
        analysis is escaped.
    """
    if figures is None:
        drawn = {name: spec.draw(analysis) for name, spec in FIGURES.items()}
        figures = {name: figure for name, figure in drawn.items() if figure is not None}
    environment = Environment(
        loader=PackageLoader("preflamp_stats.outputs"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"label": label, "sentence": sentence, "minus": _minus}
    sections = [_section(analysis, name, figures) for name in analysis.tables]
    return environment.get_template("report.html.j2").render(analysis=analysis, sections=sections)


def _section(analysis: Analysis, name: str, figures: Mapping[str, Figure]) -> _Section:
    table = analysis.tables[name]
    pictures = tuple(
        _Picture(
            source=_data_uri(figures[key]),
            alt=spec.alt(analysis),
            title=spec.title if spec.title != table.title else "",
            width=round(figures[key].get_figwidth() * _PIXELS_PER_INCH),
        )
        for key, spec in FIGURES.items()
        if spec.table == name and key in figures
    )
    grid = lay_out(table)
    folded = sum(len(block.rows) for block in grid.blocks) > _MOST_ROWS_OPEN
    return _Section(name, table.title, table.caption, grid, pictures, folded)


def _data_uri(figure: Figure) -> str:
    """SVG inside the page: sharp at every size, and its labels cannot become part of the page."""
    content = base64.b64encode(figure_bytes(figure, "svg")).decode("ascii")
    return f"data:image/svg+xml;base64,{content}"


def _minus(text: str) -> str:
    """True minus signs in a printed number or interval; other text stays as it is."""
    return text if any(character.isalpha() for character in text) else text.replace("-", "−")

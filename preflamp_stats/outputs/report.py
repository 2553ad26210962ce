"""report.html: the whole analysis in one file that can be sent to a co-author."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from preflamp_stats.outputs.formatting import sentence
from preflamp_stats.outputs.layout import lay_out
from preflamp_stats.results import Analysis

if TYPE_CHECKING:
    from preflamp_stats.outputs.figures import Rendered

_MOST_ROWS_OPEN = 60
"""A longer table starts folded, so that the report can be read from top to bottom."""

_PIXELS_PER_INCH = 130
"""Figures are larger on a screen than in print."""


def to_html(analysis: Analysis, figures: Mapping[str, Rendered] | None = None) -> str:
    """Render an analysis as one self-contained page.

    Parameters
    ----------
    analysis : Analysis
    figures : mapping of str to Rendered, optional
        Figures by their name in :data:`~preflamp_stats.outputs.figures.FIGURES`, with their
        ``png``, where they are drawn already; empty for a page without figures.

    Returns
    -------
    str
        HTML without links to elsewhere; figures are inside it. Every text of the analysis is
        escaped, and the page's policy lets no script run but our own, which sorts tables.
    """
    drawings = {}
    if figures is None or figures:
        # A page without figures is not worth half a second of imports.
        from preflamp_stats.outputs.figures import FIGURES, render_figures

        drawings, figures = FIGURES, figures or render_figures(analysis, ("png",))
    environment = Environment(
        loader=PackageLoader("preflamp_stats.outputs"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters |= {"data_uri": _data_uri, "lay_out": lay_out, "minus": _minus}
    environment.filters |= {"prose": _prose, "sentence": sentence}
    script = environment.get_template("report.js").render()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return environment.get_template("report.html.j2").render(
        analysis=analysis,
        figures=figures,
        drawings=drawings,
        most_rows_open=_MOST_ROWS_OPEN,
        pixels_per_inch=_PIXELS_PER_INCH,
        script=Markup(script),  # our own file, no text of the analysis in it
        script_hash=f"sha256-{digest}",
    )


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _minus(text: str) -> str:
    """True minus signs in a printed number or interval; other text stays as it is."""
    return text if any(character.isalpha() for character in text) else text.replace("-", "−")


def _prose(text: str) -> str:
    """True minus signs before the numbers of a sentence; hyphens stay."""
    return re.sub(r"(?<![\w-])-(?=\d)", "−", text)

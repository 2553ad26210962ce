"""report.html: the whole analysis in one file that can be sent to a co-author."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from preflamp_stats.io.schema import UNNAMED_DATASET
from preflamp_stats.metric import COEFFICIENT
from preflamp_stats.outputs import hero
from preflamp_stats.outputs.formatting import interval, sample_sizes, sentence
from preflamp_stats.outputs.layout import lay_out
from preflamp_stats.results import Analysis, distinct

if TYPE_CHECKING:
    from preflamp_stats.outputs.figures import Rendered

_MOST_CELLS_OPEN = 20
"""A larger table, or one that a figure shows, starts folded: the report can be read through."""

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
    environment.tests["has_seeds"] = lambda frame: "n_seeds" in frame
    script = environment.get_template("report.js").render()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return environment.get_template("report.html.j2").render(
        analysis=analysis,
        figures=figures,
        drawings=drawings,
        most_cells_open=_MOST_CELLS_OPEN,
        plane=hero.plane(analysis),
        hero=hero,
        counts=_counts(analysis),
        in_brackets=lambda row: interval(row["low"], row["high"], COEFFICIENT),
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


def _counts(analysis: Analysis) -> str:
    """Name the datasets and count what the study has."""
    frames = [table.frame for table in analysis.tables.values()]
    columns = ("dataset", "model", "method")
    names = {k: list(dict.fromkeys(v for f in frames for v in distinct(f, k))) for k in columns}
    told = [f"{len(v)} {k}{'s' * (len(v) > 1)}" for k, v in names.items() if v]
    by_method = [f for f in frames if {"dataset", "method", "n_users", "n_examples"} <= set(f)]
    largest = [f.groupby("dataset")[["n_users", "n_examples"]].max() for f in by_method]
    told += [sample_sizes(pd.concat(largest).groupby(level=0).max())] if largest else []
    of = names["dataset"]
    if of == [UNNAMED_DATASET]:
        of = [str(entry["path"]) for entry in analysis.inputs]
    return ": ".join(filter(None, [" · ".join(of[:4]), ", ".join(told)]))

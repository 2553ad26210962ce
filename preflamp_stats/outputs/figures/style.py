"""Sizes, fonts, colours and layout that all figures share."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import matplotlib
import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from preflamp_stats.outputs.facets import Facet, distinct
from preflamp_stats.outputs.figures.selection import TALLEST
from preflamp_stats.outputs.formatting import one_line
from preflamp_stats.results import Analysis

__all__ = [
    "GREY",
    "ONE_COLUMN",
    "TWO_COLUMNS",
    "MethodStyle",
    "bars",
    "coarse_ticks",
    "facet_text",
    "legend",
    "method_styles",
    "methods_of",
    "panels",
    "plotting",
    "points",
    "settle",
    "text",
]

ONE_COLUMN, TWO_COLUMNS = 3.03, 6.3
"""Widths in inches of a figure in one column and across both, those of ACL's style."""
GREY = "#6b6b6b"
Floats: TypeAlias = ArrayLike

# Okabe and Ito (2008), without the yellow that vanishes on white.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = {"reward-guided": "o", "in-context": "s", "zero-shot": "D", "best-of-n": "^"}
_LINES = ("-", "--", ":")

_RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.5,
    # A fixed height spares matplotlib looking for one that clears the ticks.
    "axes.titley": 1.0,
    "axes.titlepad": 4.0,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "axes.grid": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.1,
    "lines.markersize": 4,
    "pdf.fonttype": 42,
}


@contextmanager
def plotting() -> Iterator[None]:
    """Matplotlib with our settings and none of the user's, undone afterwards."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        # A script without a glyph shows boxes in the figure; the tables have the full label.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        matplotlib.style.use("default")
        matplotlib.rcParams.update(_RC)
        yield


@dataclass(frozen=True)
class MethodStyle:
    """Looks of a method, the same in every figure of an analysis.

    Parameters
    ----------
    colour : str
        Of seven that people with colour-blindness tell apart.
    marker : str
        By the family of the method.
    line : str
        Line style.
    filled : bool
        Methods beyond the seventh repeat the colours with hollow markers.
    """

    colour: str
    marker: str
    line: str
    filled: bool

    @property
    def point(self) -> dict[str, Any]:
        """Keyword arguments of a marker."""
        face = self.colour if self.filled else "white"
        return {"color": self.colour, "marker": self.marker, "markerfacecolor": face}


def method_styles(analysis: Analysis) -> dict[str, MethodStyle]:
    """Style of every method, by the order in which the tables name them.

    Parameters
    ----------
    analysis : Analysis

    Returns
    -------
    dict of str to MethodStyle
    """
    families: dict[str, str] = {}
    for table in analysis.tables.values():
        frame = table.frame
        if "method" not in frame:
            continue
        family = frame["method_family"] if "method_family" in frame else [""] * len(frame)
        for method, name in zip(frame["method"], family, strict=True):
            if not pd.isna(method):
                families.setdefault(str(method), "" if pd.isna(name) else str(name))
    return {
        method: MethodStyle(
            colour=_COLOURS[place % len(_COLOURS)],
            marker=_MARKERS.get(family, "v"),
            line=_LINES[place // len(_COLOURS) % len(_LINES)],
            filled=place // len(_COLOURS) % 2 == 0,
        )
        for place, (method, family) in enumerate(families.items())
    }


def text(label: object, longest: int = 26) -> str:
    r"""Cut a label to what matplotlib draws: one line, not too long, never mathematics.

    Examples
    --------
    >>> text("a$b$ " + "x" * 30, longest=8)
    'a\\$b\\$ x…'
    """
    plain = one_line(label)
    short = plain if len(plain) <= longest else f"{plain[: longest - 2].rstrip()}…"
    return short.replace("$", r"\$")


def facet_text(facet: Facet, longest: int) -> str:
    """Title of a panel; a long dataset is cut before its model is.

    Examples
    --------
    >>> facet_text(Facet("a dataset with a long name", "1B"), 16)
    'a dataset… · 1B'
    """
    if not facet.model or not facet.dataset:
        return text(facet.title, longest)
    model = text(facet.model, max(8, longest // 2))
    return f"{text(facet.dataset, max(8, longest - len(model) - 3))} · {model}"


def panels(
    n_rows: int, n_columns: int, *, row_height: float, extra: float = 0.3, **share: Any
) -> tuple[Figure, list[list[Axes]]]:
    """Make a figure of panels: one column wide where there is one panel across, else two columns.

    Parameters
    ----------
    n_rows, n_columns : int
        Panels down and across.
    row_height : float
        Inches of a row; reduced where the figure would outgrow a page.
    extra : float
        Inches for what is shared, such as a legend.
    **share
        ``sharex``, ``sharey`` of :meth:`matplotlib.figure.Figure.subplots`.

    Returns
    -------
    Figure
    list of list of Axes
    """
    height = min(n_rows * row_height + extra, TALLEST)
    width = ONE_COLUMN if n_columns == 1 else TWO_COLUMNS
    figure = Figure(figsize=(width, height), layout="constrained")
    axes: np.ndarray[Any, Any] = figure.subplots(n_rows, n_columns, squeeze=False, **share)
    return figure, axes.tolist()


def coarse_ticks(axis: Axis, most: int = 4) -> None:
    """Few ticks on an axis of numbers: they are read, and each costs as much as a point."""
    axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))


def points(
    panel: Axes, x: Floats, y: Floats, looks: Sequence[MethodStyle], *, size: float = 4.0
) -> None:
    """Markers in as few artists as their shapes allow.

    Parameters
    ----------
    panel : Axes
    x, y : array-like of float
    looks : sequence of MethodStyle
        One a point.
    size : float
        Diameter in points.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    for marker in dict.fromkeys(look.marker for look in looks):
        here = [place for place, look in enumerate(looks) if look.marker == marker]
        panel.scatter(
            x[here],
            y[here],
            s=size**2,
            marker=marker,
            facecolors=[looks[k].colour if looks[k].filled else "white" for k in here],
            edgecolors=[looks[k].colour for k in here],
            linewidths=0.9,
            zorder=3,
        ).set_in_layout(False)


def bars(
    panel: Axes, places: Floats, low: Floats, high: Floats, colours: Sequence[str], *, along: str
) -> None:
    """Intervals as one collection of lines; a missing limit draws none.

    Parameters
    ----------
    panel : Axes
    places : array-like of float
        Where they stand on the other axis.
    low, high : array-like of float
        Limits.
    colours : sequence of str
        One an interval.
    along : {"x", "y"}
        Axis that they run along.
    """
    at, start, end = (np.asarray(v, dtype=float) for v in (places, low, high))
    draw = panel.hlines if along == "x" else panel.vlines
    draw(at, start, end, colors=list(colours), linewidth=1.0, zorder=2).set_in_layout(False)


def legend(
    figure: Figure, styles: Mapping[str, MethodStyle], methods: Sequence[str], *, lines: bool
) -> None:
    """One legend for all panels, below them; with lines where the panels have them."""
    looks: list[dict[str, Any]] = [
        styles[method].point | {"linestyle": styles[method].line if lines else "none"}
        for method in methods
    ]
    handles = [
        Line2D([], [], label=text(method), **look)
        for method, look in zip(methods, looks, strict=True)
    ]
    wide = figure.get_figwidth() > ONE_COLUMN
    longest = max((len(text(m)) for m in methods), default=0)
    columns = max(1, int((115 if wide else 52) / (longest + 8)))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(columns, len(methods)))


def methods_of(*frames: pd.DataFrame) -> list[str]:
    """Methods of some tables in order of appearance."""
    return list(dict.fromkeys(m for frame in frames for m in distinct(frame, "method")))


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

"""How methods look, and which of many stand out; marks, and what matplotlib is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from preflamp_stats.outputs.figures.names import shorten
from preflamp_stats.results import Analysis, distinct

GREY, PALE = "#6b6b6b", "#b4b4b4"
REFERENCE: Any = {"color": GREY, "linewidth": 0.7, "linestyle": "--"}
"""Line of what means nothing: an even chance, no difference."""

# Okabe and Ito (2008), without the yellow that vanishes on white.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_CYCLES = (("-", ""), ("--", "white"), (":", "#cfcfcf"))
"""Line and face of a marker, for the first seven methods, the second and the third."""
_MARKERS = {"reward-guided": "o", "in-context": "s", "zero-shot": "D", "best-of-n": "^"}
_STYLE: Any = matplotlib.rc_params_from_file(
    Path(__file__).with_name("paper.mplstyle"), use_default_template=False
)


def plotting() -> AbstractContextManager[None]:
    """Matplotlib with our settings and none of the user's, undone afterwards."""
    return matplotlib.style.context(["default", _STYLE])


@dataclass(frozen=True)
class Look:
    """How a method, or another thing of a legend, looks.

    Parameters
    ----------
    label : str
        Its name, short and told apart from all others.
    colour : str
        Of seven that people with colour-blindness tell apart; pale grey for one among many.
    marker : str
        By the family of the method.
    line : {"-", "--", ":"}
        Line style.
    face : str
        Inside of the marker; empty for the colour.
    size : float
        Of the marker, in points.
    """

    label: str
    colour: str = _COLOURS[0]
    marker: str = "o"
    line: Any = "-"
    face: str = ""
    size: float = 4.0

    @property
    def grey(self) -> bool:
        """Whether it is one among many."""
        return self.colour == PALE


def extremes(
    rankings: Sequence[Sequence[str]], fewest: int = 6, most: int | None = None
) -> list[str]:
    """Methods to point out: the first and the last of every ranking, then those next to them.

    Parameters
    ----------
    rankings : sequence of sequence of str
    fewest, most : int
        How many: those next to them are taken until there are the fewest. At most as many as looks
        differ, by default.

    Examples
    --------
    >>> extremes([["a", "b", "c", "d", "e"], ["b", "a", "c", "e", "d"]], fewest=3)
    ['a', 'b', 'e', 'd']
    """
    most = most or len(_COLOURS) * len(_CYCLES)
    found: dict[str, None] = {}
    for depth in range(max(map(len, rankings), default=0)):
        for place in (depth, -1 - depth):
            for order in rankings:
                if depth < len(order) and len(found) < most:
                    found[order[place]] = None
        if len(found) >= fewest:
            break
    return list(found)


def looks_of(analysis: Analysis, named: Iterable[str] = ()) -> dict[str, Look]:
    """Look of every method, by its place in the tables: alike in all figures of an analysis.

    Where some methods are named, these differ, by their place among them, and the rest is grey.
    """
    frames = [table.frame for table in analysis.tables.values() if "method" in table.frame]
    labels = shorten(dict.fromkeys(m for frame in frames for m in distinct(frame, "method")))
    markers = {
        str(method): _MARKERS.get(str(family), "v")
        for frame in frames
        if "method_family" in frame
        for method, family in frame[["method", "method_family"]].drop_duplicates().to_numpy()
    }
    looks, coloured = {}, list(named) or list(labels)
    for place, method in enumerate(dict.fromkeys([*coloured, *labels])):
        line, face = _CYCLES[place // len(_COLOURS) % len(_CYCLES)]
        colour = _COLOURS[place % len(_COLOURS)]
        if place >= len(coloured):
            colour, line, face = PALE, "-", ""
        looks[method] = Look(labels[method], colour, markers.get(method, "v"), line, face)
    return looks


def points(
    panel: Axes, x: ArrayLike, y: ArrayLike, looks: Sequence[Look], *, scale: float = 1
) -> None:
    """Markers, one look each, in as few artists as their shapes allow."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    for marker in dict.fromkeys(each.marker for each in looks):
        here = [place for place, each in enumerate(looks) if each.marker == marker]
        own = [looks[place] for place in here]
        faces = [each.face or each.colour for each in own]
        edges = None if marker == "|" else [each.colour for each in own]
        # One size for all: a marker is then stored once, however many points there are.
        how: Any = {"s": (scale * own[0].size) ** 2, "marker": marker, "linewidths": 0.9}
        dots = panel.scatter(x[here], y[here], facecolors=faces, edgecolors=edges, zorder=3, **how)
        dots.set_in_layout(False)


def bars(
    panel: Axes, at: ArrayLike, low: ArrayLike, high: ArrayLike, looks: Sequence[Look], along: str
) -> None:
    """Intervals along an axis ("x" or "y") as one collection; a missing limit draws none."""
    draw = panel.hlines if along == "x" else panel.vlines
    places, start, end = (np.asarray(each, dtype=float) for each in (at, low, high))
    colours = [each.colour for each in looks]
    draw(places, start, end, colors=colours, linewidth=1.0, zorder=2).set_in_layout(False)


def entry(each: Look, *, line: bool = True, point: bool = True) -> Line2D:
    """Entry of a legend."""
    return Line2D(
        [], [], label=each.label, color=each.colour, linestyle=each.line if line else "none",
        marker=each.marker if point else "none", markerfacecolor=each.face or each.colour,
        markersize=each.size,
    )  # fmt: skip

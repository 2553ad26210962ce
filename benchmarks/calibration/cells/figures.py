"""Figures of the calibration study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cells.outcomes import Cell
from cells.tables import LARGEST_SIZE, LEAST_COVERAGE, TESTS, width_ratio

# Okabe and Ito (2008).
_STYLES = {
    "model": {"color": "#0072B2", "marker": "o"},
    "guaranteed": {"color": "#009E73", "marker": "s"},
    "percentile": {"color": "#D55E00", "marker": "^"},
}
_POINTS = {"linestyle": "none", "markersize": 3.5}
_LIMIT = {"color": "0.35", "linewidth": 0.8, "linestyle": "--", "zorder": 0}
_GUIDE = {"color": "0.85", "linewidth": 0.6, "zorder": 0}
# The same bytes from the same records.
_RC = {"svg.hashsalt": "calibration", "svg.fonttype": "none", "font.size": 8}


def draw_figures(groups: dict[str, list[Cell]], directory: Path) -> list[str]:
    """Draw what the records allow as SVG files in a directory, and return the figures' names."""
    directory.mkdir(parents=True, exist_ok=True)
    tau = groups.get("tau", [])
    grid = [c for c in tau if c.design["effects"] == "normal" and c.design["users"] == "equal"]
    grid = [c for c in grid if c.design["n_methods"] > 4]
    figures: dict[str, tuple[Sequence[object], Callable[[], Figure]]] = {
        "coverage": (grid, lambda: _panels(grid, _coverage, "coverage")),
        "width": (grid, lambda: _panels(grid, _width, "width: model / percentile")),
        "bias": (tau, lambda: _bias(tau)),
        "size": (_sized(groups), lambda: _sizes(_sized(groups))),
    }
    drawn = [name for name, (there, _) in figures.items() if there]
    with mpl.rc_context(_RC):
        for name in drawn:
            path = directory / f"{name}.svg"
            figures[name][1]().savefig(path, bbox_inches="tight", metadata={"Date": None})
    return drawn


def _panels(cells: list[Cell], draw: Callable[[Axes, list[Cell]], None], label: str) -> Figure:
    """One panel for each number of methods and users; in it ρ, and spread within ρ."""
    methods = sorted({c.design["n_methods"] for c in cells})
    users = sorted({c.design["n_users"] for c in cells})
    size = (2.9 * len(users) + 0.6, 2.0 * len(methods) + 0.8)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(methods), len(users), squeeze=False, sharex=True, sharey=True)
    for row, n_methods in zip(panels, methods, strict=True):
        for ax, n_users in zip(row, users, strict=True):
            of = {"n_methods": n_methods, "n_users": n_users}
            draw(ax, [c for c in cells if of.items() <= dict(c.design).items()])
            ax.set_title(f"{n_methods} methods, {n_users} users", fontsize=8)
            _label_cells(ax)
        row[0].set_ylabel(label)
    figure.supxlabel("spread of methods (probits)", fontsize=8)
    handles, names = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=len(names))
    return figure


_SPREADS = (0.03, 0.15, 0.5)
_CORRELATIONS = (-0.5, 0.0, 0.5, 0.95)
"""A place on the axis for each pair of them, a gap between correlations."""


def _label_cells(ax: Axes) -> None:
    places = [i * 4 + j for i in range(len(_CORRELATIONS)) for j in range(len(_SPREADS))]
    labels = [f"{s:g}".removeprefix("0") for _ in _CORRELATIONS for s in _SPREADS]
    ax.set_xticks(places, labels, rotation=90, fontsize=7)
    across = ax.get_xaxis_transform()
    for i, rho in enumerate(_CORRELATIONS):
        ax.text(i * 4 + 1, 0.02, _rho(rho), transform=across, ha="center", fontsize=7, color="0.35")
        if i:
            ax.axvline(i * 4 - 1, **_GUIDE)


def _rho(value: float) -> str:
    return f"ρ = {value:g}".replace("-", "−")


def _by_correlation(cells: list[Cell]) -> list[list[tuple[int, Cell]]]:
    """Places on the axis and cells, for each ρ in turn."""
    at = {(c.design["correlation"], c.design["spread"]): c for c in cells}
    return [
        [(i * 4 + j, at[rho, s]) for j, s in enumerate(_SPREADS) if (rho, s) in at]
        for i, rho in enumerate(_CORRELATIONS)
    ]


def _coverage(ax: Axes, cells: list[Cell]) -> None:
    for order, (name, style) in enumerate(_STYLES.items()):
        label: str | None = name
        for members in _by_correlation(cells):
            places = np.array([place for place, _ in members]) + 0.16 * (order - 1)
            shares = [c[f"{name} covers"] for _, c in members]
            means, errors = [s.mean for s in shares], [s.se for s in shares]
            lines = {"markersize": 3.5, "linewidth": 0.8, "elinewidth": 0.6, "clip_on": False}
            ax.errorbar(places, means, errors, label=label, **style, **lines)
            label = None
    # Misses are drawn by their square root, which spreads out what lies above .9.
    drawn = (lambda s: -np.sqrt(np.maximum(1 - np.asarray(s), 0)), lambda d: 1 - np.square(d))
    ax.set_yscale("function", functions=drawn)
    ax.set_ylim(0, 1)
    ax.set_yticks([0, 0.25, 0.5, 0.75, LEAST_COVERAGE, 0.98, 1])
    ax.set_yticks([], minor=True)
    ax.yaxis.set_major_formatter("{x:g}")
    ax.axhline(LEAST_COVERAGE, **_LIMIT)


def _width(ax: Axes, cells: list[Cell]) -> None:
    every = [each for members in _by_correlation(cells) for each in members]
    for fair, label in ((True, "percentile covers ≥ .93"), (False, "percentile covers less")):
        some = [e for e in every if (e[1]["percentile covers"].mean >= LEAST_COVERAGE) == fair]
        places, ratios = [place for place, _ in some], [width_ratio(cell) for _, cell in some]
        filled = {} if fair else {"markerfacecolor": "white"}
        ax.plot(places, ratios, label=label, **_STYLES["model"], **_POINTS, **filled)
    ax.axhline(1.15, **_LIMIT)
    ax.axhline(1, **_GUIDE)
    ax.set_yscale("log", base=2)
    ax.set_ylim(bottom=0.5)
    ax.set_yticks([0.5, 1, 1.15, 1.5, 2, 3])
    ax.yaxis.set_major_formatter("{x:g}")


def _bias(cells: list[Cell]) -> Figure:
    correlations = sorted({c.design["correlation"] for c in cells})
    size = (2.3 * len(correlations) + 0.6, 2.6)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(correlations), squeeze=False, sharex=True, sharey=True)[0]
    for ax, rho in zip(panels, correlations, strict=True):
        here = [c for c in cells if c.design["correlation"] == rho]
        reliability = [c["reliability"].mean for c in here]
        for name, style in (("observed", "percentile"), ("corrected", "model")):
            values = [c[f"{name} bias"].mean for c in here]
            ax.plot(reliability, values, label=name, **_STYLES[style], **_POINTS)
        ax.axhspan(-0.1, 0.1, color="0.93", zorder=0)
        ax.axvline(0.5, **_LIMIT)
        ax.set_title(_rho(rho), fontsize=8)
        ax.set(xlabel="reliability", xlim=(0, 1))
    panels[0].set_ylabel("mean tau − true tau")
    panels[-1].legend(frameon=False)
    return figure


def _sized(groups: dict[str, list[Cell]]) -> list[tuple[str, list[float], str]]:
    """Sizes over the cells of every test, and the style of ours or of others."""
    return [
        (f"{shares.title}: {name}", [c[name].mean for c in cells if name in c.outcomes], style)
        for shares, cells in ((shares, groups.get(shares.group, [])) for shares in TESTS)
        for names, style in ((shares.ours, "model"), (shares.customary, "percentile"))
        for name in names
        if shares.kind == "size" and cells
    ]


def _sizes(tests: list[tuple[str, list[float], str]]) -> Figure:
    rows = tests[::-1]
    figure = Figure(figsize=(6.8, 0.22 * len(rows) + 0.7), layout="constrained")
    ax = figure.subplots()
    for place, (_, sizes, style) in enumerate(rows):
        colour = _STYLES[style]["color"]
        ax.plot(sizes, [place] * len(sizes), "|", color=colour, markersize=7, alpha=0.7)
    ax.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    ax.axvline(0.05, **_GUIDE)
    ax.axvline(LARGEST_SIZE, **_LIMIT)
    ax.set_xscale("function", functions=(lambda v: np.sqrt(np.maximum(v, 0)), np.square))
    ax.set(xlim=(0, 1), ylim=(-0.7, len(rows) - 0.3), xticks=[0, 0.01, 0.05, 0.1, 0.25, 0.5, 1])
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_xlabel("share of null studies rejected: ours (blue) and customary (orange), a cell each")
    return figure

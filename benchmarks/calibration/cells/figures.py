"""Figures of the calibration study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cells.outcomes import Cell
from cells.tables import GROUPS_OF_TESTS, LARGEST_SIZE, LEAST_COVERAGE, width_ratio

__all__ = ["draw_figures"]

# Okabe and Ito (2008).
_STYLES: dict[str, tuple[str, str]] = {
    "model": ("#0072B2", "o"),
    "guaranteed": ("#009E73", "s"),
    "percentile": ("#D55E00", "^"),
}
_LIMIT = {"color": "0.35", "linewidth": 0.8, "linestyle": "--", "zorder": 0}
# The same bytes from the same records.
_RC = {"svg.hashsalt": "calibration", "svg.fonttype": "none", "font.size": 8}


def draw_figures(groups: dict[str, list[Cell]], directory: Path) -> list[str]:
    """Draw what the records allow.

    Parameters
    ----------
    groups : dict of str to list of Cell
    directory : Path
        Where to write, made where absent.

    Returns
    -------
    list of str
        Names of the figures, without ending.
    """
    directory.mkdir(parents=True, exist_ok=True)
    tau = groups.get("tau", [])
    grid = [c for c in tau if c.design["effects"] == "normal" and c.design["users"] == "equal"]
    grid = [c for c in grid if c.design["n_methods"] > 4]
    figures = {
        "coverage": _panels(grid, _coverage, "coverage") if grid else None,
        "width": _panels(grid, _width, "width: model / percentile") if grid else None,
        "bias": _bias(tau) if tau else None,
        "size": _sizes(groups) if any(_sized(groups)) else None,
    }
    drawn = {name: figure for name, figure in figures.items() if figure is not None}
    for name, figure in drawn.items():
        with mpl.rc_context(_RC):
            figure.savefig(directory / f"{name}.svg", bbox_inches="tight", metadata={"Date": None})
    return list(drawn)


def _panels(cells: list[Cell], draw: Callable[[Axes, list[Cell]], None], label: str) -> Figure:
    """One panel for each number of methods and users; in it ρ, and spread within ρ."""
    methods = sorted({c.design["n_methods"] for c in cells})
    users = sorted({c.design["n_users"] for c in cells})
    with mpl.rc_context(_RC):
        figure = Figure(figsize=(2.9 * len(users) + 0.6, 2.0 * len(methods) + 0.8))
        axes = figure.subplots(len(methods), len(users), squeeze=False, sharex=True, sharey=True)
        for row, n_methods in zip(axes, methods, strict=True):
            for ax, n_users in zip(row, users, strict=True):
                here = [
                    c
                    for c in cells
                    if (c.design["n_methods"], c.design["n_users"]) == (n_methods, n_users)
                ]
                draw(ax, here)
                ax.set_title(f"{n_methods} methods, {n_users} users", fontsize=8)
                _label_cells(ax, cells)
            row[0].set_ylabel(label)
        handles, names = axes[0, 0].get_legend_handles_labels()
        figure.legend(
            handles, names, loc="upper center", ncols=len(names), bbox_to_anchor=(0.5, 1.0)
        )
        figure.tight_layout(rect=(0, 0, 1, 0.97))
    return figure


def _axis_levels(cells: Sequence[Cell]) -> tuple[list[float], list[float]]:
    correlations = sorted({c.design["correlation"] for c in cells})
    return correlations, sorted({c.design["spread"] for c in cells})


def _label_cells(ax: Axes, cells: Sequence[Cell]) -> None:
    correlations, spreads = _axis_levels(cells)
    step = len(spreads) + 1
    places = [i * step + j for i in range(len(correlations)) for j in range(len(spreads))]
    ax.set_xticks(places, [f"{s:g}".removeprefix("0") for _ in correlations for s in spreads])
    ax.tick_params(axis="x", labelrotation=90, labelsize=7)
    for i, rho in enumerate(correlations):
        middle = i * step + (len(spreads) - 1) / 2
        ax.annotate(
            f"ρ = {rho:g}".replace("-", "−"),
            (middle, 0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            fontsize=7,
            color="0.35",
        )
        if i:
            ax.axvline(i * step - 1, color="0.85", linewidth=0.6, zorder=0)
    if ax.get_subplotspec().is_last_row():  # type: ignore[union-attr]
        ax.set_xlabel("spread of methods (probits)")


def _by_correlation(cells: list[Cell]) -> list[tuple[list[int], list[Cell]]]:
    """Places on the axis and cells, for each ρ in turn."""
    correlations, spreads = [-0.5, 0.0, 0.5, 0.95], [0.03, 0.15, 0.5]
    at = {(c.design["correlation"], c.design["spread"]): c for c in cells}
    found = []
    for i, rho in enumerate(correlations):
        there = [(i * 4 + j, at[rho, s]) for j, s in enumerate(spreads) if (rho, s) in at]
        found.append(([place for place, _ in there], [cell for _, cell in there]))
    return found


def _coverage(ax: Axes, cells: list[Cell]) -> None:
    for order, (name, (colour, marker)) in enumerate(_STYLES.items()):
        for label, (places, members) in zip(
            (name, *[None] * 3), _by_correlation(cells), strict=True
        ):
            shares = [c[f"{name} covers"] for c in members]
            ax.errorbar(
                np.array(places) + 0.16 * (order - 1),
                [s.mean for s in shares],
                [s.se for s in shares],
                color=colour,
                marker=marker,
                markersize=3.5,
                linewidth=0.8,
                elinewidth=0.6,
                label=label,
                clip_on=False,
            )
    # Misses are drawn by their square root, which spreads out what lies above .9.
    ax.set_yscale(
        "function",
        functions=(
            lambda share: -np.sqrt(np.maximum(1 - np.asarray(share), 0)),
            lambda drawn: 1 - np.asarray(drawn) ** 2,
        ),
    )
    ax.set_ylim(0, 1)
    ax.set_yticks([0, 0.25, 0.5, 0.75, LEAST_COVERAGE, 0.98, 1])
    ax.set_yticks([], minor=True)
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.axhline(LEAST_COVERAGE, **_LIMIT)


def _width(ax: Axes, cells: list[Cell]) -> None:
    colour = _STYLES["model"][0]
    labels = {True: "percentile covers ≥ .93", False: "percentile covers less"}
    for fair, label in labels.items():
        chosen = [
            (place, width_ratio(cell))
            for places, members in _by_correlation(cells)
            for place, cell in zip(places, members, strict=True)
            if (cell["percentile covers"].mean >= LEAST_COVERAGE) == fair
        ]
        ax.plot(
            [place for place, _ in chosen],
            [ratio for _, ratio in chosen],
            linestyle="none",
            marker="o",
            markersize=4,
            color=colour,
            markerfacecolor=colour if fair else "white",
            label=label,
        )
    ax.axhline(1.15, **_LIMIT)
    ax.axhline(1, color="0.85", linewidth=0.6, zorder=0)
    ax.set_yscale("log", base=2)
    ax.set_ylim(bottom=0.5)
    ax.set_yticks([0.5, 1, 1.15, 1.5, 2, 3])
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _bias(cells: list[Cell]) -> Figure:
    correlations = sorted({c.design["correlation"] for c in cells})
    with mpl.rc_context(_RC):
        figure = Figure(figsize=(2.3 * len(correlations) + 0.6, 2.6))
        axes = figure.subplots(1, len(correlations), squeeze=False, sharex=True, sharey=True)[0]
        for ax, rho in zip(axes, correlations, strict=True):
            here = [c for c in cells if c.design["correlation"] == rho]
            reliability = [c["reliability"].mean for c in here]
            for name, (colour, marker) in {
                "observed": _STYLES["percentile"],
                "corrected": _STYLES["model"],
            }.items():
                values = [c[f"{name} bias"].mean for c in here]
                style: dict[str, Any] = {"linestyle": "none", "marker": marker, "markersize": 3.5}
                ax.plot(reliability, values, color=colour, label=name, **style)
            ax.axhspan(-0.1, 0.1, color="0.93", zorder=0)
            ax.axvline(0.5, **_LIMIT)
            ax.set_title(f"ρ = {rho:g}".replace("-", "−"), fontsize=8)
            ax.set_xlabel("reliability")
            ax.set_xlim(0, 1)
        axes[0].set_ylabel("mean tau − true tau")
        axes[-1].legend(frameon=False)
        figure.tight_layout()
    return figure


def _sized(groups: dict[str, list[Cell]]) -> list[tuple[str, list[float], bool]]:
    """Sizes over the cells of every test, and whether it is ours."""
    found = []
    for group, shares in GROUPS_OF_TESTS.items():
        cells = groups.get(group.removesuffix(" size"), [])
        if shares.kind == "size" and cells:
            for name in (*shares.ours, *shares.customary):
                sizes = [c[name].mean for c in cells if name in c.outcomes]
                found.append((f"{shares.title}: {name}", sizes, name in shares.ours))
    return found


def _sizes(groups: dict[str, list[Cell]]) -> Figure:
    rows = _sized(groups)[::-1]
    with mpl.rc_context(_RC):
        figure = Figure(figsize=(6.8, 0.22 * len(rows) + 0.7))
        ax = figure.subplots()
        for place, (_, sizes, ours) in enumerate(rows):
            colour = _STYLES["model" if ours else "percentile"][0]
            ax.plot(sizes, [place] * len(sizes), "|", color=colour, markersize=7, alpha=0.7)
        ax.set_yticks(range(len(rows)), [name for name, _, _ in rows])
        ax.axvline(0.05, color="0.85", linewidth=0.8, zorder=0)
        ax.axvline(LARGEST_SIZE, **_LIMIT)
        ax.set_xscale("function", functions=(lambda v: np.sqrt(np.maximum(v, 0)), np.square))
        ax.set_xlim(0, 1)
        ax.set_xticks([0, 0.01, 0.05, 0.1, 0.25, 0.5, 1])
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.set_xlabel(
            "share of null studies rejected: ours (blue) and customary (orange), a cell each"
        )
        ax.set_ylim(-0.7, len(rows) - 0.3)
        figure.tight_layout()
    return figure

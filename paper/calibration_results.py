"""What the calibration found, for the paper: macros, a table and a figure from its CSV."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from macros import share
from matplotlib.figure import Figure

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.outputs.figures.layout import ONE_COLUMN, settle
from preflamp_stats.outputs.figures.rendering import render
from preflamp_stats.outputs.figures.style import GREY, plotting

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks" / "calibration"))

from cells.tables import LARGEST_SIZE, LEAST_COVERAGE

__all__ = ["coverage_figure", "coverage_table", "macros", "read_cells"]

NOMINAL = 0.95
_INTERVALS = {"model": "model-based", "percentile": "percentile", "guaranteed": "guaranteed"}
_LOOKS = {"model": ("#0072B2", "o"), "percentile": ("#D55E00", "^")}


def read_cells(path: Path) -> pd.DataFrame:
    """Cells of the calibration with their outcomes.

    Parameters
    ----------
    path : Path
        CSV that ``benchmarks/calibration/calibration.py report`` writes.

    Returns
    -------
    DataFrame
        A row for each group, cell and outcome; the fields of the design are columns.

    Raises
    ------
    InputError
        If the file is absent.
    """
    if not path.exists():
        raise InputError(
            Problem(
                "no such file",
                "make calibration writes it",
                str(path),
            )
        )
    frame = pd.read_csv(path)
    designs = pd.DataFrame([json.loads(text) for text in frame["design"]], index=frame.index)
    return frame.join(designs)


def grid_of_tau(cells: pd.DataFrame) -> pd.DataFrame:
    """Cells of tau with normal methods and equal users: a row a cell, outcomes as columns."""
    tau = cells[cells["group"] == "tau"]
    plain = tau[(tau["effects"] == "normal") & (tau["users"] == "equal")]
    keys = ["n_methods", "n_users", "correlation", "spread", "studies"]
    wide = plain.pivot_table(index=keys, columns="outcome", values="mean").reset_index()
    return wide[wide["n_methods"].isin(wide["n_methods"].value_counts().nlargest(3).index)]


def macros(cells: pd.DataFrame) -> dict[str, str]:
    """Numbers that the text quotes."""
    grid = grid_of_tau(cells)
    found = {
        "CalibrationCells": f"{len(grid):,}",
        "CalibrationStudies": f"{int(grid['studies'].min()):,}",
        "CalibrationMethods": _spread(grid["n_methods"]),
        "CalibrationUsers": _spread(grid["n_users"]),
        "CalibrationSpreads": _spread(100 * grid["spread"]),
        "LeastCoverage": share(LEAST_COVERAGE),
        "LargestSize": share(LARGEST_SIZE),
        "Nominal": share(NOMINAL),
    }
    for interval in _INTERVALS:
        covers = grid[f"{interval} covers"]
        name = interval.capitalize()
        worst = grid.loc[covers.idxmin()]
        found |= {
            f"{name}Worst": share(covers.min()),
            f"{name}Below": f"{int((covers < LEAST_COVERAGE).sum())}",
            f"{name}Mean": share(covers.mean()),
            f"{name}WorstMethods": f"{int(worst['n_methods'])}",
            f"{name}WorstUsers": f"{int(worst['n_users']):,}",
            f"{name}WorstCorrelation": f"{worst['correlation']:g}",
            f"{name}WorstSpread": f"{100 * worst['spread']:g}",
        }
    strong = grid.loc[grid["observed bias"].idxmin()]
    found |= {
        "ObservedBias": f"{strong['observed bias']:.2f}",
        "CorrectedBias": f"{strong['corrected bias']:.2f}",
    }
    return found | _decoupling(cells)


def _decoupling(cells: pd.DataFrame) -> dict[str, str]:
    """How often a pair that is not decoupled is called so, by our test and by the usual reading."""
    rows = cells[cells["group"] == "decoupling"]
    ours = rows[rows["outcome"] == "holm"]["mean"]
    usual = rows[rows["outcome"] == "t over examples"]["mean"]
    return {
        "DecouplingCells": f"{len(ours)}",
        "DecouplingLargest": share(ours.max()),
        "DecouplingUsualLargest": share(usual.max()),
        "DecouplingUsualMedian": share(usual.median()),
    }


def _spread(values: pd.Series) -> str:
    texts = [f"{value:,g}" for value in sorted(set(values))]
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def coverage_table(cells: pd.DataFrame) -> str:
    """Set the worst coverage of each interval by number and spread of methods, in one column."""
    grid = grid_of_tau(cells)
    lines = [
        r"\begin{table}[t]",
        r"\centering\footnotesize",
        r"\begin{tabular}{@{}rr" + "r" * len(_INTERVALS) + "@{}}",
        r"\toprule",
        " & ".join(["M", "Spread", *(n.capitalize() for n in _INTERVALS.values())]) + r" \\",
        r"\midrule",
    ]
    for place, (methods, block) in enumerate(grid.groupby("n_methods")):
        lines += [r"\addlinespace"] if place else []
        for spread, rows in block.groupby("spread"):
            worst = [rows[f"{interval} covers"].min() for interval in _INTERVALS]
            texts = [
                rf"\textbf{{{share(value)}}}" if value < LEAST_COVERAGE else share(value)
                for value in worst
            ]
            lines.append(" & ".join([f"{methods:g}", f"{100 * spread:g}", *texts]) + r" \\")
    lines += [
        r"\bottomrule",
        r"\end{tabular}",
        r"\caption{Worst coverage (per cent) of nominal \Nominal\,\% intervals of tau over numbers "
        r"of users and true correlations, by number of methods M and their spread (hundredths of a "
        r"probit). Bold: below \LeastCoverage\,\%.}",
        r"\label{tab:coverage}",
        r"\end{table}",
    ]
    return "\n".join([*lines, ""])


def coverage_figure(cells: pd.DataFrame) -> bytes:
    """Draw coverage over the reliability of the metrics, a point a cell, as PDF."""
    grid = grid_of_tau(cells)
    with plotting():
        figure = Figure(figsize=(ONE_COLUMN, 2.1), layout="constrained")
        panel = figure.subplots()
        for interval, (colour, marker) in _LOOKS.items():
            panel.scatter(
                grid["reliability"],
                100 * grid[f"{interval} covers"],
                s=13,
                marker=marker,
                facecolors="none",
                edgecolors=colour,
                linewidths=0.8,
                label=_INTERVALS[interval],
            )
        panel.axhline(100 * NOMINAL, color=GREY, linewidth=0.7, linestyle="--")
        panel.set_xlabel("Reliability of the metrics")
        panel.set_ylabel("Coverage (%)")
        panel.set_ylim(-3, 103)
        panel.set_yticks(np.arange(0, 101, 25))
        panel.legend(loc="lower right")
        settle(figure)
        return render(figure, ["pdf"])["pdf"]

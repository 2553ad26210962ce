"""Tables of the calibration study in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cells.outcomes import Cell, Estimate

LEAST_COVERAGE, LARGEST_SIZE = 0.93, 0.06

INTERVALS = ("model", "guaranteed", "percentile")
WIDEST_RATIO = 1.15


@dataclass(frozen=True)
class Shares:
    """What a group of cells measures.

    Parameters
    ----------
    group : str
        Of the runner's.
    title : str
    kind : {"size", "power", "coverage"}
        What the outcomes are shares of.
    ours, customary : sequence of str
        Outcomes of this package's tests, and of those shown beside them.
    note : str
        A sentence below the title.
    """

    group: str
    title: str
    kind: str
    ours: Sequence[str]
    customary: Sequence[str] = ()
    note: str = ""

    def misses(self, estimate: Estimate) -> bool:
        """Whether a share of ours is worse than promised."""
        if self.kind == "size":
            return estimate.mean > LARGEST_SIZE
        return self.kind == "coverage" and estimate.mean < LEAST_COVERAGE


_DIFFERENCE = ("max-t", "holm", "single pair"), ("t over examples", "t over user means")
_SWAPS = ("perm-inputs", "perm-both-rows", "perm-both-cells")
_TWO_GROUPS = "two groups of methods lie exactly the margin apart."
TESTS = (
    Shares(
        "difference", "Differences between methods", "size", *_DIFFERENCE,
        "all methods are equally accurate; any pair, or the single one, differs significantly.",
    ),
    Shares(
        "difference power", "Differences between methods", "power", *_DIFFERENCE,
        "the first method is ahead, and found to differ from the second. A test whose size is "
        "above 5 % owes part of its power to that.",
    ),
    Shares(
        "equivalence", "Equivalence", "size", ("holm", "single pair"), _DIFFERENCE[1], _TWO_GROUPS
    ),
    Shares(
        "nearly alike", "Equivalence, most users alike", "size", ("equivalent",), ("t alone",),
        "methods lie the margin apart; 1 to 30 % of users see all of it, equally, normally, "
        "exponentially, or a fifth of them six times as much; 8 to 500 users, sizes equal or "
        "log-normal. 1,000 pairs a cell.",
    ),
    Shares(
        "nearly alike, no ends", "Equivalence, most users alike, no ends of the scale", "size",
        ("equivalent",), ("t alone",),
    ),
    Shares(
        "stopping", "Equivalence, a look after every ten of 600 users", "size", ("bets",),
        ("t at every look",), "methods lie the margin apart.",
    ),
    Shares(
        "nearly alike power", "Equivalence, most users alike", "power", ("equivalent",),
        ("t alone",), "5 % of users see a difference of 0.2 in either direction, on average none.",
    ),
    Shares("nearly alike", "Difference, most users alike", "coverage", ("covers",)),
    Shares(
        "nearly alike, no ends", "Difference, most users alike, no ends of the scale", "coverage",
        ("covers",),
    ),
    Shares("accuracy near 1", "Accuracies of .95 to 1", "coverage", ("covers",)),
    Shares("minimum effect", "Minimum effect", "size", ("holm", "single pair"), (), _TWO_GROUPS),
    Shares(
        "decoupling", "Decoupling", "size", ("holm", "holm, first pair", "holm, coupled"),
        ("none", "t over examples"),
        "one of two gaps is exactly at its margin, so that no pair is decoupled or coupled. *None* "
        "is our verdict without correction for the number of pairs; *t over examples* reads "
        "significant in accuracy and not in quality as decoupled.",
    ),
    Shares(
        "decoupling power", "Decoupling", "power", ("holm", "holm, first pair"),
        ("none", "t over examples"),
        "half of the methods are truly decoupled from the other half.",
    ),
    Shares(
        "in context", "Lead over the best of the other methods", "coverage", ("covers",),
        ("naive covers", "estimate above truth", "naive estimate above truth"),
        "all methods are equal. The naive way compares with the method that looks best.",
    ),
    Shares("in context", "Dominance over the best of the other methods", "size", ("dominates",)),
    Shares(
        "no association", "No association over methods", "size",
        ("tau", "tau, ties", "tau, weighted"),
    ),
    Shares(
        "two predictors", "Which of two metrics predicts better", "size", ("perm-systems",), _SWAPS,
        "two metrics predict equally well, but the methods' true values in them are drawn apart: "
        "the null hypothesis of perm-systems alone. The others ask whether these values are the "
        "same, and rightly reject.",
    ),
    Shares(
        "two predictors, same methods", "Whether two metrics of these methods predict alike",
        "size", ("perm-systems", *_SWAPS), (),
        "every method has the same true value in both metrics, up to their units.",
    ),
    Shares(
        "regret", "Selection regret", "coverage", ("regret", "gain over a random pick"),
        ("regret, percentile, choice fixed", "regret, percentile, choice redrawn"),
    ),
    Shares(
        "slope", "What a step upstream buys", "coverage", ("slope covers",),
        ("naive slope covers",),
        "slope of one true accuracy on the other; naive: percentiles of that between estimates.",
    ),
    Shares(
        "pooled tau", "Pooled tau", "coverage", ("pooled model covers",),
        ("pooled percentile covers",),
        "2 to 16 datasets of different people.",
    ),
    Shares(
        "surrogacy", "Prediction of what was left out", "coverage",
        ("new dataset covers", "new method covers", "new method, own dataset covers",
         "R² trial covers"), (),
        "two true downstream accuracies differ by so much, given their true upstream difference.",
    ),
    Shares(
        "example level", "Association at the level of examples", "size",
        ("within users", "random intercept"), ("within users, rows taken as independent",),
    ),
)  # fmt: skip
"""Groups of the runner other than tau, in the order of the page."""


def width_ratio(cell: Cell) -> float:
    """Mean width of the default interval over that of the percentile interval."""
    return cell["model width"].mean / cell["percentile width"].mean


def tau_name(cell: Cell) -> str:
    """A cell of tau in words."""
    d = cell.design
    rho = f"{d['correlation']:g}".replace("-", "−")
    name = f"M = {d['n_methods']}, U = {d['n_users']}, ρ = {rho}"
    return ", ".join([name, f"spread {d['spread']:g}", *_unlike_the_grid(cell)])


def _unlike_the_grid(cell: Cell) -> list[str]:
    """What is not normal about the methods, and not equal about the users."""
    users = cell.design["users"].replace("unequal", "unequal users")
    return [word for word in (cell.design["effects"], users) if word not in ("normal", "equal")]


def tau_table(cells: Sequence[Cell]) -> str:
    """Coverage, width and bias of every interval of tau, a cell a row."""
    return _markdown([_tau_row(cell) for cell in cells], left=1)


def peer_table(cells: Sequence[Cell]) -> str:
    """Coverage and width beside those of scipy and nlpstats, in the same studies."""
    ways = {"model (ours)": "model", "percentile (ours)": "percentile"}
    ways |= {way: way for way in ("scipy percentile", "scipy BCa", "nlpstats")}
    rows = [
        {"cell": tau_name(cell)} | {head: _interval(cell, way) for head, way in ways.items()}
        for cell in cells
    ]
    return _markdown(rows, left=1)


def share_table(kind: str, groups: Mapping[str, Sequence[Cell]]) -> str:
    """Shares of studies with an outcome, a test and way a row; what misses its promise is bold.

    Size and coverage: the least and the most over the cells. Power: a column for each design.
    """
    rows, notes = [], []
    for test in TESTS:
        cells = groups.get(test.group, ())
        if test.kind != kind or not cells:
            continue
        if test.note:
            notes.append(f"* {test.title}: {test.note}")
        for name in (*test.ours, *test.customary):
            there = [cell for cell in cells if name in cell.outcomes]
            way = name if name in test.ours else f"*{name}*"
            row = {"test": test.title if name == test.ours[0] else "", "way": way}
            if kind == "power":
                row |= {_size_name(cell): _digits(cell[name].mean) for cell in there}
            else:
                ends = sorted((cell[name] for cell in there), key=lambda share: share.mean)
                bold = {share: "**" * (name in test.ours and test.misses(share)) for share in ends}
                least, most = (f"{bold[e]}{_digits(e.mean)}{bold[e]}" for e in (ends[0], ends[-1]))
                row |= {"cells": str(len(there)), "least": least, "most": most}
            rows.append(row)
    return "\n".join([*notes, "", _markdown(rows, left=2)]) if rows else ""


def _size_name(cell: Cell) -> str:
    return f"{cell.design.get('n_methods', 2)} × {cell.design['n_users']}"


def _tau_row(cell: Cell) -> dict[str, str]:
    d, ratio = cell.design, width_ratio(cell)
    wide = ratio > WIDEST_RATIO and cell["percentile covers"].mean >= LEAST_COVERAGE
    row = {"differs": ", ".join(_unlike_the_grid(cell)) or "–"}
    row |= {"M": str(d["n_methods"]), "U": str(d["n_users"])}
    row |= {"ρ": f"{d['correlation']:g}", "spread": f"{d['spread']:g}"}
    row["reliability"] = f"{cell['reliability'].mean:.2f}"
    row |= {name: _interval(cell, name) for name in INTERVALS}
    # Only in a normal population is its tau known to be 2/π·asin ρ.
    row["population"] = _interval(cell, "population") if d["effects"] == "normal" else "–"
    row["width ratio"] = f"**{ratio:.2f}**" if wide else f"{ratio:.2f}"
    biases = [_signed(cell[f"{name} bias"].mean) for name in ("observed", "corrected")]
    return row | {"bias": " → ".join(biases)}


def _interval(cell: Cell, name: str) -> str:
    share = cell[f"{name} covers"]
    bold = "**" * (share.mean < LEAST_COVERAGE)
    return f"{bold}{_digits(share.mean)}{bold} / {cell[f'{name} width'].mean:.2f}"


def _digits(value: float) -> str:
    """Three decimals without the leading zero."""
    return "–" if np.isnan(value) else f"{value:.3f}".removeprefix("0")


def _signed(value: float) -> str:
    text = f"{value:+.2f}".replace("-", "−")
    return "0.00" if text in ("+0.00", "−0.00") else text


def _markdown(rows: Sequence[Mapping[str, str]], left: int) -> str:
    """A pipe table; all columns but the first ``left`` are aligned to the right."""
    heads = list(dict.fromkeys(head for row in rows for head in row))
    rule = ["---" if column < left else "---:" for column in range(len(heads))]
    lines = (heads, rule, *([row.get(head, "–") for head in heads] for row in rows))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

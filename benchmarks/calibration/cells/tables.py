"""Tables of the calibration study in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cells.outcomes import Cell, Estimate

LEAST_COVERAGE, LARGEST_SIZE = 0.93, 0.06

_INTERVALS = ("model", "guaranteed", "percentile")
_DESIGN_NAMES = {
    "n_users": "users",
    "n_methods": "methods",
    "user_method_sd": "user effects",
    "unequal": "users' sizes",
    "effect": "true difference",
}


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
_TWO_GROUPS = "Two groups of methods lie exactly the margin apart."
TESTS = (
    Shares(
        "difference", "Differences between methods", "size", *_DIFFERENCE,
        "All methods are equally accurate. A share of studies in which any pair differs "
        "significantly; for the single pair, in which that one does.",
    ),
    Shares(
        "difference power", "Differences between methods", "power", *_DIFFERENCE,
        "The first method is ahead; share of studies in which it is found to differ from the "
        "second. A test whose size is above 5 % owes part of its power to that.",
    ),
    Shares(
        "equivalence", "Equivalence", "size", ("holm", "single pair"), _DIFFERENCE[1], _TWO_GROUPS
    ),
    Shares("minimum effect", "Minimum effect", "size", ("holm", "single pair"), (), _TWO_GROUPS),
    Shares(
        "decoupling", "Decoupling", "size", ("holm", "holm, first pair", "holm, coupled"),
        ("none", "t over examples"),
        "One of the two gaps is exactly at its margin, so that no pair is decoupled and none is "
        "coupled. 'none' is our verdict without correction for the number of pairs; 't over "
        "examples' reads significant in accuracy and not significant in quality as decoupled.",
    ),
    Shares(
        "decoupling power", "Decoupling", "power", ("holm", "holm, first pair"),
        ("none", "t over examples"),
        "Half of the methods are truly decoupled from the other half.",
    ),
    Shares(
        "in context", "Lead over the best of the other methods", "coverage", ("covers",),
        ("naive covers", "estimate above truth", "naive estimate above truth"),
        "All methods are equal. The naive way compares with the method that looks best.",
    ),
    Shares("in context", "Dominance over the best of the other methods", "size", ("dominates",)),
    Shares(
        "no association", "No association over methods", "size",
        ("tau", "tau, ties", "tau, weighted"),
    ),
    Shares(
        "two predictors", "Which of two metrics predicts better", "size", ("perm-systems",), _SWAPS,
        "Two metrics that predict equally well, whose methods are drawn apart: the null hypothesis "
        "of perm-systems alone. The other schemes ask whether *these* methods have the same true "
        "values in both metrics; here they do not, and rightly these schemes reject.",
    ),
    Shares(
        "two predictors, same methods", "Whether two metrics of these methods predict alike",
        "size", ("perm-systems", *_SWAPS), (),
        "Every method has the same true value in both metrics, up to their units.",
    ),
    Shares(
        "regret", "Selection regret", "coverage", ("regret", "gain over a random pick"),
        ("regret, percentile, choice fixed", "regret, percentile, choice redrawn"),
    ),
    Shares(
        "slope", "What a step upstream buys", "coverage", ("slope covers",),
        ("naive slope covers",),
        "The slope of one true accuracy on the other, over these methods; beside ours the "
        "percentiles of the slope between estimates.",
    ),
    Shares(
        "pooled tau", "Pooled tau", "coverage", ("pooled model covers",),
        ("pooled percentile covers",),
        "Two datasets with two models each. Models of a dataset are taken to rise and fall "
        "together, which they do not here.",
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
    users = "unequal users" if d["users"] == "unequal" else d["users"]
    extra = [word for word in (d["effects"], users) if word not in ("normal", "equal")]
    rho = f"{d['correlation']:g}".replace("-", "−")
    name = f"M = {d['n_methods']}, U = {d['n_users']}, ρ = {rho}"
    return ", ".join([name, f"spread {d['spread']:g}", *extra])


def tau_table(cells: Sequence[Cell]) -> str:
    """Coverage, width and bias of every interval of tau, a cell a row."""
    extra = any(c.design["effects"] != "normal" or c.design["users"] != "equal" for c in cells)
    return _markdown([_tau_row(cell, extra) for cell in cells], left=2 if extra else 0)


def peer_table(cells: Sequence[Cell]) -> str:
    """Coverage and width beside those of scipy and nlpstats, in the same studies."""
    ours = {"model (ours)": "model", "percentile (ours)": "percentile"}
    ways = ours | {way: way for way in ("scipy percentile", "scipy BCa", "nlpstats")}
    rows = [
        {"cell": tau_name(cell)}
        | {head: _interval(cell, way) for head, way in ways.items()}
        | {"studies": str(cell.n_studies)}
        for cell in cells
    ]
    return _markdown(rows, left=1)


def share_table(cells: Sequence[Cell], shares: Shares) -> str:
    """Shares of studies with an outcome, a cell a row; what misses its promise is bold."""
    rows = []
    for cell in cells:
        row = {}
        for name, value in cell.design.items():
            varies = len({str(each.design[name]) for each in cells}) > 1
            if varies or name in ("n_users", "n_methods"):
                row[_DESIGN_NAMES.get(name, name.replace("_", " "))] = _value(name, value)
        for name in filter(cells[0].outcomes.__contains__, shares.ours):
            bold = "**" * shares.misses(cell[name])
            row[name] = f"{bold}{_share(cell[name])}{bold}"
        for name in filter(cells[0].outcomes.__contains__, shares.customary):
            row[f"*{name}*"] = _share(cell[name])
        rows.append(row | {"studies": str(cell.n_studies)})
    return _markdown(rows)


def _tau_row(cell: Cell, extra: bool) -> dict[str, str]:
    d, ratio = cell.design, width_ratio(cell)
    wide = ratio > 1.15 and cell["percentile covers"].mean >= LEAST_COVERAGE
    row = {"M": str(d["n_methods"]), "U": str(d["n_users"])}
    row |= {"ρ": f"{d['correlation']:g}", "spread": f"{d['spread']:g}"}
    row |= {"methods": d["effects"], "users": d["users"]} if extra else {}
    row["reliability"] = f"{cell['reliability'].mean:.2f}"
    row |= {name: _interval(cell, name) for name in _INTERVALS}
    # Only in a normal population is its tau known to be 2/π·asin ρ.
    row["population"] = _interval(cell, "population") if d["effects"] == "normal" else "–"
    row["width ratio"] = f"**{ratio:.2f}**" if wide else f"{ratio:.2f}"
    biases = [_signed(cell[f"{name} bias"].mean) for name in ("observed", "corrected")]
    return row | {"bias": " → ".join(biases), "studies": str(cell.n_studies)}


def _interval(cell: Cell, name: str) -> str:
    share = cell[f"{name} covers"]
    bold = "**" * (share.mean < LEAST_COVERAGE)
    return f"{bold}{_share(share)}{bold} / {cell[f'{name} width'].mean:.2f}"


def _share(estimate: Estimate) -> str:
    return f"{_digits(estimate.mean)} ± {_digits(estimate.se)}"


def _digits(value: float) -> str:
    """Three decimals without the leading zero."""
    return "–" if np.isnan(value) else f"{value:.3f}".removeprefix("0")


def _signed(value: float) -> str:
    text = f"{value:+.2f}".replace("-", "−")
    return "0.00" if text in ("+0.00", "−0.00") else text


def _value(name: str, value: object) -> str:
    if name == "unequal":
        return "unequal" if value else "equal"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _markdown(rows: Sequence[Mapping[str, str]], left: int = 0) -> str:
    """A pipe table; all columns but the first ``left`` of them are aligned to the right."""
    rule = ["---" if column < left else "---:" for column in range(len(rows[0]))]
    lines = (rows[0].keys(), rule, *(row.values() for row in rows))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

"""Tables of the calibration study in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cells.outcomes import Cell, Estimate

__all__ = [
    "GROUPS_OF_TESTS",
    "LARGEST_SIZE",
    "LEAST_COVERAGE",
    "Shares",
    "peer_table",
    "share_table",
    "tau_name",
    "tau_table",
    "width_ratio",
]

LEAST_COVERAGE, LARGEST_SIZE = 0.93, 0.06

_INTERVALS = ("model", "guaranteed", "percentile")
_DESIGN_NAMES = {
    "n_users": "users",
    "n_methods": "methods",
    "user_method_sd": "user effects",
    "unequal": "users' sizes",
    "accuracy_gap": "accuracy gap",
    "quality_gap": "quality gap",
    "effect": "true difference",
}


@dataclass(frozen=True)
class Shares:
    """What a group of cells measures.

    Parameters
    ----------
    title : str
    kind : {"size", "power", "coverage"}
        What the outcomes are shares of.
    ours, customary : sequence of str
        Outcomes of this package's tests, and of those shown beside them.
    note : str
        A sentence below the title.
    """

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


GROUPS_OF_TESTS: dict[str, Shares] = {
    "difference": Shares(
        "Differences between methods",
        "size",
        ("max-t", "holm", "single pair"),
        ("t over examples", "t over user means"),
        "All methods are equally accurate. A share of studies in which any pair differs "
        "significantly; for the single pair, in which that one does.",
    ),
    "difference power": Shares(
        "Differences between methods",
        "power",
        ("max-t", "holm", "single pair"),
        ("t over examples", "t over user means"),
        "The first method is ahead; share of studies in which it is found to differ from the "
        "second. A test whose size is above 5 % owes part of its power to that.",
    ),
    "equivalence": Shares(
        "Equivalence",
        "size",
        ("holm", "single pair"),
        ("t over examples", "t over user means"),
        "Two groups of methods lie exactly the margin apart.",
    ),
    "minimum effect": Shares(
        "Minimum effect",
        "size",
        ("holm", "single pair"),
        (),
        "Two groups of methods lie exactly the margin apart.",
    ),
    "decoupling": Shares(
        "Decoupling",
        "size",
        ("holm", "holm, first pair", "holm, coupled"),
        ("none", "t over examples"),
        "One of the two gaps is exactly at its margin, so that no pair is decoupled and none is "
        "coupled. 'none' is our verdict without correction for the number of pairs; 't over "
        "examples' reads significant in accuracy and not significant in quality as decoupled.",
    ),
    "decoupling power": Shares(
        "Decoupling",
        "power",
        ("holm", "holm, first pair"),
        ("none", "t over examples"),
        "Half of the methods are truly decoupled from the other half.",
    ),
    "in context": Shares(
        "Lead over the best of the other methods",
        "coverage",
        ("covers",),
        ("naive covers", "estimate above truth", "naive estimate above truth"),
        "All methods are equal. The naive way compares with the method that looks best.",
    ),
    "in context size": Shares(
        "Dominance over the best of the other methods", "size", ("dominates",), ()
    ),
    "no association": Shares(
        "No association over methods", "size", ("tau", "tau, ties", "tau, weighted"), ()
    ),
    "two predictors": Shares(
        "Which of two metrics predicts better",
        "size",
        ("perm-systems",),
        ("perm-inputs", "perm-both-rows", "perm-both-cells"),
        "Two metrics that predict equally well, whose methods are drawn apart: the null hypothesis "
        "of perm-systems alone. The other schemes ask whether *these* methods have the same true "
        "values in both metrics; here they do not, and rightly these schemes reject.",
    ),
    "two predictors, same methods": Shares(
        "Whether two metrics of these methods predict alike",
        "size",
        ("perm-systems", "perm-inputs", "perm-both-rows", "perm-both-cells"),
        (),
        "Every method has the same true value in both metrics, up to their units.",
    ),
    "regret": Shares(
        "Selection regret",
        "coverage",
        ("regret", "gain over a random pick"),
        ("regret, percentile, choice fixed", "regret, percentile, choice redrawn"),
    ),
    "slope": Shares(
        "What a step upstream buys",
        "coverage",
        ("slope covers",),
        ("naive slope covers",),
        "The slope of one true accuracy on the other, over these methods; beside ours the "
        "percentiles of the slope between estimates.",
    ),
    "pooled tau": Shares(
        "Pooled tau",
        "coverage",
        ("pooled model covers",),
        ("pooled percentile covers",),
        "Two datasets with two models each. Models of a dataset are taken to rise and fall "
        "together, which they do not here.",
    ),
    "example level": Shares(
        "Association at the level of examples",
        "size",
        ("within users", "random intercept"),
        ("within users, rows taken as independent",),
    ),
}
"""Groups of the runner other than tau, in the order of the page; "in context size" shows the same
studies as "in context"."""


def width_ratio(cell: Cell) -> float:
    """Mean width of the default interval over that of the percentile interval."""
    return cell["model width"].mean / cell["percentile width"].mean


def tau_name(cell: Cell) -> str:
    """A cell of tau in words."""
    d = cell.design
    extra = [d["effects"]] if d["effects"] != "normal" else []
    extra += [f"{d['users']} users" if d["users"] == "unequal" else d["users"]]
    extra = [word for word in extra if word != "equal"]
    rho = f"{d['correlation']:g}".replace("-", "−")
    name = f"M = {d['n_methods']}, U = {d['n_users']}, ρ = {rho}"
    return ", ".join([name, f"spread {d['spread']:g}", *extra])


def tau_table(cells: Sequence[Cell]) -> str:
    """Coverage, width and bias of every interval of tau, a cell a row."""
    extra = any(c.design["effects"] != "normal" or c.design["users"] != "equal" for c in cells)
    head = ["M", "U", "ρ", "spread", *(["methods", "users"] if extra else [])]
    head += ["reliability", *_INTERVALS, "population", "width ratio", "bias", "studies"]
    return _markdown(head, [_tau_row(cell, extra) for cell in cells], left=2 if extra else 0)


def peer_table(cells: Sequence[Cell]) -> str:
    """Coverage and width beside those of scipy and nlpstats, in the same studies."""
    ways = ("model", "percentile", "scipy percentile", "scipy BCa", "nlpstats")
    head = ["cell", "model (ours)", "percentile (ours)", *ways[2:], "studies"]
    rows = [
        [tau_name(cell), *(_interval(cell, way) for way in ways), str(cell.n_studies)]
        for cell in cells
    ]
    return _markdown(head, rows, left=1)


def share_table(cells: Sequence[Cell], shares: Shares) -> str:
    """Shares of studies with an outcome, a cell a row; what misses its promise is bold."""
    varying = [
        name
        for name in cells[0].design
        if name in ("n_users", "n_methods")
        or (len(cells) > 1 and len({cell.design[name] for cell in cells}) > 1)
    ]
    ours = [name for name in shares.ours if name in cells[0].outcomes]
    customary = [name for name in shares.customary if name in cells[0].outcomes]
    rows = []
    for cell in cells:
        row = [_value(name, cell.design[name]) for name in varying]
        for name in ours:
            text = _share(cell[name])
            row.append(f"**{text}**" if shares.misses(cell[name]) else text)
        row += [_share(cell[name]) for name in customary]
        rows.append([*row, str(cell.n_studies)])
    labels = [_DESIGN_NAMES.get(name, name.replace("_", " ")) for name in varying]
    head = [*labels, *ours, *(f"*{name}*" for name in customary), "studies"]
    return _markdown(head, rows)


def _tau_row(cell: Cell, extra: bool) -> list[str]:
    d = cell.design
    row = [str(d["n_methods"]), str(d["n_users"]), f"{d['correlation']:g}", f"{d['spread']:g}"]
    if extra:
        row += [d["effects"], d["users"]]
    # Only in a normal population is its tau known to be 2/π·asin ρ.
    population = _interval(cell, "population") if d["effects"] == "normal" else "–"
    ratio = width_ratio(cell)
    wide = ratio > 1.15 and cell["percentile covers"].mean >= LEAST_COVERAGE
    observed, corrected = cell["observed bias"].mean, cell["corrected bias"].mean
    return [
        *row,
        f"{cell['reliability'].mean:.2f}",
        *(_interval(cell, name) for name in _INTERVALS),
        population,
        f"**{ratio:.2f}**" if wide else f"{ratio:.2f}",
        f"{_signed(observed)} → {_signed(corrected)}",
        str(cell.n_studies),
    ]


def _interval(cell: Cell, name: str) -> str:
    share = cell[f"{name} covers"]
    covers = f"{_digits(share.mean)} ± {_digits(share.se)}"
    low = share.mean < LEAST_COVERAGE
    return f"{f'**{covers}**' if low else covers} / {cell[f'{name} width'].mean:.2f}"


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


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 0) -> str:
    """A pipe table; all columns but the first ``left`` of them are aligned to the right."""
    rule = ["---" if column < left else "---:" for column in range(len(head))]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *rows))

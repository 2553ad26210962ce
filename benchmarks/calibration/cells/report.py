"""The page of the calibration study: a summary, tables and figures from the runner's records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from cells.figures import draw_figures
from cells.grid import GROUPS
from cells.outcomes import Cell, Estimate, by_group, read_summary, write_summary
from cells.tables import (
    INTERVALS,
    LARGEST_SIZE,
    LEAST_COVERAGE,
    TESTS,
    WIDEST_RATIO,
    peer_table,
    share_table,
    tau_name,
    tau_table,
    width_ratio,
)

_PAGE = Path(__file__).parents[3] / "docs" / "calibration.md"
_LEAST_RELIABILITY = 0.5
# One-sided 97.5 %: what simulation error alone reaches once in 40 cells.
_Z = 1.96


def write_report(records: Iterable[Mapping[str, Any]], docs: Path) -> list[Path]:
    """Put summary, tables and figures into the page; its prose stays as it is.

    Parameters
    ----------
    records : iterable of mapping
        Chunks that the runner wrote, of as many cells and studies as there are. A group of which
        there is none keeps the numbers of the last report.
    docs : Path
        Directory of ``calibration.md``, whose parts between ``<!-- begin: NAME -->`` and
        ``<!-- end: NAME -->`` are replaced. Where it is absent the repository's page is the model.

    Returns
    -------
    list of Path
        The page, its figures, and ``calibration/cells.csv`` with every number behind them.

    Raises
    ------
    ValueError
        If the page lacks one of the markers.
    """
    summary = docs / "calibration" / "cells.csv"
    known = read_summary(summary) | by_group(records)
    # In the order of the grid, whichever was simulated last.
    groups = {name: _ordered(name, known[name]) for name in GROUPS if name in known}
    page = docs / "calibration.md"
    text = (page if page.exists() else _PAGE).read_text(encoding="utf-8")
    figures = draw_figures(groups, docs / "calibration")
    cells = write_summary(groups, summary)
    for name, content in _parts(groups, figures).items():
        text = replaced(text, name, content)
    docs.mkdir(parents=True, exist_ok=True)
    page.write_text(text, encoding="utf-8")
    return [page, *(docs / "calibration" / f"{name}.svg" for name in figures), cells]


def _ordered(group: str, cells: list[Cell]) -> list[Cell]:
    """Cells, and the fields of their designs, in the order of the grid; strangers come last."""
    order = [asdict(design) | dict(kwargs) for design, kwargs in GROUPS[group].cells]
    known = {order.index(dict(c.design)): c for c in cells if c.design in order}
    ordered = [replace(known[place], design=order[place]) for place in sorted(known)]
    return ordered + [cell for cell in cells if cell.design not in order]


def replaced(text: str, name: str, content: str) -> str:
    """Text with what stands between the markers of a name replaced."""
    begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"the page has no {begin} … {end}")
    return pattern.sub(lambda _: f"{begin}\n\n{content}\n\n{end}", text, count=1)


def _parts(groups: dict[str, list[Cell]], figures: Sequence[str]) -> dict[str, str]:
    """Generated parts of the page by the name of their markers."""
    tau = groups.get("tau", [])
    grid, beyond = [c for c in tau if _in_grid(c)], [c for c in tau if not _in_grid(c)]
    parts = {
        "summary": _summary(groups, grid, beyond),
        "beyond": tau_table(beyond) if beyond else "",
        "peers": peer_table(groups["peers"]) if "peers" in groups else "",
        "studies": _studies(groups),
    }
    parts |= {kind: share_table(kind, groups) for kind in ("size", "power", "coverage")}
    captions = {
        "coverage": "Coverage of the intervals of tau; bars are Monte Carlo standard errors",
        "width": "Width of the default interval over that of the percentile interval",
        "bias": "Mean error of tau against the lower reliability of the two metrics",
        "size": "Size of every test",
    }
    for name, caption in captions.items():
        image = f"![{caption}](calibration/{name}.svg)" if name in figures else ""
        parts[f"figure {name}"] = image
    return {name: content or "*No studies yet.*" for name, content in parts.items()}


def _in_grid(cell: Cell) -> bool:
    plain = cell.design["effects"] == "normal" and cell.design["users"] == "equal"
    return plain and cell.design["n_methods"] in (6, 12, 24)


def _summary(groups: dict[str, list[Cell]], grid: list[Cell], beyond: list[Cell]) -> str:
    lines = [
        _worst_coverage("Tau, grid", name, grid) for name in (*INTERVALS, "population") if grid
    ]
    # Beyond the grid the population is not always normal, and its tau not known.
    lines += [_worst_coverage("Tau, cells beyond it", name, beyond) for name in INTERVALS if beyond]
    if tau := [*grid, *beyond]:
        lines += [*_widths(tau), _bias(tau)]
    lines += _worst_share(groups, "size", "Tests of true null hypotheses: largest size", 1)
    lines += _worst_share(groups, "coverage", "Other intervals: worst coverage", -1)
    return "\n".join(f"* {line}" for line in lines)


def _worst_coverage(where: str, name: str, cells: list[Cell]) -> str:
    worst = min(cells, key=lambda cell: cell[f"{name} covers"].mean)
    below, surely = _count_misses([c[f"{name} covers"] for c in cells], LEAST_COVERAGE, -1)
    return (
        f"{where}, *{name}*: worst coverage {_share(worst[f'{name} covers'])} ({tau_name(worst)}); "
        f"{below} of {len(cells)} cells below {LEAST_COVERAGE}, {surely} of them beyond simulation "
        "error."
    )


def _widths(cells: list[Cell]) -> list[str]:
    fair = [c for c in cells if c["percentile covers"].mean >= LEAST_COVERAGE]
    wide = sum(width_ratio(c) > WIDEST_RATIO for c in fair)
    widest = max(fair, key=width_ratio, default=None)
    at_most = f", at most {width_ratio(widest):.2f} times ({tau_name(widest)})" if widest else ""
    guaranteed = sum(c["model width"].mean > c["guaranteed width"].mean for c in cells)
    return [
        f"The percentile interval covers at least {LEAST_COVERAGE} in {len(fair)} of {len(cells)} "
        f"cells; in {wide} of those ours is more than {WIDEST_RATIO} times as wide{at_most}.",
        *_widths_whatever_the_correlation(cells),
        f"Ours is wider than the guaranteed interval in {guaranteed} cells.",
    ]


def _widths_whatever_the_correlation(cells: list[Cell]) -> list[str]:
    """Where the percentile interval can be relied on without knowing the answer beforehand."""
    settings: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in cells:
        known = tuple(v for k, v in cell.design.items() if k != "correlation")
        settings.setdefault(known, []).append(cell)
    several = [alike for alike in settings.values() if len(alike) > 1]
    covers = [min(c["percentile covers"].mean for c in alike) for alike in several]
    safe = [a for a, least in zip(several, covers, strict=True) if least >= LEAST_COVERAGE]
    if not safe:
        return []
    widest = max((c for alike in safe for c in alike), key=width_ratio)
    return [
        f"It covers at least {LEAST_COVERAGE} whatever the correlation in {len(safe)} of "
        f"{len(several)} settings of methods, users and spread; there ours is at most "
        f"{width_ratio(widest):.2f} times as wide ({tau_name(widest)})."
    ]


def _bias(cells: list[Cell]) -> str:
    reliable = [c for c in cells if c["reliability"].mean >= _LEAST_RELIABILITY]
    if not reliable:
        return f"No cell has a reliability of at least {_LEAST_RELIABILITY}."
    found = []
    for name in ("corrected", "observed"):
        worst = max(reliable, key=lambda c: abs(c[f"{name} bias"].mean))
        bias = worst[f"{name} bias"]
        found.append(f"{name} tau {bias.mean:+.3f} ± {bias.se:.3f} ({tau_name(worst)})")
    return (
        f"Largest bias over the {len(reliable)} cells with a reliability of at least "
        f"{_LEAST_RELIABILITY}: {'; '.join(found)}.".replace("-", "−")
    )


def _worst_share(groups: dict[str, list[Cell]], kind: str, what: str, sign: int) -> list[str]:
    """The worst cell of our tests or intervals, and how many miss."""
    limit = LARGEST_SIZE if kind == "size" else LEAST_COVERAGE
    found = [
        (cell[name], f"{test.title}, *{name}*")
        for test in TESTS
        if test.kind == kind
        for cell in groups.get(test.group, [])
        for name in test.ours
        if name in cell.outcomes
    ]
    if not found:
        return []
    worst, where = max(found, key=lambda each: sign * each[0].mean)
    past, surely = _count_misses([share for share, _ in found], limit, sign)
    return [
        f"{what} {_share(worst)} ({where}); {past} of {len(found)} shares past {limit}, "
        f"{surely} of them beyond simulation error."
    ]


def _count_misses(shares: Sequence[Estimate], limit: float, sign: int) -> tuple[int, int]:
    """How many lie beyond the limit, and how many by more than simulation error."""
    beyond = [(sign * (share.mean - limit), _Z * share.se) for share in shares]
    return sum(b > 0 for b, _ in beyond), sum(b > error for b, error in beyond)


def _share(estimate: Estimate) -> str:
    return f"{estimate.mean:.3f} ± {estimate.se:.3f}"


def _studies(groups: dict[str, list[Cell]]) -> str:
    """How many studies each group rests on, and its seed."""
    lines = ["| group | cells | studies a cell | seed |", "|---|---:|---:|---:|"]
    for name, group in GROUPS.items():
        numbers = [cell.n_studies for cell in groups.get(name, [])] or [0]
        few, many = min(numbers), max(numbers)
        done = len(groups.get(name, []))
        studies = f"{few}" if few == many else f"{few}–{many}"
        studies += "" if few >= group.n_studies else f" of {group.n_studies}"
        cells = f"{done}" if done == len(group.cells) else f"{done} of {len(group.cells)}"
        lines.append(f"| {name} | {cells} | {studies} | {group.seed} |")
    return "\n".join(lines)

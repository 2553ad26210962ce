"""Every measured outcome of every cell as one CSV: what the page and the paper quote."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from cells.outcomes import Cell, Estimate

__all__ = ["COLUMNS", "read_summary", "write_summary"]

COLUMNS = ("group", "design", "studies", "outcome", "n", "mean", "se")


def write_summary(groups: Mapping[str, Sequence[Cell]], path: Path) -> Path:
    """Write a row for each group, cell and outcome.

    Parameters
    ----------
    groups : mapping of str to sequence of Cell
    path : Path
        CSV with the columns of :data:`COLUMNS`; ``design`` is JSON with sorted keys, ``n`` the
        number of studies in which the outcome is defined, ``se`` its Monte Carlo standard error.

    Returns
    -------
    Path
        The file.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for group, cells in groups.items():
        for cell in cells:
            design = json.dumps(dict(cell.design), sort_keys=True)
            for outcome, estimate in cell.outcomes.items():
                numbers = [f"{value:.6g}" for value in (estimate.mean, estimate.se)]
                writer.writerow([group, design, cell.n_studies, outcome, estimate.n, *numbers])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.getvalue(), encoding="utf-8")
    return path


def read_summary(path: Path) -> dict[str, list[Cell]]:
    """Cells by group from a CSV that :func:`write_summary` wrote; none where there is no file."""
    if not path.exists():
        return {}
    sizes: dict[tuple[str, str], int] = {}
    outcomes: dict[tuple[str, str], dict[str, Estimate]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            cell = row["group"], row["design"]
            sizes[cell] = int(row["studies"])
            estimate = Estimate(int(row["n"]), float(row["mean"]), float(row["se"]))
            outcomes.setdefault(cell, {})[row["outcome"]] = estimate
    found: dict[str, list[Cell]] = {}
    for (group, design), estimates in outcomes.items():
        found.setdefault(group, []).append(
            Cell(json.loads(design), sizes[group, design], estimates)
        )
    return found

"""What came of the studies of each cell: from the runner's records, and as the CSV that is kept.

The CSV holds every measured outcome of every cell, a row each: what the page and the paper quote.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Estimate:
    """Mean of an outcome over the studies of a cell.

    Parameters
    ----------
    n : int
        Studies in which the outcome is defined.
    mean : float
    se : float
        Monte Carlo standard error. That of a share adds one hit and one miss, so that it is not 0
        where all studies agree.
    """

    n: int
    mean: float
    se: float

    @classmethod
    def of(cls, n: int, total: float, squares: float) -> Estimate:
        """From the number of studies, the sum and the sum of squares."""
        if n == 0:
            return cls(0, np.nan, np.nan)
        mean = total / n
        if total == squares:  # zeros and ones
            smoothed = (total + 1) / (n + 2)
            return cls(n, mean, float(np.sqrt(smoothed * (1 - smoothed) / n)))
        return cls(n, mean, float(np.sqrt(max(squares / n - mean**2, 0.0) / n)))


@dataclass(frozen=True)
class Cell:
    """A cell of the study.

    Parameters
    ----------
    design : mapping
        Fields of the design, and keywords of the study.
    n_studies : int
        Studies that were simulated.
    outcomes : mapping of str to Estimate
    """

    design: Mapping[str, Any]
    n_studies: int
    outcomes: Mapping[str, Estimate]

    def __getitem__(self, outcome: str) -> Estimate:
        return self.outcomes[outcome]


def by_group(records: Iterable[Mapping[str, Any]]) -> dict[str, list[Cell]]:
    """Add up the chunks of every cell; cells stand in the order in which they were first met.

    A chunk that was simulated twice counts once.
    """
    cells: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for record in {record["key"]: record for record in records}.values():
        design = json.dumps(record["design"], sort_keys=True)
        cells.setdefault((record["group"], design), []).append(record)
    found: dict[str, list[Cell]] = {}
    for (group, _), members in cells.items():
        sums = pd.DataFrame([record["outcomes"] for record in members]).map(np.array).sum()
        outcomes = {
            str(name): Estimate.of(int(n), float(total), float(squares))
            for name, (n, total, squares) in sums.items()
        }
        n_studies = sum(json.loads(record["key"])[-1] for record in members)
        found.setdefault(group, []).append(Cell(members[0]["design"], n_studies, outcomes))
    return found


def write_summary(groups: Mapping[str, Sequence[Cell]], path: Path) -> Path:
    """Write a row for each group, cell and outcome, and return the path.

    ``design`` is JSON with sorted keys, ``n`` the number of studies in which the outcome is
    defined, ``se`` its Monte Carlo standard error.
    """
    rows = [
        {"group": group, "design": json.dumps(dict(cell.design), sort_keys=True)}
        | {"studies": cell.n_studies, "outcome": outcome}
        | vars(estimate)
        for group, cells in groups.items()
        for cell in cells
        for outcome, estimate in cell.outcomes.items()
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(path, index=False, float_format="%.6g", na_rep="nan")
    return path


def read_summary(path: Path) -> dict[str, list[Cell]]:
    """Cells by group from a CSV that :func:`write_summary` wrote; none where there is no file."""
    found: dict[str, list[Cell]] = {}
    if path.exists():
        keys = ["group", "design", "studies"]
        for (group, design, studies), rows in pd.read_csv(path).groupby(keys, sort=False):
            values = zip(rows["outcome"], rows["n"], rows["mean"], rows["se"], strict=True)
            outcomes = {name: Estimate(*estimate) for name, *estimate in values}
            found.setdefault(group, []).append(Cell(json.loads(design), studies, outcomes))
    return found

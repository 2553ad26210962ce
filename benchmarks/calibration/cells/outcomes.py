"""What came of the studies of each cell, from the records of the runner."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Cell", "Estimate", "by_group"]


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
    chunks = {record["key"]: record for record in records}
    gathered: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for record in chunks.values():
        name = json.dumps(record["design"], sort_keys=True)
        gathered.setdefault((record["group"], name), []).append(record)
    found: dict[str, list[Cell]] = {}
    for (group, _), members in gathered.items():
        sums: dict[str, Any] = {}
        for record in members:
            for outcome, values in record["outcomes"].items():
                sums[outcome] = np.add(sums.get(outcome, 0), values)
        n_studies = sum(json.loads(record["key"])[-1] for record in members)
        outcomes = {
            outcome: Estimate.of(int(n), float(total), float(squares))
            for outcome, (n, total, squares) in sums.items()
        }
        found.setdefault(group, []).append(Cell(members[0]["design"], n_studies, outcomes))
    return found

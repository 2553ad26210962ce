"""Coverage of what is said of several datasets together, and of one that was left out.

A study has datasets of people of their own; responses are those of
:mod:`cells.tau_intervals`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from cells.tau_intervals import (
    LEVEL,
    Array,
    TauCell,
    draw_examples,
    evidence_of,
    outcome,
    true_probits,
)
from preflamp_stats.inference.pooled import POOLED_INTERVALS, StackedEvidence
from preflamp_stats.inference.strata import Stratum
from preflamp_stats.inference.surrogacy import new_populations
from preflamp_stats.inference.tau_evidence import TauEvidence
from preflamp_stats.kernels.kendall import kendall_tau


@dataclass(frozen=True)
class PooledCell:
    """A design.

    Parameters
    ----------
    n_datasets, n_methods, n_users : int
        Users of each dataset.
    correlation, spread : float
        As of :class:`cells.tau_intervals.TauCell`, in the middle of the datasets.
    between : float
        Standard deviation over datasets of atanh of the correlation and of the log of the spreads.
    recurring : bool
        The same methods, with the same true values, in every dataset.
    """

    n_datasets: int
    n_methods: int
    n_users: int
    correlation: float
    spread: float
    between: float = 0.0
    recurring: bool = False


def _probits(rng: np.random.Generator, cell: PooledCell, n_datasets: int) -> list[Array]:
    """True probits of every dataset, shape (2, method)."""
    found = []
    for _ in range(1 if cell.recurring else n_datasets):
        shift = cell.between * rng.standard_normal(2)
        with np.errstate(divide="ignore"):
            rho = float(np.tanh(np.arctanh(cell.correlation) + shift[0]))
        spread = cell.spread * float(np.exp(shift[1]))
        found.append(true_probits(rng, TauCell(cell.n_methods, cell.n_users, rho, spread)))
    return found * (n_datasets if cell.recurring else 1)


def _evidence(
    rng: np.random.Generator, cell: PooledCell, probits: Array, n_methods: int
) -> TauEvidence:
    """What users say of the first methods."""
    design = TauCell(probits.shape[1], cell.n_users, 0.0, cell.spread)
    _, correct, users = draw_examples(rng, design, probits)
    kept = np.tile(np.arange(probits.shape[1]) < n_methods, 2)
    return evidence_of(rng, correct[:, kept], users, cell.n_users)


def pooled_study(rng: np.random.Generator, cell: PooledCell) -> dict[str, float]:
    """Coverage of the pooled tau."""
    probits = _probits(rng, cell, cell.n_datasets)
    strata = [_evidence(rng, cell, each, cell.n_methods) for each in probits]
    truth = float(np.mean([kendall_tau(*ndtr(each)) for each in probits]))
    weights = np.full(len(strata), 1 / len(strata))
    stacked = StackedEvidence(strata, weights, LEVEL)
    found: dict[str, float] = {}
    for name, limits in POOLED_INTERVALS.items():
        found |= outcome(f"pooled {name}", *limits(stacked), truth)
    return found


def surrogacy_study(rng: np.random.Generator, cell: PooledCell) -> dict[str, float]:
    """Coverage of predictions for the last dataset and for the last method, both left out."""
    probits = _probits(rng, cell, cell.n_datasets + 1)
    known = cell.n_methods - 1
    strata = []
    for place, each in enumerate(probits[:-1]):
        evidence = _evidence(rng, cell, each, known)
        prefix = "" if cell.recurring else f"{place} "
        methods = [f"{prefix}{method}" for method in range(known)]
        strata.append(Stratum(f"d{place}", "", f"d{place}", methods, evidence))
    elsewhere = new_populations(strata, np.eye(len(strata)))
    found: dict[str, float] = {}
    asked = {
        # Two methods of the dataset left out; the method left out of the first, and another.
        "new dataset": (probits[-1][:, :2], elsewhere.models["dataset"]),
        "new method": (probits[0][:, [-1, 0]], elsewhere.models["method"]),
        "new method, own dataset": (probits[0][:, [-1, 0]], elsewhere.by_stratum[0]),
    }
    for name, (pair, model) in asked.items():
        x, y = ndtr(pair)
        _, low, high = elsewhere.predict(float(x[0] - x[1]), LEVEL, model)
        made = outcome(name, low, high, float(y[0] - y[1]))
        absent = bool(np.isnan(low))
        found |= {f"{name} absent": float(absent)}
        found |= dict.fromkeys(made, np.nan) if absent else made
    if not cell.between and not cell.recurring:
        found |= outcome("R² trial", *elsewhere.trial(LEVEL)[1:], cell.correlation**2)
    return found

"""Random cases for comparisons: ties, NaN, and users of very unequal size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Case = tuple[Any, ...]
Draw = Callable[[np.random.Generator], Case]


def _values(rng: np.random.Generator, size: int) -> Array:
    """Numbers with ties (few levels) or without, in a third of the cases with NaN."""
    levels = rng.choice([2, 4, 8, 0])
    values = rng.normal(size=size) if levels == 0 else rng.integers(levels, size=size) / levels
    if rng.random() < 1 / 3:
        values = np.where(rng.random(size) < 0.2, np.nan, values)
    return np.asarray(values, dtype=np.float64)


def two_metrics(largest: int) -> Draw:
    def draw(rng: np.random.Generator) -> Case:
        size = int(rng.integers(2, largest + 1))
        return _values(rng, size), _values(rng, size)

    return draw


def differences(rng: np.random.Generator) -> Case:
    size = int(rng.integers(2, 60))
    values = rng.normal(rng.normal(0, 0.5), rng.lognormal(0, 1), size)
    return (np.round(values, int(rng.integers(1, 8))) + 1e-3 * rng.normal(size=size),)


def p_values(rng: np.random.Generator) -> Case:
    size = int(rng.integers(1, 30))
    p = rng.random(size) ** rng.choice([1.0, 3.0])
    p = np.round(p, int(rng.choice([1, 2, 12])))
    return (np.where(rng.random(size) < 0.1, np.nan, p),)


def _sizes(rng: np.random.Generator, users: int) -> NDArray[np.int64]:
    """Examples of each user: from one to hundreds."""
    return np.maximum(1, rng.lognormal(1.5, rng.choice([0.1, 1.5]), users)).astype(np.int64)


def credits_of_users(rng: np.random.Generator) -> Case:
    """Credits of unequal users: sums and counts, shape (user, method)."""
    users, methods = int(rng.integers(3, 40)), int(rng.integers(2, 7))
    counts = np.repeat(_sizes(rng, users)[:, None], methods, axis=1)
    if rng.random() < 0.5:
        counts = np.where(rng.random(counts.shape) < 0.15, 0, counts)
        counts[:2] = 3
    sums = rng.binomial(2 * counts, rng.beta(4, 3, counts.shape)) / 2
    return sums.astype(np.float64), counts.astype(np.float64)


def complete_scores(rng: np.random.Generator) -> Case:
    """Scores of equal users: two metrics of each method, shape (user, 2 x method)."""
    users, methods = int(rng.integers(3, 40)), int(rng.integers(2, 7))
    shared = rng.normal(size=(users, 1)) * rng.choice([0.0, 2.0])
    effects = rng.normal(size=2 * methods) * rng.choice([0.1, 1.0])
    return (shared + effects + rng.normal(size=(users, 2 * methods)),)


def paired_scores(rng: np.random.Generator) -> Case:
    size = int(rng.integers(1, 20))
    base, reward = ([_values(rng, size) for _ in range(2)] for _ in range(2))
    weights = np.array([0.0, 0.5, 1.0, float(rng.lognormal()), np.inf])
    return base, reward, weights, rng.choice(["half", "strict", "drop"])

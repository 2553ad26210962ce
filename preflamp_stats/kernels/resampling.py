"""Bootstrap resamples as counts, and sums of ratios over them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["bootstrap_counts", "resampled_ratios"]

_CHUNK_COUNTS = 2**21
_CACHED_COUNTS = 2**14


def bootstrap_counts(
    n_units: int, n_resamples: int, seed: np.random.SeedSequence
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """How often each unit was drawn, a chunk of resamples at a time.

    A resample draws ``n_units`` units with replacement. Each chunk has a random stream of its own,
    and its size depends on ``n_units`` alone, so that resample b is the same however many are asked
    for and in whatever order the chunks are computed.

    Parameters
    ----------
    n_units : int
        Units, such as users.
    n_resamples : int
        Resamples.
    seed : numpy.random.SeedSequence
        Root of the streams; it is not changed.

    Yields
    ------
    where : slice
        Which resamples the chunk holds.
    counts : ndarray of float32, shape (resample, unit)
        Whole numbers; each row sums to ``n_units``.

    Examples
    --------
    >>> where, counts = next(bootstrap_counts(4, 2, np.random.SeedSequence(0)))
    >>> where, counts.sum(axis=1)
    (slice(0, 2, None), array([4., 4.], dtype=float32))
    """
    size = max(1, min(1024, _CHUNK_COUNTS // n_units))
    together = max(1, _CACHED_COUNTS // n_units)  # rows counted by one call
    row_offsets = np.arange(min(together, size))[:, None] * n_units
    for number, start in enumerate(range(0, n_resamples, size)):
        stream = np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, number))
        generator = np.random.Generator(np.random.PCG64(stream))
        rows = min(size, n_resamples - start)
        counts = np.empty((rows, n_units), dtype=np.float32)
        for first in range(0, rows, together):
            some = counts[first : first + together]
            drawn = generator.integers(0, n_units, some.shape)
            drawn += row_offsets[: len(some)]
            some[:] = np.bincount(drawn.ravel(), minlength=some.size).reshape(some.shape)
        yield slice(start, start + rows), counts


def resampled_ratios(
    sums: NDArray[np.float64],
    counts: NDArray[np.float64],
    n_resamples: int,
    seed: np.random.SeedSequence,
    *,
    denominators: NDArray[np.intp] | None = None,
) -> NDArray[np.float64]:
    """Bootstrap draws of Σs/Σn over units, all columns on the same draws.

    Parameters
    ----------
    sums : ndarray, shape (unit, column)
        Numerator of each unit, on a grid where sums are exact (see ``exact_step``).
    counts : ndarray, shape (unit, denominator)
        Denominators of each unit, each distinct column once.
    n_resamples : int
        Resamples.
    seed : numpy.random.SeedSequence
        Root of the random streams.
    denominators : ndarray of int, shape (column,), optional
        Which column of ``counts`` belongs to each column of ``sums``. May be left out where
        ``counts`` has a single column.

    Returns
    -------
    ndarray of float64, shape (n_resamples, column)
        NaN where a resample holds nothing of a column.

    Examples
    --------
    >>> sums, counts = np.array([[1.0], [0.0]]), np.array([[1.0], [1.0]])
    >>> draws = resampled_ratios(sums, counts, 500, np.random.SeedSequence(1))
    >>> np.unique(draws)
    array([0. , 0.5, 1. ])
    """
    if denominators is None:
        denominators = np.zeros(sums.shape[1], dtype=np.intp)
    columns = np.hstack([sums, counts])
    products = _Products(columns)
    draws = np.empty((n_resamples, sums.shape[1]))
    for where, resampled in bootstrap_counts(len(sums), n_resamples, seed):
        numerator, denominator = np.split(products(resampled), [sums.shape[1]], axis=1)
        denominator = denominator[:, denominators]
        there = denominator > 0
        np.divide(numerator, denominator, out=draws[where], where=there)
        if not there.all():
            draws[where][~there] = np.nan
    return draws


class _Products:
    """Exact sums of columns over resamples, in single precision where that is exact.

    Multiples of a half (sums of credits) whose largest possible resampled sum, the largest unit
    drawn every time, stays under 2²⁴ halves are exact in float32, at half the price.
    """

    def __init__(self, columns: NDArray[np.float64]) -> None:
        largest = np.abs(columns).max(axis=0, initial=0.0) * len(columns)
        self.single = (largest < 2**23) & (np.rint(2 * columns) == 2 * columns).all(axis=0)
        self.halves = columns[:, self.single].astype(np.float32)
        self.others = columns[:, ~self.single]

    def __call__(self, resampled: NDArray[np.float32]) -> NDArray[np.float64]:
        if not self.others.shape[1]:
            return (resampled @ self.halves).astype(np.float64)
        totals = np.empty((len(resampled), self.single.size))
        totals[:, self.single] = resampled @ self.halves
        totals[:, ~self.single] = resampled.astype(np.float64) @ self.others
        return totals

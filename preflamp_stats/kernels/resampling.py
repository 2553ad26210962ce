"""Bootstrap resamples as counts, and sums of ratios over them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["bootstrap_counts", "ratio_draws", "resampled_ratios"]

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


def ratio_draws(
    sums: NDArray[np.float64], counts: NDArray[np.float64], resampled: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Ratios of sums over resampled units.

    Parameters
    ----------
    sums : ndarray, shape (unit, column)
        Numerator of each unit.
    counts : ndarray, shape (unit, column) or (unit, 1)
        Denominator of each unit; one column where all columns share it.
    resampled : ndarray, shape (resample, unit)
        How often each unit was drawn.

    Returns
    -------
    ndarray of float64, shape (resample, column)
        NaN where a resample holds nothing of a column.
    """
    weights = resampled.astype(sums.dtype, copy=False)
    numerator = (weights @ sums).astype(np.float64, copy=False)
    denominator = (weights @ counts).astype(np.float64, copy=False)
    ratio = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=ratio, where=denominator > 0)
    return ratio


def resampled_ratios(
    sums: NDArray[np.float64],
    counts: NDArray[np.float64],
    n_resamples: int,
    seed: np.random.SeedSequence,
) -> NDArray[np.float64]:
    """Bootstrap draws of Σs/Σn over units, all columns on the same draws.

    Parameters
    ----------
    sums : ndarray, shape (unit, column)
        Numerator of each unit, on a grid where sums are exact (see ``exact_step``).
    counts : ndarray, shape (unit, column) or (unit, 1)
        Denominator of each unit.
    n_resamples : int
        Resamples.
    seed : numpy.random.SeedSequence
        Root of the random streams.

    Returns
    -------
    ndarray of float64, shape (n_resamples, column)

    Examples
    --------
    >>> sums, counts = np.array([[1.0], [0.0]]), np.array([[1.0], [1.0]])
    >>> draws = resampled_ratios(sums, counts, 500, np.random.SeedSequence(1))
    >>> sorted(set(draws[:, 0]))
    [np.float64(0.0), np.float64(0.5), np.float64(1.0)]
    """
    if _exact_in_float32(sums) and _exact_in_float32(counts):
        sums, counts = sums.astype(np.float32), counts.astype(np.float32)
    draws = np.empty((n_resamples, sums.shape[1]))
    for where, resampled in bootstrap_counts(len(sums), n_resamples, seed):
        draws[where] = ratio_draws(sums, counts, resampled)
    return draws


def _exact_in_float32(values: NDArray[np.float64]) -> bool:
    """Whether every resampled sum of these values is exact in float32.

    Multiples of a half (sums of credits) whose largest possible resampled sum, the largest unit
    drawn every time, stays under 2²⁴ halves; half the price of float64 in the matrix product.
    """
    largest = float(np.abs(values).max(initial=0.0)) * len(values)
    return largest < 2**23 and bool(np.array_equal(np.rint(2 * values), 2 * values))

"""Which of two metrics predicts better? Tests that swap their values at random."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from preflamp_stats.choices import Variant
from preflamp_stats.kernels.kendall import kendall_tau
from preflamp_stats.kernels.permutation import (
    Alternative,
    Null,
    PermutationTest,
    permutation_p_value,
)

__all__ = ["Cells", "SwapScheme", "common_scale", "swap_test"]

Array = NDArray[np.float64]
SwapScheme = Literal["perm-inputs", "perm-systems", "perm-both-rows", "perm-both-cells"]

_CHUNK_VALUES = 2**22


@dataclass(frozen=True)
class Cells:
    """A metric by unit and method, as sums and counts; their totals' ratio is the estimate.

    Parameters
    ----------
    sums, counts : ndarray, shape (unit, method)
        Sum of the unit's values and their number, 0 where there are none.
    """

    sums: Array
    counts: Array

    def means(self) -> Array:
        """Estimates Σs/Σn, shape (method,); NaN where there is nothing."""
        return _ratio(self.sums.sum(axis=0), self.counts.sum(axis=0))


def common_scale(x: Cells, y: Cells) -> tuple[Cells, Cells]:
    """Standardise two metrics over all their cells, so that swapping values makes sense.

    Each metric loses its mean and is divided by the standard deviation of its cell means, both
    weighted by the counts, with a rounding of about 10⁻⁶ in the scale and 10⁻⁹ in the sums. That
    puts every value on one binary grid on which all sums of cells are exact, so that methods that
    tie before a swap tie after it, and the order of summation cannot matter.

    Parameters
    ----------
    x, y : Cells
        Two metrics over the same units and methods.

    Returns
    -------
    x, y : Cells
        Standardised; a constant metric is only centred.

    Examples
    --------
    >>> one = Cells(np.array([[1.0, 0.0], [0.0, 1.0]]), np.ones((2, 2)))
    >>> common_scale(one, Cells(10 * one.sums, one.counts))[1].sums.round(5)
    array([[ 1., -1.],
           [-1.,  1.]])
    """
    moments = [_moments(cells) for cells in (x, y)]
    # A total of all values times the scale stays under 2⁵⁰ steps of the common grid.
    sizes = [
        (np.abs(c.sums).sum() + abs(mean) * c.counts.sum()) / sd
        for c, (mean, sd) in zip((x, y), moments, strict=True)
    ]
    step = _power_of_two(max(sizes)) * 2.0**-50
    return (_scaled(x, *moments[0], step), _scaled(y, *moments[1], step))


def _moments(cells: Cells) -> tuple[float, float]:
    there = cells.counts > 0
    n = cells.counts[there]
    values = cells.sums[there] / n
    mean = float(np.average(values, weights=n))
    sd = math.sqrt(float(np.average((values - mean) ** 2, weights=n)))
    return mean, sd if sd > 1e-12 * abs(mean) else 1.0


def _scaled(cells: Cells, mean: float, sd: float, step: float) -> Cells:
    grid = _power_of_two(float(np.abs(cells.sums).sum())) * 2.0**-30
    scale = max(1.0, np.rint(grid / (sd * step))) * (step / grid)
    shift = np.rint(mean * scale / step) * step
    sums = np.rint(cells.sums / grid) * grid * scale - cells.counts * shift
    return Cells(sums, cells.counts)


def _power_of_two(bound: float) -> float:
    return 2.0 ** math.ceil(math.log2(max(bound, np.finfo(np.float64).tiny)))


def swap_test(
    x: Cells,
    y: Cells,
    z: ArrayLike,
    *,
    scheme: SwapScheme,
    n_resamples: int = 10_000,
    rng: np.random.Generator,
    alternative: Alternative = "two-sided",
    variant: Variant = "b",
) -> PermutationTest:
    """Test whether x agrees better with z than y does: tau(x, z) − tau(y, z).

    The values of x and y are swapped at random, each swap with probability ½: those of whole units
    ("perm-inputs"), of whole methods ("perm-systems"), of whole methods and then of whole units
    ("perm-both-rows"), or of each cell of method and unit on its own ("perm-both-cells"). All
    2ᴺ swaps are visited where they are at most ``n_resamples``.

    Parameters
    ----------
    x, y : Cells
        The metrics, standardised (:func:`common_scale`).
    z : array_like, shape (method,)
        The metric that they are compared with.
    scheme : {"perm-inputs", "perm-systems", "perm-both-rows", "perm-both-cells"}
        What is swapped.
    n_resamples, rng, alternative, variant
        As for :func:`~preflamp_stats.kernels.permutation.tau_permutation_test`.

    Returns
    -------
    PermutationTest

    Raises
    ------
    ValueError
        For an unknown scheme or alternative.

    References
    ----------
    Deutsch, Dror and Roth (2021), A statistical analysis of summarization evaluation metrics using
    resampling methods, TACL 9:1132-1146. Their software swaps rows, then columns; others that cite
    them swap cells.

    Examples
    --------
    >>> counts = np.ones((1, 3))
    >>> x, y = Cells(np.array([[1.0, 2, 3]]), counts), Cells(np.array([[3.0, 2, 1]]), counts)
    >>> found = swap_test(x, y, [1, 2, 3], scheme="perm-inputs", rng=np.random.default_rng(0))
    >>> found.statistic, found.p_value, found.draws
    (2.0, 1.0, array([ 2., -2.]))
    """
    if scheme not in get_args(SwapScheme):
        raise ValueError(f"scheme {scheme!r} is none of {', '.join(get_args(SwapScheme))}")
    n_units, n_methods = x.sums.shape
    n_swaps = {
        "perm-inputs": n_units,
        "perm-systems": n_methods,
        "perm-both-rows": n_methods + n_units,
        "perm-both-cells": n_methods * n_units,
    }[scheme]
    z = np.asarray(z, dtype=np.float64)

    def difference(means: tuple[Array, Array]) -> Array:
        taus = [np.atleast_1d(kendall_tau(m, z, variant=variant)) for m in means]
        return np.asarray(taus[0] - taus[1])

    statistic = float(difference((x.means(), y.means()))[0])
    if np.isnan(statistic):
        return PermutationTest(statistic, np.nan, 0, "exact", np.empty(0))
    sampled = n_swaps > math.log2(n_resamples)
    swaps = _random_swaps(n_swaps, n_resamples, rng) if sampled else _all_swaps(n_swaps)
    swapper = _Swapper(x, y, scheme)
    draws = np.concatenate([difference(swapper(some)) for some in swaps])
    p_value = permutation_p_value(statistic, draws, alternative=alternative, sampled=sampled)
    null: Null = "sampled" if sampled else "enumerated"
    return PermutationTest(statistic, p_value, len(draws), null, draws)


class _Swapper:
    """Means of both metrics after swaps, from the units' sums: units × permutations in all."""

    def __init__(self, x: Cells, y: Cells, scheme: SwapScheme) -> None:
        self.scheme = scheme
        self.shape = x.sums.shape
        self.columns = [(a, b) for a, b in ((x.sums, y.sums), (x.counts, y.counts))]

    def __call__(self, swaps: NDArray[np.bool_]) -> tuple[Array, Array]:
        (x_sums, y_sums), (x_counts, y_counts) = (
            self._swapped(x, y, swaps) for x, y in self.columns
        )
        return _ratio(x_sums, x_counts), _ratio(y_sums, y_counts)

    def _swapped(self, x: Array, y: Array, swaps: NDArray[np.bool_]) -> tuple[Array, Array]:
        """Totals over units after swaps, each of shape (permutation, method)."""
        n_methods = self.shape[1]
        if self.scheme == "perm-both-rows":
            by_input = self._totals(x, y, swaps[:, n_methods:])
            return self._by_method(*by_input, swaps[:, :n_methods])
        if self.scheme == "perm-systems":
            return self._by_method(x.sum(axis=0), y.sum(axis=0), swaps)
        return self._totals(x, y, swaps)

    def _totals(self, x: Array, y: Array, swaps: NDArray[np.bool_]) -> tuple[Array, Array]:
        start, end = x.sum(axis=0), y.sum(axis=0)
        change = y - x
        if not change.any():
            return start, end
        if self.scheme == "perm-both-cells":
            by_method = swaps.reshape(len(swaps), self.shape[1], self.shape[0])
            moved = np.stack(
                [by_method[:, m].astype(np.float64) @ change[:, m] for m in range(self.shape[1])],
                axis=1,
            )
        else:
            moved = swaps.astype(np.float64) @ change
        return start + moved, end - moved

    @staticmethod
    def _by_method(x: Array, y: Array, swaps: NDArray[np.bool_]) -> tuple[Array, Array]:
        return np.where(swaps, y, x), np.where(swaps, x, y)


def _all_swaps(n_swaps: int) -> Iterator[NDArray[np.bool_]]:
    numbers, places = np.arange(2**n_swaps), np.arange(n_swaps)
    yield (numbers[:, None] >> places & 1).astype(np.bool_)


def _random_swaps(
    n_swaps: int, n_resamples: int, rng: np.random.Generator
) -> Iterator[NDArray[np.bool_]]:
    rows = max(1, _CHUNK_VALUES // n_swaps)
    for start in range(0, n_resamples, rows):
        shape = (min(rows, n_resamples - start), n_swaps)
        yield rng.integers(0, 2, shape, dtype=np.bool_)


def _ratio(sums: Array, counts: Array) -> Array:
    found = np.full(np.broadcast_shapes(sums.shape, counts.shape), np.nan)
    np.divide(sums, counts, out=found, where=counts > 0)
    return found

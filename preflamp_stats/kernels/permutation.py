"""Permutation tests: is there an association, and which of two metrics predicts better?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from preflamp_stats.choices import Variant
from preflamp_stats.kernels.kendall import kendall_tau

__all__ = [
    "Alternative",
    "Cells",
    "Null",
    "PermutationTest",
    "SwapScheme",
    "common_scale",
    "permutation_p_value",
    "swap_test",
    "tau_permutation_test",
]

Array = NDArray[np.float64]
Alternative = Literal["two-sided", "greater", "less"]
SwapScheme = Literal["perm-inputs", "perm-systems", "perm-both-rows", "perm-both-cells"]
Null = Literal["exact", "enumerated", "sampled"]

_TOLERANCE = 1e-10  # taus that differ at all differ by more
_LARGEST_EXACT = 100
_CHUNK_VALUES = 2**22


@dataclass(frozen=True)
class PermutationTest:
    """Outcome of a permutation test.

    Parameters
    ----------
    statistic : float
        Of the data; NaN where it is undefined.
    p_value : float
        Never 0; NaN where the statistic is.
    n_permutations : int
        Permutations looked at; 0 where the null distribution is exact.
    null : {"exact", "enumerated", "sampled"}
        Known in closed form, every permutation visited, or drawn at random.
    draws : ndarray, shape (permutation,)
        Statistic of each permutation; empty where the null distribution is exact.
    """

    statistic: float
    p_value: float
    n_permutations: int
    null: Null
    draws: Array


def permutation_p_value(
    statistic: float, draws: ArrayLike, *, alternative: Alternative = "two-sided", sampled: bool
) -> float:
    """Share of permutations at least as extreme as the data.

    Parameters
    ----------
    statistic : float
        Of the data.
    draws : array_like, shape (permutation,)
        Of the permutations; one whose statistic is undefined counts as extreme.
    alternative : {"two-sided", "greater", "less"}
        "two-sided" compares sizes, whatever the sign.
    sampled : bool
        Whether the permutations were drawn at random. The data are then one permutation more,
        which gives (c + 1) / (B + 1); among all permutations they are already counted.

    Returns
    -------
    float

    References
    ----------
    Phipson and Smyth (2010), Permutation p-values should never be zero, Statistical Applications
    in Genetics and Molecular Biology 9:39.

    Examples
    --------
    >>> permutation_p_value(0.9, [0.1, -0.9, 0.3], sampled=True)
    0.5
    """
    if alternative not in get_args(Alternative):
        raise ValueError(
            f"alternative {alternative!r} is none of {', '.join(get_args(Alternative))}"
        )
    values = np.asarray(draws, dtype=np.float64)
    if alternative == "two-sided":
        statistic, values = abs(statistic), np.abs(values)
    elif alternative == "less":
        statistic, values = -statistic, -values
    if np.isnan(statistic):
        return np.nan
    extreme = int(np.sum(~(values < statistic - _TOLERANCE)))
    return (extreme + sampled) / (len(values) + sampled)


def tau_permutation_test(
    x: ArrayLike,
    y: ArrayLike,
    *,
    n_resamples: int = 10_000,
    rng: np.random.Generator,
    alternative: Alternative = "two-sided",
    variant: Variant = "b",
) -> PermutationTest:
    """Test whether two metrics are associated, by permuting one of them over the methods.

    Without ties the null distribution of tau is known exactly; with ties, or for the weighted
    tau, all M! permutations are visited where they are at most ``n_resamples``, and as many are
    drawn at random where they are more.

    Parameters
    ----------
    x, y : array_like, shape (method,)
        Metrics; methods with a NaN in either are left out.
    n_resamples : int
        Permutations at most.
    rng : numpy.random.Generator
        Source of the random permutations.
    alternative : {"two-sided", "greater", "less"}
        "two-sided" compares the size of tau.
    variant : {"a", "b", "c", "weighted"}
        Kendall's tau.

    Returns
    -------
    PermutationTest

    References
    ----------
    Kendall (1970), Rank Correlation Methods, chapter 5.

    Examples
    --------
    One of the 24 orders of four methods agrees perfectly.

    >>> test = tau_permutation_test(
    ...     [1, 2, 3, 4], [10, 20, 30, 40], rng=np.random.default_rng(0), alternative="greater"
    ... )
    >>> test.null, round(1 / test.p_value)
    ('exact', 24)
    """
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    both = ~(np.isnan(first) | np.isnan(second))
    first, second = first[both], second[both]
    n_items = len(first)
    tau = float(kendall_tau(first, second, variant=variant))
    if np.isnan(tau):
        return PermutationTest(tau, np.nan, 0, "exact", np.empty(0))
    untied = len(np.unique(first)) == len(np.unique(second)) == n_items
    if untied and variant != "weighted" and n_items <= _LARGEST_EXACT:
        found = stats.kendalltau(first, second, method="exact", alternative=alternative)
        return PermutationTest(tau, float(found.pvalue), 0, "exact", np.empty(0))
    sampled = n_items > 20 or math.factorial(n_items) > n_resamples
    orders = _random_orders(n_items, n_resamples, rng) if sampled else _all_orders(n_items)
    draws = np.concatenate([kendall_tau(first, second[o], variant=variant) for o in orders])
    p_value = permutation_p_value(tau, draws, alternative=alternative, sampled=sampled)
    return PermutationTest(tau, p_value, len(draws), "sampled" if sampled else "enumerated", draws)


def _all_orders(n_items: int) -> Iterator[NDArray[np.intp]]:
    orders = itertools.permutations(range(n_items))
    while some := list(itertools.islice(orders, 4096)):
        yield np.array(some, dtype=np.intp)


def _random_orders(
    n_items: int, n_resamples: int, rng: np.random.Generator
) -> Iterator[NDArray[np.intp]]:
    rows = max(1, _CHUNK_VALUES // n_items)
    for start in range(0, n_resamples, rows):
        some = np.tile(np.arange(n_items), (min(rows, n_resamples - start), 1))
        yield rng.permuted(some, axis=1)


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
        As for :func:`tau_permutation_test`.

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

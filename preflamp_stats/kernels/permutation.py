"""Permutation test of an association over methods, and the p-value of any permutation test."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from preflamp_stats.choices import Variant
from preflamp_stats.kernels.kendall import kendall_tau

__all__ = [
    "Alternative",
    "Null",
    "PermutationTest",
    "permutation_p_value",
    "tau_permutation_test",
]

Array = NDArray[np.float64]
Alternative = Literal["two-sided", "greater", "less"]
Null = Literal["exact", "enumerated", "sampled"]

_TOLERANCE = 1e-10  # taus that differ at all differ by more
_LARGEST_EXACT = 100
_CHUNK_VALUES = 2**22
_DIGITS = 12


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
    blocks: Sequence[ArrayLike] = (),
) -> PermutationTest:
    """Test whether two metrics are associated, by permuting one of them over the methods.

    Without ties the null distribution of tau is known exactly; with ties, or for the weighted
    tau, all M! permutations are visited where they are at most ``n_resamples``, and as many are
    drawn at random where they are more. Methods of one block are no independent evidence: the
    second metric's means of blocks then change places among blocks, and what its methods differ
    from that mean among the methods of a block.

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
    blocks : sequence of array_like of int, shape (method,)
        Labels from 0 of blocks of methods, such as families; each within those before it.

    Returns
    -------
    PermutationTest

    Notes
    -----
    With blocks the test is exact where blocks are of one size and, of either metric, the effects
    of blocks and those of methods within them are exchangeable; means of blocks of different sizes
    are nearly so. Three blocks can be ordered in six ways: they show little by themselves.

    References
    ----------
    Kendall (1970), Rank Correlation Methods, chapter 5. Winkler, Webster, Vidaurre, Nichols and
    Smith (2015), Multi-level block permutation, NeuroImage 123:253-268.

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
    labels = [np.unique(np.asarray(b)[both], return_inverse=True)[1] for b in blocks]
    labels = [b for b in labels if 0 < b.max(initial=0) < len(b) - 1]
    n_items = len(first)
    tau = float(kendall_tau(first, second, variant=variant))
    if np.isnan(tau):
        return PermutationTest(tau, np.nan, 0, "exact", np.empty(0))
    untied = len(np.unique(first)) == len(np.unique(second)) == n_items
    if untied and not labels and variant != "weighted" and n_items <= _LARGEST_EXACT:
        p_value = _exact_p_value(tau, n_items, alternative)
        return PermutationTest(tau, p_value, 0, "exact", np.empty(0))
    sampled = bool(labels) or n_items > 20 or math.factorial(n_items) > n_resamples
    if labels:
        permuted = _within_blocks(second, labels, n_resamples, rng)
    else:
        orders = _random_orders(n_items, n_resamples, rng) if sampled else _all_orders(n_items)
        permuted = (second[order] for order in orders)
    draws = np.concatenate([kendall_tau(first, some, variant=variant) for some in permuted])
    p_value = permutation_p_value(tau, draws, alternative=alternative, sampled=sampled)
    return PermutationTest(tau, p_value, len(draws), "sampled" if sampled else "enumerated", draws)


def _exact_p_value(tau: float, n_items: int, alternative: Alternative) -> float:
    """Share of all orders whose tau, without ties, is at least as extreme."""
    pairs = n_items * (n_items - 1) // 2
    agreeing = round((tau + 1) / 2 * pairs)
    if alternative == "two-sided":
        fewer = min(agreeing, pairs - agreeing)
        return min(1.0, 2 * _at_most(n_items, fewer))
    return _at_most(n_items, agreeing if alternative == "less" else pairs - agreeing)


def _at_most(n_items: int, agreeing: int) -> float:
    """Probability that at most so many pairs agree in a random order."""
    below = _lower_half(n_items)
    if agreeing < len(below):
        return float(below[agreeing])
    # The other half mirrors it; of all pairs but these, one fewer is the complement.
    others = n_items * (n_items - 1) // 2 - agreeing - 1
    return 1.0 - float(below[others]) if others >= 0 else 1.0


@lru_cache(maxsize=32)
def _lower_half(n_items: int) -> Array:
    """Probabilities of at most 0, 1, … agreeing pairs, to half of all pairs.

    The k-th item adds a number of pairs that is uniform on 0 … k − 1, so that probabilities are
    sums over windows of those of one item less.
    """
    half = n_items * (n_items - 1) // 4 + 1
    mass = np.zeros(half)
    mass[0] = 1.0
    for k in range(2, n_items + 1):
        running = np.cumsum(mass)
        running[k:] -= running[:-k].copy() if half > k else 0.0
        mass = running / k
    return np.cumsum(mass)


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


def _within_blocks(
    values: Array, blocks: Sequence[NDArray[np.intp]], n_resamples: int, rng: np.random.Generator
) -> Iterator[Array]:
    """Values of methods, shape (some, method), the effects of every level permuted in its block."""
    n_items = len(values)
    parent, above = np.zeros(n_items, dtype=np.intp), np.full(n_items, values.mean())
    levels = []
    for label in (*blocks, np.arange(n_items)):
        _, member = np.unique(label, return_index=True)
        mean = (np.bincount(label, values) / np.bincount(label))[label]
        order = np.argsort(parent[member], kind="stable")
        effect = (mean - above)[member][order]
        levels.append((parent[member][order], effect, np.argsort(order)[label]))
        parent, above = label, mean
    # Rounded, for what ties as observed must tie when it is put together anew.
    # A constant metric has a tau of kind a, 0, and no scale.
    spread = float(np.abs(values - values.mean()).max()) or 1.0
    digits = _DIGITS - math.ceil(math.log10(spread))
    rows = max(1, _CHUNK_VALUES // n_items)
    for start in range(0, n_resamples, rows):
        some = np.full((min(rows, n_resamples - start), n_items), values.mean())
        for group, effect, place in levels:
            # Parents are whole numbers in order, so that numbers below 1 sort within them.
            order = np.argsort(group + rng.random((len(some), len(group))), axis=1)
            some += effect[order][:, place]
        yield some.round(digits)

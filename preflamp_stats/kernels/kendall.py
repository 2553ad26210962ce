"""Kendall's tau from its sufficient statistics, over batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from preflamp_stats.choices import Variant

__all__ = ["PairCounts", "kendall_tau", "pair_counts", "tau_from_counts"]

_CHUNK_ROWS = 1024
_PAIRWISE_LIMIT = 2000
_FEWEST_SORTED = 24
"""Items from which on it pays to sort rows first."""

Counts = NDArray[np.float64]


@dataclass(frozen=True)
class PairCounts:
    """How the pairs of two rankings agree, counted or (for the weighted tau) weighed.

    Parameters
    ----------
    balance : ndarray
        Concordant minus discordant pairs.
    untied_x, untied_y : ndarray
        Pairs that differ in x, in y.
    pairs : ndarray
        All pairs of items that have both values.
    distinct : ndarray or None
        Smaller number of distinct values of x and of y (tau-c only).
    items : ndarray
        Items that have both values.
    """

    balance: Counts
    untied_x: Counts
    untied_y: Counts
    pairs: Counts
    items: Counts
    distinct: Counts | None = None


def kendall_tau(x: ArrayLike, y: ArrayLike, *, variant: Variant = "b") -> NDArray[np.float64]:
    """Kendall's rank correlation along the last axis.

    Parameters
    ----------
    x, y : array_like, shape (..., item)
        Values; leading dims are broadcast. Items with a NaN in either are left out.
    variant : {"a", "b", "c", "weighted"}
        Tau-a divides by all pairs, tau-b corrects for ties, tau-c for the number of categories
        (Stuart 1953); "weighted" gives pairs with highly ranked items more weight (Vigna 2015,
        additive hyperbolic, mean of the ranks by x and by y).

    Returns
    -------
    ndarray of float64, shape (...)
        In [−1, 1]; NaN where it is undefined: under two items, or (b, c, weighted) a constant.

    Raises
    ------
    ValueError
        For an unknown variant, or numbers without an axis of items.

    Examples
    --------
    Of the six pairs of four items four agree and two do not: (4 − 2) / 6.

    >>> kendall_tau([1, 2, 3, 4], [1, 3, 4, 2]).round(3)
    np.float64(0.333)

    References
    ----------
    Kendall (1970), Rank Correlation Methods; Stuart (1953), Biometrika 40:105-110;
    Vigna (2015), A weighted correlation index for rankings with ties, WWW.
    """
    x, y = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
    if variant not in get_args(Variant):
        raise ValueError(f"variant {variant!r} is none of {', '.join(get_args(Variant))}")
    if x.ndim == 0:
        raise ValueError("x and y need an axis of items")
    if x.shape[-1] < 2:
        return np.full(x.shape[:-1], np.nan)[()]
    if x.shape[-1] > _PAIRWISE_LIMIT:
        return _tau_of_long_rows(x, y, variant)
    flat_x, flat_y = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
    tau = np.empty(len(flat_x))
    for start in range(0, len(tau), _CHUNK_ROWS):
        rows = slice(start, start + _CHUNK_ROWS)
        tau[rows] = _tau_of_rows(flat_x[rows], flat_y[rows], variant)
    return tau.reshape(x.shape[:-1])[()]


def _tau_of_rows(x: Counts, y: Counts, variant: Variant) -> Counts:
    if variant != "weighted":
        return tau_from_counts(pair_counts(x, y, distinct=variant == "c"), variant)
    by_x = pair_counts(x, y, weights=_hyperbolic_weights(x, y))
    by_y = pair_counts(x, y, weights=_hyperbolic_weights(y, x))
    return (tau_from_counts(by_x, "weighted") + tau_from_counts(by_y, "weighted")) / 2


def pair_counts(
    x: ArrayLike, y: ArrayLike, *, weights: ArrayLike | None = None, distinct: bool = False
) -> PairCounts:
    """Sufficient statistics of every variant of Kendall's tau.

    Parameters
    ----------
    x, y : array_like, shape (row, item)
        Values; items with a NaN in either are left out.
    weights : array_like, shape (row, item), optional
        A pair counts as the sum of its items' weights instead of 1.
    distinct : bool
        Count the distinct values too, which tau-c needs.

    Returns
    -------
    PairCounts
        Arrays of shape (row,).

    Examples
    --------
    >>> counts = pair_counts([[1, 2, 2]], [[1, 2, 3]])
    >>> counts.balance, counts.untied_x, counts.untied_y
    (array([2.]), array([2.]), array([3.]))
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if weights is None and x.shape[-1] >= _FEWEST_SORTED:
        order = np.argsort(x, axis=-1)
        plain = _increases(np.take_along_axis(x, order, axis=-1)) & _increases(np.sort(y, axis=-1))
        if plain.any():
            return _of_untied(x, y, order, plain, distinct)
    return _all_pairs(x, y, weights, distinct=distinct)


def _all_pairs(
    x: Counts, y: Counts, weights: ArrayLike | None = None, *, distinct: bool = False
) -> PairCounts:
    missing = np.isnan(x) | np.isnan(y)
    x, y = np.where(missing, np.nan, x), np.where(missing, np.nan, y)
    # Items first: each comparison then runs along contiguous rows.
    xt, yt = np.ascontiguousarray(x.T), np.ascontiguousarray(y.T)
    items = np.sum(~missing, axis=-1).astype(np.float64)
    balance, untied_x, untied_y = (np.zeros(len(x)) for _ in range(3))
    pairs = items * (items - 1) / 2
    if weights is None:
        # One byte holds a column sum of up to 127 signs, and adds four times as fast as a word.
        narrow = np.int8 if len(xt) <= np.iinfo(np.int8).max else np.int32
        for i in range(len(xt) - 1):
            sign_x, sign_y = _signs(xt, i), _signs(yt, i)
            balance += (sign_x * sign_y).sum(axis=0, dtype=narrow)
            untied_x += np.abs(sign_x).sum(axis=0, dtype=narrow)
            untied_y += np.abs(sign_y).sum(axis=0, dtype=narrow)
    else:
        wt = np.where(missing, 0.0, np.asarray(weights, dtype=np.float64)).T
        pairs = np.zeros(len(x))
        for i in range(len(xt) - 1):
            sign_x, sign_y = _signs(xt, i), _signs(yt, i)
            weight = np.where(missing.T[i] | missing.T[i + 1 :], 0.0, wt[i] + wt[i + 1 :])
            balance += (sign_x * sign_y * weight).sum(axis=0)
            untied_x += (np.abs(sign_x) * weight).sum(axis=0)
            untied_y += (np.abs(sign_y) * weight).sum(axis=0)
            pairs += weight.sum(axis=0)
    least = np.minimum(_distinct_values(x), _distinct_values(y)) if distinct else None
    return PairCounts(balance, untied_x, untied_y, pairs, items, least)


def _increases(ordered: Counts) -> NDArray[np.bool_]:
    """Rows whose values differ, and are all there."""
    return np.asarray((ordered[:, 1:] > ordered[:, :-1]).all(axis=-1))


def _of_untied(
    x: Counts, y: Counts, order: NDArray[np.intp], plain: NDArray[np.bool_], distinct: bool
) -> PairCounts:
    """Counts of rows, those without ties by one comparison of small numbers a pair."""
    n_rows, n_items = x.shape
    pairs = np.full(n_rows, n_items * (n_items - 1) / 2)
    items = np.full(n_rows, float(n_items))
    balance, untied_x, untied_y = np.empty(n_rows), pairs.copy(), pairs.copy()
    small = np.int8 if n_items <= np.iinfo(np.int8).max else np.int16
    ranks = np.empty((int(plain.sum()), n_items), dtype=small)
    by_y = np.argsort(np.take_along_axis(y[plain], order[plain], axis=-1), axis=-1)
    np.put_along_axis(ranks, by_y, np.arange(n_items, dtype=small)[None], axis=-1)
    by_item = np.ascontiguousarray(ranks.T)
    above = np.zeros(len(ranks))
    for i in range(n_items - 1):
        above += (by_item[i + 1 :] > by_item[i]).view(np.int8).sum(axis=0, dtype=small)
    balance[plain] = 2 * above - pairs[plain]
    least = items.copy() if distinct else None
    if not plain.all():
        own = _all_pairs(x[~plain], y[~plain], distinct=distinct)
        balance[~plain], untied_x[~plain], untied_y[~plain] = (
            own.balance,
            own.untied_x,
            own.untied_y,
        )
        pairs[~plain], items[~plain] = own.pairs, own.items
        if least is not None and own.distinct is not None:
            least[~plain] = own.distinct
    return PairCounts(balance, untied_x, untied_y, pairs, items, least)


def tau_from_counts(counts: PairCounts, variant: Variant) -> NDArray[np.float64]:
    """Kendall's tau of a variant from the pair counts; NaN where undefined."""
    if variant == "a":
        scale = counts.pairs
    elif variant == "c":
        if counts.distinct is None:
            raise ValueError("tau-c needs pair_counts(..., distinct=True)")
        scale = counts.items**2 * (counts.distinct - 1) / np.maximum(counts.distinct, 1) / 2
    else:
        # The root of a product of whole numbers is exact where they are equal: tau reaches 1.
        scale = np.sqrt(counts.untied_x * counts.untied_y)
    tau = np.full(np.shape(counts.balance), np.nan)
    np.divide(counts.balance, scale, out=tau, where=scale > 0)
    return np.asarray(np.clip(tau, -1.0, 1.0))


def _signs(items: Counts, i: int) -> NDArray[np.int8]:
    """Signs of the differences of the later items from item i; 0 where either is NaN."""
    later, this = items[i + 1 :], items[i]
    signs: NDArray[np.int8] = (later > this).view(np.int8)
    signs -= (later < this).view(np.int8)
    return signs


def _distinct_values(rows: Counts) -> Counts:
    ordered = np.sort(rows, axis=-1)  # NaN goes last and differs from everything
    steps = np.sum(np.diff(ordered, axis=-1) > 0, axis=-1)
    return np.asarray(steps + np.any(~np.isnan(rows), axis=-1), dtype=np.float64)


def _hyperbolic_weights(first: Counts, second: Counts) -> Counts:
    """1 / (1 + rank), rank 0 for the largest by ``first``, ties broken by ``second``."""
    there = ~(np.isnan(first) | np.isnan(second))
    order = np.lexsort((second, first, there), axis=-1)[..., ::-1]  # missing items rank last
    ranks = np.empty(first.shape, dtype=np.intp)
    np.put_along_axis(ranks, order, np.arange(first.shape[-1])[None, :], axis=-1)
    return np.asarray(1.0 / (1.0 + ranks), dtype=np.float64)


def _tau_of_long_rows(x: Counts, y: Counts, variant: Variant) -> NDArray[np.float64]:
    """Long rows one by one through scipy, whose sort-based count is O(n log n)."""
    flat_x, flat_y = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
    tau = np.array([_long_tau(a, b, variant) for a, b in zip(flat_x, flat_y, strict=True)])
    return tau.reshape(x.shape[:-1])[()]


def _long_tau(x: Counts, y: Counts, variant: Variant) -> float:
    # Half a second of imports, which only rows beyond any number of methods are worth.
    from scipy import stats

    both = ~(np.isnan(x) | np.isnan(y))
    x, y = x[both], y[both]
    constant = x.size < 2 or x.min() == x.max() or y.min() == y.max()
    if variant == "a" and x.size >= 2:
        pairs = x.size * (x.size - 1) / 2
        untied = [
            pairs - sum(n * (n - 1) / 2 for n in np.unique(v, return_counts=True)[1])
            for v in (x, y)
        ]
        scale = float(np.sqrt(untied[0]) * np.sqrt(untied[1]))
        return 0.0 if constant else float(stats.kendalltau(x, y).statistic) * scale / pairs
    if constant:
        return np.nan
    if variant == "weighted":
        return float(stats.weightedtau(x, y).statistic)
    return float(stats.kendalltau(x, y, variant=variant).statistic)

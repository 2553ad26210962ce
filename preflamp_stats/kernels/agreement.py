"""Agreement of two rankings by pairs: with the confidence in each pair, or with ties calibrated."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["soft_pairwise_accuracy", "swap_p_values", "tie_calibrated_accuracy"]

Array = NDArray[np.float64]

_SAME = 1e-12
_PAIRS_AT_ONCE = 1 << 21


def swap_p_values(values: ArrayLike, signs: ArrayLike) -> Array:
    """One-sided p-values of paired swap tests that one method is better than a later one.

    Parameters
    ----------
    values : array_like, shape (unit, method)
        What each unit adds to the value of each method.
    signs : array_like, shape (permutation, unit)
        1 or −1: whether a unit's values of two methods stay or change places.

    Returns
    -------
    ndarray of float64, shape (pair,)
        Share of the permutations in which the difference is at least as large as the one observed,
        for pairs (0, 1), (0, 2), …, as of ``numpy.triu_indices(methods, 1)``. The share as it is,
        without the 1 that a test adds to both counts: this is how Thompson et al. (2024) define it.

    Examples
    --------
    Of the four ways to swap two units, one gives a difference as large as 1 + 2.

    >>> swap_p_values([[1.0, 0.0], [2.0, 0.0]], [[1, 1], [1, -1], [-1, 1], [-1, -1]])
    array([0.25])

    References
    ----------
    Thompson et al. (2024), Improving statistical significance in human evaluation of automatic
    metrics via soft pairwise accuracy, WMT.
    """
    x = np.asarray(values, dtype=np.float64)
    null = np.asarray(signs, dtype=np.float64) @ x
    i, j = np.triu_indices(x.shape[1], 1)
    observed, rounding = x.sum(axis=0), _SAME * np.abs(x).sum(axis=0).max(initial=0.0)
    found = np.empty(len(i))
    step = max(1, _PAIRS_AT_ONCE // max(len(null), 1))
    for start in range(0, len(i), step):
        a, b = i[start : start + step], j[start : start + step]
        reached = null[:, a] - null[:, b] >= observed[a] - observed[b] - rounding
        found[start : start + step] = reached.mean(axis=0)
    return found


def soft_pairwise_accuracy(p_x: ArrayLike, p_y: ArrayLike) -> Array:
    """One minus the mean distance between the p-values that two metrics give to pairs of methods.

    Parameters
    ----------
    p_x, p_y : array_like, shape (..., pair)
        One-sided p-values that the first of two methods is better.

    Returns
    -------
    ndarray of float64, shape (...)
        In [0, 1]: 1 where the metrics are equally sure of every pair; with p-values of 0 and 1 the
        share of pairs that both order alike. NaN without a pair.

    Examples
    --------
    >>> soft_pairwise_accuracy([0.1, 0.9], [0.0, 0.4]).round(3)
    np.float64(0.7)

    References
    ----------
    Thompson et al. (2024), as of :func:`swap_p_values`.
    """
    x, y = np.broadcast_arrays(np.asarray(p_x, np.float64), np.asarray(p_y, np.float64))
    if x.shape[-1] == 0:
        return np.full(x.shape[:-1], np.nan)[()]
    return np.asarray(1.0 - np.abs(x - y).mean(axis=-1))[()]


def tie_calibrated_accuracy(metric: ArrayLike, gold: ArrayLike) -> tuple[Array, Array]:
    """Share of pairs on which two metrics agree, ties included, with the best threshold for ties.

    A pair agrees that both order alike, or that both call a tie. Two values of the metric are tied
    when they lie within a threshold, the one at which the agreement is largest; values of the gold
    standard are tied when they are equal.

    Parameters
    ----------
    metric, gold : array_like, shape (..., row, item)
        Values. Items that lack either are left out; pairs are made within rows, agreement is
        averaged over the rows that have a pair, and they share one threshold.

    Returns
    -------
    accuracy : ndarray of float64, shape (...)
        In [0, 1]; NaN where no row has a pair.
    threshold : ndarray of float64, shape (...)
        Smallest that reaches it, in the units of the metric; NaN as above.

    Examples
    --------
    Two of three pairs are ordered alike. With a threshold of 1 the pair that gold calls a tie is
    one; a larger threshold would take the others along.

    >>> tie_calibrated_accuracy([[1.0, 2.0, 5.0]], [[0.0, 0.0, 3.0]])
    (np.float64(1.0), np.float64(1.0))

    References
    ----------
    Deutsch, Foster and Freitag (2023), Ties matter: meta-evaluating modern metrics with pairwise
    accuracy and tie calibration, EMNLP.
    """
    x, y = np.broadcast_arrays(np.asarray(metric, np.float64), np.asarray(gold, np.float64))
    shape, rows, items = x.shape[:-2], x.shape[-2], x.shape[-1]
    x, y = (v.reshape(-1, rows, items) for v in (x, y))
    accuracy, threshold = (np.full(len(x), np.nan) for _ in range(2))
    pairs = rows * items * (items - 1) // 2
    step = max(1, _PAIRS_AT_ONCE // max(pairs, 1))
    for start in range(0, len(x) if pairs else 0, step):
        part = slice(start, start + step)
        accuracy[part], threshold[part] = _calibrated(x[part], y[part])
    return accuracy.reshape(shape)[()], threshold.reshape(shape)[()]


def _calibrated(x: Array, y: Array) -> tuple[Array, Array]:
    """Accuracy and threshold of each of a batch, from arrays of shape (batch, row, item)."""
    i, j = np.triu_indices(x.shape[-1], 1)
    dx, dy = x[..., i] - x[..., j], y[..., i] - y[..., j]
    there = ~(np.isnan(dx) | np.isnan(dy))
    in_row = there.sum(axis=-1, keepdims=True)
    rows = (in_row > 0).sum(axis=-2, keepdims=True)
    weight = there / np.maximum(in_row * rows, 1)
    agree = weight * (np.sign(dx) == np.sign(dy))
    # What is gained when a pair is called a tie; pairs become ties in the order of their distance.
    gain = (weight * (dy == 0) - agree).reshape(len(x), -1)
    distance = np.where(there, np.abs(dx), np.inf).reshape(len(x), -1)
    order = np.argsort(distance, axis=-1, kind="stable")
    distance = np.take_along_axis(distance, order, axis=-1)
    reached = agree.sum(axis=(1, 2))[:, None] + np.take_along_axis(gain, order, -1).cumsum(axis=-1)
    whole = np.ones(distance.shape, dtype=bool)  # all pairs of one distance become ties together
    whole[:, :-1] = distance[:, 1:] > distance[:, :-1]
    reached = np.where(whole & np.isfinite(distance), reached, -np.inf)
    reached = np.concatenate([agree.sum(axis=(1, 2))[:, None], reached], axis=-1)
    distance = np.concatenate([np.zeros((len(x), 1)), distance], axis=-1)
    best = reached.max(axis=-1, keepdims=True)
    first = (reached >= best - _SAME).argmax(axis=-1)
    empty = ~there.any(axis=(1, 2))
    threshold = np.where(empty, np.nan, distance[np.arange(len(x)), first])
    return np.where(empty, np.nan, np.clip(best[:, 0], 0.0, 1.0)), threshold

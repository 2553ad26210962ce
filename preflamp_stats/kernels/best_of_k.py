"""Expected quality of the best of k, for every k, from one set of n samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["best_of_k_values"]

Array = NDArray[np.float64]


def best_of_k_values(rewards: ArrayLike, quality: ArrayLike, ks: ArrayLike) -> Array:
    """Expected quality of the sample with the highest reward among k drawn from n.

    The mean over all subsets of size k, and so without bias whatever the distribution of the
    samples: of samples in rising order of reward, number j is the best of C(j − 1, k − 1) of the
    C(n, k) subsets. Among samples of equal reward each is as likely to be taken. Passing
    the quality as the reward gives what an oracle would reach.

    Parameters
    ----------
    rewards, quality : array_like, shape (..., sample)
        Broadcast against each other. A sample that lacks either does not count.
    ks : array_like of int, shape (k,)
        From 1.

    Returns
    -------
    ndarray of float64, shape (..., k)
        NaN where fewer than k samples are there.

    Raises
    ------
    ValueError
        If a k is not a whole number from 1.

    Examples
    --------
    Of the pairs of three samples two hold the third, which has the highest reward, and one does
    not: (2 · 0.4 + 0.9) / 3.

    >>> best_of_k_values([1.0, 2.0, 3.0], [0.1, 0.9, 0.4], [1, 2, 3]).round(4)
    array([0.4667, 0.5667, 0.4   ])

    References
    ----------
    David and Nagaraja (2003), Order Statistics, section 3.1; the same weights for a reward of 0 or
    1 are those of pass@k (Chen et al. 2021, arXiv 2107.03374).
    """
    r, q = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (rewards, quality)))
    sizes = np.asarray(ks)
    if sizes.ndim != 1 or (sizes < 1).any() or (sizes != np.floor(sizes)).any():
        raise ValueError(f"ks are {ks!r}: give whole numbers from 1")
    shape = (*r.shape[:-1], len(sizes))
    if r.size == 0:
        return np.full(shape, np.nan)
    r, q = (v.reshape(-1, v.shape[-1]) for v in (r, q))
    there = ~(np.isnan(r) | np.isnan(q))
    # Ties in reward are ordered by quality, so that the order of the samples changes no rounding.
    order = np.lexsort((q, r, ~there), axis=-1)
    r, q, there = (np.take_along_axis(v, order, axis=-1) for v in (r, q, there))
    shared = _means_of_ties(np.where(there, r, np.inf), np.where(there, q, 0.0))
    found = np.full((len(r), len(sizes)), np.nan)
    counts = there.sum(axis=-1)
    for n in np.unique(counts[counts > 0]):
        rows = np.flatnonzero(counts == n)
        enough = sizes <= n
        found[np.ix_(rows, enough)] = shared[rows, :n] @ _weights(int(n), sizes[enough]).T
    return found.reshape(shape)


def _means_of_ties(r: Array, q: Array) -> Array:
    """Quality by rising reward, each replaced by the mean of those with the same reward."""
    place = np.broadcast_to(np.arange(r.shape[-1]), r.shape)
    first, last = (np.ones(r.shape, dtype=bool) for _ in range(2))
    first[:, 1:] = r[:, 1:] != r[:, :-1]
    last[:, :-1] = first[:, 1:]
    begin = np.maximum.accumulate(np.where(first, place, 0), axis=-1)
    backwards = np.where(last, place, r.shape[-1])[:, ::-1]
    end = np.minimum.accumulate(backwards, axis=-1)[:, ::-1]
    if (begin == end).all():
        return q
    totals = np.cumsum(np.pad(q, ((0, 0), (1, 0))), axis=-1)
    sums = np.take_along_axis(totals, end + 1, -1) - np.take_along_axis(totals, begin, -1)
    return np.where(begin == end, q, sums / (end - begin + 1))


def _weights(n: int, ks: NDArray[np.generic]) -> Array:
    """Share of the subsets of size k in which each of n ordered samples is last, (k, sample).

    C(j − 1, k − 1) / C(n, k), from the last one (k / n) downwards: no factorial is ever large.
    """
    k, j = np.asarray(ks, dtype=np.float64)[:, None], np.arange(n, 0, -1)
    steps = np.ones((len(k), n))
    steps[:, 1:] = np.maximum(j[1:] + 1 - k, 0) / j[1:]
    return np.asarray((k / n * np.cumprod(steps, axis=-1))[:, ::-1])

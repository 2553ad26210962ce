"""Is a reward as sure as it is right: gaps between confidence and accuracy, by bins of confidence.

Bradley and Terry (1952) give the response with a reward higher by m the probability
σ(m) = 1 / (1 + exp(−m)) of being preferred. A pair has a known winner, so each is taken both ways
round: the reward bets on one of the two with the confidence σ(|m|), and wins or loses.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from preflamp_stats.kernels.accuracy import pair_credit

__all__ = ["bin_edges", "bin_gaps"]

Array = NDArray[np.float64]


def bin_edges(margin: Array, n_bins: int) -> Array:
    """Inner edges of bins of equal mass over the size of the margin.

    Parameters
    ----------
    margin : ndarray, shape (..., example)
        r(chosen) − r(rejected), NaN where there is none.
    n_bins : int

    Returns
    -------
    ndarray, shape (..., n_bins − 1)
        A bin begins at its lower edge. Equal margins stay together, so that bins may be empty; NaN
        where there are no margins.

    Examples
    --------
    >>> bin_edges(np.array([0.5, -3.0, 1.0, 2.0, np.nan]), 2)
    array([2.])
    """
    size = np.sort(np.abs(margin), axis=-1)  # NaN last
    there = (~np.isnan(size)).sum(axis=-1, keepdims=True)
    first = there * np.arange(1, n_bins) // n_bins
    return np.take_along_axis(size, first, axis=-1)


def bin_gaps(margin: Array, edges: Array) -> Array:
    """Confidence minus credit of each pair, in the bin of its confidence.

    Parameters
    ----------
    margin : ndarray, shape (..., example)
    edges : ndarray, shape (..., n_bins − 1)
        Of :func:`bin_edges`.

    Returns
    -------
    ndarray, shape (..., example, n_bins)
        0 in the other bins, NaN without a margin. The mean over examples is a bin's share of all
        pairs times its gap, so that the sum of its sizes over bins is the expected calibration
        error. A margin of 0 is confidence ½ with credit ½.

    References
    ----------
    Naeini, Cooper and Hauskrecht (2015), Obtaining well calibrated probabilities using Bayesian
    binning, AAAI (the expected calibration error); Nguyen and O'Connor (2015), Posterior
    calibration and exploratory analysis for NLP models, EMNLP (bins of equal mass).

    Examples
    --------
    >>> bin_gaps(np.array([np.log(3), -np.log(9)]), np.array([2.0])).round(2)
    array([[-0.25,  0.  ],
           [ 0.  ,  0.9 ]])
    """
    size = np.abs(margin)
    gap = expit(size) - pair_credit(margin, 0.0)
    at = (size[..., None] >= edges[..., None, :]).sum(axis=-1)
    elsewhere = at[..., None] != np.arange(edges.shape[-1] + 1)
    return np.where(elsewhere & ~np.isnan(gap)[..., None], 0.0, gap[..., None])

"""Limits of a quantity from posterior draws of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["central_limits", "surest_disagreements", "two_sided_p"]

_RESERVE = 0.1
_RESERVE_OF_ONE_USER = 5.0
_EXACT = 1e-12
_MOST_LEFT_OUT = 2.0
"""By how much more than the level says thin tails may be left out, as a factor."""


def central_limits(
    draws: ArrayLike, level: float = 0.95, *, n_users: float = np.inf, least_density: float = 0.0
) -> tuple[float, float]:
    """Equal-tailed limits that hold a share of the draws, a little more of them than the level.

    Shortest limits would hug the end of the scale where draws pile up, and miss a moderate
    association that noise makes look strong. Tau takes few values when there are few methods:
    a value lies within the limits if the middle of its step of the distribution function does
    (the mid-distribution), else an interval of discrete draws would cover more than it says. Some
    of the probability outside is held back for what the model takes as known: a tenth for how the
    methods fall into groups, and 5 / ``n_users`` for the sampling covariance.

    Where a tail is long and thin, a limit moves inwards for as long as that gives up less than
    ``least_density`` of probability for each unit of width, at most to where twice as much is
    outside as the level says.

    Parameters
    ----------
    draws : array_like, shape (draw,)
        Draws of any quantity; NaN draws are left out.
    level : float
        Nominal coverage, in (0, 1).
    n_users : float
        Users from whom the sampling covariance was estimated, or as many of equal size as they are
        worth; no more than half of the probability outside is held back for few of them.
    least_density : float
        Probability per unit of the draws that a unit of width must hold; 0 keeps every tail.

    Returns
    -------
    low, high : float
        Always values that were drawn; NaN where every draw is NaN.

    Examples
    --------
    >>> low, high = central_limits(np.linspace(0, 1, 1001), 0.8)
    >>> round(low, 6), round(high, 6)
    (0.09, 0.91)

    Of five equally likely values the middles of the steps are 0.1, 0.3, 0.5, 0.7, 0.9.

    >>> central_limits([-1, -0.5, 0, 0.5, 1], 0.7)
    (-0.5, 0.5)

    One draw of fifty lies far out, 0.02 of probability for 0.8 of width.

    >>> central_limits([-0.8, *np.linspace(0, 1, 49)], 0.98)[0]
    -0.8
    >>> central_limits([-0.8, *np.linspace(0, 1, 49)], 0.98, least_density=0.1)[0]
    0.0

    References
    ----------
    Parzen (2004), Quantile probability and statistical data modeling, Statistical Science
    19:652-662, for the mid-distribution function. Rice, Lumley and Szpiro (2008), Trading bias for
    precision: decision theory for intervals and sets, UW Biostatistics Working Paper 336, for
    intervals that weigh their width against what they miss.
    """
    found = np.asarray(draws, dtype=np.float64)
    values, counts = np.unique(found[~np.isnan(found)], return_counts=True)
    if not values.size:
        return np.nan, np.nan
    up_to = np.cumsum(counts) / counts.sum()
    below = up_to - counts / counts.sum()
    from_median = np.abs((up_to + below) / 2 - 0.5)
    kept_back = _not_reserved(n_users)
    outermost = _within(from_median, 1 - kept_back * (1 - level))
    innermost = _within(from_median, 1 - kept_back * _MOST_LEFT_OUT * (1 - level))
    # Outermost first: of limits that are worth the same, the wider is taken.
    lows = np.arange(outermost[0], innermost[0] + 1)
    highs = np.arange(outermost[1], innermost[1] - 1, -1)
    low = lows[np.argmin(below[lows] - least_density * values[lows])]
    high = highs[np.argmax(up_to[highs] - least_density * values[highs])]
    return float(values[low]), float(values[high])


def surest_disagreements(estimates: ArrayLike, covariance: ArrayLike) -> tuple[float, float]:
    """How surely some two methods are ranked in opposite, and in equal, order by two metrics.

    Of two methods whose differences in the metrics are x and y standard errors, opposite in sign,
    it is as sure as the smaller of the two. Perfect agreement without any model of how methods are
    spread is ruled out by one such pair.

    Parameters
    ----------
    estimates : array_like, shape (2 × method,)
        First metric for every method, then the second.
    covariance : array_like, shape (2 × method, 2 × method)
        Sampling covariance of their contrasts.

    Returns
    -------
    opposite, equal : float
        Largest over pairs of methods, in standard errors; 0 where there is no such pair, inf where
        a difference has no error.

    Examples
    --------
    The pair of the last two differs by 1 and by −2, with standard errors of 1.

    >>> surest_disagreements([0.0, 5, 6, 0, 9, 7], np.eye(6) / 2)
    (1.0, 6.0)
    """
    both = np.asarray(estimates, dtype=np.float64).reshape(2, -1)
    n_methods = both.shape[1]
    noise = np.asarray(covariance, dtype=np.float64).reshape(2, n_methods, 2, n_methods)
    steps = []
    for metric, values in enumerate(both):
        own = noise[metric, :, metric]
        variance = np.add.outer(np.diagonal(own), np.diagonal(own)) - 2 * own
        difference = np.subtract.outer(values, values)
        known = variance > _EXACT * np.diagonal(own).max()
        step = np.where(difference > 0, np.inf, np.where(difference < 0, -np.inf, 0.0))
        step[known] = difference[known] / np.sqrt(variance[known])
        steps.append(step)
    sure = np.minimum(*np.abs(steps))
    alike = np.sign(steps[0]) * np.sign(steps[1])
    opposite, equal = (float(sure[alike == sign].max(initial=0.0)) for sign in (-1, 1))
    return opposite, equal


def two_sided_p(draws: ArrayLike, *, n_users: float = np.inf) -> float:
    """Least size, 1 − level, at which :func:`central_limits` leave out 0; at most 1.

    Parameters
    ----------
    draws : array_like, shape (draw,)
        Draws of any quantity; NaN draws are left out.
    n_users : float
        As for the limits.

    Returns
    -------
    float
        Never below one over the number of draws: beyond them nothing was seen. NaN without draws.

    Examples
    --------
    One draw of a hundred lies below 0, and the middle of its step at 0.005.

    >>> round(two_sided_p([-1.0, *np.linspace(1, 2, 99)]), 6)
    0.011111
    """
    found = np.asarray(draws, dtype=np.float64)
    found = found[~np.isnan(found)]
    if not found.size:
        return np.nan
    tails = [_middle(found[found <= 0], found.size), _middle(-found[found >= 0], found.size)]
    return float(np.clip(2 * min(tails) / _not_reserved(n_users), 1 / found.size, 1.0))


def _middle(tail: NDArray[np.float64], n: int) -> float:
    """Middle of the step of the distribution function at the innermost value of a tail."""
    return float((tail.size - (tail == tail.max()).sum() / 2) / n) if tail.size else 0.0


def _not_reserved(n_users: float) -> float:
    """Share of the probability outside that limits may give up."""
    return 1 - min(0.5, _RESERVE + _RESERVE_OF_ONE_USER / n_users)


def _within(from_median: NDArray[np.float64], held: float) -> tuple[int, int]:
    """First and last value whose step of the distribution function has its middle within."""
    at = np.flatnonzero(from_median <= max(held / 2, from_median.min()) + 1e-12)
    return int(at[0]), int(at[-1])

"""Corrections for the number of comparisons."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["holm", "max_t_critical", "max_t_p_values"]

Array = NDArray[np.float64]


def holm(p_values: ArrayLike) -> Array:
    """Holm's step-down adjusted p-values.

    Parameters
    ----------
    p_values : array_like, shape (hypothesis,)
        NaN marks a comparison that could not be made; it is not counted.

    Returns
    -------
    ndarray, shape (hypothesis,)
        Rejecting those at most α keeps the chance of any false rejection at most α, however the
        tests depend on each other.

    References
    ----------
    Holm (1979), Scandinavian Journal of Statistics 6:65-70.

    Examples
    --------
    >>> holm([0.01, 0.04, np.nan, 0.03])
    array([0.03, 0.06,  nan, 0.06])
    """
    p = np.asarray(p_values, dtype=np.float64)
    # statsmodels' multipletests collects all garbage at every call, a tenth of a second and more.
    adjusted = np.full_like(p, np.nan)
    order = np.argsort(p, kind="stable")[: int((~np.isnan(p)).sum())]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def max_t_p_values(statistics: ArrayLike, null_maxima: ArrayLike) -> Array:
    """Single-step adjusted p-values from the null distribution of the largest statistic.

    Parameters
    ----------
    statistics : array_like, shape (hypothesis,)
        Observed statistics, large where the null hypothesis fits badly, on one scale; NaN marks a
        comparison that could not be made.
    null_maxima : array_like, shape (draw,)
        Largest statistic over all hypotheses in each draw under the null.

    Returns
    -------
    ndarray, shape (hypothesis,)
        (1 + number of maxima at least as large) / (1 + number of draws): never 0.

    References
    ----------
    Westfall and Young (1993), Resampling-Based Multiple Testing, section 2.3; Phipson and Smyth
    (2010), Statistical Applications in Genetics and Molecular Biology 9:39, for the +1.

    Examples
    --------
    >>> max_t_p_values([3.5, 0.0, np.nan], [1.0, 2.0, 3.0])
    array([0.25, 1.  ,  nan])
    """
    observed = np.asarray(statistics, dtype=np.float64)
    maxima = np.sort(np.asarray(null_maxima, dtype=np.float64))
    at_least = len(maxima) - np.searchsorted(maxima, observed, side="left")
    return np.where(np.isnan(observed), np.nan, (1 + at_least) / (1 + len(maxima)))


def max_t_critical(null_maxima: ArrayLike, *, level: float = 0.95) -> float:
    """Value beyond which a statistic has an adjusted p-value of at most 1 − level.

    Parameters
    ----------
    null_maxima : array_like, shape (draw,)
        As for :func:`max_t_p_values`.
    level : float
        Simultaneous confidence level in (0, 1).

    Returns
    -------
    float
        Infinite where there are too few draws for the level.

    Examples
    --------
    >>> max_t_critical(np.arange(1.0, 100.0), level=0.95)
    95.0
    >>> max_t_p_values([95.0, 95.1], np.arange(1.0, 100.0))
    array([0.06, 0.05])
    """
    maxima = np.sort(np.asarray(null_maxima, dtype=np.float64))
    # The slack keeps (1 − level) · (draws + 1) whole where it is so on paper.
    allowed = int(np.floor((1 - level) * (len(maxima) + 1) + 1e-9)) - 1
    return float(maxima[-1 - allowed]) if allowed >= 0 else np.inf

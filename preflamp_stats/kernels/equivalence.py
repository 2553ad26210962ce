"""Tests of size and of equivalence on an estimate with its standard error."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from preflamp_stats.errors import InputError, Problem

__all__ = ["equivalence_test", "minimum_effect_test"]

Array = NDArray[np.float64]


def equivalence_test(estimate: ArrayLike, se: ArrayLike, df: ArrayLike, *, margin: float) -> Array:
    """Two one-sided t-tests (TOST): is the true value within the margin?

    The null hypothesis is |δ| ≥ margin. It is rejected at α exactly where the central (1 − 2α)
    interval lies inside (−margin, margin), so a noisy study is never taken for an equal one.

    Parameters
    ----------
    estimate, se, df : array_like, shapes that broadcast
        Estimate of δ, its standard error (in the same units), and degrees of freedom. NaN gives
        NaN, and so does a standard error of 0: units that all say the same do not tell how far off
        they are.
    margin : float
        Equivalence margin, in the units of the estimate.

    Returns
    -------
    ndarray of float64
        p-values, the larger of the two one-sided ones; never 0.

    Raises
    ------
    InputError
        If the margin is not positive.

    References
    ----------
    Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15:657-680.

    Examples
    --------
    >>> equivalence_test([0.0, 0.5, 1.0], 0.25, 60, margin=1.0).round(3)
    array([0.   , 0.025, 0.5  ])
    """
    _check_margin(margin > 0, margin, "take a positive number in the metric's units")
    size = np.abs(np.asarray(estimate, dtype=np.float64))
    return _upper_tail(margin - size, se, df)


def minimum_effect_test(
    estimate: ArrayLike, se: ArrayLike, df: ArrayLike, *, margin: float
) -> Array:
    """Test whether the true value lies beyond the margin, on either side.

    The null hypothesis is |δ| ≤ margin; the p-value is the probability of an estimate at least so
    far from 0 were δ at the margin. A margin of 0 is the usual two-sided t-test.

    Parameters
    ----------
    estimate, se, df, margin
        As for :func:`equivalence_test`; the margin may be 0.

    Returns
    -------
    ndarray of float64
        p-values.

    Raises
    ------
    InputError
        If the margin is negative.

    References
    ----------
    Hodges and Lehmann (1954), Journal of the Royal Statistical Society B 16:261-268.

    Examples
    --------
    A difference of 3 standard errors is not 0; that it exceeds 2 of them is not shown.

    >>> minimum_effect_test([3.0], 1.0, 60, margin=0).round(3)
    array([0.004])
    >>> minimum_effect_test([3.0], 1.0, 60, margin=2).round(3)
    array([0.161])
    """
    _check_margin(margin >= 0, margin, "take 0 or a positive number in the metric's units")
    size = np.abs(np.asarray(estimate, dtype=np.float64))
    beyond = _upper_tail(size - margin, se, df) + _upper_tail(size + margin, se, df)
    return np.asarray(np.minimum(beyond, 1.0))


def _upper_tail(distance: ArrayLike, se: ArrayLike, df: ArrayLike) -> Array:
    """P(T ≥ distance / se), which is never 0; NaN without noise."""
    distance, se, df = (np.asarray(value, dtype=np.float64) for value in (distance, se, df))
    statistic = distance / np.where(se > 0, se, np.nan)
    # The lower tail of −t keeps its digits where the upper tail of t would be 1 − 1.
    return np.asarray(np.maximum(special.stdtr(df, -statistic), np.finfo(np.float64).tiny))


def _check_margin(good: bool, margin: float, mend: str) -> None:
    if not (good and np.isfinite(margin)):
        raise InputError(Problem(f"is {margin!r}", mend, variable="margin"))

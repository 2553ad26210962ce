"""Limits of bounded means that hold whenever one looks: bets against a mean that is too small."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["betting_limits", "betting_p_values"]

Array = NDArray[np.float64]

_STAKES = 2.0 ** -np.arange(10)
"""Shares of the largest stake that cannot ruin, from all of it to a thousandth."""
_PRIOR = (1 + np.arange(10)) ** -1.5 / np.sum((1 + np.arange(10)) ** -1.5)
_HALVINGS = 20


def betting_p_values(values: Array, weights: Array, least: float, target: Array | float) -> Array:
    """p-values, valid whenever one stops, of means that are at most a target.

    A gambler who starts with 1 stakes, user after user, on values above the target, at odds that
    are fair where the mean is the target. His capital then exceeds 1/p at any time with probability
    of at most p (Ville's inequality), whatever the distribution; p is 1 over the most he ever had.
    He divides his money over ten strategies, each of which stakes a fixed share of what the end of
    the scale could not take from him.

    Parameters
    ----------
    values : ndarray, shape (unit, column)
        What each unit says, none below ``least``, in the order in which units came.
    weights : ndarray, shape (unit, column)
        Weight of each unit in the mean, as a share of the largest that a unit can have: in [0, 1];
        0 where it says nothing.
    least : float
        Lower end of the scale.
    target : float or ndarray, shape (column,)
        Above ``least``.

    Returns
    -------
    ndarray, shape (column,)
        In (0, 1].

    References
    ----------
    Waudby-Smith and Ramdas (2024), Estimating means of bounded random variables by betting, Journal
    of the Royal Statistical Society B 86:1-27; Ville (1939), Étude critique de la notion de
    collectif.

    Examples
    --------
    >>> right = np.ones((20, 1))
    >>> bool(betting_p_values(right, right, 0.0, 0.5)[0] < 0.001)
    True
    """
    return np.asarray(np.exp(-_most_capital(values, weights, least, target)))


def betting_limits(
    values: Array, weights: Array, least: float, most: float, tail: float
) -> tuple[Array, Array]:
    """Limits of means that all hold at all times at once, each with probability 1 − tail.

    They are what is left of the limits at every time so far: they only ever narrow.

    Parameters
    ----------
    values, weights
        As of :func:`betting_p_values`.
    least, most : float
        Ends of the scale.
    tail : float
        Probability that a limit is ever on the wrong side.

    Returns
    -------
    low, high : ndarray, shape (column,)
        The ends of the scale where nothing is known; NaN where a value is.

    Examples
    --------
    >>> right = np.ones((100, 1))
    >>> low, high = betting_limits(right, right, 0.0, 1.0, 0.025)
    >>> low.round(3), high
    (array([0.958]), array([1.]))
    """
    low = _lower(values, weights, least, most, tail)
    return low, -_lower(-values, weights, -most, -least, tail)


def _lower(values: Array, weights: Array, least: float, most: float, tail: float) -> Array:
    """Largest target that the bets have refuted, by halving: capital falls as the target rises."""
    low, high = np.full((2, values.shape[1]), [[least], [most]])
    wanted = -np.log(max(tail, np.finfo(np.float64).tiny))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        refuted = _most_capital(values, weights, least, middle) >= wanted
        low, high = np.where(refuted, middle, low), np.where(refuted, high, middle)
    return np.asarray(np.where(np.isnan(values).any(axis=0), np.nan, low))


def _most_capital(values: Array, weights: Array, least: float, target: Array | float) -> Array:
    """Logarithm of the most that the gambler ever had, shape (column,)."""
    gain = weights * ((values - least) / (np.asarray(target) - least) - 1)
    log_capital = np.full(values.shape, -np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        for stake, share in zip(_STAKES, _PRIOR, strict=True):
            # Rounding can take a hair more than all.
            path = np.cumsum(np.log1p(np.maximum(stake * gain, -1.0)), axis=0)
            np.logaddexp(log_capital, path + np.log(share), out=log_capital)
    return np.asarray(log_capital.max(axis=0, initial=0.0))

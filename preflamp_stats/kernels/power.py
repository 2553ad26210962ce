"""Power of t-tests on an estimate with a standard error, and what it takes to reach a power."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

__all__ = ["detectable_difference", "difference_power", "equivalence_power", "smallest_number"]

Array = NDArray[np.float64]

_LARGEST_NCP = 1e3
_POINTS = 160
_NEGLIGIBLE = 28.0  # e to the minus 28 is 7e-13
_LARGEST_NUMBER = 2**24


def difference_power(
    difference: ArrayLike, se: ArrayLike, df: ArrayLike, *, alpha: ArrayLike = 0.05
) -> Array:
    """Power of the two-sided t-test that a difference is not 0.

    Parameters
    ----------
    difference : array_like
        True difference.
    se : array_like
        Standard error of its estimate, above 0.
    df : array_like
        Degrees of freedom of the standard error.
    alpha : array_like
        Size of the test.

    Returns
    -------
    ndarray, the shapes broadcast
        That of the noncentral t distribution, whose series fail far out: the chance given
        the estimated standard error is averaged over its distribution. Rejections on the wrong side
        count.

    References
    ----------
    Cohen (1988), Statistical Power Analysis for the Behavioral Sciences, chapter 2.

    Examples
    --------
    In R, ``pwr.t.test(d=0.2, n=20, sig.level=0.05, type="one.sample")`` gives 0.1359563.

    >>> round(float(difference_power(0.2, 1 / np.sqrt(20), 19)), 7)
    0.1359563
    """
    true, error, freedom, size = _with_axis(difference, se, df, alpha)
    ncp = np.abs(true) / error
    estimated, weights = _estimated_errors(freedom)
    half = -special.stdtrit(freedom, size / 2) * estimated
    rejected = special.ndtr(ncp - half) + special.ndtr(-ncp - half)
    return np.asarray((rejected * weights).sum(axis=-1))


def equivalence_power(
    difference: ArrayLike, se: ArrayLike, df: ArrayLike, *, margin: ArrayLike, alpha: ArrayLike
) -> Array:
    """Power of two one-sided t-tests (TOST) to show a difference smaller than a margin.

    Parameters
    ----------
    difference, se, df
        As for :func:`difference_power`.
    margin : array_like
        Equivalence margin.
    alpha : array_like
        Size of each one-sided test.

    Returns
    -------
    ndarray, the shapes broadcast
        Exact for a normal estimate and an independent χ² variance: given the estimated standard
        error the estimate must fall between two limits, and that chance is averaged over its
        distribution.

    References
    ----------
    Phillips (1990), Journal of Pharmacokinetics and Biopharmaceutics 18:137-144.

    Examples
    --------
    PowerTOST's ``sampleN.TOST(CV=0.3, theta0=0.95)`` gives a power of 0.815845 with 40 subjects.

    >>> se = np.sqrt(2 * np.log(1 + 0.3**2) / 40)
    >>> float(equivalence_power(np.log(0.95), se, 38, margin=np.log(1.25), alpha=0.05).round(4))
    0.8158
    """
    true, error, freedom, bound, size = _with_axis(difference, se, df, margin, alpha)
    estimated, weights = _estimated_errors(freedom)
    half = bound - special.stdtrit(freedom, 1 - size) * error * estimated
    within = special.ndtr((half - true) / error) - special.ndtr((-half - true) / error)
    return np.asarray((np.maximum(within, 0.0) * weights).sum(axis=-1))


def detectable_difference(
    se: ArrayLike, df: ArrayLike, *, alpha: ArrayLike = 0.05, target: float = 0.8
) -> Array:
    """Smallest true difference that the two-sided t-test finds with a given power.

    Parameters
    ----------
    se, df, alpha
        As for :func:`difference_power`.
    target : float
        Power wanted, above alpha.

    Returns
    -------
    ndarray, the shapes broadcast
        NaN where the standard error is.

    Examples
    --------
    With many degrees of freedom 1.96 + 0.84 standard errors.

    >>> round(float(detectable_difference(0.1, 1e6)), 4)
    0.2802
    """
    error, freedom, size = np.broadcast_arrays(
        *(np.asarray(v, dtype=np.float64) for v in (se, df, alpha))
    )
    low, high = np.zeros(error.shape), np.full(error.shape, _LARGEST_NCP)
    for _ in range(60):
        middle = (low + high) / 2
        enough = difference_power(middle, 1.0, freedom, alpha=size) >= target
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.asarray(high * error)


def smallest_number(
    power_with: Callable[[Array], Array], shape: tuple[int, ...], *, target: float
) -> Array:
    """Smallest whole number, 2 or more, with which a power is reached.

    Parameters
    ----------
    power_with : callable
        Power as a function of an array of numbers of the given shape; it must not fall as they
        rise.
    shape : tuple of int
        Shape of the answer.
    target : float
        Power wanted.

    Returns
    -------
    ndarray
        inf where 16 million would not do.

    Examples
    --------
    >>> smallest_number(lambda n: 1 - 1 / n, (1,), target=0.79)
    array([5.])
    """
    low, high = np.ones(shape), np.full(shape, float(_LARGEST_NUMBER))
    reached = power_with(high) >= target
    while (high - low > 1).any():
        middle = np.floor((low + high) / 2)
        enough = power_with(np.maximum(middle, 2.0)) >= target
        moving = high - low > 1
        high = np.where(moving & enough, middle, high)
        low = np.where(moving & ~enough, middle, low)
    return np.where(reached, np.maximum(high, 2.0), np.inf)


def _with_axis(*values: ArrayLike) -> tuple[Array, ...]:
    """Numbers broadcast, with an axis for the estimated standard error."""
    arrays = (np.asarray(value, dtype=np.float64)[..., None] for value in values)
    return tuple(np.broadcast_arrays(*arrays))


def _estimated_errors(df: Array) -> tuple[Array, Array]:
    """Estimated standard error in units of the true one: values and their weights, last axis.

    The density of w = log(χ²/df) is proportional to exp(df/2 (w − exp w)): analytic, and negligible
    at both ends of the range taken, so that equally spaced points integrate it almost exactly.
    """
    spread = np.sqrt(4 * _NEGLIGIBLE / df)
    low = -spread - 2 * _NEGLIGIBLE / df
    w = low + (spread - low) * np.linspace(0, 1, _POINTS)
    density = np.exp(df / 2 * (w - np.exp(w) + 1))
    return np.exp(w / 2), density / density.sum(axis=-1, keepdims=True)

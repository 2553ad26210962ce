"""Sums per user that are exact, so that no order of summation can change a result."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from preflamp_stats.choices import Average

__all__ = ["RESOLUTION", "averaged_sums", "exact_step", "ratio", "round_to_step", "sum_by_user"]

_BLOCK_ROWS = 16_384

RESOLUTION = 2.0**10
"""Steps of the grid of sums within which two ratios are equal."""


def exact_step(largest: float, terms: int) -> float:
    """Grid step on which every sum of so many values is exact in float64.

    Values that are multiples of the step and at most ``largest`` in size have sums of up to
    ``terms`` of them below 2⁵² steps, and float64 holds every whole number of steps up to 2⁵³.

    Parameters
    ----------
    largest : float
        Bound on the size of a value.
    terms : int
        Bound on the number of values in a sum, repetitions counted.

    Returns
    -------
    float
        A power of two.

    References
    ----------
    Demmel and Nguyen (2015), Parallel reproducible summation, IEEE Trans. Computers 64:2060-2070.

    Examples
    --------
    >>> exact_step(1.0, 1024) == 2.0**-42
    True
    """
    bound = max(largest, np.finfo(np.float64).tiny) * max(terms, 1)
    return math.ldexp(1.0, math.ceil(math.log2(bound)) - 52)


def round_to_step(values: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Round to the nearest multiple of a power of two (ties to even)."""
    return np.asarray(np.rint(values / step) * step)


def sum_by_user(
    values: NDArray[np.float64] | NDArray[np.bool_] | NDArray[np.integer],
    codes: NDArray[np.integer],
    n_users: int,
) -> NDArray[np.float64]:
    """Sum rows of examples by user.

    Parameters
    ----------
    values : ndarray, shape (example, column)
        Numbers or truth values without NaN.
    codes : ndarray of int, shape (example,)
        User of each example, 0 … n_users − 1, in any order.
    n_users : int
        Number of users.

    Returns
    -------
    ndarray of float64, shape (n_users, column)

    Examples
    --------
    >>> sum_by_user(np.array([[1.0], [2.0], [4.0]]), np.array([1, 0, 1]), 2)
    array([[2.],
           [5.]])
    """
    sums = np.zeros((n_users, values.shape[1]))
    # Blocks bound the memory of the conversion to floats; truth values are exact in float32.
    dtype = np.float32 if values.dtype == np.bool_ else np.float64
    for start in range(0, len(values), _BLOCK_ROWS):
        block = values[start : start + _BLOCK_ROWS].astype(dtype, copy=False)
        users = codes[start : start + _BLOCK_ROWS]
        first, last = int(users.min()), int(users.max())
        indicator = sparse.csr_array(
            (np.ones(len(users), dtype), (users - first, np.arange(len(users)))),
            shape=(last - first + 1, len(users)),
        )
        sums[first : last + 1] += indicator @ block
    return sums


def ratio(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums over counts; 0 where there is nothing."""
    return np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)


def averaged_sums(
    sums: NDArray[np.float64], counts: NDArray[np.float64], average: Average, step: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums of examples and their counts as they enter an average over users.

    Parameters
    ----------
    sums, counts : ndarray, shape (user, ...)
        Of a user's examples.
    average : {"micro", "macro"}
        Every example weighs the same, or every user.
    step : float
        Grid to which a user's mean is rounded in a macro average.

    Returns
    -------
    sums, counts : ndarray, shape (user, ...)

    Examples
    --------
    >>> averaged_sums(np.array([3.0, 0.0]), np.array([4.0, 0.0]), "macro", 2.0**-50)
    (array([0.75, 0.  ]), array([1., 0.]))
    """
    if average == "micro":
        return sums, counts
    return round_to_step(ratio(sums, counts), step), (counts > 0).astype(np.float64)

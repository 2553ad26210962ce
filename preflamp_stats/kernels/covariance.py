"""Sampling covariance of estimated means, from what each user contributes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from preflamp_stats.errors import InputError, Problem

__all__ = ["MeansCovariance", "means_covariance", "method_blocks", "ratio_influence"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MeansCovariance:
    """Estimates of two metrics over the same methods, and how they vary with the users.

    Parameters
    ----------
    estimates : ndarray, shape (2 × method,)
        First metric for every method, then the second.
    covariance : ndarray, shape (2 × method, 2 × method)
        Their sampling covariance; of the contrasts (differences from the metric's mean over
        methods) if ``contrasts``.
    df : float
        Degrees of freedom: effective number of users, less one.
    shrinkage : float
        Weight in [0, 1] of the within-method target.
    contrasts : bool
        Whether what is common to all methods has been removed.
    """

    estimates: Array
    covariance: Array
    df: float
    shrinkage: float
    contrasts: bool


def ratio_influence(sums: ArrayLike, counts: ArrayLike) -> tuple[Array, Array]:
    """Ratio estimates Σs/Σn and the linearised contribution of each user to them.

    The influence of user u is (s_u − θ n_u) / Σn: leaving the user out moves θ by about minus
    that. It sums to zero over users.

    Parameters
    ----------
    sums, counts : array_like, shape (user, column)
        Sum of the user's values and their number; a count of 0 marks a missing combination, whose
        sum is ignored.

    Returns
    -------
    estimates : ndarray, shape (column,)
    influence : ndarray, shape (user, column)

    Raises
    ------
    InputError
        If there are fewer than two users, a column has no values, or a number is not finite.

    Examples
    --------
    >>> ratio_influence([[1.0], [4.0]], [[2.0], [8.0]])
    (array([0.5]), array([[0.],
           [0.]]))

    References
    ----------
    Cochran (1977), Sampling Techniques, section 6; Deng, Knoblich and Lu (2018), Applying the delta
    method in metric analytics, KDD.
    """
    n = np.asarray(counts, dtype=np.float64)
    s = np.asarray(sums, dtype=np.float64)
    if s.ndim != 2 or s.shape != n.shape:
        raise ValueError(f"sums {s.shape} and counts {n.shape} must be (user, column) alike")
    s = np.where(n == 0, 0.0, s)
    problems = []
    if len(s) < 2:
        problems.append(Problem(f"has {len(s)} users", "two users at least are needed"))
    if not (np.isfinite(s).all() and np.isfinite(n).all() and (n >= 0).all()):
        problems.append(
            Problem("holds NaN, infinite or negative counts", "give missing values a count of 0")
        )
    elif (total := n.sum(axis=0)).min(initial=1.0) <= 0:
        empty = np.flatnonzero(total <= 0).tolist()
        problems.append(
            Problem(f"has no values in columns {empty}", "leave out methods without the metric")
        )
    if problems:
        raise InputError(problems)
    estimates = s.sum(axis=0) / total
    return estimates, (s - estimates * n) / total


def means_covariance(
    sums: ArrayLike, counts: ArrayLike, *, contrasts: bool = True, shrink: bool = True
) -> MeansCovariance:
    """Cluster-robust covariance of two metrics' estimates over the same methods.

    Users are the independent units. With ``contrasts`` each metric's mean over methods is removed
    from every user's contribution: ranks need only differences, and what a user does to all
    methods alike drops out. With few users the many covariances *between* methods are mostly
    noise, so ``shrink`` moves them towards those of methods whose errors are independent, keeping
    each method's own 2 × 2 block; how far is Ledoit and Wolf's optimum, estimated from the users.

    It is the jackknife's, by leaving out users: a user with a large share of the values pulls the
    estimate to their own values, so that what is left of them tells too little of their noise. Of
    users of equal size it is the textbook's.

    Parameters
    ----------
    sums, counts : array_like, shape (user, 2 × method)
        As for :func:`ratio_influence`: first metric for every method, then the second. A metric
        without sampling error has its value as every sum and 1 as every count.
    contrasts : bool
        Remove the mean over methods within each metric.
    shrink : bool
        Shrink covariances between methods.

    Returns
    -------
    MeansCovariance

    Raises
    ------
    InputError
        As :func:`ratio_influence`.
    ValueError
        If the number of columns is odd.

    Examples
    --------
    >>> sums = [[3.0, 1, 2, 0], [2, 2, 4, 1], [4, 1, 3, 1]]
    >>> found = means_covariance(sums, np.full((3, 4), 4.0))
    >>> found.estimates.round(2), found.df
    (array([0.75, 0.33, 0.75, 0.17]), 2.0)

    References
    ----------
    Ledoit and Wolf (2004), Journal of Multivariate Analysis 88:365-411; Schäfer and Strimmer
    (2005), Statistical Applications in Genetics and Molecular Biology 4:32, for other targets;
    Bell and McCaffrey (2002), Survey Methodology 28:169-181, for the jackknife of clusters.
    """
    estimates, influence = ratio_influence(sums, counts)
    n = np.asarray(counts, dtype=np.float64)
    rest = 1 - n / n.sum(axis=0)
    # Leaving out the only user of a column leaves nothing to compare; their influence is 0.
    influence = np.divide(influence, rest, out=np.zeros_like(influence), where=rest > 0)
    n_users, columns = influence.shape
    if columns % 2:
        raise ValueError(f"{columns} columns cannot hold two metrics over the same methods")
    if contrasts:
        by_metric = influence.reshape(n_users, 2, -1)
        influence = (by_metric - by_metric.mean(axis=2, keepdims=True)).reshape(n_users, columns)
    # The unit of a metric must not decide how far the other's covariances are shrunk.
    size = np.sqrt(np.square(influence).reshape(n_users, 2, -1).sum(axis=(0, 2)))
    unit = np.repeat(np.where(size > 0, size, 1.0), columns // 2)
    influence = influence / unit
    small_sample = (n_users - 1) / n_users
    covariance = small_sample * (influence.T @ influence)
    shrinkage = 0.0
    if shrink and columns > 4:
        target = _independent_methods(covariance, contrasts=contrasts)
        squares = influence**2
        spread = squares.T @ squares - (influence.T @ influence) ** 2 / n_users
        error = small_sample * np.sum(spread)
        distance = np.sum((covariance - target) ** 2)
        shrinkage = float(min(1.0, error / distance)) if distance > 0 else 1.0
        covariance = (1 - shrinkage) * covariance + shrinkage * target
    effective_users = n.sum(axis=0) ** 2 / (n**2).sum(axis=0)
    return MeansCovariance(
        estimates,
        covariance * np.outer(unit, unit),
        float(max(1.0, effective_users.min() - 1)),
        shrinkage,
        contrasts,
    )


def method_blocks(covariance: Array) -> Array:
    """Each method's own 2 × 2 covariance, were methods' errors independent.

    The covariance of contrasts mixes the methods: block m of it is (1 − 2/M) B_m + B̄/M, B̄ the
    mean of the blocks. This solves for B_m and moves the result to the nearest covariance matrix.

    Parameters
    ----------
    covariance : ndarray, shape (2 × method, 2 × method)
        Of contrasts.

    Returns
    -------
    ndarray, shape (method, 2, 2)

    Examples
    --------
    >>> centre = np.eye(3) - 1 / 3
    >>> own = np.diag([1.0, 2.0, 3.0])
    >>> method_blocks(np.kron(np.eye(2), centre @ own @ centre))[:, 0, 0]
    array([1., 2., 3.])
    """
    diagonal = _diagonal_blocks(covariance)
    n_methods = len(diagonal)
    mean = diagonal.mean(axis=0) * n_methods / (n_methods - 1)
    if n_methods == 2:  # the single contrast says nothing of how the two methods share its noise
        own = np.broadcast_to(mean, diagonal.shape)
    else:
        own = (diagonal - mean / n_methods) / (1 - 2 / n_methods)
    values, vectors = np.linalg.eigh(own)
    return np.asarray((vectors * np.maximum(values, 0)[:, None, :]) @ vectors.transpose(0, 2, 1))


def _independent_methods(covariance: Array, *, contrasts: bool) -> Array:
    own = method_blocks(covariance) if contrasts else _diagonal_blocks(covariance)
    n_methods = len(own)
    centre = np.eye(n_methods) - 1 / n_methods if contrasts else np.eye(n_methods)
    return np.block([[centre @ np.diag(own[:, a, b]) @ centre for b in range(2)] for a in range(2)])


def _diagonal_blocks(covariance: Array) -> Array:
    n_methods = len(covariance) // 2
    by_metric = covariance.reshape(2, n_methods, 2, n_methods)
    return np.asarray(np.einsum("ambm->mab", by_metric))

"""Structure among the methods: two groups in a metric, families, a bent relation."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["bent", "best_bend", "best_splits", "family_means", "outlier", "straightened"]

Array = NDArray[np.float64]

_FEWEST_METHODS = 6
_FEWEST_WITHIN = 3
_ON_A_LINE = 1e-12
_BENDS = np.linspace(-2, 2, 33)
"""By standard deviation of the metric; the one in the middle is a straight line."""
_END = 1e-3
_ITERATIONS = 15


def best_splits(values: Array, noise: Array) -> tuple[Array, NDArray[np.intp]]:
    """Split methods into two groups by each metric, and say how much better that fits.

    Compares one normal distribution of true values with a mixture of two of equal spread, both
    fitted by maximum likelihood with the known sampling variances (EM, started from the split at
    the widest gap and from the one with least variance within).

    Parameters
    ----------
    values : ndarray, shape (metric, method)
        Estimates.
    noise : ndarray, shape (metric, method)
        Their sampling variances.

    Returns
    -------
    evidence : ndarray, shape (metric,)
        Log of the Bayes factor for two groups, by BIC (two more parameters); −inf with fewer than
        six methods or constant values.
    groups : ndarray of int, shape (metric, method)
        0 for the lower group, 1 for the upper; all 0 where there is no split.

    Examples
    --------
    >>> values = np.array([[0.1, 0.0, 0.2, 3.1, 3.0, 3.2, 2.9, 0.15]])
    >>> evidence, groups = best_splits(values, np.full((1, 8), 0.001))
    >>> evidence > 2, groups
    (array([ True]), array([[0, 0, 0, 1, 1, 1, 1, 0]]))

    References
    ----------
    Fraley and Raftery (2002), Model-based clustering, JASA 97:611-631.
    """
    n_metrics, n_methods = values.shape
    evidence = np.full(n_metrics, -np.inf)
    groups = np.zeros((n_metrics, n_methods), dtype=np.intp)
    varied = np.flatnonzero(np.ptp(values, axis=1) > 0)
    if n_methods < _FEWEST_METHODS or not varied.size:
        return evidence, groups
    order = np.argsort(values[varied], axis=1, kind="stable")
    ordered = np.take_along_axis(values[varied], order, 1)
    noise = np.take_along_axis(noise[varied], order, 1)
    lower = np.stack([np.diff(ordered).argmax(axis=1), _least_variance_split(ordered)], 1) + 1
    starts = (np.arange(n_methods) < lower[:, :, None]).astype(np.float64)
    member = np.stack([starts, 1 - starts]).reshape(2, -1, n_methods)
    two, upper = _fit(ordered.repeat(2, axis=0), noise.repeat(2, axis=0), member)
    one, _ = _fit(ordered, noise, np.ones((1, *ordered.shape)))
    two = two.reshape(-1, 2)
    best = two.argmax(axis=1)
    rows = np.arange(len(varied))
    split = upper.reshape(-1, 2, n_methods)[rows, best] > 0.5
    groups[varied[:, None], order] = split
    parted = split.any(axis=1) & ~split.all(axis=1)
    evidence[varied] = np.where(parted, two[rows, best] - one - np.log(n_methods), -np.inf)
    groups[varied[~parted]] = 0
    return evidence, groups


def family_means(values: Array, families: NDArray[np.intp]) -> tuple[Array, float]:
    """Members of each family, and the evidence that families differ.

    Compares normal distributions of the estimates around one mean with those around a mean for
    each family, of both metrics together (Wilks' likelihood ratio).

    Parameters
    ----------
    values : ndarray, shape (2, method)
        Estimates.
    families : ndarray of int, shape (method,)
        Family of each method, from 0 without gaps.

    Returns
    -------
    members : ndarray, shape (method, family)
    evidence : float
        Log of the Bayes factor by BIC; −inf with one family, fewer than three methods more than
        families, or estimates on a line.

    Examples
    --------
    >>> x = np.array([0.0, 0.3, 0.1, 0.2, 5.0, 5.1, 5.3, 5.2])
    >>> family_means(np.stack([x, -x + [0.1, -0.1] * 4]), np.repeat([0, 1], 4))[1] > 2
    True

    References
    ----------
    Wilks (1932), Certain generalizations in the analysis of variance, Biometrika 24:471-494.
    """
    members = np.eye(families.max() + 1)[families]
    n_methods, n_families = members.shape
    if n_families < 2 or n_methods - n_families < _FEWEST_WITHIN:
        return members, -np.inf
    centred = values - values.mean(axis=1, keepdims=True)
    within = centred - centred @ members / members.sum(axis=0) @ members.T
    total, left = np.linalg.det(centred @ centred.T), np.linalg.det(within @ within.T)
    if left <= _ON_A_LINE * np.prod((centred**2).sum(axis=1)):
        return members, -np.inf
    gain = 0.5 * n_methods * np.log(total / left)
    return members, float(gain - (n_families - 1) * np.log(n_methods))


def outlier(values: Array) -> tuple[Array, float]:
    """Which method lies furthest out, and the evidence that it is none of the others' kind.

    Compares normal distributions of the estimates of all methods with those of all but one, whose
    mean is its own (Wilks' likelihood ratio with Bartlett's correction).

    Parameters
    ----------
    values : ndarray, shape (2, method)
        Estimates.

    Returns
    -------
    member : ndarray, shape (method, 1)
        1 for the method.
    evidence : float
        Log of the Bayes factor by BIC, each method as likely to be the one; −inf with fewer than
        six methods or estimates on a line.

    Examples
    --------
    >>> x = np.array([0.1, -0.3, 0.2, 0.0, 0.3, -0.1, -0.2, 4.0])
    >>> member, evidence = outlier(np.stack([x, x + np.tile([0.1, -0.1], 4)]))
    >>> member.argmax(), evidence > 2
    (np.int64(7), True)
    """
    n_methods = values.shape[1]
    centred = values - values.mean(axis=1, keepdims=True)
    scatter, member = centred @ centred.T, np.zeros((n_methods, 1))
    on_a_line = np.linalg.det(scatter) <= _ON_A_LINE * np.prod(np.diagonal(scatter))
    if n_methods < _FEWEST_METHODS or on_a_line:
        return member, -np.inf
    distance = np.einsum("am,am->m", centred, np.linalg.solve(scatter, centred))
    furthest = int(distance.argmax())
    member[furthest] = 1.0
    # The determinant of the others' scatter, as a share of that of all.
    left = max(1 - n_methods / (n_methods - 1) * distance[furthest], _ON_A_LINE)
    return member, float(-0.5 * (n_methods - 3) * np.log(left) - 2 * np.log(n_methods))


def best_bend(values: Array) -> tuple[Array, float]:
    """How to stretch a metric so that the other is straight in it, and the evidence that it bends.

    Of the maps (exp(κv) − 1) / κ, v one metric in standard deviations, the one is taken after
    which the other metric's regression on it leaves least. They are monotone: ranks stay. The
    evidence is the least that there is without any one method.

    Parameters
    ----------
    values : ndarray, shape (2, method)
        Estimates.

    Returns
    -------
    bends : ndarray, shape (2,)
        κ of each metric by its unit; 0 for a metric that stays as it is, as one of them does.
    evidence : float
        Log of the Bayes factor for the bent line against the straight one, by BIC; −inf with
        fewer than six methods or a relation without scatter.

    Examples
    --------
    >>> x = np.linspace(-1, 1, 9)
    >>> bends, evidence = best_bend(np.stack([x, np.exp(2 * x) + [0.01, -0.02, 0.01] * 3]))
    >>> bends.round(), evidence > 2
    (array([2., 0.]), True)
    """
    n_methods = values.shape[1]
    best = np.zeros(2), -np.inf
    values = values - values.mean(axis=1, keepdims=True)
    # With all methods, then without each of them: no bend rests on a single one.
    kept = np.vstack([np.ones(n_methods), 1 - np.eye(n_methods)])
    for metric, (x, y) in enumerate((values, values[::-1])):
        if n_methods < _FEWEST_METHODS or not (x.any() and y.any()):
            continue
        bends = _BENDS / x.std()
        unexplained = 1 - _squared_correlations(bent(x, bends[:, None]), y, kept)
        left = np.maximum(unexplained, _ON_A_LINE)
        at, straight = int(left[:, 0].argmin()), left[len(_BENDS) // 2]
        if straight[0] <= _ON_A_LINE:
            continue
        gain = 0.5 * (n_methods - 1) * np.log(straight / left[at]).min()
        evidence = float(gain - 0.5 * np.log(n_methods))
        if evidence > best[1]:
            best = np.where(np.arange(2) == metric, bends[at], 0.0), evidence
    return best


def _squared_correlations(rows: Array, values: Array, kept: Array) -> Array:
    """Of each row with the values over the kept methods, shape (row, kept); 0 of a constant."""
    n = kept.sum(axis=1)
    mean_row, mean = rows @ kept.T / n, kept @ values / n
    shared = (rows * values) @ kept.T - n * mean_row * mean
    square_row, square = rows**2 @ kept.T - n * mean_row**2, kept @ values**2 - n * mean**2
    scale = square_row * square
    found = np.zeros(scale.shape)
    np.divide(shared**2, scale, out=found, where=scale > 1e-24)
    return found


def bent(values: Array, bend: ArrayLike) -> Array:
    """(exp(κv) − 1) / κ, and v itself where κ is 0; ``bend`` is broadcast."""
    bend = np.asarray(bend, dtype=np.float64)
    safe = np.where(bend == 0, 1.0, bend)
    return np.asarray(np.where(bend == 0, values, np.expm1(safe * values) / safe))


def straightened(values: Array, bend: ArrayLike) -> Array:
    """What :func:`bent` was given; the end of its range stands for what lies beyond."""
    bend = np.asarray(bend, dtype=np.float64)
    safe = np.where(bend == 0, 1.0, bend)
    within = np.maximum(safe * values, _END - 1)
    return np.asarray(np.where(bend == 0, values, np.log1p(within) / safe))


def _least_variance_split(ordered: Array) -> NDArray[np.intp]:
    """Last index of the lower of the two groups that have most variance between them."""
    n_methods = ordered.shape[1]
    lower = np.arange(1, n_methods)
    sums = np.cumsum(ordered - ordered.mean(axis=1, keepdims=True), axis=1)[:, :-1]
    return np.asarray((sums**2 / (lower * (n_methods - lower))).argmax(axis=1))


def _fit(values: Array, noise: Array, member: Array) -> tuple[Array, Array]:
    """EM from each start.

    ``values`` and ``noise`` have shape (start, method), ``member`` (group, start, method). Returns
    log-likelihoods, shape (start,), and the memberships of the last group, shape (start, method).
    """
    n_methods = values.shape[1]
    total = values.var(axis=1)
    means = (member * values).sum(axis=2) / member.sum(axis=2)
    within = (member * (values - means[:, :, None]) ** 2).sum(axis=(0, 2)) / n_methods
    spread = np.maximum(1e-3 * total, within - noise.mean(axis=1))
    for _ in range(_ITERATIONS):
        variance = spread[:, None] + noise
        weight = member / variance
        means = (weight * values).sum(axis=2) / weight.sum(axis=2)
        residual = values - means[:, :, None]
        share = member.sum(axis=2) / n_methods
        log_density = (
            np.log(share)[:, :, None] - 0.5 * residual**2 / variance - 0.5 * np.log(variance)
        )
        mixture = np.logaddexp.reduce(log_density, axis=0)
        member = np.clip(np.exp(log_density - mixture), 1e-9, 1.0)
        kept = spread[:, None] / variance
        second_moment = (kept * residual) ** 2 + kept * noise
        spread = np.maximum(1e-6 * total, (member * second_moment).sum(axis=(0, 2)) / n_methods)
    return mixture.sum(axis=1), member[-1]

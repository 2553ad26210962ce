"""Do the methods' values of a metric fall into two groups?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["best_splits"]

Array = NDArray[np.float64]

_FEWEST_METHODS = 6
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

"""Do the methods' values fall into two groups?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["best_split"]

Array = NDArray[np.float64]

_FEWEST_METHODS = 6
_ITERATIONS = 15


def best_split(values: Array, noise: Array) -> tuple[float, NDArray[np.intp]]:
    """Split methods into two groups by their estimates, and say how much better that fits.

    Compares one normal distribution of true values with a mixture of two of equal spread, both
    fitted by maximum likelihood with the known sampling variances (EM, started from the split at
    the widest gap and from the one with least variance within).

    Parameters
    ----------
    values : ndarray, shape (method,)
        Estimates of one metric.
    noise : ndarray, shape (method,)
        Their sampling variances.

    Returns
    -------
    evidence : float
        Log of the Bayes factor for two groups, by BIC (two more parameters); −inf with fewer than
        six methods or constant values.
    groups : ndarray of int, shape (method,)
        0 for the lower group, 1 for the upper; all 0 where there is no split.

    Examples
    --------
    >>> values = np.array([0.1, 0.0, 0.2, 3.1, 3.0, 3.2, 2.9, 0.15])
    >>> evidence, groups = best_split(values, np.full(8, 0.001))
    >>> evidence > 2, groups
    (True, array([0, 0, 0, 1, 1, 1, 1, 0]))

    References
    ----------
    Fraley and Raftery (2002), Model-based clustering, JASA 97:611-631.
    """
    n_methods = len(values)
    none = np.zeros(n_methods, dtype=np.intp)
    total = float(np.var(values))
    if n_methods < _FEWEST_METHODS or total == 0:
        return -np.inf, none
    order = np.argsort(values, kind="stable")
    ordered, noise = values[order], noise[order]
    lower = np.array([int(np.diff(ordered).argmax()), _least_variance_split(ordered)]) + 1
    starts = (np.arange(n_methods) < lower[:, None]).astype(np.float64)
    two, upper = _fit(ordered, noise, np.stack([starts, 1 - starts]), total)
    one, _ = _fit(ordered, noise, np.ones((1, 1, n_methods)), total)
    best = int(two.argmax())
    groups = none.copy()
    groups[order] = upper[best] > 0.5
    if groups.min() == groups.max():
        return -np.inf, none
    return float(two[best] - one[0] - np.log(n_methods)), groups


def _least_variance_split(ordered: Array) -> int:
    """Last index of the lower of the two groups that have most variance between them."""
    lower = np.arange(1, len(ordered))
    sums = np.cumsum(ordered - ordered.mean())[:-1]
    return int((sums**2 / (lower * (len(ordered) - lower))).argmax())


def _fit(values: Array, noise: Array, member: Array, total: float) -> tuple[Array, Array]:
    """EM from each start.

    ``member`` has shape (group, start, method). Returns log-likelihoods, shape (start,), and the
    memberships of the last group, shape (start, method).
    """
    floor = 1e-3 * total
    spread = np.full(member.shape[1], floor)
    means = (member * values).sum(axis=2) / member.sum(axis=2)
    spread = np.maximum(
        floor, (member * (values - means[:, :, None]) ** 2).sum(axis=0).mean(axis=1) - noise.mean()
    )
    for _ in range(_ITERATIONS):
        variance = spread[:, None] + noise
        weight = member / variance
        means = (weight * values).sum(axis=2) / weight.sum(axis=2)
        residual = values - means[:, :, None]
        share = member.mean(axis=2)
        log_density = (
            np.log(share)[:, :, None] - 0.5 * residual**2 / variance - 0.5 * np.log(variance)
        )
        mixture = np.logaddexp.reduce(log_density, axis=0)
        member = np.clip(np.exp(log_density - mixture), 1e-9, 1.0)
        kept = spread[:, None] / variance
        second_moment = (kept * residual) ** 2 + kept * noise
        spread = np.maximum(1e-6 * total, (member * second_moment).sum(axis=0).mean(axis=1))
    return mixture.sum(axis=1), member[-1]

"""Two metrics, one of them freed of the errors that it shares with the other."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

__all__ = ["without_shared_noise"]

Array = NDArray[np.float64]

# Spreads of the true values that the estimates allow, by their quantiles.
_QUANTILES = np.linspace(0.005, 0.995, 5)


def without_shared_noise(
    estimates: ArrayLike, covariance: ArrayLike, blocks: ArrayLike
) -> tuple[Array, Array]:
    """Take from one metric what its errors share with those of the other, the noisier one.

    Of the noisier metric x, with errors of covariance S and true values spread by T, the errors of
    the other are expected to be S_yx (S + T)⁻¹ x; they are taken from it. T has a variance
    between blocks and one within, each known only roughly: the mean is over five values of each
    that its χ² allows. Unrelated true values are then unrelated as far as T is known.

    Parameters
    ----------
    estimates : array_like, shape (2 × method,)
        First metric for every method, then the second.
    covariance : array_like, shape (2 × method, 2 × method)
        Sampling covariance of their contrasts.
    blocks : array_like of int, shape (method,)
        Block of each method, from 0; more than one, and fewer than methods.

    Returns
    -------
    x, y : ndarray, shape (method,)
        Differences from the mean over methods, in the order given.

    Examples
    --------
    Errors that are all the second metric has, three quarters of the first's:

    >>> noise = np.kron([[3.0, 3.0], [3.0, 3.0]], np.eye(4) - 1 / 4)
    >>> values = np.array([3.0, -3, 3, -3, 3, -3, 3, -3])
    >>> x, y = without_shared_noise(values, noise, [0, 0, 1, 1])
    >>> x.round(6), bool((np.abs(y) < np.abs(x)).all())
    (array([ 3., -3.,  3., -3.]), True)
    """
    both = np.asarray(estimates, dtype=np.float64).reshape(2, -1)
    both = both - both.mean(axis=1, keepdims=True)
    n = both.shape[1]
    noise = np.asarray(covariance, dtype=np.float64).reshape(2, n, 2, n)
    share = [np.trace(noise[k, :, k]) / np.sum(both[k] ** 2) for k in (0, 1)]
    noisier = int(share[1] > share[0])
    x, own, shared = both[noisier], noise[noisier, :, noisier], noise[1 - noisier, :, noisier]
    effects = _effects(np.asarray(blocks))
    variances = []
    for effect in effects:
        df = np.trace(effect)
        allowed = x @ effect @ x / (2 * special.gammaincinv(df / 2, _QUANTILES))
        variances.append(np.maximum(0.0, allowed - np.sum(effect * own) / df))
    adjusted = []
    for spread in itertools.product(*variances):
        total = own + sum(v * effect for v, effect in zip(spread, effects, strict=True))
        adjusted.append(both[1 - noisier] - shared @ np.linalg.pinv(total, hermitian=True) @ x)
    both[1 - noisier] = np.mean(adjusted, axis=0)
    return both[0], both[1]


def _effects(blocks: NDArray[np.intp]) -> list[Array]:
    """Projections onto differences between blocks and within them."""
    member = (blocks[:, None] == np.arange(blocks.max() + 1)).astype(np.float64)
    means = member / member.sum(axis=0) @ member.T
    return [means - 1 / len(blocks), np.eye(len(blocks)) - means]

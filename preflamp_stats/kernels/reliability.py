"""How much of what separates the methods is real, and what tau noise alone would leave."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from preflamp_stats.choices import Variant
from preflamp_stats.kernels.kendall import kendall_tau

__all__ = ["noise_ceiling", "reliability"]

Array = NDArray[np.float64]


def reliability(estimates: ArrayLike, covariance: ArrayLike) -> Array:
    """Share of the variance between methods' estimates that is not sampling noise.

    One minus the mean sampling variance of the methods' differences from their mean over the
    variance of the estimates, not below 0.

    Parameters
    ----------
    estimates : array_like, shape (2 × method,)
        First metric for every method, then the second.
    covariance : array_like, shape (2 × method, 2 × method)
        Sampling covariance of the estimates or of their contrasts.

    Returns
    -------
    ndarray, shape (2,)
        For each metric; NaN where its estimates are all the same.

    Examples
    --------
    The two methods differ by 2, so their variance is 2; the noise has a variance of 0.5.

    >>> reliability([1.0, 3.0, 0.0, 0.0], np.diag([0.5, 0.5, 1.0, 1.0]))
    array([0.75,  nan])

    References
    ----------
    Spearman (1904), The proof and measurement of association between two things.
    """
    values = np.asarray(estimates, dtype=np.float64).reshape(2, -1)
    return np.maximum(0.0, 1 - _noise_share(values, np.asarray(covariance, dtype=np.float64)))


def noise_ceiling(
    estimates: ArrayLike,
    covariance: ArrayLike,
    *,
    rng: np.random.Generator,
    variant: Variant = "b",
    n_draws: int = 512,
) -> float:
    """Tau that sampling noise alone would leave if the two rankings truly agreed.

    The estimates are drawn together around their mean until they vary as the true values do. Those
    of the second metric are handed to the methods in the order of the first metric's, so that the
    true tau is 1 and both metrics keep their spread and shape; noise with the sampling covariance
    is added, and tau is taken of the result. The ceiling is the mean over draws of the noise.

    Parameters
    ----------
    estimates : array_like, shape (2 × method,)
        First metric for every method, then the second.
    covariance : array_like, shape (2 × method, 2 × method)
        Sampling covariance of the estimates or of their contrasts.
    rng : numpy.random.Generator
        Source of the noise.
    variant : {"a", "b", "c", "weighted"}
        Kendall's tau.
    n_draws : int
        Draws of the noise.

    Returns
    -------
    float
        NaN where tau is undefined in every draw.

    Notes
    -----
    One over a sample variance is on average df / (df − 2) times one over the variance it
    estimates. The share of noise is divided by that here, or a few methods would look less
    reliable than they are.

    Examples
    --------
    >>> noise_ceiling([1.0, 2, 3, 3, 1, 2], np.zeros((6, 6)), rng=np.random.default_rng(0))
    1.0
    """
    values = np.asarray(estimates, dtype=np.float64).reshape(2, -1)
    noise = np.asarray(covariance, dtype=np.float64)
    df = values.shape[1] - 1
    left = 1 - max(df - 2, 1) / df * _noise_share(values, noise)
    true = np.sqrt(np.clip(left, 0.0, 1.0))[:, None] * (values - values.mean(axis=1)[:, None])
    spread, vectors = np.linalg.eigh(noise)
    root = vectors * np.sqrt(np.maximum(spread, 0))
    error_x, error_y = np.split(rng.standard_normal((n_draws, len(noise))) @ root.T, 2, axis=1)
    agreeing = np.sort(true[1])[np.argsort(np.argsort(true[0]))]
    tau = kendall_tau(true[0] + error_x, agreeing + error_y, variant=variant)
    defined = tau[~np.isnan(tau)]
    return float(defined.mean()) if defined.size else np.nan


def _noise_share(values: Array, covariance: Array) -> Array:
    """Mean sampling variance of each metric's contrasts, over the variance of its estimates."""
    n_methods = values.shape[1]
    blocks = covariance.reshape(2, n_methods, 2, n_methods)
    own = np.stack([blocks[metric, :, metric] for metric in range(2)])
    noise = (np.trace(own, axis1=1, axis2=2) - own.sum(axis=(1, 2)) / n_methods) / (n_methods - 1)
    observed = values.var(axis=1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(observed > 0, noise / observed, np.nan))

"""How much of what separates the methods is real, and what tau noise alone would leave."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from preflamp_stats.choices import Variant
from preflamp_stats.kernels.kendall import kendall_tau
from preflamp_stats.kernels.latent_normal import LatentDraws

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
    n_methods = values.shape[1]
    blocks = np.asarray(covariance, dtype=np.float64).reshape(2, n_methods, 2, n_methods)
    found = np.full(2, np.nan)
    for metric in range(2):
        own = blocks[metric, :, metric]
        noise = (np.trace(own) - own.sum() / n_methods) / (n_methods - 1)
        observed = values[metric].var(ddof=1)
        if observed > 0:
            found[metric] = max(0.0, 1 - noise / observed)
    return found


def noise_ceiling(
    draws: LatentDraws,
    covariance: ArrayLike,
    *,
    rng: np.random.Generator,
    variant: Variant = "b",
) -> float:
    """Tau that sampling noise alone would leave if the two rankings truly agreed.

    In every posterior draw the second metric's true values are handed to the methods in the order
    of the first metric's, so that the true tau is 1 and both metrics keep their spread; noise with
    the sampling covariance is added, and tau is taken of the result. The ceiling is the mean over
    draws.

    Parameters
    ----------
    draws : LatentDraws
        True values as far as the estimates tell.
    covariance : array_like, shape (2 × method, 2 × method)
        Sampling covariance of the estimates or of their contrasts.
    rng : numpy.random.Generator
        Source of the noise.
    variant : {"a", "b", "c", "weighted"}
        Kendall's tau.

    Returns
    -------
    float
        NaN where tau is undefined in every draw.

    Examples
    --------
    >>> values = np.array([[1.0, 2.0, 3.0]])
    >>> one = np.ones(1)
    >>> draws = LatentDraws(values, -values, one, one, one)
    >>> noise_ceiling(draws, np.zeros((6, 6)), rng=np.random.default_rng(0))
    1.0
    """
    noise = np.asarray(covariance, dtype=np.float64)
    values, vectors = np.linalg.eigh(noise)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    error = rng.standard_normal((len(draws.rho), len(noise))) @ root
    error_x, error_y = np.split(error, 2, axis=1)
    ranks = np.argsort(np.argsort(draws.theta_x, axis=1), axis=1)
    agreeing = np.take_along_axis(np.sort(draws.theta_y, axis=1), ranks, axis=1)
    tau = kendall_tau(draws.theta_x + error_x, agreeing + error_y, variant=variant)
    defined = tau[~np.isnan(tau)]
    return float(defined.mean()) if defined.size else np.nan

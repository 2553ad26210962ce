"""Likelihood of the spread and correlation of true values, given noisy estimates of them.

The model: method m has true values θ_m = (θx_m, θy_m), independently normal around the mean of its
group with covariance T = [[σx², ρσxσy], [ρσxσy, σy²]]; the estimates are normal around θ with a
known covariance S. Group means are free (flat prior), so only contrasts within groups speak. With
an orthonormal basis of those, the same for both metrics, they are normal with mean 0 and covariance
T ⊗ I + S′, S′ the noise of the contrasts. No rotation of the basis changes T ⊗ I; in the basis that
diagonalises the noise of both metrics as nearly as one can, the likelihood all but factors.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special

__all__ = [
    "GroupedModel",
    "Hyperparameters",
    "contrast_covariance",
    "exact_log_likelihood",
    "factored_log_likelihood",
    "prior_points",
]

Array = NDArray[np.float64]

LARGEST_ATANH_RHO = 2.85
"""The prior of ρ is normal in atanh ρ and ends here, |ρ| < 0.994: a higher limit would let noisy
estimates overshoot a moderate correlation, a lower one would fall short of a strong one."""
_SPREAD_ATANH_RHO = 2.5
"""Standard deviation of that normal: half as dense at the ends as at 0."""
_TAIL = 1e-3
_WIDEST = 10.0
_CACHED = 16_384


@dataclass(frozen=True)
class Hyperparameters:
    """Correlation and spreads of the methods' true values, shape (point,) each."""

    rho: Array
    sigma_x: Array
    sigma_y: Array

    def take(self, index: NDArray[np.intp]) -> Hyperparameters:
        """Points at an index, repeated where it repeats."""
        return Hyperparameters(self.rho[index], self.sigma_x[index], self.sigma_y[index])


@dataclass(frozen=True)
class GroupedModel:
    """Estimates of two metrics over methods, their noise, and the groups whose means are free.

    Parameters
    ----------
    estimates : ndarray, shape (2, method)
        Of the two metrics.
    covariance : ndarray, shape (2 × method, 2 × method)
        Their sampling covariance, of contrasts.
    groups : ndarray of int, shape (method,)
        Group of each method, from 0 without gaps; all 0 for one common mean.
    """

    estimates: Array
    covariance: Array
    groups: NDArray[np.intp]

    @cached_property
    def indicators(self) -> Array:
        """Membership, shape (method, group)."""
        return np.asarray(np.eye(self.groups.max() + 1)[self.groups])

    @cached_property
    def basis(self) -> Array:
        """Orthonormal contrasts within groups, shape (contrast, method), least noisy first."""
        any_basis = linalg.null_space(self.indicators.T).T
        n_methods = self.estimates.shape[1]
        pooled = np.zeros((n_methods, n_methods))
        for metric in range(2):
            part = slice(metric * n_methods, (metric + 1) * n_methods)
            own = self.covariance[part, part]
            pooled += own / max(np.trace(own), np.finfo(np.float64).tiny)
        _, rotation = np.linalg.eigh(any_basis @ pooled @ any_basis.T)
        return np.asarray(rotation.T @ any_basis)

    @cached_property
    def contrasts(self) -> Array:
        """Estimated contrasts, shape (2, contrast)."""
        return self.estimates @ self.basis.T

    @cached_property
    def noise(self) -> Array:
        """Sampling covariance of the contrasts, shape (2 × contrast, 2 × contrast)."""
        both = np.kron(np.eye(2), self.basis)
        return np.asarray(both @ self.covariance @ both.T)


def prior_points(model: GroupedModel, n_points: int) -> Hyperparameters:
    """Points that fill the prior evenly: normal in atanh ρ, uniform in both σ.

    Uniform atanh ρ is the matching prior of a bivariate normal correlation that is observed without
    noise. Under noise it lets moderate correlations look strong, so that it is thinned out a little
    towards its ends. The flat priors of σ
    are cut where the data leave them no likelihood, from the χ² limits of the variance of the
    contrasts.

    Parameters
    ----------
    model : GroupedModel
        Data.
    n_points : int
        Number of points, of a Kronecker sequence.

    Returns
    -------
    Hyperparameters

    References
    ----------
    Berger and Sun (2008), Objective priors for the bivariate normal model, Annals of Statistics
    36:963-982; Roberts (2018), The unreasonable effectiveness of quasirandom sequences, for the
    sequence.
    """
    plastic = 1.2207440846057596  # root of g⁴ = g + 1
    steps = plastic ** -np.arange(1.0, 4.0)
    unit = (0.5 + np.arange(1, n_points + 1)[:, None] * steps) % 1.0
    df = model.contrasts.shape[1]
    by_metric = np.diagonal(model.noise).reshape(2, df)
    least_square = 2 * special.gammaincinv(df / 2, _TAIL)  # χ² limits
    most_square = 2 * special.gammainccinv(df / 2, _TAIL)
    sigma = []
    for metric in range(2):
        observed = float(np.sum(model.contrasts[metric] ** 2))
        noise = float(by_metric[metric].mean())
        most = max(observed, df * noise)
        high = np.sqrt(most * min(1 / least_square, _WIDEST**2 / df))
        # A third more than the noise, for its estimate may be too small.
        low = np.sqrt(max(0.0, observed / most_square - 4 / 3 * noise))
        sigma.append(low + unit[:, 1 + metric] * (high - low))
    outside = special.ndtr(-LARGEST_ATANH_RHO / _SPREAD_ATANH_RHO)
    standard = special.ndtri(outside + unit[:, 0] * (1 - 2 * outside))
    rho = np.tanh(_SPREAD_ATANH_RHO * standard)
    return Hyperparameters(rho, sigma[0], sigma[1])


def factored_log_likelihood(model: GroupedModel, points: Hyperparameters) -> Array:
    """Log-likelihood at each point, neglecting covariances of noise between contrasts.

    It factors over contrasts into bivariate normals: a few sums instead of a matrix factorisation
    a point. Exact where the two metrics' noise is alike up to scale.

    Returns
    -------
    ndarray, shape (point,)
        Up to a constant.
    """
    x, y = model.contrasts
    n_points, df = len(points.rho), len(x)
    own = np.einsum("aibi->abi", model.noise.reshape(2, df, 2, df))
    log_likelihood = np.empty(n_points)
    # Tables of points × contrasts that fit in a core's cache: three times as fast.
    size = max(1, _CACHED // df)
    for start in range(0, n_points, size):
        chunk = slice(start, start + size)
        rho, sigma_x, sigma_y = (
            values[chunk, None] for values in (points.rho, points.sigma_x, points.sigma_y)
        )
        variance_x, variance_y = sigma_x**2 + own[0, 0], sigma_y**2 + own[1, 1]
        shared = rho * sigma_x * sigma_y + own[0, 1]
        determinant = variance_x * variance_y - shared**2
        square = variance_y * x**2 - 2 * shared * (x * y) + variance_x * y**2
        log_likelihood[chunk] = -0.5 * (np.log(determinant) + square / determinant).sum(axis=1)
    return log_likelihood


def contrast_covariance(model: GroupedModel, points: Hyperparameters) -> Array:
    """Covariance of the estimated contrasts at each point, T ⊗ I + S′.

    Returns
    -------
    ndarray, shape (point, 2 × contrast, 2 × contrast)
    """
    df = model.contrasts.shape[1]
    covariance = np.repeat(model.noise[None], len(points.rho), axis=0)
    x, y = np.arange(df), np.arange(df, 2 * df)
    covariance[:, x, x] += points.sigma_x[:, None] ** 2
    covariance[:, y, y] += points.sigma_y[:, None] ** 2
    shared = (points.rho * points.sigma_x * points.sigma_y)[:, None]
    covariance[:, x, y] += shared
    covariance[:, y, x] += shared
    return covariance


def exact_log_likelihood(model: GroupedModel, covariance: Array) -> Array:
    """Log-likelihood of the contrasts under each covariance.

    Parameters
    ----------
    model : GroupedModel
        Data.
    covariance : ndarray, shape (point, 2 × contrast, 2 × contrast)
        From :func:`contrast_covariance`.

    Returns
    -------
    ndarray, shape (point,)
        Up to the constant −contrasts·log 2π.
    """
    n_points, size, _ = covariance.shape
    # The last row of the bordered matrix's Cholesky factor solves L v = contrasts on the way; the
    # corner only has to exceed vᵀv.
    bordered = np.zeros((n_points, size + 1, size + 1))
    bordered[:, :size, :size] = covariance
    bordered[:, size, :size] = model.contrasts.ravel()
    bordered[:, size, size] = np.finfo(np.float64).max / 4
    factor = np.linalg.cholesky(bordered)
    solved = factor[:, size, :size]
    log_root = np.log(np.diagonal(factor, axis1=1, axis2=2)[:, :size]).sum(axis=1)
    return np.asarray(-log_root - 0.5 * (solved**2).sum(axis=1))

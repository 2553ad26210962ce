"""Likelihood of the spread and correlation of true values, given noisy estimates of them.

The model: method m has true values θ_m = (θx_m, θy_m), independently normal around the mean of its
group with covariance T = [[σx², ρσxσy], [ρσxσy, σy²]]; the estimates are normal around θ with a
known covariance S. Group means are free (flat prior), so only contrasts within groups, Z·estimates,
speak: they are normal with mean 0 and covariance Z (T ⊗ I + S) Zᵀ.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, stats

from preflamp_stats.kernels.covariance import method_blocks

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
"""The prior of ρ is uniform in atanh ρ up to here, |ρ| < 0.994: a higher limit would let noisy
estimates overshoot a moderate correlation, a lower one would fall short of a strong one."""
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
    groups : ndarray of int, shape (2, method)
        Group of each method in each metric, from 0 without gaps; all 0 for one common mean.
    """

    estimates: Array
    covariance: Array
    groups: NDArray[np.intp]

    @cached_property
    def indicators(self) -> tuple[Array, Array]:
        """Membership, shape (method, group), for each metric."""
        x, y = (np.eye(labels.max() + 1)[labels] for labels in self.groups)
        return x, y

    @cached_property
    def bases(self) -> tuple[Array, Array]:
        """Orthonormal contrasts within groups, shape (contrast, method), for each metric."""
        x, y = (linalg.null_space(indicators.T).T for indicators in self.indicators)
        return x, y

    @cached_property
    def basis(self) -> Array:
        """Both metrics' contrasts, shape (contrast, 2 × method)."""
        return np.asarray(linalg.block_diag(*self.bases))

    @cached_property
    def contrasts(self) -> Array:
        """Estimated contrasts, shape (contrast,)."""
        return self.basis @ self.estimates.ravel()

    @cached_property
    def noise(self) -> Array:
        """Sampling covariance of the contrasts."""
        return self.basis @ self.covariance @ self.basis.T


def prior_points(model: GroupedModel, n_points: int) -> Hyperparameters:
    """Points that fill the prior evenly: uniform in atanh ρ and in both σ.

    Uniform atanh ρ is the matching prior of a bivariate normal correlation. The flat priors of σ
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
    ends = np.cumsum([0, *(len(basis) for basis in model.bases)])
    sigma = []
    for metric in range(2):
        part = slice(ends[metric], ends[metric + 1])
        df = ends[metric + 1] - ends[metric]
        observed = float(np.sum(model.contrasts[part] ** 2))
        noise = float(np.trace(model.noise[part, part])) / df
        most = max(observed, df * noise)
        high = np.sqrt(most * min(1 / stats.chi2.ppf(_TAIL, df), _WIDEST**2 / df))
        # A third more than the noise, for its estimate may be too small.
        low = np.sqrt(max(0.0, observed / stats.chi2.isf(_TAIL, df) - 4 / 3 * noise))
        sigma.append(low + unit[:, 1 + metric] * (high - low))
    rho = np.tanh(LARGEST_ATANH_RHO * (2 * unit[:, 0] - 1))
    return Hyperparameters(rho, sigma[0], sigma[1])


def factored_log_likelihood(model: GroupedModel, points: Hyperparameters) -> Array:
    """Log-likelihood at each point, as if methods' errors were independent of one another.

    The likelihood then factors over methods into bivariate normals, tied only by the group means,
    which are integrated out: a few sums over methods instead of a matrix factorisation a point.

    Returns
    -------
    ndarray, shape (point,)
        Up to a constant.
    """
    own = method_blocks(model.covariance)
    n_points = len(points.rho)
    # Tables of points × methods that fit in a core's cache: three times as fast.
    size = max(1, _CACHED // model.estimates.shape[1])
    chunks = (np.arange(start, min(start + size, n_points)) for start in range(0, n_points, size))
    return np.concatenate([_factored_chunk(model, own, points.take(chunk)) for chunk in chunks])


def _factored_chunk(model: GroupedModel, own: Array, points: Hyperparameters) -> Array:
    x, y = model.estimates - model.estimates.mean(axis=1, keepdims=True)
    variance_x = points.sigma_x[:, None] ** 2 + own[:, 0, 0]
    variance_y = points.sigma_y[:, None] ** 2 + own[:, 1, 1]
    shared = (points.rho * points.sigma_x * points.sigma_y)[:, None] + own[:, 0, 1]
    determinant = variance_x * variance_y - shared**2
    precision_x, precision_y = variance_y / determinant, variance_x / determinant
    cross = -shared / determinant
    weighted_x, weighted_y = precision_x * x + cross * y, cross * x + precision_y * y
    log_likelihood = -0.5 * (np.log(determinant).sum(axis=1) + weighted_x @ x + weighted_y @ y)
    # Normal equations of the group means: x's groups first, then y's.
    in_x, in_y = model.indicators
    means = np.hstack([in_x, in_y])
    split, n_means = in_x.shape[1], means.shape[1]
    normal = np.zeros((n_means, n_means, len(points.rho)))
    for a in range(n_means):
        for b in range(a, n_means):
            weights = precision_x if b < split else precision_y if a >= split else cross
            normal[a, b] = weights @ (means[:, a] * means[:, b])
    right = np.vstack([(weighted_x @ in_x).T, (weighted_y @ in_y).T])
    for a in range(n_means):  # eliminate one mean at a time
        pivot = normal[a, a]
        log_likelihood += 0.5 * (right[a] ** 2 / pivot - np.log(pivot))
        for b in range(a + 1, n_means):
            factor = normal[a, b] / pivot
            right[b] -= factor * right[a]
            normal[b, b:] -= factor * normal[a, b:]
    return np.asarray(log_likelihood)


def contrast_covariance(model: GroupedModel, points: Hyperparameters) -> Array:
    """Covariance of the estimated contrasts at each point, shape (point, contrast, contrast)."""
    basis_x, basis_y = model.bases
    overlap = basis_x @ basis_y.T
    split = len(basis_x)
    x, y = np.arange(split), np.arange(split, len(model.noise))
    covariance = np.repeat(model.noise[None], len(points.rho), axis=0)
    covariance[:, x, x] += points.sigma_x[:, None] ** 2
    covariance[:, y, y] += points.sigma_y[:, None] ** 2
    shared = (points.rho * points.sigma_x * points.sigma_y)[:, None, None]
    covariance[:, :split, split:] += shared * overlap
    covariance[:, split:, :split] += shared * overlap.T
    return covariance


def exact_log_likelihood(model: GroupedModel, covariance: Array) -> Array:
    """Log-likelihood of the contrasts under each covariance.

    Parameters
    ----------
    model : GroupedModel
        Data.
    covariance : ndarray, shape (point, contrast, contrast)
        From :func:`contrast_covariance`.

    Returns
    -------
    ndarray, shape (point,)
        Up to the constant −½·contrasts·log 2π.
    """
    n_points, size, _ = covariance.shape
    # The last row of the bordered matrix's Cholesky factor solves L v = contrasts on the way; the
    # corner only has to exceed vᵀv.
    bordered = np.zeros((n_points, size + 1, size + 1))
    bordered[:, :size, :size] = covariance
    bordered[:, size, :size] = model.contrasts
    bordered[:, size, size] = np.finfo(np.float64).max / 4
    factor = np.linalg.cholesky(bordered)
    solved = factor[:, size, :size]
    log_root = np.log(np.diagonal(factor, axis1=1, axis2=2)[:, :size]).sum(axis=1)
    return np.asarray(-log_root - 0.5 * (solved**2).sum(axis=1))

"""Likelihood of the spread and correlation of true values, given noisy estimates of them.

The model: method m has true values θ_m = (θx_m, θy_m), independently normal around a mean with
covariance T = [[σx², ρσxσy], [ρσxσy, σy²]]; the estimates are normal around θ with a known
covariance S. The means are a free combination (flat prior) of the columns of a design, so only
contrasts orthogonal to those speak. With an orthonormal basis of them, the same for both metrics,
they are normal with mean 0 and covariance T ⊗ I + S′, S′ the noise of the contrasts. No rotation of
the basis changes T ⊗ I; in the basis that diagonalises the noise of both metrics as nearly as one
can, the likelihood all but factors.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special
from scipy.linalg import lapack

__all__ = [
    "FreeMeansModel",
    "Hyperparameters",
    "exact_factors",
    "factored_log_likelihood",
    "prior_points",
]

Array = NDArray[np.float64]

LARGEST_ATANH_RHO = 2.85
"""Where the continuous part of the prior of ρ ends, |ρ| < 0.994: a higher limit would let noisy
estimates overshoot a moderate correlation."""
_SPREAD_ATANH_RHO = 2.5
"""Standard deviation of atanh ρ before it is cut there: half as dense at the ends as at 0."""
_AT_EACH_END = 0.05
"""Prior probability of ρ = 1, and of ρ = −1. A density alone gives perfect agreement no
probability, so that an interval leaves it out however well it fits."""
_REGULAR = 1 - 1e-10
"""|ρ| in a covariance matrix: at 1 it would be singular where there is no noise."""
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

    @property
    def shared(self) -> Array:
        """Covariance ρσxσy, kept off the singular one of |ρ| = 1."""
        return np.asarray(np.clip(self.rho, -_REGULAR, _REGULAR) * self.sigma_x * self.sigma_y)


@dataclass(frozen=True)
class FreeMeansModel:
    """Estimates of two metrics over methods, their noise, and what their means may be.

    Parameters
    ----------
    estimates : ndarray, shape (2, method)
        Of the two metrics.
    covariance : ndarray, shape (2 × method, 2 × method)
        Their sampling covariance, of contrasts.
    design : ndarray, shape (method, column)
        Of the means, in both metrics: a column of ones for one common mean, of a group's members
        for a mean of its own. Columns may depend on each other; they span the ones.
    """

    estimates: Array
    covariance: Array
    design: Array

    @cached_property
    def basis(self) -> Array:
        """Orthonormal contrasts without means, shape (contrast, method), least noisy first."""
        any_basis = linalg.null_space(self.design.T).T
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


def prior_points(model: FreeMeansModel, n_points: int) -> tuple[Hyperparameters, Array]:
    """Points that fill the prior: ρ = ±1 or normal in atanh ρ, and both σ flat.

    Uniform atanh ρ is the matching prior of a bivariate normal correlation that is observed without
    noise. Under noise it lets moderate correlations look strong, so that it is thinned out a little
    towards its ends. There it meets an atom: metrics that rank all methods alike have a probability
    of their own. The flat priors of σ are cut where the data leave them no likelihood, from the χ²
    limits of the variance of the contrasts.

    Parameters
    ----------
    model : FreeMeansModel
        Data.
    n_points : int
        Number of points, of a Kronecker sequence.

    Returns
    -------
    points : Hyperparameters
    log_weight : ndarray, shape (n_points,)
        Log of the prior probability of each point, up to a constant.

    Notes
    -----
    Of the sequence the first twentieth is at ρ = −1, the second at 1, and the rest spreads over the
    cut normal. (Where its first coordinate is nearest to 0 or 1, the others are far from even.)

    At ρ = s = ±1 the contrasts would be y = s b x with b = σy/σx were there no noise: the
    likelihood is a ridge in (σx, σy), as narrow as the noise is small, which points all over the
    rectangle would miss. So there σy is uniform on the part of its range in which b fits, and the
    weight is that part's share of the range. See :func:`_fitting_ratios` for what fits.

    References
    ----------
    Berger and Sun (2008), Objective priors for the bivariate normal model, Annals of Statistics
    36:963-982; Roberts (2018), The unreasonable effectiveness of quasirandom sequences, for the
    sequence.
    """
    plastic = 1.2207440846057596  # root of g⁴ = g + 1
    steps = plastic ** -np.arange(1.0, 4.0)
    unit = ((0.5 + np.arange(1, n_points + 1)[:, None] * steps) % 1.0).T
    df = model.contrasts.shape[1]
    by_metric = np.diagonal(model.noise).reshape(2, df)
    least_square = 2 * special.gammaincinv(df / 2, _TAIL)  # χ² limits
    most_square = 2 * special.gammainccinv(df / 2, _TAIL)
    observed = np.sum(model.contrasts**2, axis=1)
    noise = by_metric.mean(axis=1)
    most = np.maximum(observed, df * noise)
    high = np.sqrt(most * min(1 / least_square, _WIDEST**2 / df))
    # A third more than the noise, for its estimate may be too small.
    low = np.sqrt(np.maximum(0.0, observed / most_square - 4 / 3 * noise))
    sigma_x = low[0] + unit[1] * (high[0] - low[0])
    outside = special.ndtr(-LARGEST_ATANH_RHO / _SPREAD_ATANH_RHO)
    standard = special.ndtri(outside + unit[0] * (1 - 2 * outside))
    rho = np.tanh(_SPREAD_ATANH_RHO * standard)
    at_end = round(_AT_EACH_END * n_points)
    least_y, most_y = np.full((2, n_points), [[low[1]], [high[1]]])
    for sign, atom in ((-1, slice(at_end)), (1, slice(at_end, 2 * at_end))):
        rho[atom] = sign
        least_ratio, most_ratio = _fitting_ratios(model, sign)
        least_y[atom] = np.clip(least_ratio * sigma_x[atom], low[1], high[1])
        most_y[atom] = np.clip(most_ratio * sigma_x[atom], least_y[atom], high[1])
    sigma_y = least_y + unit[2] * (most_y - least_y)
    share = (most_y - least_y) / (high[1] - low[1])
    log_weight = np.log(np.maximum(share, np.finfo(np.float64).tiny))
    return Hyperparameters(rho, sigma_x, sigma_y), log_weight


def _fitting_ratios(model: FreeMeansModel, sign: int) -> tuple[float, float]:
    """Least and most σy/σx that the data leave a likelihood at ρ = ``sign``; crossed if none do.

    With v the mean noise of a contrast, q(b) = Σ(y − s b x)² / (vy + b² vx) is the χ² of the ratio
    b, and its minimum over b is the smaller root λ of (Σx² − λ vx)(Σy² − λ vy) = (Σxy)². The ratios
    with q(b) ≤ C lie between the roots of (Σx² − C vx) b² − 2 s Σxy b + (Σy² − C vy), all positive
    ones above or below a root where a coefficient is not positive (Fieller 1954). C = 2λ + 30 is
    wide: it allows for noise that differs between contrasts or is correlated between the metrics.
    """
    x, y = model.contrasts
    df = len(x)
    square_x, square_y, product = x @ x, y @ y, sign * (x @ y)
    noise = np.diagonal(model.noise).reshape(2, df).mean(axis=1)
    # What the regular covariance adds, for there may be no noise.
    noise_x, noise_y = noise + (1 - _REGULAR**2) * np.array([square_x, square_y]) / df
    a, b = square_x / noise_x, square_y / noise_y
    cross = product**2 / (noise_x * noise_y)
    smallest = (a + b) / 2 - np.hypot((a - b) / 2, np.sqrt(cross))
    most = 2 * max(smallest, 0.0) + 30.0
    first, last = square_x - most * noise_x, square_y - most * noise_y
    root = product + np.sqrt(max(product**2 - first * last, 0.0))
    return (last / root if last > 0 else 0.0), (root / first if first > 0 else np.inf)


def factored_log_likelihood(model: FreeMeansModel, points: Hyperparameters) -> Array:
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
        sigma_x, sigma_y, common = (
            values[chunk, None] for values in (points.sigma_x, points.sigma_y, points.shared)
        )
        variance_x, variance_y = sigma_x**2 + own[0, 0], sigma_y**2 + own[1, 1]
        shared = common + own[0, 1]
        determinant = variance_x * variance_y - shared**2
        square = variance_y * x**2 - 2 * shared * (x * y) + variance_x * y**2
        log_likelihood[chunk] = -0.5 * (np.log(determinant) + square / determinant).sum(axis=1)
    return log_likelihood


def exact_factors(model: FreeMeansModel, points: Hyperparameters) -> tuple[Array, list[Array]]:
    """Log-likelihood of the contrasts at each point, and what solves with their covariance.

    The covariance is T ⊗ I + S′. One point at a time, for those of a hundred methods together would
    not fit in a core's cache, nor those of a thousand in memory.

    Returns
    -------
    log_likelihood : ndarray, shape (point,)
        Up to the constant −contrasts·log 2π.
    factors : list of ndarray, shape (2 × contrast, 2 × contrast) each
        Lower Cholesky factors; what stands above their diagonals means nothing.

    Raises
    ------
    numpy.linalg.LinAlgError
        If a covariance is not positive definite.
    """
    df = model.contrasts.shape[1]
    size, n_points, contrasts = 2 * df, len(points.rho), model.contrasts.ravel()
    own = np.arange(size) * (size + 1)
    places = np.concatenate([own[:df], own[df:], own[:df] + df])
    effects = np.stack([points.sigma_x**2, points.sigma_y**2, points.shared], axis=1)
    noise = model.noise.ravel(order="F")
    roots, solved, factors = np.empty((n_points, size)), np.empty((n_points, size)), []
    for i, added in enumerate(np.repeat(effects, df, axis=1)):
        covariance = noise.copy()
        covariance[places] += added
        square = covariance.reshape(size, size).T
        factor, failed = lapack.dpotrf(square, lower=1, clean=0, overwrite_a=1)
        if failed:
            raise np.linalg.LinAlgError("the covariance of the contrasts is not positive definite")
        solved[i] = lapack.dpotrs(factor, contrasts, lower=1)[0]
        roots[i] = factor.diagonal()
        factors.append(factor)
    return -np.log(roots).sum(axis=1) - 0.5 * solved @ contrasts, factors

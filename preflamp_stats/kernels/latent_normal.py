"""True values of two metrics given noisy estimates: posterior draws, from which tau follows.

The usual bootstrap of tau adds the estimates' noise once more to estimates that already hold it,
so tau is pulled to 0 and the interval misses a strong association. Here the noise is taken out:
the spread and correlation of the methods' true values are drawn given the estimates
(:mod:`preflamp_stats.kernels.latent_likelihood`), then the true values given those.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.kernels.covariance import method_blocks
from preflamp_stats.kernels.latent_conditional import draw_true_values
from preflamp_stats.kernels.latent_likelihood import (
    FreeMeansModel,
    Hyperparameters,
    exact_factors,
    factored_log_likelihood,
    prior_points,
)
from preflamp_stats.kernels.method_groups import (
    bent,
    best_bend,
    best_splits,
    family_means,
    outlier,
    straightened,
)

__all__ = ["LatentDraws", "latent_draws"]

Array = NDArray[np.float64]

_POINTS_AN_EXACT_ONE = 64
_METHODS_OF_FULL_SHARE = 24
_LEAST_EVIDENCE = 2.0
_DECISIVE = 5.0
_DOUBT = 1.0
"""Weight of no population at all, beside the sum of the others."""
_LEAST_WEIGHT = 0.02


@dataclass(frozen=True, eq=False)
class LatentDraws:
    """Posterior draws of the methods' true values and of the population they come from.

    Parameters
    ----------
    theta_x, theta_y : ndarray, shape (draw, method)
        True values. Only differences between methods are modelled: each metric's mean over methods
        is that of the estimates.
    rho, sigma_x, sigma_y : ndarray, shape (draw,)
        Correlation and standard deviations of true values in the population of methods.
    """

    theta_x: Array
    theta_y: Array
    rho: Array
    sigma_x: Array
    sigma_y: Array

    def take(self, index: NDArray[np.intp]) -> LatentDraws:
        """Draws at an index."""
        return LatentDraws(*(getattr(self, field.name)[index] for field in fields(self)))

    @property
    def population_tau(self) -> Array:
        """Tau between two metrics of methods drawn anew, 2/π·asin ρ, shape (draw,)."""
        return np.asarray(2 / np.pi * np.arcsin(self.rho))


def latent_draws(
    estimates: ArrayLike,
    covariance: ArrayLike,
    *,
    rng: np.random.Generator,
    families: ArrayLike | None = None,
    n_draws: int = 2048,
    n_points: int = 8192,
) -> LatentDraws:
    """Draw the true values of two metrics over the same methods, given their estimates.

    Parameters
    ----------
    estimates : array_like, shape (2 × method,)
        First metric for every method, then the second.
    covariance : array_like, shape (2 × method, 2 × method)
        Sampling covariance; what is common to all methods of a metric is projected out.
    rng : numpy.random.Generator
        Source of the draws.
    families : array_like of label, shape (method,), optional
        Methods of one family may have means of their own.
    n_draws : int
        Number of draws.
    n_points : int
        Points that fill the prior; one in 64 of them (fewer for more than 24 methods) is weighted
        by the exact likelihood.

    Returns
    -------
    LatentDraws

    Raises
    ------
    InputError
        If a number is not finite, there are fewer than two methods, or a metric has the same value
        for all methods without any sampling error.

    Notes
    -----
    Prior: ρ is 1 or −1 with probability 0.05 each, else atanh ρ is normal and wide; σx and σy are
    flat, means free. Points that fill the prior are
    weighted by a likelihood that neglects some covariances, a few hundred of them are kept, and
    those are weighted again by the exact likelihood. Given a point, θ is normal; it is drawn by
    simulating estimates and moving them to the observed ones (Matheron's rule), which leaves
    noise-free estimates exactly where they are.

    Where methods fall into two groups in a metric, one normal distribution would see far too
    reliable differences within each group; where they come in families, it takes what is between
    families for what is within; where one metric bends in the other, it takes the bend for
    independent differences. Models with free means of groups and families, and with a free
    quadratic term, are therefore mixed in, each weighed by the evidence for it.

    References
    ----------
    Berger and Sun (2008), Annals of Statistics 36:963-982; Doucet (2010), A note on efficient
    conditional simulation of Gaussian distributions, for Matheron's rule.

    Examples
    --------
    Without noise the true values are the estimates.

    >>> draws = latent_draws([1.0, 2, 4, 3, 5, 8], np.zeros((6, 6)), rng=np.random.default_rng(0))
    >>> draws.theta_x[0], draws.theta_y[0]
    (array([1., 2., 4.]), array([3., 5., 8.]))
    """
    observed = np.asarray(estimates, dtype=np.float64).reshape(2, -1)
    noise = _centred(np.asarray(covariance, dtype=np.float64), observed)
    scale = _scales(observed, noise)
    scaled = (observed - observed.mean(axis=1, keepdims=True)) / scale[:, None]
    by_column = np.repeat(scale, observed.shape[1])
    scaled_noise = noise / np.outer(by_column, by_column)
    labels = None if families is None else np.unique(families, return_inverse=True)[1]
    bends, evidence = best_bend(scaled)
    # Weaker evidence is common where nothing is there, and would only widen intervals.
    weight = float(special.expit(evidence)) if evidence > _LEAST_EVIDENCE else 0.0
    structures = [
        (bend, design, share * within)
        for bend, share in ((np.zeros(2), 1 - weight), (bends, weight))
        if share > _LEAST_WEIGHT
        for design, within in _designs(*_stretched(scaled, scaled_noise, bend), labels)
    ]
    weights = np.array([weight for *_, weight in structures])
    ends = np.round(n_draws * np.cumsum(weights) / weights.sum()).astype(int)
    parts = []
    for (bend, design, weight), n in zip(structures, np.diff(ends, prepend=0), strict=True):
        model = FreeMeansModel(*_stretched(scaled, scaled_noise, bend), design)
        theta, *population = _draw(model, int(max(weight, 1 / 4) * n_points), n, rng)
        if bend.any():
            # The estimates plus a correction here too.
            theta = straightened(theta, bend[:, None])
            theta += scaled - straightened(model.estimates, bend[:, None])
        parts.append((theta, *population))
    theta, rho, sigma_x, sigma_y = (np.concatenate(part) for part in zip(*parts, strict=True))
    # The estimates plus a correction, so that no rounding moves noise-free values.
    theta_x, theta_y = (
        observed[metric] + scale[metric] * (theta[:, metric] - scaled[metric])
        for metric in range(2)
    )
    return LatentDraws(theta_x, theta_y, rho, scale[0] * sigma_x, scale[1] * sigma_y)


def _centred(covariance: Array, observed: Array) -> Array:
    """Covariance with each metric's mean over methods projected out; complains of bad input."""
    n_methods = observed.shape[1]
    if covariance.shape != (observed.size, observed.size):
        raise ValueError(f"covariance has shape {covariance.shape} for {observed.size} estimates")
    problems = []
    if n_methods < 2:
        problems.append(Problem(f"has {n_methods} methods", "two at least can be ranked"))
    if not (np.isfinite(observed).all() and np.isfinite(covariance).all()):
        problems.append(
            Problem("holds NaN or infinite values", "leave out methods that lack a metric")
        )
    if problems:
        raise InputError(problems)
    centre = np.kron(np.eye(2), np.eye(n_methods) - 1 / n_methods)
    return np.asarray(centre @ covariance @ centre)


def _scales(observed: Array, noise: Array) -> Array:
    """Each metric's size, so that its unit of measurement changes nothing."""
    n_methods = observed.shape[1]
    variance = np.diagonal(noise).reshape(2, n_methods).mean(axis=1)
    size = np.sqrt(np.maximum(observed.var(axis=1), variance))
    if (size == 0).any():
        which = " and ".join(
            name for name, s in zip(("first", "second"), size, strict=True) if not s
        )
        raise InputError(
            Problem(
                f"the {which} metric is constant over methods and has no sampling error",
                "tau is undefined; choose a metric that differs between methods",
            )
        )
    return np.asarray(size)


def _stretched(estimates: Array, noise: Array, bend: Array) -> tuple[Array, Array]:
    """Estimates after a bend of each metric, and their noise (delta method)."""
    if not bend.any():
        return estimates, noise
    slope = np.exp(bend[:, None] * estimates).ravel()
    stretched = bent(estimates, bend[:, None])
    return stretched, _centred(noise * np.outer(slope, slope), stretched)


def _designs(
    estimates: Array, noise: Array, families: NDArray[np.intp] | None
) -> list[tuple[Array, float]]:
    """Designs of the methods' means, shape (method, column), and how likely each is."""
    n_methods = estimates.shape[1]
    own = np.einsum("maa->am", method_blocks(noise))
    splits = zip(*best_splits(estimates, own), strict=True)
    columns = [(np.eye(2)[groups], evidence) for evidence, groups in splits]
    alone, evidence = outlier(estimates)
    columns.append((alone, evidence))
    # Weaker evidence is common where nothing is there, and would only widen intervals.
    columns = [column for column in columns if column[1] > _LEAST_EVIDENCE]
    if families is not None:
        columns.append(family_means(estimates, families))
    designs = [(np.ones((n_methods, 1)), 1.0)]
    for column, evidence in columns:
        weight = float(special.expit(evidence))
        designs = [(design, (1 - weight) * so_far) for design, so_far in designs] + [
            (np.hstack([design, column]), weight * so_far) for design, so_far in designs
        ]
    likely = [
        (design, weight)
        for design, weight in designs
        if weight > _LEAST_WEIGHT and np.linalg.matrix_rank(design) < max(2, n_methods - 2)
    ]
    # With a method of another kind among them, the others may be of any kind.
    doubt = [(np.eye(n_methods), _DOUBT)] if evidence > _DECISIVE else []
    return (likely or designs[:1]) + doubt


def _draw(
    model: FreeMeansModel, n_points: int, n_draws: int, rng: np.random.Generator
) -> tuple[Array, Array, Array, Array]:
    """Draws of θ, shape (draw, 2, method), and of the population's ρ, σx and σy."""
    if not len(model.basis):
        return _without_population(model, n_draws, rng)
    points, log_prior = prior_points(model, n_points)
    approximate = factored_log_likelihood(model, points)
    # The more methods, the fewer points there are to tell apart, and the dearer is each.
    share = min(1.0, _METHODS_OF_FULL_SHARE / model.estimates.shape[1])
    n_exact = max(16, int(share * n_points / _POINTS_AN_EXACT_ONE))
    # Neighbours in ρ stand together, so that evenly spaced picks spread over it.
    order = np.argsort(points.rho, kind="stable")
    kept = order[_systematic((log_prior + approximate)[order], n_exact, 0.5)]
    points = points.take(kept)
    exact, factors = exact_factors(model, points)
    picked = _systematic(exact - approximate[kept], n_draws, rng.random())
    points = points.take(picked)
    theta = draw_true_values(model, factors, points, picked, rng)
    return theta, *_population(model, theta, points)


def _without_population(
    model: FreeMeansModel, n_draws: int, rng: np.random.Generator
) -> tuple[Array, Array, Array, Array]:
    """Draws of every true value around its own estimate, and their correlation and spreads."""
    values, vectors = np.linalg.eigh(model.covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    error = rng.standard_normal((n_draws, len(root))) @ root
    theta = (model.estimates.ravel() - error).reshape(n_draws, 2, -1)
    x, y = np.moveaxis(theta - theta.mean(axis=2, keepdims=True), 1, 0)
    sigma_x, sigma_y = x.std(axis=1), y.std(axis=1)
    return theta, (x * y).mean(axis=1) / (sigma_x * sigma_y), sigma_x, sigma_y


def _systematic(log_weight: Array, n: int, offset: float) -> NDArray[np.intp]:
    """Indices drawn in proportion to weights at evenly spaced points of their running sum."""
    cumulative = np.cumsum(np.exp(log_weight - log_weight.max()))
    where = (np.arange(n) + offset) / n * cumulative[-1]
    found = np.searchsorted(cumulative, where, side="right")
    return np.asarray(np.minimum(found, len(cumulative) - 1))


def _population(
    model: FreeMeansModel, theta: Array, points: Hyperparameters
) -> tuple[Array, Array, Array]:
    """Correlation and spreads over all methods: around their means, plus between those."""
    to_means = np.eye(theta.shape[2]) - model.basis.T @ model.basis
    means = theta @ to_means
    x, y = np.moveaxis(means - means.mean(axis=2, keepdims=True), 1, 0)
    variance_x = points.sigma_x**2 + (x**2).mean(axis=1)
    variance_y = points.sigma_y**2 + (y**2).mean(axis=1)
    shared = points.rho * points.sigma_x * points.sigma_y + (x * y).mean(axis=1)
    sigma_x, sigma_y = np.sqrt(variance_x), np.sqrt(variance_y)
    return np.clip(shared / (sigma_x * sigma_y), -1.0, 1.0), sigma_x, sigma_y

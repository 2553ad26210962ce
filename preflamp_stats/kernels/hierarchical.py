"""Spreads and correlations of several strata that inform each other: partial pooling.

Alone, a small noisy stratum says little, and a sum of many such has the pull of each prior with the
width of none. Here strata s come from a population: atanh ρ_s ~ N(μ, ω²), or ρ_s is 1 (or −1) in
all; log σ_s ~ N(m, v²) in either metric. The population is drawn given the strata's likelihoods of
(ρ, σx, σy); draws of a stratum that were made as if it stood alone
(:mod:`preflamp_stats.kernels.latent_normal`) are then weighted by the population's density of ρ
over that of the prior under which they were drawn, so that whatever the model within a stratum
knows is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from preflamp_stats.kernels.latent_likelihood import (
    _AT_EACH_END,
    _SPREAD_ATANH_RHO,
    LARGEST_ATANH_RHO,
    FreeMeansModel,
    Hyperparameters,
    factored_log_likelihood,
    prior_points,
)

__all__ = ["Population", "StrataLikelihood", "strata_likelihood"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

_SPREAD_OF_MU = 1.25
"""Standard deviation of μ. As wide as that of a stratum alone, 2.5, it would be a bet on strong
associations, which moderate ones in many noisy strata lose."""
_AT_ONE = 0.1
"""Probability that all strata agree perfectly, and that they do so in reverse."""
_SPREAD_BETWEEN = 0.5
_BETWEEN = np.array([0.05, 0.1, 0.2, 0.35, 0.6, 1.0, 1.6])
_RHO_BINS, _SIGMA_BINS = 40, 16
_POINTS_A_BIN, _RANGE_POINTS = 2, 512
_BURN_IN = 20
_TINY = 1e-300


@dataclass(frozen=True)
class Population:
    """Posterior draws of the population of strata.

    Parameters
    ----------
    mu, omega : ndarray, shape (population,)
        Centre (which may be ±inf) and standard deviation of atanh ρ over strata.
    sigma_x, sigma_y : ndarray, shape (population, 2)
        Centre and standard deviation of log σ over strata.
    """

    mu: Array
    omega: Array
    sigma_x: Array
    sigma_y: Array

    def new_strata(self, rng: np.random.Generator, repeats: int) -> tuple[Array, Array, Array]:
        """ρ, σx and σy of strata to come, shape (population × ``repeats``,) each."""
        rho, x, y = rng.standard_normal((3, len(self.mu), repeats))
        rho = np.tanh(self.mu[:, None] + self.omega[:, None] * rho)
        x, y = (
            np.exp(own[:, :1] + own[:, 1:] * z) for own, z in ((self.sigma_x, x), (self.sigma_y, y))
        )
        return rho.ravel(), x.ravel(), y.ravel()

    def pick(self, rho: Array, uniforms: Array) -> Indices:
        """Let a stratum take of its own draws what the population makes likely.

        Parameters
        ----------
        rho : ndarray, shape (draw,)
            Its draws, under the prior of
            :func:`~preflamp_stats.kernels.latent_likelihood.prior_points`.
        uniforms : ndarray, shape (population, pick)
            Quantiles, in the order of the draws, at which one is taken.

        Returns
        -------
        ndarray of int, shape (population, pick)
        """
        bins, alone = _rho_bins(rho), _rho_alone()
        picks = np.empty(uniforms.shape, dtype=np.intp)
        for turn, (mu, omega) in enumerate(zip(self.mu, self.omega, strict=True)):
            fits = (_rho_mass(mu, omega) / alone)[bins]
            # A population that fits none of its draws leaves a stratum as it was.
            picks[turn] = _drawn(fits if fits.any() else np.ones(len(rho)), uniforms[turn])
        return picks


@dataclass(frozen=True)
class StrataLikelihood:
    """What every stratum says of its ρ, σx and σy, on grids that all share.

    Parameters
    ----------
    values : ndarray, shape (stratum, bin of ρ, bin of σx, bin of σy)
        Likelihood, up to a constant of each stratum.
    axes : tuple
        Populations from which each of the three may come.
    """

    values: Array
    axes: tuple[_Axis, _Axis, _Axis]

    def populations(
        self, weights: Array, *, rng: np.random.Generator, n_draws: int = 300
    ) -> Population:
        """Draw the population of strata.

        Parameters
        ----------
        weights : ndarray, shape (stratum,)
            How much of a stratum's evidence counts: 1, or less where strata share it.
        rng : numpy.random.Generator
            Source of the draws.
        n_draws : int

        Returns
        -------
        Population

        Notes
        -----
        A Gibbs sampler over (μ, ω) and the centre and spread of either log σ, each pair on a grid,
        the strata summed out. Prior: μ is ±inf with probability 0.1 each, else normal with a
        standard deviation of 1.25; the centre of log σ is flat in its exponential, as a stratum's
        own σ is; all spreads are half-normal with 0.5. Were the spreads of the strata not pooled,
        the flat prior of each would push correlations outwards, the further the more strata.

        References
        ----------
        Gelman (2006), Prior distributions for variance parameters in hierarchical models, Bayesian
        Analysis 1:515-533; Neyman and Scott (1948), Consistent estimates based on partially
        consistent observations, Econometrica 16:1-32.
        """
        factors = [np.ones(size) for size in self.values.shape[1:]]
        states = np.empty((n_draws, 3), dtype=np.intp)
        of_spreads = self.values.sum(axis=1)
        for turn in range(-_BURN_IN, n_draws):
            for place, axis in enumerate(self.axes):
                if place == 0:
                    mass = (self.values @ factors[2]) @ factors[1]
                else:
                    mass = of_spreads @ factors[2] if place == 1 else factors[1] @ of_spreads
                log_density = axis.log_prior + np.log(axis.mass @ mass.T + _TINY) @ weights
                at = _drawn(np.exp(log_density - log_density.max()), rng.random(1))[0]
                factors[place] = axis.mass[at]
                states[max(turn, 0), place] = at
                if place == 0:
                    of_spreads = np.tensordot(factors[0], self.values, (0, 1))
        rho, x, y = (axis.values[at] for axis, at in zip(self.axes, states.T, strict=True))
        return Population(rho[:, 0], rho[:, 1], x, y)


def strata_likelihood(strata: Sequence[tuple[Array, Array]]) -> StrataLikelihood:
    """Likelihood of (ρ, σx, σy) in every stratum.

    Parameters
    ----------
    strata : sequence of (ndarray, ndarray)
        Estimates, shape (2 × method,), and their sampling covariance.

    Returns
    -------
    StrataLikelihood

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> strata = [(np.tile(rng.normal(size=9), 2), 0.001 * np.eye(18)) for _ in range(4)]
    >>> drawn = strata_likelihood(strata).populations(np.ones(4), rng=rng, n_draws=50)
    >>> bool((drawn.mu == np.inf).mean() > 0.5)
    True
    """
    models = [_model(*stratum) for stratum in strata]
    ranges = np.stack([_ranges(model) for model in models])
    x, y = (_sigma_edges(ranges[:, metric]) for metric in range(2))
    values = [_likelihood(model, x, y, own) for model, own in zip(models, ranges, strict=True)]
    return StrataLikelihood(np.stack(values), (_rho_axis(), _sigma_axis(x), _sigma_axis(y)))


def _model(estimates: Array, covariance: Array) -> FreeMeansModel:
    both = estimates.reshape(2, -1)
    return FreeMeansModel(both, covariance, np.ones((both.shape[1], 1)))


def _ranges(model: FreeMeansModel) -> Array:
    """Least and greatest σ that the data leave a likelihood, and a small one, shape (2, 3)."""
    points, _ = prior_points(model, _RANGE_POINTS)
    noise = np.diagonal(model.noise).reshape(2, -1).mean(axis=1)
    return np.array(
        [
            [sigma.min(), sigma.max(), max(0.15 * np.sqrt(own), 1e-3 * sigma.max())]
            for sigma, own in zip((points.sigma_x, points.sigma_y), noise, strict=True)
        ]
    )


def _sigma_edges(ranges: Array) -> Array:
    """Edges of the bins of log σ that all strata share; the first bin goes down to 0."""
    least, most, small = ranges.T
    low, high = np.log(np.maximum(least, small).min()), np.log(most.max())
    return np.concatenate([[-np.inf], np.linspace(min(low, high - 0.5), high, _SIGMA_BINS)])


def _likelihood(model: FreeMeansModel, x_edges: Array, y_edges: Array, ranges: Array) -> Array:
    """Likelihood of one stratum in the bins of ρ, σx and σy, up to a constant.

    At the middle of a bin of ρ, and averaged over a few points of those of σ. Bins that lie beyond
    the range of σ have none.
    """
    edges = _rho_edges()
    rho = np.concatenate([[-1.0], np.tanh((edges[1:] + edges[:-1]) / 2), [1.0]])
    places, values = [], []
    for sigma_edges, (least, most, _) in zip((x_edges, y_edges), ranges, strict=True):
        within = (sigma_edges[1:] >= np.log(max(least, _TINY))) & (sigma_edges[:-1] <= np.log(most))
        at = np.flatnonzero(within)
        low = np.where(np.isinf(sigma_edges[at]), sigma_edges[at + 1] - 1, sigma_edges[at])
        step = (sigma_edges[at + 1] - low)[:, None]
        share = (np.arange(_POINTS_A_BIN) + 0.5) / _POINTS_A_BIN
        places.append(at)
        values.append(np.exp(low[:, None] + step * share).ravel())
    grid = (v.ravel() for v in np.meshgrid(rho, *values, indexing="ij"))
    log_likelihood = factored_log_likelihood(model, Hyperparameters(*grid))
    inner = np.exp(log_likelihood - log_likelihood.max()).reshape(
        len(rho), len(places[0]), _POINTS_A_BIN, len(places[1]), _POINTS_A_BIN
    )
    found = np.zeros((len(rho), len(x_edges) - 1, len(y_edges) - 1))
    found[np.ix_(np.arange(len(rho)), *places)] = inner.mean(axis=(2, 4))
    return found


def _drawn(density: Array, quantiles: Array) -> Indices:
    """Indices at quantiles of a density."""
    running = np.cumsum(density)
    found = np.searchsorted(running, quantiles * running[-1], side="right")
    return np.asarray(np.minimum(found, len(running) - 1))


@dataclass(frozen=True)
class _Axis:
    """One of the three quantities: the populations that it may come from, on a grid.

    ``mass``, shape (population, bin), is that of each bin under a population; ``values``, shape
    (population, 2), are centres and spreads.
    """

    mass: Array
    log_prior: Array
    values: Array


def _rho_edges() -> Array:
    return np.linspace(-LARGEST_ATANH_RHO, LARGEST_ATANH_RHO, _RHO_BINS + 1)


def _rho_bins(rho: Array) -> Indices:
    """Bin of each correlation, the first and the last for −1 and 1."""
    inner = np.searchsorted(np.tanh(_rho_edges()[1:-1]), rho) + 1
    return np.where(np.abs(rho) < 1 - 1e-9, inner, np.where(rho > 0, _RHO_BINS + 1, 0))


@cache
def _rho_mass(mu: float, omega: float) -> Array:
    """Mass of every bin under a population."""
    found = np.zeros(_RHO_BINS + 2)
    if np.isinf(mu):
        found[-1 if mu > 0 else 0] = 1.0
    else:
        inner = np.diff(ndtr((_rho_edges() - mu) / omega))
        found[1:-1] = inner / inner.sum()
    return found


def _rho_alone() -> Array:
    """Mass of every bin under the prior of a stratum alone."""
    found = (1 - 2 * _AT_EACH_END) * _rho_mass(0.0, _SPREAD_ATANH_RHO)
    found[[0, -1]] = _AT_EACH_END
    return found


def _rho_axis() -> _Axis:
    edges = _rho_edges()
    middle = (edges[1:] + edges[:-1]) / 2
    mu, omega = (v.ravel() for v in np.meshgrid(middle, _BETWEEN, indexing="ij"))
    log_prior = -0.5 * (mu / _SPREAD_OF_MU) ** 2 + _log_prior_of_spread(omega)
    log_prior += np.log(1 - 2 * _AT_ONE) - np.log(np.exp(log_prior).sum())
    mu, omega = np.append(mu, [-np.inf, np.inf]), np.append(omega, [0.0, 0.0])
    mass = np.stack([_rho_mass(*each) for each in zip(mu.tolist(), omega.tolist(), strict=True)])
    log_prior = np.append(log_prior, np.log([_AT_ONE] * 2))
    return _Axis(mass, log_prior, np.stack([mu, omega], axis=1))


def _sigma_axis(edges: Array) -> _Axis:
    centres = np.linspace(edges[1] - 1, edges[-1] + 1, 3 * _SIGMA_BINS)
    centre, spread = (v.ravel() for v in np.meshgrid(centres, _BETWEEN[1:], indexing="ij"))
    mass = np.diff(ndtr((edges - centre[:, None]) / spread[:, None]))
    log_prior = centre + _log_prior_of_spread(spread)
    return _Axis(mass, log_prior, np.stack([centre, spread], axis=1))


def _log_prior_of_spread(spread: Array) -> Array:
    """Half-normal density times the width of a grid whose points are unevenly spaced."""
    width = np.gradient(_BETWEEN)[np.searchsorted(_BETWEEN, spread)]
    return np.asarray(-0.5 * (spread / _SPREAD_BETWEEN) ** 2 + np.log(width))

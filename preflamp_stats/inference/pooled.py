"""One tau over several datasets and models, methods ranked within each only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import ndtr

from preflamp_stats.choices import Resample, Variant
from preflamp_stats.errors import InputError, Problem
from preflamp_stats.inference.alignment import joined_notes
from preflamp_stats.inference.intervals import percentile_limits
from preflamp_stats.inference.resampled import ResampledStudy
from preflamp_stats.inference.strata import gather_strata, read_studies
from preflamp_stats.inference.tau_evidence import TauEvidence
from preflamp_stats.kernels.hierarchical import Population, strata_likelihood
from preflamp_stats.kernels.latent_normal import LatentDraws
from preflamp_stats.kernels.posterior_limits import central_limits
from preflamp_stats.metrics.options import MetricOptions
from preflamp_stats.settings import Settings

__all__ = [
    "POOLED_INTERVALS",
    "PooledLimits",
    "PooledStrata",
    "StackedEvidence",
    "limits_from_draws",
    "pool_strata",
    "pooled_between",
    "pooled_tau",
]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class StackedEvidence:
    """Evidence of every stratum (a model of a dataset) in which tau is defined.

    Parameters
    ----------
    strata : sequence of TauEvidence
        Strata of one dataset share their resamples: row b of the draws is the same users.
    weights : ndarray, shape (stratum,)
        Pairs of methods in each, as shares of all.
    level : float
        Confidence level.
    shared : ndarray, shape (stratum, stratum), optional
        Correlation of the strata's sampling errors; none where absent.
    """

    strata: Sequence[TauEvidence]
    weights: Array
    level: float
    shared: Array | None = None

    @property
    def tau(self) -> float:
        """Weighted mean of the strata's taus."""
        return float(self.weights @ [stratum.tau for stratum in self.strata])

    @cached_property
    def pooled(self) -> PooledStrata:
        """Draws of the true values of every stratum, each informed by the others."""
        shared = np.eye(len(self.strata)) if self.shared is None else self.shared
        return pool_strata(self.strata, shared)[0]


PooledLimits = Callable[[StackedEvidence], tuple[float, float]]


def limits_from_draws(draw: Callable[[TauEvidence], Array]) -> PooledLimits:
    """Make an interval of the pooled tau from a way of drawing the tau of one stratum.

    Parameters
    ----------
    draw : callable
        Takes a stratum's evidence, returns draws of its tau, as many for every stratum. A draw of
        the pooled tau is the weighted mean of the strata's draws at the same place, over the
        strata where it is defined.

    Returns
    -------
    callable
        Takes the stacked evidence, returns percentile limits.

    Examples
    --------
    >>> limits = limits_from_draws(lambda stratum: np.linspace(-1, 1, 101))
    >>> low, high = limits(StackedEvidence([None, None], np.array([0.5, 0.5]), 0.9))
    >>> round(low, 6), round(high, 6)
    (-0.9, 0.9)
    """

    def limits(stacked: StackedEvidence) -> tuple[float, float]:
        draws = np.stack([draw(stratum) for stratum in stacked.strata], axis=1)
        weights = stacked.weights * ~np.isnan(draws)
        total = weights.sum(axis=1)
        pooled = np.full(len(draws), np.nan)
        np.divide(np.nansum(weights * draws, axis=1), total, out=pooled, where=total > 0)
        low, high = percentile_limits(pooled, stacked.level)
        return float(low), float(high)

    return limits


def model(stacked: StackedEvidence) -> tuple[float, float]:
    """Limits from draws of the true taus of every stratum, their noise taken out.

    The strata's spreads and correlations are draws from a population, so that what many noisy
    strata say together is not lost (:mod:`preflamp_stats.kernels.hierarchical`). Strata whose
    sampling errors are correlated, as of models that share users and rewards, count together for
    as much less, and their true taus are drawn with the same correlation.
    """
    if len(stacked.strata) == 1:
        return stacked.strata[0].tau_limits(stacked.strata[0].latent_tau)
    draws = stacked.pooled.tau @ stacked.weights
    fewest = min(stratum.effective_users for stratum in stacked.strata)
    least_density = min(stratum.least_density for stratum in stacked.strata)
    return central_limits(draws, stacked.level, n_users=fewest, least_density=least_density)


@dataclass(frozen=True)
class PooledStrata:
    """True values of every stratum's methods, drawn given the estimates of all strata.

    Parameters
    ----------
    latent : sequence of LatentDraws
        Of each stratum as if it stood alone, in the order of its taus.
    taus : ndarray, shape (stratum, draw)
        Tau of the true values in each of them.
    population : Population
        Of strata.
    picks : ndarray of int, shape (draw, stratum)
        Which of its own draws each stratum takes.
    """

    latent: Sequence[LatentDraws]
    taus: Array
    population: Population
    picks: NDArray[np.intp]

    @property
    def tau(self) -> Array:
        """Tau of every stratum, shape (draw, stratum)."""
        return np.take_along_axis(self.taus.T, self.picks, axis=0)


_POPULATIONS, _PICKS = 200, 15


def pool_strata(strata: Sequence[TauEvidence], *shared: Array) -> list[PooledStrata]:
    """Draw the true values of all strata, each informed by the others.

    Parameters
    ----------
    strata : sequence of TauEvidence
    *shared : ndarray, shape (stratum, stratum)
        Correlation of their sampling errors. A stratum's evidence on the population counts for
        what they leave of it, 1 over their sum.

    Returns
    -------
    list of PooledStrata
        For each of ``shared``.
    """
    orders = [np.argsort(stratum.latent_tau, kind="stable") for stratum in strata]
    latent = [each.latent.take(order) for each, order in zip(strata, orders, strict=True)]
    taus = np.stack([each.latent_tau[at] for each, at in zip(strata, orders, strict=True)])
    likelihood = strata_likelihood([(each.estimates, each.covariance) for each in strata])
    found = []
    for correlation in shared:
        rng = strata[0].generator(4)
        values, vectors = np.linalg.eigh(correlation)
        root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
        normal = rng.standard_normal((_POPULATIONS, _PICKS, len(strata))) @ root
        uniforms = ndtr(normal / np.sqrt((root**2).sum(axis=0)))
        weights = 1 / correlation.sum(axis=1)
        population = likelihood.populations(weights, rng=rng, n_draws=_POPULATIONS)
        picks = [
            population.pick(draws.rho, uniforms[..., place]).ravel()
            for place, draws in enumerate(latent)
        ]
        found.append(PooledStrata(latent, taus, population, np.stack(picks, axis=1)))
    return found


POOLED_INTERVALS: dict[str, PooledLimits] = {
    "model": model,
    "percentile": limits_from_draws(TauEvidence.tau_draws),
}
"""Kinds of interval of the pooled tau by name."""


def pooled_tau(
    datasets: Mapping[str, xr.Dataset] | xr.DataTree,
    upstream: str = "rm_accuracy",
    downstream: str = "policy_accuracy",
    *,
    resample: Resample = "users",
    n_resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
    variant: Variant = "b",
    interval: str = "model",
    options: MetricOptions | None = None,
    include_seeds: bool = True,
) -> xr.Dataset:
    """Kendall's tau over methods, pooled over datasets and models.

    Methods are compared only within a stratum, one model on one dataset, so that differences
    between datasets and between models cannot pass for an association. The pooled tau is the mean
    of the strata's taus, weighted by their numbers of pairs of methods.

    Parameters
    ----------
    datasets : mapping of str to Dataset, or DataTree
        Benchmark datasets by name.
    upstream, downstream : str
        Metrics that predict and that are to be predicted. Datasets that lack one are left out.
    resample : {"users", "examples"}
        Unit drawn with replacement. Users of the same name are the same person in every dataset;
        the models of a dataset, and datasets that share users, are drawn on the same units, so that
        what they share is in the interval. ("methods" and "both" mean "users".)
    n_resamples, seed, level, variant, options, include_seeds
        As for :func:`preflamp_stats.tau_test`.
    interval : {"model", "percentile"}
        Kind of interval: with the noise taken out, as for :func:`preflamp_stats.tau_test`, or
        percentiles of the bootstrapped pooled tau.

    Returns
    -------
    Dataset
        ``estimate, low, high, n_strata, n_datasets, n_pairs, n_examples, n_users, note``, without
        dims, and, dim (stratum), ``tau, weight`` with coordinates ``dataset`` and ``model``.
        Examples are added up over datasets, and so are users, each person once.

    Raises
    ------
    InputError
        If no dataset has both metrics, or the interval is unknown.

    References
    ----------
    Taylor (1987), Kendall's and Spearman's correlation coefficients in the presence of a blocking
    variable, Biometrics 43:409-416.

    Examples
    --------
    >>> import preflamp_stats as pls
    >>> tree = pls.simulate(datasets=["tldr", "prism"], models=2, n_users=20, n_examples=5, seed=1)
    >>> found = pooled_tau(pls.datasets(tree), n_resamples=200)
    >>> found["n_strata"].item(), bool(found["low"] <= found["high"])
    (4, True)
    """
    settings = Settings.of_call(
        options,
        resample=resample,
        n_resamples=n_resamples,
        seed=seed,
        level=level,
        variant=variant,
        include_seeds=include_seeds,
    )
    studies = read_studies(datasets, [upstream, downstream], settings)
    return pooled_between(studies, upstream, downstream, interval=interval)


def pooled_between(
    studies: Sequence[ResampledStudy],
    upstream: str,
    downstream: str,
    *,
    interval: str | PooledLimits = "model",
) -> xr.Dataset:
    """Pooled tau between two metrics that several studies have; see :func:`pooled_tau`.

    Parameters
    ----------
    studies : sequence of ResampledStudy
        At least one, all with the same settings.
    upstream, downstream : str
    interval : str or callable
        Kind of interval, or a way of bounding the pooled tau.

    Returns
    -------
    Dataset
    """
    limits = interval if callable(interval) else POOLED_INTERVALS.get(interval)
    if limits is None:
        known = ", ".join(POOLED_INTERVALS)
        raise InputError(Problem(f"is {interval!r}", f"choose one of {known}", variable="interval"))
    found = gather_strata(studies, upstream, downstream)
    strata, asked = found.strata, found.settings
    sizes = {"n_examples": found.n_examples, "n_users": found.n_users}
    if not strata:
        missing = dict.fromkeys(("estimate", "low", "high"), np.nan)
        counts = dict.fromkeys(("n_strata", "n_datasets", "n_pairs", *sizes), 0)
        return xr.Dataset({**missing, **counts, "note": "tau is defined in no stratum"})
    n_methods = np.array([len(each.methods) for each in strata])
    n_pairs = n_methods * (n_methods - 1) // 2
    weights = n_pairs / n_pairs.sum()
    evidence = [each.evidence for each in strata]
    stacked = StackedEvidence(evidence, weights, asked.level, found.shared_error)
    obstacles = sorted({e.obstacle for e in evidence} - {""})
    low = high = np.nan
    if not obstacles:
        low, high = limits(stacked)
        low, high = np.minimum(low, stacked.tau), np.maximum(high, stacked.tau)
    return xr.Dataset(
        {
            "estimate": stacked.tau,
            "low": low,
            "high": high,
            "n_strata": len(strata),
            "n_datasets": len({each.dataset for each in strata}),
            "n_pairs": int(n_pairs.sum()),
            **sizes,
            "note": joined_notes(*obstacles, *found.notes),
            "tau": ("stratum", [e.tau for e in evidence]),
            "weight": ("stratum", weights),
        },
        coords={
            "dataset": ("stratum", [each.dataset for each in strata]),
            "model": ("stratum", [each.model for each in strata]),
        },
        attrs={
            "level": asked.level,
            "variant": asked.variant,
            "interval": interval if isinstance(interval, str) else "custom",
        },
    )

"""Intervals of tau: one evidence, several ways to bound what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from preflamp_stats.choices import Variant
from preflamp_stats.errors import InputError, Problem
from preflamp_stats.inference.intervals import percentile_limits
from preflamp_stats.inference.sampling_error import SamplingError
from preflamp_stats.kernels.kendall import kendall_tau
from preflamp_stats.kernels.latent_normal import LatentDraws, calibrated_limits, latent_draws
from preflamp_stats.kernels.sign_sets import certain_signs, tau_range

__all__ = ["DEFAULT_INTERVAL", "INTERVALS", "TauEvidence"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TauEvidence:
    """What is known of two metrics over the same methods.

    Parameters
    ----------
    x, y : ndarray, shape (method,)
        Estimates; NaN where a method lacks the metric.
    x_draws, y_draws : ndarray, shape (resample, method)
        Bootstrap draws, paired.
    n_units : int
        Units of resampling behind them.
    level : float
        Confidence level.
    variant : {"a", "b", "c", "weighted"}
        Kendall's tau.
    picks : ndarray of int, shape (resample, method), optional
        Methods of each resample, where methods are drawn; the target is then the population of
        methods.
    error : SamplingError, optional
        Of the methods that have both metrics; None where nothing is known of it.
    seed : numpy.random.SeedSequence, optional
        Source of the random numbers of the model-based and the guaranteed interval.
    """

    x: Array
    y: Array
    x_draws: Array
    y_draws: Array
    n_units: int
    level: float
    variant: Variant
    picks: NDArray[np.intp] | None = None
    error: SamplingError | None = None
    seed: np.random.SeedSequence | None = None

    @cached_property
    def tau(self) -> float:
        """Tau of the estimates; NaN where undefined."""
        return float(kendall_tau(self.x, self.y, variant=self.variant))

    @property
    def compared(self) -> NDArray[np.bool_]:
        """Methods that have both metrics."""
        return ~(np.isnan(self.x) | np.isnan(self.y))

    @property
    def estimates(self) -> Array:
        """Both metrics of the compared methods, shape (2 × method,)."""
        return np.concatenate([self.x[self.compared], self.y[self.compared]])

    @property
    def covariance(self) -> Array:
        """Sampling covariance of the estimates' contrasts; zeros where no error is known."""
        size = 2 * int(self.compared.sum())
        return np.zeros((size, size)) if self.error is None else self.error.of_contrasts.covariance

    @property
    def obstacle(self) -> str:
        """Why tau or its interval is undefined; empty where both are defined."""
        if self.compared.sum() < 2:
            return "fewer than two methods have both metrics"
        if any(np.ptp(values[self.compared]) == 0 for values in (self.x, self.y)):
            return "all methods have the same value in one metric"
        if self.picks is None and self.n_units == 0:
            return "no interval: no sampling error is known for either metric; resample methods"
        if self.picks is None and self.n_units == 1:
            return "no interval: a single unit to resample"
        return ""

    @cached_property
    def latent(self) -> LatentDraws:
        """Draws of the methods' true values, given the estimates and their sampling error."""
        return latent_draws(self.estimates, self.covariance, rng=self.generator())

    @cached_property
    def latent_tau(self) -> Array:
        """Tau of the true values in each draw."""
        tau = kendall_tau(self.latent.theta_x, self.latent.theta_y, variant=self.variant)
        return np.asarray(tau)

    def tau_draws(self) -> Array:
        """Tau of each bootstrap resample; NaN where a resample leaves it undefined."""
        x, y = self.x_draws, self.y_draws
        if self.picks is not None:
            x = np.take_along_axis(x, self.picks, axis=1)
            y = np.take_along_axis(y, self.picks, axis=1)
        return np.asarray(kendall_tau(x, y, variant=self.variant))

    def generator(self, purpose: int = 0) -> np.random.Generator:
        """Random numbers of a purpose, the same at every call."""
        root = self.seed or np.random.SeedSequence(0)
        key = (*root.spawn_key, purpose)
        return np.random.default_rng(np.random.SeedSequence(root.entropy, spawn_key=key))


TauLimits = Callable[[TauEvidence], tuple[float, float]]


def model(evidence: TauEvidence) -> tuple[float, float]:
    """Limits from the true values that the estimates allow, their noise taken out.

    The methods' true values are modelled as draws from a bivariate normal population (or from two
    groups of methods, where the estimates fall into two), the estimates as normal around them with
    the covariance that the users give (:mod:`preflamp_stats.kernels.latent_normal`). For these
    methods the draws are of the tau of their true values; for the population of methods, of
    2/π·asin ρ.
    """
    population = evidence.picks is not None
    draws = evidence.latent.population_tau if population else evidence.latent_tau
    return calibrated_limits(draws, evidence.level)


def guaranteed(evidence: TauEvidence) -> tuple[float, float]:
    """Range of tau that the certain signs of differences allow, whatever the undecided ones are.

    All pairwise differences of both metrics are bounded simultaneously (max-T), so that the range
    covers the tau of these methods' true values without any model of how methods are spread. It is
    wide.
    """
    if evidence.picks is not None or evidence.error is None:
        raise InputError(
            Problem(
                "'guaranteed' bounds the tau of these very methods",
                "resample users, or take the interval 'model' or 'percentile'",
                variable="interval",
            )
        )
    signs = certain_signs(
        evidence.error.of_estimates, level=evidence.level, rng=evidence.generator()
    )
    return tau_range(signs)


def percentile(evidence: TauEvidence) -> tuple[float, float]:
    """Percentiles of the bootstrapped tau.

    Every draw adds the sampling noise of the metrics once more, which pulls tau towards 0: where
    methods lie close together the interval misses a strong true association. It is offered for
    comparison with other tools.
    """
    low, high = percentile_limits(evidence.tau_draws(), evidence.level)
    return float(low), float(high)


INTERVALS: dict[str, TauLimits] = {
    "model": model,
    "guaranteed": guaranteed,
    "percentile": percentile,
}
"""Kinds of interval by name."""

DEFAULT_INTERVAL = "model"

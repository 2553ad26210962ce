"""Intervals of tau: one evidence, several ways to bound what it says."""

from __future__ import annotations

from collections.abc import Callable

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.inference.intervals import percentile_limits
from preflamp_stats.inference.tau_evidence import TauEvidence
from preflamp_stats.kernels.sign_sets import certain_signs, tau_range

__all__ = ["COVERAGE", "DEFAULT_INTERVAL", "INTERVALS"]


TauLimits = Callable[[TauEvidence], tuple[float, float]]


def model(evidence: TauEvidence) -> tuple[float, float]:
    """Limits from the true values that the estimates allow, their noise taken out.

    The methods' true values are modelled as draws from a bivariate normal population (around
    means of groups or families, or along a bent line, where the estimates speak for it), the
    estimates as normal around them with the covariance that the users give
    (:mod:`preflamp_stats.kernels.latent_normal`). For these methods the draws are of the tau of
    their true values; for the population of methods, of 2/π·asin ρ.

    The level holds on average over methods like these: of one fixed set of methods the interval
    can cover more or less often.
    """
    if evidence.picks is not None:
        return evidence.limits(evidence.latent.population_tau)
    return evidence.with_perfect(*evidence.tau_limits(evidence.latent_tau))


def guaranteed(evidence: TauEvidence) -> tuple[float, float]:
    """Range of tau that the certain signs of differences allow, whatever the undecided ones are.

    All pairwise differences of both metrics are bounded simultaneously (max-T), so that the range
    covers the tau of these methods' true values without any model of how methods are spread. It is
    wide.
    """
    if evidence.picks is not None or evidence.error is None:
        raise InputError(
            Problem(
                "'guaranteed' bounds the tau of these methods",
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

COVERAGE = {
    "model": "average over methods like these",
    "guaranteed": "these methods held fixed",
    "percentile": "not kept where noise reorders methods",
}
"""What the level of each kind of interval holds for, where the tau of these methods is meant."""

DEFAULT_INTERVAL = "model"

"""What sampling noise does to a tau, and how many users would tame it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from preflamp_stats.inference.tau_evidence import TauEvidence
from preflamp_stats.kernels.kendall import kendall_tau
from preflamp_stats.kernels.latent_normal import latent_draws
from preflamp_stats.kernels.reliability import noise_ceiling, reliability

__all__ = ["TauNoise", "tau_noise", "users_needed"]

Array = NDArray[np.float64]

_STUDIES = 4
_DRAWS = 512
_PRIOR_POINTS = 2048
_MOST = 10
"""Doublings of the users beyond which a narrow interval is out of reach."""


@dataclass(frozen=True)
class TauNoise:
    """A tau with its noise taken out, and what the noise amounts to.

    Parameters
    ----------
    tau_corrected : float
        Median of the tau of these methods' true values.
    ceiling : float
        Tau that sampling noise alone would leave if the two rankings truly agreed.
    reliability_upstream, reliability_downstream : float
        Share of the variance between methods that is not sampling noise, in [0, 1]. Like the
        ceiling NaN where no sampling error is known.
    population_tau, population_low, population_high : float
        Tau in the population of methods, 2/π·asin ρ: median and limits.
    users_needed : float
        Users from which on the interval is no wider than ± 0.2, at this spread of methods and these
        users' examples; inf where a thousand times as many would not do.
    """

    tau_corrected: float
    ceiling: float
    reliability_upstream: float
    reliability_downstream: float
    population_tau: float
    population_low: float
    population_high: float
    users_needed: float


def tau_noise(evidence: TauEvidence) -> TauNoise:
    """Take the noise out of a tau.

    Parameters
    ----------
    evidence : TauEvidence
        With a defined tau and no obstacle.

    Returns
    -------
    TauNoise
    """
    latent, covariance = evidence.latent, evidence.covariance
    population_low, population_high = evidence.limits(latent.population_tau)
    known = evidence.error is not None
    upstream, downstream = reliability(evidence.estimates, covariance) if known else (np.nan,) * 2
    rng = evidence.generator(1)
    return TauNoise(
        tau_corrected=float(np.nanmedian(evidence.latent_tau)),
        ceiling=noise_ceiling(latent, covariance, rng=rng, variant=evidence.variant)
        if known
        else np.nan,
        reliability_upstream=float(upstream),
        reliability_downstream=float(downstream),
        population_tau=float(np.median(latent.population_tau)),
        population_low=population_low,
        population_high=population_high,
        users_needed=users_needed(evidence),
    )


def users_needed(evidence: TauEvidence, half_width: float = 0.2) -> float:
    """Smallest number of users at which the interval would be narrower than ± ``half_width``.

    Studies with more (or fewer) users are simulated from a few draws of the methods' true values;
    the covariance of their estimates shrinks with the number of users. Doublings bracket the
    answer, which is then interpolated on the scale of logarithms.

    Parameters
    ----------
    evidence : TauEvidence
        Of a study with at least two units.
    half_width : float
        Half the width asked for.

    Returns
    -------
    float
        Users, to two figures; NaN where no sampling error is known, inf where a thousand times as
        many would not do.
    """
    if evidence.error is None:
        return np.nan
    target = np.log(2 * half_width)
    log_width = cache(partial(_log_width, evidence))
    fewest = 1 - int(np.log2(evidence.n_units))  # leaves two users or three
    # Widths shrink about as the root of the number of users: a first guess of the doublings.
    at = int(np.clip(np.round(2 * (log_width(0) - target) / np.log(2)), fewest, _MOST))
    step = 1 if log_width(at) > target else -1
    while (log_width(at) > target) == (log_width(at + step) > target):
        at += step
        if at >= _MOST:
            return np.inf
        if at <= fewest:
            return 2.0
    share = (log_width(at) - target) / (log_width(at) - log_width(at + step))
    users = evidence.n_units * 2.0 ** (at + step * share)
    return float(np.ceil(float(f"{users:.2g}")))


def _log_width(evidence: TauEvidence, doublings: int) -> float:
    """Log of the interval's mean width in studies with the users doubled so many times."""
    rng = evidence.generator(2)
    covariance = evidence.covariance / 2.0**doublings
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    draws = np.linspace(0, len(evidence.latent.rho) - 1, _STUDIES).astype(int)
    widths = []
    for draw in draws:
        truth = np.concatenate([evidence.latent.theta_x[draw], evidence.latent.theta_y[draw]])
        estimates = truth + root @ rng.standard_normal(len(truth))
        latent = latent_draws(
            estimates, covariance, rng=rng, n_draws=_DRAWS, n_points=_PRIOR_POINTS
        )
        tau = kendall_tau(latent.theta_x, latent.theta_y, variant=evidence.variant)
        low, high = evidence.tau_limits(tau, users_times=2.0**doublings)
        widths.append(high - low)
    return math.log(max(float(np.mean(widths)), 1e-6))

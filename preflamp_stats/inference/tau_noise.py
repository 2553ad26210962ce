"""What sampling noise does to a tau, and how many users would tame it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preflamp_stats.inference.tau_evidence import TauEvidence
from preflamp_stats.kernels.kendall import kendall_tau
from preflamp_stats.kernels.latent_normal import calibrated_limits, central_limits, latent_draws
from preflamp_stats.kernels.reliability import noise_ceiling, reliability

__all__ = ["TauNoise", "tau_noise", "users_needed"]

Array = NDArray[np.float64]

_STUDIES = 4
_DRAWS = 512
_LARGEST_FACTOR = 2.0**10


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
    population_low, population_high = central_limits(latent.population_tau, evidence.level)
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
    factor, width = 1.0, _mean_width(evidence, 1.0)
    wide_enough = width > 2 * half_width
    step = 2.0 if wide_enough else 0.5
    while 1 / evidence.n_units < factor / 2 and factor < _LARGEST_FACTOR:
        following = _mean_width(evidence, factor * step)
        if (following > 2 * half_width) != wide_enough:
            break
        factor, width = factor * step, following
    else:
        return np.inf if wide_enough else 2.0
    share = (np.log(width) - np.log(2 * half_width)) / (np.log(width) - np.log(following))
    users = evidence.n_units * factor * step**share
    return float(np.ceil(float(f"{users:.2g}")))


def _mean_width(evidence: TauEvidence, factor: float) -> float:
    """Mean width of the interval in studies with so many times the users."""
    rng = evidence.generator(2)
    covariance = evidence.covariance / factor
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    draws = np.linspace(0, len(evidence.latent.rho) - 1, _STUDIES).astype(int)
    widths = []
    for draw in draws:
        truth = np.concatenate([evidence.latent.theta_x[draw], evidence.latent.theta_y[draw]])
        estimates = truth + root @ rng.standard_normal(len(truth))
        latent = latent_draws(estimates, covariance, rng=rng, n_draws=_DRAWS)
        tau = kendall_tau(latent.theta_x, latent.theta_y, variant=evidence.variant)
        low, high = calibrated_limits(tau, evidence.level)
        widths.append(high - low)
    return max(float(np.mean(widths)), 1e-6)

"""What sampling noise does to a tau, and how many users would tame it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preflamp_stats.inference.intervals import percentile_limits
from preflamp_stats.inference.tau_evidence import TauEvidence
from preflamp_stats.kernels.kendall import kendall_tau
from preflamp_stats.kernels.reliability import noise_ceiling, reliability

__all__ = ["TauNoise", "tau_noise", "users_needed"]

Array = NDArray[np.float64]

_TRUTHS, _STUDIES = 16, 128
_MOST = 10
"""Doublings of the users beyond which a narrow interval is out of reach."""
_RELIABLE = 0.8
_OUT_OF_REACH = (
    "a thousand times as many users would not narrow the interval to ± 0.2: methods lie too "
    "close together"
)
_UNKNOWN = "how many users are needed cannot be told: no sampling error is known"


@dataclass(frozen=True)
class TauNoise:
    """A tau with its noise taken out, and what the noise amounts to.

    Parameters
    ----------
    tau_corrected : float
        Half way from tau to the mean of the tau of the true values, given the estimates; NaN where
        the geometric mean of the reliabilities is below 0.8. The whole way is too far where the
        true association is weak, and with less reliable metrics either is further from the truth
        than tau as it stands.
    ceiling : float
        Tau that sampling noise alone would leave if the two rankings truly agreed.
    reliability_upstream, reliability_downstream : float
        Share of the variance between methods that is not sampling noise, in [0, 1]. Like the
        ceiling NaN where no sampling error is known.
    population_tau, population_low, population_high : float
        Tau in the population of methods, 2/π·asin ρ: median and limits. They hold 0 where the test
        of no association does not reject.
    users_needed : float
        Users from which on the interval is no wider than ± 0.2, at this spread of methods and these
        users' examples; NaN where that cannot be told or reached.
    users_needed_note : str
        Why ``users_needed`` is NaN.
    """

    tau_corrected: float
    ceiling: float
    reliability_upstream: float
    reliability_downstream: float
    population_tau: float
    population_low: float
    population_high: float
    users_needed: float
    users_needed_note: str


def tau_noise(evidence: TauEvidence, limits: tuple[float, float], p_value: float) -> TauNoise:
    """Take the noise out of a tau.

    Parameters
    ----------
    evidence : TauEvidence
        With a defined tau and no obstacle.
    limits : tuple of float
        Interval of the tau of these methods.
    p_value : float
        Of the test of no association, which the population's limits must not contradict.

    Returns
    -------
    TauNoise
    """
    latent, covariance = evidence.latent, evidence.covariance
    population = evidence.limits(latent.population_tau)
    if p_value > 1 - evidence.level:
        population = min(population[0], 0.0), max(population[1], 0.0)
    known = evidence.error is not None
    upstream, downstream = reliability(evidence.estimates, covariance) if known else (np.nan,) * 2
    ceiling = np.nan
    if known:
        rng = evidence.generator(1)
        ceiling = noise_ceiling(evidence.estimates, covariance, rng=rng, variant=evidence.variant)
    clear = known and np.sqrt(upstream * downstream) >= _RELIABLE
    corrected = (evidence.tau + np.nanmean(evidence.latent_tau)) / 2 if clear else np.nan
    needed, note = users_needed(evidence, limits)
    return TauNoise(
        tau_corrected=float(np.clip(corrected, *limits)),
        ceiling=ceiling,
        reliability_upstream=float(upstream),
        reliability_downstream=float(downstream),
        population_tau=float(np.median(latent.population_tau)),
        population_low=population[0],
        population_high=population[1],
        users_needed=needed,
        users_needed_note=note,
    )


def users_needed(
    evidence: TauEvidence, limits: tuple[float, float], half_width: float = 0.2
) -> tuple[float, str]:
    """Smallest number of users at which the interval would be narrower than ± ``half_width``.

    The interval at hand is scaled as noise spreads the tau of estimates: true values are drawn
    given the estimates, and the noise of studies with more (or fewer) users is added to them.
    Doublings bracket the answer, which is then interpolated on the scale of logarithms. An interval
    narrow enough already needs no more users than it has.

    Parameters
    ----------
    evidence : TauEvidence
        Of a study with at least two units.
    limits : tuple of float
        Its interval.
    half_width : float
        Half the width asked for.

    Returns
    -------
    users : float
        To two figures; NaN where it cannot be told, or a thousand times as many would not do.
    note : str
        Why it is NaN.
    """
    if evidence.error is None:
        return np.nan, _UNKNOWN
    fewest = min(0, 1 - int(np.log2(max(evidence.n_units, 1))))  # leaves two users or three
    width = limits[1] - limits[0]
    # Fewer users are asked about only where those at hand are enough.
    first = 0 if width > 2 * half_width else fewest
    doublings = np.arange(first, _MOST + 1)
    spreads = _spreads(evidence, doublings)
    # More users never widen it but by the chance of few draws.
    spreads = np.maximum.accumulate(spreads[::-1])[::-1]
    at_hand = spreads[doublings == 0][0]
    widths = width * (spreads / at_hand if at_hand > 0 else np.ones(len(spreads)))
    wide = widths > 2 * half_width
    if wide[-1]:
        return np.nan, _OUT_OF_REACH
    if not wide.any():
        return 2.0, ""
    at = int(np.flatnonzero(wide)[-1])
    logs = np.log(np.maximum(widths[at : at + 2], 1e-6))
    share = (logs[0] - np.log(2 * half_width)) / (logs[0] - logs[1])
    users = evidence.n_units * 2.0 ** (doublings[at] + share)
    return float(np.ceil(float(f"{users:.2g}"))), ""


def _spreads(evidence: TauEvidence, doublings: NDArray[np.intp]) -> Array:
    """Width of the middle 95 % of estimated taus around a true one, by doublings of the users."""
    latent, rng = evidence.latent, evidence.generator(2)
    draws = np.linspace(0, len(latent.rho) - 1, _TRUTHS).astype(int)
    values, vectors = np.linalg.eigh(evidence.covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    noise = rng.standard_normal((_TRUTHS, _STUDIES, len(values))) @ root.T
    error_x, error_y = np.split(noise, 2, axis=-1)
    x, y = latent.theta_x[draws, None], latent.theta_y[draws, None]
    widths = []
    for doubling in doublings:
        scale = 2.0 ** (-doubling / 2)
        tau = kendall_tau(x + scale * error_x, y + scale * error_y, variant=evidence.variant)
        low, high = percentile_limits(tau.T, 0.95)
        widths.append(np.mean(high - low))
    return np.array(widths)

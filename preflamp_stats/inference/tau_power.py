"""How often a planned study would show an association: studies of tau, simulated."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from preflamp_stats.inference.association_test import association_p_value
from preflamp_stats.inference.metric_design import MetricDesign
from preflamp_stats.inference.sampling_error import SamplingError
from preflamp_stats.inference.streams import stream
from preflamp_stats.inference.tau_evidence import TauEvidence
from preflamp_stats.inference.tau_intervals import DEFAULT_INTERVAL, INTERVALS
from preflamp_stats.kernels.kendall import kendall_tau
from preflamp_stats.kernels.permutation import tau_permutation_test

__all__ = ["TauPlan", "TauPower", "tau_power"]

Array = NDArray[np.float64]

_PERMUTATIONS = 2000


@dataclass(frozen=True, kw_only=True)
class TauPlan:
    """A planned study of tau.

    Parameters
    ----------
    tau : float
        True tau in the population of methods, in [−1, 1].
    spread : float
        Standard deviation of the methods' true values, in probits.
    n_methods, n_users : int
    upstream, downstream : MetricDesign
    level : float
        Confidence level; the test has size 1 − level.
    """

    tau: float
    spread: float
    n_methods: int
    n_users: int
    upstream: MetricDesign
    downstream: MetricDesign
    level: float = 0.95


@dataclass(frozen=True)
class TauPower:
    """What would come of a planned study.

    Parameters
    ----------
    power : float
        Share of studies in which the permutation test finds an association.
    power_verdict : float
        Share in which the p-value of ``tau_test`` does, which is never smaller: that of the
        permutation test, times how often the verdict agrees with it where intervals were simulated.
        NaN where that was never.
    power_interval : float
        Share in which the default interval, for the tau of these methods, excludes 0; NaN where
        no intervals were simulated.
    width : float
        Mean width of that interval.
    observed : float
        Mean of the observed tau, which noise pulls towards 0.
    """

    power: float
    power_verdict: float
    power_interval: float
    width: float
    observed: float


@lru_cache(maxsize=1024)
def tau_power(plan: TauPlan, *, n_studies: int, n_intervals: int, seed: int) -> TauPower:
    """Simulate studies as planned, and test each with the tests of this package.

    True probits of the methods are drawn from a bivariate normal population; the estimates are
    normal around the true values. The same methods and errors are drawn whatever the tau and the
    spread, so that powers compare more closely than their own errors suggest.

    Parameters
    ----------
    plan : TauPlan
    n_studies : int
        Studies for the permutation test.
    n_intervals : int
        Studies for the interval and the verdict, which take some milliseconds each.
    seed : int

    Returns
    -------
    TauPower
    """
    rng = np.random.default_rng(stream(seed, "power", f"{plan.n_methods} methods"))
    shape = (n_studies, 2, plan.n_methods)
    true = _true_values(plan, rng.standard_normal(shape))
    errors = np.array([d.method_se(plan.n_users) for d in (plan.upstream, plan.downstream)])
    estimates = true + errors[:, None] * rng.standard_normal(shape)
    tau = np.asarray(kendall_tau(estimates[:, 0], estimates[:, 1]))
    alpha = 1 - plan.level + 1e-12
    # Without ties the p-value depends on the size of tau alone, and falls with it.
    sizes, example = np.unique(np.abs(tau).round(9), return_index=True)

    def significant(place: int) -> bool:
        test = tau_permutation_test(*estimates[example[place]], rng=rng)
        return test.p_value <= alpha

    first = bisect_left(range(len(sizes)), True, key=significant)
    power = float((np.abs(tau).round(9) >= sizes[first]).mean()) if first < len(sizes) else 0.0
    intervals, agrees = np.full((n_intervals, 2), np.nan), []
    for study in range(n_intervals):
        evidence = _evidence(plan, study, seed)
        intervals[study] = INTERVALS[DEFAULT_INTERVAL](evidence)
        if tau_permutation_test(evidence.x, evidence.y, rng=rng).p_value <= alpha:
            agrees.append(association_p_value(evidence, _PERMUTATIONS) <= alpha)
    excludes = (intervals[:, 0] > 0) | (intervals[:, 1] < 0)
    return TauPower(
        power=power,
        power_verdict=power * float(np.mean(agrees)) if agrees else np.nan,
        power_interval=float(excludes.mean()) if n_intervals else np.nan,
        width=float((intervals[:, 1] - intervals[:, 0]).mean()) if n_intervals else np.nan,
        observed=float(tau.mean()),
    )


def _evidence(plan: TauPlan, study: int, seed: int) -> TauEvidence:
    """What one study knows of tau, from sums per user."""
    root = stream(seed, "power", f"{plan.n_methods} methods", f"interval {study}")
    truth_stream, noise_stream, own_stream = root.spawn(3)
    normal = np.random.default_rng(truth_stream).standard_normal((1, 2, plan.n_methods))
    true = _true_values(plan, normal)[0]
    noise = np.random.default_rng(noise_stream)
    parts = []
    for design, values in zip((plan.upstream, plan.downstream), true, strict=True):
        sizes = design.user_sizes(plan.n_users)[:, None]
        scale = design.own_sd * np.sqrt(design.icc + (1 - design.icc) / sizes)
        deviations = scale * noise.standard_normal((plan.n_users, plan.n_methods))
        parts.append((sizes * (values + deviations), np.broadcast_to(sizes, deviations.shape)))
    sums, counts = (np.hstack([part[i] for part in parts]) for i in (0, 1))
    x, y = np.split(sums.sum(axis=0) / counts.sum(axis=0), 2)
    no_draws = np.empty((0, plan.n_methods))
    return TauEvidence(
        x,
        y,
        no_draws,
        no_draws,
        n_units=plan.n_users,
        level=plan.level,
        variant="b",
        error=SamplingError(sums, counts, np.zeros((plan.n_methods, 2, 2))),
        seed=own_stream,
    )


def _true_values(plan: TauPlan, normal: Array) -> Array:
    """True values of methods, shape (study, 2, method), from standard normal numbers."""
    rho = np.sin(np.pi / 2 * plan.tau)  # of a bivariate normal population with this tau
    first, second = normal[:, 0], normal[:, 1]
    probits = np.stack([first, rho * first + np.sqrt(1 - rho**2) * second], axis=1)
    centres = ndtri([plan.upstream.mean, plan.downstream.mean])
    return np.asarray(ndtr(centres[:, None] + plan.spread * probits))

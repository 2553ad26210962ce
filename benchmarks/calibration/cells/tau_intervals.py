"""Coverage and width of every interval of tau, one simulated study at a time.

A study draws true probits of methods in two metrics, then users with 20 examples each (or very
unequal numbers), whose latent responses share effects of the user and of the example; a response is
right where it is above 0, so that the true accuracy is Φ of the probit. The intervals are those of
``tau_test``, from the same code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ndtr

from preflamp_stats.inference.sampling_error import SamplingError
from preflamp_stats.inference.slope import slope_draws
from preflamp_stats.inference.tau_evidence import TauEvidence
from preflamp_stats.inference.tau_intervals import INTERVALS
from preflamp_stats.kernels.kendall import kendall_tau
from preflamp_stats.kernels.reliability import reliability
from preflamp_stats.kernels.resampling import resampled_ratios

Array = NDArray[np.float64]
Correct = NDArray[np.bool_]

LEVEL = 0.95
_EXAMPLES = 20
_RESAMPLES = 1000
_MEAN_PROBIT = 0.4
_EXAMPLE_SD, _USER_SD, _USER_METHOD_SD = 0.5, 0.3, 0.1


@dataclass(frozen=True)
class TauCell:
    """A design.

    Parameters
    ----------
    n_methods, n_users : int
    correlation : float
        Correlation of the methods' true probits in the two metrics.
    spread : float
        Standard deviation of true probits over methods.
    effects : {"normal", "t3", "skewed", "clusters", "shared clusters"}
        Distribution of true probits. In clusters half of the variance-carrying part is one of two
        levels, drawn apart in the two metrics or (shared) the same in both.
    users : {"equal", "unequal", "strong effects"}
        Twenty examples each; log-normal numbers (median 6.5, mean 20); or users whose own effects
        are three times as strong.
    """

    n_methods: int
    n_users: int
    correlation: float
    spread: float
    effects: str = "normal"
    users: str = "equal"


def true_probits(rng: np.random.Generator, cell: TauCell) -> Array:
    """True probits of both metrics, shape (2, method)."""
    shape = (2, cell.n_methods)
    if cell.effects == "normal":
        drawn = rng.standard_normal(shape)
    elif cell.effects == "t3":
        drawn = rng.standard_t(3, shape) / np.sqrt(3)
    elif cell.effects == "skewed":
        drawn = rng.exponential(1.0, shape) - 1
    elif cell.effects == "clusters":
        drawn = (rng.choice([-1, 1], shape) + 0.3 * rng.standard_normal(shape)) / np.sqrt(1.09)
    elif cell.effects == "shared clusters":
        within = _correlated(rng.standard_normal(shape), cell.correlation)
        level = rng.permutation(np.where(np.arange(cell.n_methods) % 2, 1, -1))
        return _MEAN_PROBIT + cell.spread * (level + 0.3 * within) / np.sqrt(1.09)
    else:
        raise ValueError(f"unknown effects {cell.effects!r}")
    return _MEAN_PROBIT + cell.spread * _correlated(drawn, cell.correlation)


def draw_examples(
    rng: np.random.Generator, cell: TauCell, probits: Array | None = None
) -> tuple[Array, Correct, NDArray[np.intp]]:
    """True probits, which responses are right, shape (example, 2 × method), and their users."""
    probits = true_probits(rng, cell) if probits is None else probits
    if cell.users == "unequal":
        numbers = np.maximum(1, rng.lognormal(np.log(_EXAMPLES) - 1.125, 1.5, cell.n_users)).astype(
            int
        )
    else:
        numbers = np.full(cell.n_users, _EXAMPLES)
    users = np.repeat(np.arange(cell.n_users), numbers)
    strength = 3.0 if cell.users == "strong effects" else 1.0
    user_sd, own_sd = strength * _USER_SD, strength * _USER_METHOD_SD
    columns = 2 * cell.n_methods
    # The latent variance is 1 + user + own + example effects; probits are scaled so that the true
    # accuracy stays Φ(probit).
    total = np.sqrt(1 + user_sd**2 + own_sd**2 + _EXAMPLE_SD**2)
    common = user_sd * rng.standard_normal((cell.n_users, 2), dtype=np.float32)
    own = own_sd * rng.standard_normal((cell.n_users, columns), dtype=np.float32)
    level = np.repeat(common, cell.n_methods, axis=1) + own
    level += (total * probits.ravel()).astype(np.float32)
    latent = rng.standard_normal((len(users), columns), dtype=np.float32)
    latent += _EXAMPLE_SD * rng.standard_normal((len(users), 1), dtype=np.float32)
    latent += level[users]
    return probits, latent > 0, users


def evidence_of(
    rng: np.random.Generator, correct: Correct, users: NDArray[np.intp], n_users: int
) -> TauEvidence:
    """What ``tau_test`` knows of such a study."""
    starts = np.searchsorted(users, np.arange(n_users))
    sums = np.add.reduceat(correct, starts, axis=0, dtype=np.int32).astype(np.float64)
    counts = np.bincount(users, minlength=n_users).astype(np.float64)[:, None]
    seed = np.random.SeedSequence(int(rng.integers(2**63)))
    draws = resampled_ratios(sums, counts, _RESAMPLES, seed)
    n_methods = sums.shape[1] // 2
    means = sums.sum(axis=0) / counts.sum()
    error = SamplingError(sums, np.broadcast_to(counts, sums.shape), np.zeros((n_methods, 2, 2)))
    x, y = np.split(means, 2)
    x_draws, y_draws = np.split(draws, 2, axis=1)
    return TauEvidence(x, y, x_draws, y_draws, n_users, LEVEL, "b", error=error, seed=seed)


def tau_study(rng: np.random.Generator, cell: TauCell) -> dict[str, float]:
    """Coverage and width of every interval in one study, and the bias of tau."""
    probits, correct, users = draw_examples(rng, cell)
    evidence = evidence_of(rng, correct, users, cell.n_users)
    truth = float(kendall_tau(*ndtr(probits)))
    found: dict[str, float] = {}
    for name, limits in INTERVALS.items():
        low, high = limits(evidence)
        found |= outcome(name, low, high, truth)
    population = 2 / np.pi * np.arcsin(cell.correlation)
    low, high = evidence.limits(evidence.latent.population_tau)
    found |= outcome("population", low, high, population)
    upstream, downstream = reliability(evidence.estimates, evidence.covariance)
    return found | {
        "observed bias": evidence.tau - truth,
        "corrected bias": float(np.nanmedian(evidence.latent_tau)) - truth,
        "reliability": min(upstream, downstream),
    }


def slope_study(rng: np.random.Generator, cell: TauCell) -> dict[str, float]:
    """Coverage of the slope of one accuracy on the other, and of the naive slope's limits."""
    probits, correct, users = draw_examples(rng, cell)
    evidence = evidence_of(rng, correct, users, cell.n_users)
    x, y = ndtr(probits)
    truth = float(np.polyfit(x, y, 1)[0])
    draws = slope_draws(evidence)
    centred = evidence.x_draws - evidence.x_draws.mean(axis=1, keepdims=True)
    naive = (centred * evidence.y_draws).sum(axis=1) / (centred**2).sum(axis=1)
    return {
        **outcome("slope", *evidence.limits(draws), truth),
        **outcome("naive slope", *np.quantile(naive, [0.025, 0.975]), truth),
        "slope bias": float(np.median(draws)) - truth,
        "naive bias": float(np.polyfit(evidence.x, evidence.y, 1)[0]) - truth,
    }


def peer_study(rng: np.random.Generator, cell: TauCell) -> dict[str, float]:
    """The ways of scipy and nlpstats beside ours, in the same study."""
    from nlpstats.correlations.bootstrap import bootstrap as nlpstats_bootstrap

    probits, correct, users = draw_examples(rng, cell)
    evidence = evidence_of(rng, correct, users, cell.n_users)
    truth = float(kendall_tau(*ndtr(probits)))
    found: dict[str, float] = {}
    for name in ("model", "percentile"):
        found |= outcome(name, *INTERVALS[name](evidence), truth)
    assert evidence.error is not None
    sums, counts = evidence.error.sums, evidence.error.counts

    def tau_of(drawn: NDArray[np.intp], axis: int = -1) -> Array:
        drawn = np.moveaxis(np.asarray(drawn).astype(np.intp), axis, -1)
        means = sums[drawn].sum(axis=-2) / counts[drawn].sum(axis=-2)
        x, y = np.split(means, 2, axis=-1)
        return kendall_tau(x, y)

    for method in ("percentile", "BCa"):
        limits = stats.bootstrap(
            (np.arange(cell.n_users),),
            tau_of,
            n_resamples=400,
            batch=100,
            confidence_level=LEVEL,
            method=method,
            rng=rng,
        ).confidence_interval
        found |= outcome(f"scipy {method}", limits.low, limits.high, truth)
    np.random.seed(int(rng.integers(2**31)))  # noqa: NPY002 -- nlpstats draws from the global state
    x, y = np.split(correct.T.astype(np.float64), 2)
    limits = nlpstats_bootstrap(x, y, "system", "kendall", "inputs", n_resamples=200)
    return found | outcome("nlpstats", limits.lower, limits.upper, truth)


def _correlated(drawn: Array, correlation: float) -> Array:
    first, second = drawn
    return np.stack([first, correlation * first + np.sqrt(1 - correlation**2) * second])


def outcome(name: str, low: float, high: float, truth: float) -> dict[str, float]:
    covered = low - 1e-9 <= truth <= high + 1e-9
    return {f"{name} covers": float(covered), f"{name} width": float(high - low)}

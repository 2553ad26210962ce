from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.random import default_rng
from scipy import stats

from preflamp_stats.inference.pooled import POOLED_INTERVALS, StackedEvidence
from preflamp_stats.inference.sampling_error import SamplingError
from preflamp_stats.inference.tau_evidence import TauEvidence
from preflamp_stats.inference.tau_intervals import COVERAGE, DEFAULT_INTERVAL, INTERVALS
from preflamp_stats.inference.tau_noise import users_needed
from preflamp_stats.kernels.posterior_limits import central_limits

X = np.array([0.1, 0.2, 0.3, np.nan, 0.5])
Y = np.array([0.2, 0.1, 0.3, 0.4, 0.6])


def _evidence(x: np.ndarray = X, y: np.ndarray = Y, **changes: object) -> TauEvidence:
    rng = np.random.default_rng(0)
    options = {
        "x_draws": x + rng.normal(0, 0.2, (300, len(x))).round(1),
        "y_draws": y + rng.normal(0, 0.2, (300, len(y))).round(1),
        "n_units": 20,
        "level": 0.9,
        "variant": "b",
        **changes,
    }
    return TauEvidence(x, y, **options)


def _scipy(x: np.ndarray, y: np.ndarray) -> float:
    both = ~(np.isnan(x) | np.isnan(y))
    return float(stats.kendalltau(x[both], y[both]).statistic)


def test_draws_of_tau_are_those_of_a_loop():
    evidence = _evidence()
    expected = [_scipy(*pair) for pair in zip(evidence.x_draws, evidence.y_draws, strict=True)]
    np.testing.assert_allclose(evidence.tau_draws(), expected, atol=1e-12)
    low, high = INTERVALS["percentile"](evidence)
    np.testing.assert_allclose([low, high], np.nanquantile(expected, [0.05, 0.95]))
    assert evidence.tau == pytest.approx(_scipy(X, Y))


def test_methods_that_are_picked_repeat_and_stay_paired():
    picks = np.random.default_rng(1).choice([0, 1, 2, 4], (300, 4))
    evidence = _evidence(picks=picks)
    draws = zip(evidence.x_draws, evidence.y_draws, picks, strict=True)
    expected = [_scipy(x[pick], y[pick]) for x, y, pick in draws]
    np.testing.assert_allclose(evidence.tau_draws(), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("evidence", "obstacle"),
    [
        (_evidence(), ""),
        (_evidence(np.full(5, np.nan)), "fewer than two methods have both metrics"),
        (_evidence(np.array([1.0, *[np.nan] * 4])), "fewer than two methods have both metrics"),
        (_evidence(np.full(5, 0.5)), "all methods have the same value in one metric"),
        (_evidence(X, np.array([1, 1, 1, 2, 1.0])), "all methods have the same value in one"),
        (_evidence(n_units=1), "no interval: "),
        (_evidence(n_units=1, picks=np.zeros((300, 4), dtype=np.intp)), ""),
    ],
)
def test_obstacles_are_told_in_words(evidence, obstacle):
    assert evidence.obstacle.startswith(obstacle)
    assert bool(evidence.obstacle) == bool(obstacle)


def test_the_default_is_one_of_the_intervals():
    assert DEFAULT_INTERVAL in INTERVALS
    assert COVERAGE.keys() == INTERVALS.keys()


@pytest.mark.parametrize(("n_methods", "least"), [(2, 0.15), (6, 0.15), (12, 0.075), (24, 0.0375)])
def test_width_costs_less_the_more_methods_are_compared(n_methods, least):
    values = np.arange(n_methods + 1.0)
    missing = np.where(values == 1, np.nan, values)
    assert _evidence(values, missing).least_density == pytest.approx(least)


@pytest.fixture
def noisy() -> TauEvidence:
    """Four methods of whom sixty users say little."""
    sums = np.random.default_rng(2).normal([0, 1, 2, 3, 0, 1, 2, 3], 5, (60, 8))
    error = SamplingError(sums, np.ones_like(sums), np.zeros((4, 2, 2)))
    return _evidence(*np.split(sums.mean(axis=0), 2), level=0.95, error=error)


def test_thin_tails_of_tau_are_left_out_of_the_default_interval(noisy):
    with_tails = noisy.limits(noisy.latent_tau)
    low, high = INTERVALS["model"](noisy)
    assert with_tails[0] < low < high <= with_tails[1]
    tau = noisy.latent_tau
    left_out = np.mean((with_tails[0] <= tau) & (tau < low))
    assert 0 < left_out < 0.15 * (low - with_tails[0])
    assert (low, high) == central_limits(
        noisy.latent_tau, 0.95, n_users=noisy.effective_users, least_density=0.15
    )


@pytest.mark.parametrize(
    ("gap", "limits", "expected"),
    [
        (2.7, (0.3, 0.84), (0.3, 1.0)),  # t at 1 - .05 / 12, 39 degrees of freedom, is 2.78
        (2.8, (0.3, 0.84), (0.3, 0.84)),
        (2.7, (0.3, 0.83), (0.3, 0.83)),  # far from perfect
        (2.8, (-0.9, 0.3), (-0.9, 0.3)),  # pairs that agree surely speak against -1
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_limits_near_perfect_agreement_reach_it_unless_two_methods_surely_disagree(
    gap, limits, expected, sign
):
    sums = 10 * default_rng(0).normal(size=(40, 8))
    error = SamplingError(sums, np.full(sums.shape, 10.0), np.zeros((4, 2, 2)))
    covariance = np.kron(np.eye(2), 0.5 * np.eye(4))
    error.__dict__["of_contrasts"] = SimpleNamespace(covariance=covariance, df=39.0)
    x = np.array([0, 10, 20, 20 + gap])
    y = sign * np.array([0, 10, 20 + gap, 20])
    evidence = _evidence(x, y, level=0.95, error=error)
    found = evidence.with_perfect(*sorted(sign * np.array(limits)))
    assert sorted(sign * np.array(found)) == pytest.approx(expected)


@pytest.mark.parametrize("n_methods", [4, 12])
def test_perfect_agreement_is_ruled_out_no_more_often_than_the_level_says(n_methods):
    """Methods far apart in one metric and all but equal in the other, errors opposed: the worst."""
    rng, ruled_out = default_rng(8), []
    truth = np.concatenate([1e3 * np.arange(n_methods), 1e-6 * np.arange(n_methods)])
    for _ in range(400):
        noise = rng.normal(size=(8, n_methods))
        sums = truth + np.hstack([-noise, noise])
        error = SamplingError(sums, np.ones_like(sums), np.zeros((n_methods, 2, 2)))
        evidence = _evidence(*np.split(sums.mean(axis=0), 2), level=0.95, error=error)
        ruled_out.append(evidence.with_perfect(0.0, 0.99)[1] < 1)
    assert 0 < np.mean(ruled_out) < 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)


def test_one_stratum_pooled_has_the_interval_of_tau(noisy):
    stacked = StackedEvidence([noisy], np.ones(1), 0.95)
    assert POOLED_INTERVALS["model"](stacked) == INTERVALS["model"](noisy)


def test_users_are_planned_for_the_interval_that_is_printed(noisy):
    few, none = users_needed(noisy, (-0.5, 0.5))
    more, _ = users_needed(noisy, (-0.7, 0.7))
    assert none == ""
    assert more >= few > noisy.n_units
    # An interval that is narrow enough needs no more users than it has.
    assert users_needed(noisy, (0.1, 0.49))[0] <= noisy.n_units


def test_users_that_cannot_be_told_or_reached_say_why(noisy):
    nothing, why = users_needed(replace(noisy, error=None), (-0.5, 0.5))
    assert np.isnan(nothing)
    assert "no sampling error is known" in why
    far, why = users_needed(noisy, (-1e4, 1e4))
    assert np.isnan(far)
    assert "would not narrow" in why


def test_methods_alike_for_every_user_are_one():
    """Given three times, a method says no more of the population, and keeps its own truth."""
    rng = default_rng(5)
    values = rng.normal(size=(30, 2, 6)) + rng.normal(size=(2, 6))
    repeated = values[:, :, [0, 1, 2, 0, 3, 4, 5, 0]]

    def evidence(values: np.ndarray) -> TauEvidence:
        sums = values.reshape(30, -1)
        error = SamplingError(sums, np.ones(sums.shape), np.zeros((values.shape[2], 2, 2)))
        x, y = values.mean(axis=0)
        return TauEvidence(x, y, x[None], y[None], 30, 0.95, "b", error=error)

    once, thrice = evidence(values), evidence(repeated)
    index, place = thrice.error.distinct
    assert {*index} == {0, 1, 2, 4, 5, 6}
    np.testing.assert_array_equal(repeated[:, :, index][:, :, place], repeated)
    theta = thrice.latent.theta_x
    np.testing.assert_array_equal(theta[:, [3, 7]], theta[:, [0, 0]])
    assert np.median(thrice.latent.rho) == pytest.approx(np.median(once.latent.rho), abs=0.05)
    # One that differs for one user in one metric is another method.
    repeated[0, 1, 3] += 0.1
    assert len(evidence(repeated).error.distinct[0]) == 7


@pytest.mark.parametrize("sign", [1, -1])
def test_true_agreement_of_all_methods_is_inside(sign):
    """The same true accuracies in both metrics, or opposed: the tau of the estimates misses ±1."""
    inside, below = 0, 0
    for seed in range(8):
        rng = default_rng(seed)
        true = 0.55 + 0.02 * np.arange(12)
        sums = np.stack([rng.binomial(10, true, (100, 12)) for _ in range(2)])
        sums[1] = sums[1] if sign == 1 else 10 - sums[1]
        both = np.hstack(sums).astype(float)
        counts = np.full(both.shape, 10.0)
        x, y = np.split(both.sum(axis=0) / counts.sum(axis=0), 2)
        error = SamplingError(both, counts, np.zeros((12, 2, 2)))
        evidence = TauEvidence(x, y, x[None], y[None], 100, 0.95, "b", error=error)
        low, high = INTERVALS["model"](evidence)
        inside += low <= sign <= high
        below += abs(evidence.tau) < 1
        assert high - low < 0.3
    assert inside >= 7
    assert below >= 7

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflamp_stats.kernels.kendall import kendall_tau
from preflamp_stats.kernels.latent_normal import LatentDraws
from preflamp_stats.kernels.reliability import noise_ceiling, reliability


def draws_of(theta_x, theta_y):
    one = np.ones(len(theta_x))
    return LatentDraws(np.asarray(theta_x), np.asarray(theta_y), one, one, one)


def test_reliability_is_the_share_of_true_variance():
    rng = np.random.default_rng(0)
    true = rng.normal(0, [[1.0], [2.0]], (2, 4000))
    noisy = true + rng.normal(0, [[0.5], [4.0]], true.shape)
    covariance = np.diag(np.repeat([0.25, 16.0], 4000))
    found = reliability(noisy.ravel(), covariance)
    np.testing.assert_allclose(found, [1 / 1.25, 4 / 20], atol=0.03)


def test_noise_common_to_all_methods_does_not_count():
    covariance = np.kron(np.eye(2), np.full((3, 3), 50.0))
    np.testing.assert_allclose(reliability([1.0, 2, 3, 2, 5, 6], covariance), 1)


def test_reliability_is_not_negative():
    np.testing.assert_array_equal(reliability([0.0, 0.1, 0.1, 0.0], np.eye(4)), [0, 0])


@given(st.integers(0, 2**32 - 1))
def test_without_noise_the_ceiling_is_one(seed):
    theta = np.random.default_rng(seed).normal(size=(2, 3, 6))
    rng = np.random.default_rng(0)
    assert noise_ceiling(draws_of(*theta), np.zeros((12, 12)), rng=rng) == pytest.approx(1)


def test_ceiling_falls_with_noise_to_zero():
    theta = np.random.default_rng(1).normal(size=(2, 1, 8)).repeat(2000, axis=1)
    ceilings = [
        noise_ceiling(draws_of(*theta), noise * np.eye(16), rng=np.random.default_rng(2))
        for noise in (0.01, 0.3, 1e6)
    ]
    assert 0.8 < ceilings[0] < 1
    assert ceilings[0] > ceilings[1] > ceilings[2]
    assert ceilings[2] == pytest.approx(0, abs=0.03)


def test_ceiling_is_the_expected_tau_of_two_noisy_copies():
    x = np.array([0.0, 1.0, 2.0, 4.0])
    y = np.array([30.0, 0.0, 10.0, 20.0])  # the same spacing for another order
    rng = np.random.default_rng(3)
    noise_x, noise_y = rng.normal(size=(2, 20_000, 4)) * [[[0.8]], [[6.0]]]
    expected = kendall_tau(x + noise_x, np.sort(y) + noise_y).mean()
    covariance = np.diag(np.repeat([0.64, 36.0], 4))
    draws = draws_of(np.tile(x, (20_000, 1)), np.tile(y, (20_000, 1)))
    found = noise_ceiling(draws, covariance, rng=np.random.default_rng(4))
    assert found == pytest.approx(expected, abs=0.01)


def test_a_constant_metric_has_no_ceiling():
    theta = np.ones((2, 3, 4))
    assert np.isnan(noise_ceiling(draws_of(*theta), np.zeros((8, 8)), rng=np.random.default_rng(5)))

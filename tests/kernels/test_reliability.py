import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflamp_stats.kernels.kendall import kendall_tau
from preflamp_stats.kernels.reliability import noise_ceiling, reliability


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
    estimates = np.random.default_rng(seed).normal(size=12)
    rng = np.random.default_rng(0)
    assert noise_ceiling(estimates, np.zeros((12, 12)), rng=rng) == pytest.approx(1)


def test_ceiling_falls_with_noise_to_zero():
    estimates = np.random.default_rng(1).normal(size=16)
    ceilings = [
        noise_ceiling(estimates, noise * np.eye(16), rng=np.random.default_rng(2), n_draws=2000)
        for noise in (0.01, 0.3, 1e6)
    ]
    assert 0.8 < ceilings[0] < 1
    assert ceilings[0] > ceilings[1] > ceilings[2]
    assert ceilings[2] == pytest.approx(0, abs=0.03)


def test_ceiling_of_known_true_values_is_the_expected_tau_of_two_noisy_copies():
    x = np.array([0.0, 1.0, 2.0, 4.0])
    y = np.array([30.0, 0.0, 10.0, 20.0])  # the same spacing for another order
    rng = np.random.default_rng(3)
    noise_x, noise_y = rng.normal(size=(2, 20_000, 4)) * [[[0.1]], [[0.75]]]
    expected = kendall_tau(x + noise_x, np.sort(y) + noise_y).mean()
    covariance = np.diag(np.repeat([0.01, 0.5625], 4))
    estimates = np.concatenate([x, y])  # so little noise that they are nearly the true values
    found = noise_ceiling(estimates, covariance, rng=np.random.default_rng(4), n_draws=20_000)
    assert found == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("n_methods", [8, 24])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_ceiling_agrees_with_simulation_of_studies_that_truly_agree(n_methods, share):
    """Means over 400 studies: their own standard error is below .02."""
    rng = np.random.default_rng(n_methods)
    noise = (1 - share) / share
    covariance = noise * np.eye(2 * n_methods)
    ceilings, taus = [], []
    for _ in range(400):
        true = rng.normal(size=n_methods)
        errors = np.sqrt(noise) * rng.normal(size=(2, n_methods))
        other = rng.normal(size=n_methods) + np.sqrt(noise) * rng.normal(size=n_methods)
        taus.append(kendall_tau(*(true + errors)))
        estimates = np.concatenate([true + errors[0], other])
        ceilings.append(noise_ceiling(estimates, covariance, rng=rng, n_draws=64))
    assert np.mean(ceilings) == pytest.approx(np.mean(taus), abs=0.06)


def test_a_constant_metric_has_no_ceiling():
    assert np.isnan(noise_ceiling(np.ones(8), np.zeros((8, 8)), rng=np.random.default_rng(5)))

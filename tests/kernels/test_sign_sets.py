from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflamp_stats.kernels.covariance import MeansCovariance, means_covariance
from preflamp_stats.kernels.kendall import kendall_tau
from preflamp_stats.kernels.sign_sets import SignSet, certain_signs, tau_range


def means_of(estimates, covariance, df=200.0):
    return MeansCovariance(np.asarray(estimates, dtype=float), covariance, df, 0.0, False)


def signs_of(*values):
    return np.array(values, dtype=np.int8)


def test_without_noise_the_range_is_the_observed_tau():
    estimates = np.array([0.1, 0.4, 0.2, 0.9, 3.0, 5.0, 4.0, 1.0])
    signs = certain_signs(means_of(estimates, np.zeros((8, 8))), rng=np.random.default_rng(0))
    tau = kendall_tau(estimates[:4], estimates[4:])
    assert signs.undetermined == 0
    assert tau_range(signs) == (pytest.approx(tau), pytest.approx(tau))


def test_much_noise_leaves_everything_open():
    signs = certain_signs(means_of(np.arange(6), 1e6 * np.eye(6)), rng=np.random.default_rng(0))
    assert signs.undetermined == 3
    assert tau_range(signs) == (-1.0, 1.0)


def test_one_pair_of_differences_has_the_critical_value_of_two_t_statistics():
    # Independent |t| of two differences below c together with probability 0.95.
    signs = certain_signs(
        means_of([0, 1, 0, 1], np.eye(4), df=1e6), rng=np.random.default_rng(1), n_draws=200_000
    )
    assert signs.critical_value == pytest.approx(2.236, abs=0.02)  # Φ⁻¹((1 + √0.95) / 2)


def test_few_users_make_signs_less_certain():
    few, many = (
        certain_signs(means_of([0, 1, 0, 1], np.eye(4), df=df), rng=np.random.default_rng(2))
        for df in (4.0, 400.0)
    )
    assert few.critical_value > many.critical_value + 0.5


def test_shared_noise_of_two_methods_does_not_blur_their_order():
    covariance = np.kron(np.eye(2), np.full((2, 2), 100.0))
    signs = certain_signs(means_of([0, 1, 1, 0], covariance), rng=np.random.default_rng(3))
    assert tau_range(signs) == (-1.0, -1.0)


@given(st.integers(0, 2**32 - 1))
def test_range_holds_tau_of_every_order_that_the_signs_allow(seed):
    rng = np.random.default_rng(seed)
    i, j = np.triu_indices(4, 1)
    x, y = rng.normal(size=(2, 4)).round(1)
    signs_x = np.where(np.abs(x[i] - x[j]) > 0.7, np.sign(x[i] - x[j]), 0).astype(np.int8)
    signs_y = np.where(np.abs(y[i] - y[j]) > 0.7, np.sign(y[i] - y[j]), 0).astype(np.int8)
    low, high = tau_range(SignSet(signs_x, signs_y, 2.0))
    orders = [np.array(order) for order in permutations(range(4))]

    def allowed(values, signs):
        return np.all((signs == 0) | (np.sign(values[i] - values[j]) == signs))

    taus = [
        kendall_tau(a, b)
        for a in orders
        if allowed(a, signs_x)
        for b in orders
        if allowed(b, signs_y)
    ]
    assert low - 1e-12 <= min(taus)
    assert max(taus) <= high + 1e-12


def test_ties_cannot_leave_the_range():
    signs = SignSet(signs_of(1, 0, 1), signs_of(1, 1, 0), 2.0)  # pairs (0,1), (0,2), (1,2)
    low, high = tau_range(signs)
    for x2 in (-1.0, 0.0, 1.0):
        for y2 in (-1.0, 0.0, 1.0):
            assert low <= kendall_tau([1.0, 0.0, x2], [1.0, 0.0, y2]) <= high


def test_certain_signs_are_right_together_at_the_stated_level():
    rng = np.random.default_rng(4)
    wrong = 0
    for _ in range(200):
        sums = rng.normal(size=(30, 8))  # all true values equal: any certain sign is wrong
        means = means_covariance(sums, np.ones_like(sums), shrink=False)
        signs = certain_signs(means, rng=rng, n_draws=500, level=0.9)
        wrong += bool(np.any(signs.x) or np.any(signs.y))
    assert 0.04 <= wrong / 200 <= 0.17


def test_one_method_has_no_range():
    assert np.isnan(tau_range(SignSet(signs_of(), signs_of(), 0.0))).all()

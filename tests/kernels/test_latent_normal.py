import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflamp_stats.errors import InputError
from preflamp_stats.kernels.kendall import kendall_tau
from preflamp_stats.kernels.latent_likelihood import (
    FreeMeansModel,
    exact_factors,
    prior_points,
)
from preflamp_stats.kernels.latent_normal import LatentDraws, latent_draws
from preflamp_stats.kernels.posterior_limits import central_limits


def study(seed, *, n_methods=8, rho=0.8, noise=0.3):
    """Estimates of correlated true values, with independent noise."""
    rng = np.random.default_rng(seed)
    true = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], n_methods).T
    estimates = (true + noise * rng.normal(size=true.shape)).ravel()
    return estimates, noise**2 * np.eye(2 * n_methods), true


def draw(estimates, covariance, *, seed=0, n_draws=1024):
    return latent_draws(estimates, covariance, rng=np.random.default_rng(seed), n_draws=n_draws)


def tau_of(draws):
    return kendall_tau(draws.theta_x, draws.theta_y)


@given(st.integers(0, 2**32 - 1), st.integers(2, 9))
@settings(max_examples=15, deadline=None)
def test_without_noise_every_draw_is_the_observed_tau(seed, n_methods):
    estimates = np.random.default_rng(seed).normal(size=2 * n_methods).round(1)
    x, y = estimates.reshape(2, -1)
    if x.min() == x.max() or y.min() == y.max():
        return
    draws = draw(estimates, np.zeros((len(estimates),) * 2), n_draws=64)
    np.testing.assert_array_equal(draws.theta_x, np.tile(x, (64, 1)))
    low, high = central_limits(tau_of(draws))
    assert low == high == kendall_tau(x, y)


def test_same_seed_same_draws_and_the_number_asked_for():
    estimates, covariance, _ = study(0)
    first, second = (draw(estimates, covariance, n_draws=1000) for _ in range(2))
    for name in ("theta_x", "theta_y", "rho", "sigma_x", "sigma_y"):
        values = getattr(first, name)
        assert len(values) == 1000
        np.testing.assert_array_equal(values, getattr(second, name))


@given(st.floats(-5, 5), st.floats(0.01, 100))
@settings(max_examples=10, deadline=None)
def test_shift_and_unit_of_a_metric_change_only_its_own_values(shift, unit):
    estimates, covariance, _ = study(1)
    scale = np.repeat([1.0, unit], 8)
    draws = draw(estimates, covariance)
    moved = draw(scale * estimates + np.repeat([0, shift], 8), np.outer(scale, scale) * covariance)
    np.testing.assert_allclose(moved.theta_x, draws.theta_x, atol=1e-6)
    np.testing.assert_allclose(
        moved.theta_y - shift, unit * draws.theta_y, atol=1e-6 * (abs(shift) + unit)
    )
    np.testing.assert_allclose(moved.rho, draws.rho, atol=1e-8)
    np.testing.assert_allclose(moved.sigma_y, unit * draws.sigma_y, rtol=1e-6)


def test_order_of_methods_and_of_metrics_does_not_matter():
    estimates, covariance, _ = study(2)
    covariance = covariance * np.linspace(0.5, 2, 16)[:, None]
    order = np.random.default_rng(3).permutation(8)
    both = np.concatenate([order, order + 8])
    swapped = np.roll(np.arange(16), 8)
    tau = tau_of(draw(estimates, covariance, n_draws=8192))
    for index in (both, swapped):
        other = tau_of(draw(estimates[index], covariance[np.ix_(index, index)], n_draws=8192))
        assert other.mean() == pytest.approx(tau.mean(), abs=0.02)
        np.testing.assert_allclose(
            np.quantile(other, [0.1, 0.5, 0.9]), np.quantile(tau, [0.1, 0.5, 0.9]), atol=0.08
        )


def test_negating_a_metric_negates_tau():
    estimates, covariance, _ = study(4)
    sign = np.repeat([1.0, -1.0], 8)
    draws = draw(estimates, covariance, n_draws=8192)
    negated = draw(sign * estimates, np.outer(sign, sign) * covariance, n_draws=8192)
    assert tau_of(negated).mean() == pytest.approx(-tau_of(draws).mean(), abs=0.02)
    assert negated.rho.mean() == pytest.approx(-draws.rho.mean(), abs=0.03)


def test_what_noise_shares_between_methods_or_adds_to_all_is_projected_out():
    estimates, covariance, _ = study(5)
    common = 100 * np.kron(np.eye(2), np.ones((8, 8)))
    np.testing.assert_allclose(
        draw(estimates, covariance + common).theta_x,
        draw(estimates, covariance).theta_x,
        atol=1e-6,
    )


def test_correlated_noise_is_told_from_correlated_methods():
    """Noise that both metrics share makes unrelated methods look related; the model knows it."""
    rng = np.random.default_rng(6)
    true = rng.normal(size=(2, 60))
    shared = 2 * rng.normal(size=60)
    estimates = (true + shared).ravel()
    draws = draw(estimates, 4 * np.kron(np.ones((2, 2)), np.eye(60)))
    assert np.corrcoef(*(true + shared))[0, 1] > 0.7
    low, high = np.quantile(draws.rho, [0.025, 0.975])
    assert low < 0 < high


def test_posterior_is_exact_where_methods_share_their_noise():
    """Against the exact likelihood at every point of the prior, not a few hundred."""
    rng = np.random.default_rng(12)
    family = np.kron(np.eye(2), np.kron(np.eye(2), np.ones((3, 3))))  # two families of three
    covariance = 2.0 * family + 0.05 * np.eye(12)
    estimates = rng.multivariate_normal(np.zeros(12), covariance + np.eye(12))
    centre = np.kron(np.eye(2), np.eye(6) - 1 / 6)
    model = FreeMeansModel(estimates.reshape(2, 6), centre @ covariance @ centre, np.ones((6, 1)))
    points, log_prior = prior_points(model, 8192)
    log_weight = log_prior + exact_factors(model, points)[0]
    weight = np.exp(log_weight - log_weight.max())
    draws = draw(estimates, covariance, n_draws=8192)
    for found, values in ((draws.sigma_x, points.sigma_x), (draws.sigma_y, points.sigma_y)):
        assert found.mean() == pytest.approx(np.average(values, weights=weight), rel=0.07)
    assert draws.rho.mean() == pytest.approx(np.average(points.rho, weights=weight), abs=0.05)


def test_tau_is_freed_of_noise():
    """Median near the true tau where the observed one is pulled to 0."""
    true_tau, observed, corrected = [], [], []
    for seed in range(30):
        estimates, covariance, true = study(seed, n_methods=12, rho=0.9, noise=0.5)
        true_tau.append(kendall_tau(*true))
        observed.append(kendall_tau(*estimates.reshape(2, -1)))
        corrected.append(np.median(tau_of(draw(estimates, covariance))))
    assert np.mean(observed) < np.mean(true_tau) - 0.12
    assert np.mean(corrected) == pytest.approx(np.mean(true_tau), abs=0.1)


def test_interval_covers_where_resampling_does_not():
    covered = 0
    for seed in range(40):
        estimates, covariance, true = study(seed, n_methods=10, rho=0.95, noise=0.8)
        low, high = central_limits(tau_of(draw(estimates, covariance)))
        covered += low <= kendall_tau(*true) <= high
    assert covered >= 35


def test_two_groups_of_methods_leave_the_order_within_them_open():
    rng = np.random.default_rng(7)
    side = np.repeat([-3.0, 3.0], 6)
    estimates = np.concatenate([side, side]) + 0.3 * rng.normal(size=24)
    draws = draw(estimates, 0.09 * np.eye(24))
    tau = tau_of(draws)
    # 36 of 66 pairs lie between the groups and agree; the others are anyone's guess.
    assert central_limits(tau)[0] < 36 / 66 - 0.2
    assert central_limits(tau)[1] > 36 / 66 + 0.2
    assert draws.rho.mean() > 0.95


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("noise", [0.3, 0.05, 0.001])
def test_perfect_agreement_is_inside_the_limits_of_tau(sign, noise):
    covered = 0
    for seed in range(10):
        estimates, covariance, _ = study(seed, n_methods=16, rho=1.0, noise=noise)
        draws = draw(estimates * np.repeat([1.0, sign], 16), covariance)
        for values in (tau_of(draws), draws.population_tau):
            low, high = central_limits(values)
            covered += low <= sign <= high
            assert high - low < 0.6
    assert covered >= 19


@pytest.mark.parametrize("slope", [-0.01, 3.0])
@pytest.mark.parametrize("n_methods", [3, 4, 24, 100])
def test_exact_line_without_noise_is_perfect_agreement(slope, n_methods):
    x = np.random.default_rng(n_methods).normal(size=n_methods)
    draws = draw(np.concatenate([x, 1 + slope * x]), np.zeros((2 * n_methods,) * 2))
    for values in (tau_of(draws), draws.rho, draws.population_tau):
        np.testing.assert_array_equal(values, np.sign(slope))


def test_two_points_without_noise_say_nothing_of_the_population():
    """Any two lie on a line."""
    draws = draw([0.0, 1.0, 2.0, 5.0], np.zeros((4, 4)), n_draws=4096)
    assert (tau_of(draws) == 1).all()
    low, high = central_limits(draws.population_tau)
    assert low < -0.5
    assert high == 1


def test_perfect_agreement_is_ruled_out_by_methods_off_the_line():
    estimates, covariance, _ = study(3, n_methods=16, rho=0.9, noise=0.05)
    draws = draw(estimates, covariance)
    assert np.abs(draws.rho).max() < 1
    assert tau_of(draws).max() < 1
    exact = draw(estimates, np.zeros((32, 32)))
    assert np.abs(exact.rho).max() < 1


def test_an_atom_of_more_than_half_is_the_corrected_tau():
    estimates, covariance, _ = study(13, n_methods=24, rho=1.0, noise=0.05)
    draws = draw(estimates, covariance)
    assert (draws.rho == 1).mean() > 0.5
    assert np.median(tau_of(draws)) == 1
    assert np.median(draws.population_tau) == 1


def test_population_values():
    estimates, covariance, _ = study(8, n_methods=80, rho=0.7)
    draws = draw(estimates, covariance)
    assert draws.rho.mean() == pytest.approx(0.7, abs=0.15)
    assert draws.sigma_x.mean() == pytest.approx(1, abs=0.2)
    np.testing.assert_allclose(draws.population_tau, 2 / np.pi * np.arcsin(draws.rho))


@pytest.mark.parametrize("n_methods", [2, 3])
def test_few_methods_say_little(n_methods):
    estimates, covariance, _ = study(9, n_methods=n_methods, noise=1.0)
    assert central_limits(tau_of(draw(estimates, covariance))) == (-1, 1)


def test_rank_deficient_noise_and_a_metric_known_exactly():
    estimates, _, _ = study(10)
    one_user = np.random.default_rng(11).normal(size=(16, 1))
    assert np.isfinite(draw(estimates, 0.1 * one_user @ one_user.T).theta_x).all()
    exact = np.diag(np.repeat([0.0, 0.3], 8))
    draws = draw(estimates, exact)
    np.testing.assert_allclose(draws.theta_x, np.tile(estimates[:8], (1024, 1)), atol=1e-12)
    assert draws.theta_y.std(axis=0).min() > 0.05


@pytest.mark.parametrize(
    ("estimates", "covariance", "message"),
    [
        ([1.0, np.nan, 2, 3], np.eye(4), "NaN"),
        ([1.0, 0, 2, 3], np.full((4, 4), np.inf), "infinite"),
        ([1.0, 2.0], np.eye(2), "1 methods"),
        ([1.0, 1, 2, 3], np.zeros((4, 4)), "first metric is constant"),
        ([1.0, 2, 3, 3], np.zeros((4, 4)), "second metric is constant"),
    ],
)
def test_unusable_estimates_are_named(estimates, covariance, message):
    with pytest.raises(InputError, match=message):
        draw(estimates, covariance)


def test_shapes_must_fit():
    with pytest.raises(ValueError, match="covariance has shape"):
        draw(np.ones(4), np.eye(6))


def test_draws_hold_functionals_of_any_kind():
    draws = LatentDraws(*np.random.default_rng(0).normal(size=(2, 5, 3)), *np.ones((3, 5)))
    regret = draws.theta_y.max(axis=1) - draws.theta_y[:, 0]
    assert (regret >= 0).all()


def test_perfect_agreement_along_a_bent_line_is_inside():
    covered = 0
    for seed in range(10):
        estimates, covariance, true = study(seed, n_methods=16, rho=1.0, noise=0.05)
        estimates[16:] += np.exp(true[0]) - true[1]
        low, high = central_limits(tau_of(draw(estimates, covariance)))
        covered += high == 1
        assert high - low < 0.4
    assert covered >= 9


def test_families_are_told_from_one_population():
    """One line within families and another one between them."""
    rng = np.random.default_rng(3)
    family = np.arange(12) % 3
    between, within = np.array([-2.0, 0, 2]), 0.3 * rng.normal(size=12)
    true = np.stack([between[family] + within, -between[family] + within])
    estimates, covariance = true.ravel() + 0.1 * rng.normal(size=24), 0.01 * np.eye(24)
    found = [
        tau_of(latent_draws(estimates, covariance, families=told, rng=np.random.default_rng(0)))
        for told in (family, family.astype(str), np.zeros(12), None)
    ]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[2], found[3])
    errors = [np.abs(np.median(tau) - kendall_tau(*true)) for tau in found]
    assert errors[0] <= errors[3]


def test_with_a_method_of_another_kind_half_of_the_draws_know_no_population():
    """Half of them keep each estimate as the centre of its own value."""
    rng = np.random.default_rng(4)
    estimates = rng.normal(size=(2, 10))
    estimates[:, 0] = 30
    noise = 0.25 * np.eye(20)
    draws = draw(estimates.ravel(), noise, n_draws=8192)
    centre = np.eye(10) - 1 / 10
    alone = draws.theta_x[4096:] - estimates[0]
    np.testing.assert_allclose(alone.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(np.cov(alone.T), 0.25 * centre, atol=0.03)
    assert np.isfinite(draws.rho).all()
    assert (draws.sigma_x > 0).all()

import numpy as np
import pytest
from scipy import stats

from preflamp_stats.kernels.latent_conditional import draw_true_values
from preflamp_stats.kernels.latent_likelihood import (
    FreeMeansModel,
    Hyperparameters,
    exact_factors,
    factored_log_likelihood,
    prior_points,
)

ONE_GROUP = np.ones((5, 1))
TWO_GROUPS = np.eye(2)[[0, 1, 0, 1, 1]]
POINTS = Hyperparameters(
    np.array([-0.6, 0.0, 0.9]), np.array([0.5, 1.0, 2.0]), np.array([1.5, 0.2, 0.7])
)


def centred(covariance):
    centre = np.kron(np.eye(2), np.eye(len(covariance) // 2) - 2 / len(covariance))
    return centre @ covariance @ centre


def random_model(seed, groups, *, alike=False):
    """Estimates with noise of any structure, or ``alike``: the same in both metrics up to scale."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(5, 6)) if alike else rng.normal(size=(10, 12))
    covariance = 0.2 * root @ root.T
    if alike:
        covariance = np.kron([[1.0, 0.5], [0.5, 2.0]], covariance)
    return FreeMeansModel(rng.normal(size=(2, 5)), centred(covariance), groups)


@pytest.mark.parametrize("groups", [ONE_GROUP, TWO_GROUPS])
def test_basis_holds_contrasts_within_groups_only(groups):
    basis = random_model(0, groups).basis
    assert len(basis) == 5 - groups.shape[1]
    np.testing.assert_allclose(basis @ basis.T, np.eye(len(basis)), atol=1e-12)
    np.testing.assert_allclose(basis @ groups, 0, atol=1e-12)


@pytest.mark.parametrize("groups", [ONE_GROUP, TWO_GROUPS])
def test_exact_likelihood_is_the_normal_density_of_the_contrasts(groups):
    model = random_model(0, groups)
    found = exact_factors(model, POINTS)[0]
    both = np.kron(np.eye(2), model.basis)
    expected = []
    for rho, sx, sy in zip(POINTS.rho, POINTS.sigma_x, POINTS.sigma_y, strict=True):
        effects = np.array([[sx**2, rho * sx * sy], [rho * sx * sy, sy**2]])
        covariance = both @ (np.kron(effects, np.eye(5)) + model.covariance) @ both.T
        contrasts = both @ model.estimates.ravel()
        expected.append(stats.multivariate_normal(cov=covariance).logpdf(contrasts))
    np.testing.assert_allclose(found - len(model.basis) * np.log(2 * np.pi), expected, rtol=1e-10)


@pytest.mark.parametrize("groups", [ONE_GROUP, TWO_GROUPS])
def test_factored_likelihood_is_exact_where_the_metrics_noise_is_alike(groups):
    model = random_model(1, groups, alike=True)
    factored = factored_log_likelihood(model, POINTS)
    exact = exact_factors(model, POINTS)[0]
    np.testing.assert_allclose(factored, exact, rtol=1e-9)


def test_factored_likelihood_is_near_for_other_noise():
    model = random_model(2, ONE_GROUP)
    factored = factored_log_likelihood(model, POINTS)
    exact = exact_factors(model, POINTS)[0]
    np.testing.assert_allclose(factored - factored[1], exact - exact[1], atol=2)


def test_the_many_points_of_a_prior_are_evaluated_as_the_few():
    model = random_model(3, TWO_GROUPS)
    points, _ = prior_points(model, 10_000)
    some = np.array([0, 4_321, 9_999])
    np.testing.assert_allclose(
        factored_log_likelihood(model, points)[some],
        factored_log_likelihood(model, points.take(some)),
        rtol=1e-12,
    )


@pytest.mark.parametrize("seed", range(5))
def test_prior_points_hold_the_likelihood_of_the_spread(seed):
    """Beyond the cut of σ there is under a hundredth of what is within."""
    model = random_model(seed, ONE_GROUP, alike=True)
    points, log_weight = prior_points(model, 4096)
    wide = Hyperparameters(points.rho, 3 * points.sigma_x.max() * np.ones(4096), points.sigma_y)
    inside = np.exp(log_weight + factored_log_likelihood(model, points)).mean()
    assert np.exp(log_weight + factored_log_likelihood(model, wide)).mean() < 0.02 * inside


def test_prior_of_the_correlation_has_an_atom_at_each_end_and_a_cut_normal_between():
    points, log_weight = prior_points(random_model(0, ONE_GROUP), 8192)
    for end in (-1, 1):
        assert (points.rho == end).sum() == 410  # a twentieth
    between = np.abs(points.rho) < 1
    assert (log_weight[between] == 0).all()
    steps = np.arctanh(points.rho[between])
    cut = stats.truncnorm(-2.85 / 2.5, 2.85 / 2.5, scale=2.5)
    assert stats.kstest(steps, cut.cdf).statistic < 0.01
    assert np.isfinite(log_weight).all()


@pytest.mark.parametrize(("noise", "sign"), [(1.0, 1), (0.3, -1), (0.05, 1)])
def test_points_at_an_atom_hold_all_of_its_likelihood(noise, sign):
    """Against a fine grid over the whole rectangle of both σ, the ridge however narrow."""
    rng = np.random.default_rng(1)
    root = noise * rng.normal(size=(10, 12)) / np.sqrt(12)
    true = rng.normal(size=5)
    estimates = np.array([true, sign * 0.7 * true]) + (root @ rng.normal(size=12)).reshape(2, 5)
    model = FreeMeansModel(estimates, centred(root @ root.T), ONE_GROUP)
    points, log_weight = prior_points(model, 2**17)
    between = points.take(np.flatnonzero(np.abs(points.rho) < 1))
    sides = [
        values.min() + np.ptp(values) * (np.arange(500) + 0.5) / 500
        for values in (between.sigma_x, between.sigma_y)
    ]
    x, y = (values.ravel() for values in np.meshgrid(*sides))
    found, expected = [], []
    for end in (-1.0, 1.0):
        at = np.flatnonzero(points.rho == end)
        weighted = factored_log_likelihood(model, points.take(at)) + log_weight[at]
        found.append(np.exp(weighted).mean())
        grid = Hyperparameters(np.full(len(x), end), x, y)
        expected.append(np.exp(factored_log_likelihood(model, grid)).mean())
    np.testing.assert_allclose(found, expected, rtol=0.06, atol=0.01 * max(expected))


def test_covariance_at_the_ends_is_regular_without_noise():
    model = FreeMeansModel(
        np.random.default_rng(0).normal(size=(2, 5)), np.zeros((10, 10)), ONE_GROUP
    )
    ends = Hyperparameters(np.array([-1.0, 1.0]), np.array([1.0, 0.01]), np.array([0.5, 2.0]))
    exact, _ = exact_factors(model, ends)
    np.testing.assert_allclose(exact, factored_log_likelihood(model, ends), rtol=1e-4)


@pytest.mark.parametrize("groups", [ONE_GROUP, TWO_GROUPS])
def test_draws_at_known_hyperparameters_have_the_blup_as_mean(groups):
    model = random_model(4, groups)
    rho, sx, sy = 0.7, 0.8, 1.3
    n_draws = 40_000
    one = Hyperparameters(np.array([rho]), np.array([sx]), np.array([sy]))
    points = one.take(np.zeros(n_draws, dtype=int))
    _, factors = exact_factors(model, one)
    theta = draw_true_values(
        model, factors, points, np.zeros(n_draws, dtype=int), np.random.default_rng(5)
    ).reshape(n_draws, 10)
    # Best linear unbiased prediction of contrasts within groups, and its error.
    basis = np.kron(np.eye(2), model.basis)
    effects = np.kron([[sx**2, rho * sx * sy], [rho * sx * sy, sy**2]], np.eye(5))
    gain = basis @ effects @ basis.T @ np.linalg.inv(np.tril(factors[0]) @ np.tril(factors[0]).T)
    mean = gain @ model.contrasts.ravel()
    error = basis @ effects @ basis.T - gain @ basis @ effects @ basis.T
    contrasts = theta @ basis.T
    np.testing.assert_allclose(contrasts.mean(axis=0), mean, atol=0.03)
    np.testing.assert_allclose(np.cov(contrasts.T), error, atol=0.04)


def test_each_draw_is_solved_with_its_own_point():
    model = random_model(6, ONE_GROUP)
    picked = np.repeat([0, 2], [20_000, 10_000])
    theta = draw_true_values(
        model,
        exact_factors(model, POINTS)[1],
        POINTS.take(picked),
        picked,
        np.random.default_rng(7),
    ).reshape(len(picked), 10)
    for point, rows in ((0, picked == 0), (2, picked == 2)):
        only = POINTS.take(np.array([point]))
        alone = draw_true_values(
            model,
            exact_factors(model, only)[1],
            only.take(np.zeros(20_000, dtype=int)),
            np.zeros(20_000, dtype=int),
            np.random.default_rng(8),
        ).reshape(-1, 10)
        np.testing.assert_allclose(theta[rows].mean(axis=0), alone.mean(axis=0), atol=0.06)


def test_covariance_that_no_noise_has_is_refused():
    model = FreeMeansModel(np.eye(2, 5), np.diag([50.0, 50, 50, 50, -100] * 2), ONE_GROUP)
    with pytest.raises(np.linalg.LinAlgError, match="positive definite"):
        exact_factors(model, POINTS)


def test_no_draws_are_none():
    # What a model of little weight is asked for.
    model = random_model(6, ONE_GROUP)
    none = np.zeros(0, dtype=int)
    factors = exact_factors(model, POINTS)[1]
    theta = draw_true_values(model, factors, POINTS.take(none), none, np.random.default_rng(1))
    assert theta.shape == (0, 2, 5)

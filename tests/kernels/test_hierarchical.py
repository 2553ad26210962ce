"""Strata that inform each other: the population's draws, the picks, and what leaves them alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from preflamp_stats.kernels.hierarchical import Population, strata_likelihood
from preflamp_stats.kernels.latent_likelihood import LARGEST_ATANH_RHO
from preflamp_stats.kernels.latent_normal import latent_draws


def strata(
    seed: int, n: int, *, rho: float = 0.8, noise: float = 0.3, methods: int = 10
) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        x, z = rng.standard_normal((2, methods))
        y = rho * x + np.sqrt(1 - rho**2) * z
        true = np.concatenate([x, y])
        found.append((true + noise * rng.standard_normal(true.size), noise**2 * np.eye(true.size)))
    return found


def drawn(data, weights=None, n_draws: int = 200) -> Population:
    weights = np.ones(len(data)) if weights is None else weights
    rng = np.random.default_rng(0)
    return strata_likelihood(data).populations(weights, rng=rng, n_draws=n_draws)


def at(mu: float, omega: float = 0.05) -> Population:
    nothing = np.zeros((1, 2))
    return Population(np.array([mu]), np.array([omega]), nothing, nothing)


@settings(max_examples=10)
@given(st.integers(0, 10_000), st.integers(1, 3), st.sampled_from([1e-6, 1.0, 1e6]))
def test_populations_lie_in_the_prior_whatever_the_unit(seed: int, n: int, unit: float) -> None:
    data = [(e * unit, c * unit**2) for e, c in strata(seed, n, methods=4)]
    found = drawn(data, n_draws=20)
    assert (np.abs(found.mu[np.isfinite(found.mu)]) < LARGEST_ATANH_RHO).all()
    rho, x, y = found.new_strata(np.random.default_rng(0), 5)
    assert rho.shape == x.shape == (100,)
    assert (np.abs(rho) <= 1).all()
    assert ((x > 0) & (y > 0)).all()
    np.testing.assert_allclose(np.median(x), unit, rtol=20)


def test_many_noisy_strata_know_what_none_of_them_does() -> None:
    """Half of the variance is noise: the correlation of the estimates is .4."""
    found = drawn(strata(1, 40, noise=1.0))
    assert np.tanh(np.median(found.mu)) == pytest.approx(0.8, abs=0.15)
    assert np.exp(np.median(found.sigma_x[:, 0])) == pytest.approx(1.0, abs=0.2)
    alone = drawn(strata(1, 1, noise=1.0))
    assert np.std(np.tanh(found.mu)) < 0.4 * np.std(np.tanh(alone.mu))


def test_no_weight_no_evidence() -> None:
    found = drawn(strata(2, 4), np.zeros(4))
    finite = found.mu[np.isfinite(found.mu)]
    assert stats.kstest(finite / finite.std(), stats.norm.cdf).statistic < 0.15
    assert np.isposinf(found.mu).mean() == pytest.approx(0.1, abs=0.07)


def test_copies_with_shared_weight_say_what_one_says() -> None:
    one = strata(3, 1, noise=0.5)
    alone, shared, apart = drawn(one), drawn(one * 4, np.full(4, 0.25)), drawn(one * 4)
    assert np.std(np.tanh(apart.mu)) < 0.8 * np.std(np.tanh(alone.mu))
    quantiles = [np.quantile(np.tanh(each.mu), [0.1, 0.5, 0.9]) for each in (alone, shared)]
    np.testing.assert_allclose(*quantiles, atol=0.15)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_perfect_agreement_in_all_strata_is_an_atom(sign: float) -> None:
    data = strata(4, 3, rho=sign, noise=0.01)
    found = drawn(data)
    assert (found.mu == sign * np.inf).mean() > 0.9
    own = latent_draws(*data[0], rng=np.random.default_rng(0)).rho
    assert (
        own[at(sign * np.inf).pick(own, np.random.default_rng(0).random((1, 50)))] == sign
    ).all()


def test_a_vague_stratum_takes_of_its_draws_what_the_population_makes_likely() -> None:
    rng = np.random.default_rng(5)
    atanh = 2.5 * rng.standard_normal(40_000)
    rho = np.tanh(atanh[np.abs(atanh) < LARGEST_ATANH_RHO])
    told = np.arctanh(rho[at(1.0, 0.35).pick(rho, rng.random((1, 2000)))])
    assert np.mean(told) == pytest.approx(1.0, abs=0.05)
    assert np.std(told) == pytest.approx(0.35, abs=0.05)


def test_a_stratum_that_the_population_does_not_fit_keeps_its_draws() -> None:
    rho = np.linspace(-0.9, 0.9, 50)
    uniforms = (np.arange(50)[None] + 0.5) / 50
    assert at(np.inf).pick(rho, uniforms).ravel().tolist() == list(range(50))

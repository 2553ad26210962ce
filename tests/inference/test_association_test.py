import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflamp_stats.inference.association_test import association_p_value
from preflamp_stats.inference.sampling_error import SamplingError
from preflamp_stats.inference.tau_evidence import TauEvidence
from preflamp_stats.kernels.permutation import tau_permutation_test
from preflamp_stats.kernels.posterior_limits import central_limits, two_sided_p


def evidence_of(values, families=None, level=0.95):
    """Of users' values, shape (user, 2 × method)."""
    x, y = np.split(values.mean(axis=0), 2)
    n_methods = len(x)
    error = SamplingError(values, np.ones(values.shape), np.zeros((n_methods, 2, 2)))
    return TauEvidence(
        x, y, x[None], y[None], len(values), level, "b", error=error, families=families
    )


def study(rng, true, n_users=50, shared=0.0):
    """Users' values around true ones, shape (2, method), with errors that go together."""
    first, second = rng.normal(size=(2, n_users, true.shape[1]))
    second = shared * first + np.sqrt(1 - shared**2) * second
    return np.hstack([true[0] + first, true[1] + second])


def size(make, n_studies=60):
    rng = np.random.default_rng(20261129)
    return np.mean([association_p_value(make(rng), 400) <= 0.05 for _ in range(n_studies)])


def test_errors_that_go_together_are_no_association():
    """The permutation test alone rejects in most of these studies."""

    def make(rng):
        return evidence_of(study(rng, 0.1 * rng.normal(size=(2, 12)), shared=0.9))

    assert size(make) <= 0.14  # 5 % and three standard errors


@pytest.mark.parametrize("n_methods", [12])
def test_families_that_are_unrelated_are_no_association(n_methods):
    families = np.arange(n_methods) % 3

    def make(rng):
        true = 2 * rng.normal(size=(2, 3))[:, families] + rng.normal(size=(2, n_methods))
        return evidence_of(study(rng, true), families.astype(str))

    assert size(make) <= 0.14


def test_families_whose_errors_go_together_are_no_association():
    """Of these studies a third is rejected by permutation in blocks and the limits inverted."""
    families = np.arange(24) % 5

    def make(rng):
        true = 2 * rng.normal(size=(2, 5))[:, families] + rng.normal(size=(2, 24))
        return evidence_of(study(rng, 0.09 * true, shared=0.95), families.astype(str))

    assert size(make) <= 0.14


def test_methods_that_share_a_reward_model_are_one_upstream():
    model = np.repeat(np.arange(4), 3)

    def make(rng):
        values = study(rng, np.vstack([rng.normal(size=4)[model], rng.normal(size=4)[model]]))
        values[:, 12:] += 0.3 * rng.normal(size=12)
        values[:, :12] = values[:, :12][:, 3 * model]
        return evidence_of(values)

    assert size(make) <= 0.14


def test_a_strong_association_is_found():
    def make(rng):
        true = rng.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], 12).T
        return evidence_of(study(rng, true))

    assert size(make, 20) >= 0.9


def test_without_blocks_p_is_the_larger_of_the_two_tests():
    rng = np.random.default_rng(3)
    one = evidence_of(study(rng, rng.normal(size=(2, 6))))
    permuted = tau_permutation_test(one.x, one.y, n_resamples=400, rng=one.generator(3)).p_value
    modelled = two_sided_p(one.latent.population_tau, n_users=one.effective_users)
    assert association_p_value(one, 400) == max(permuted, modelled)


@given(
    st.lists(st.floats(-1, 1).map(lambda v: round(v, 1)), min_size=1, max_size=60),
    st.floats(2, 500),
    st.sampled_from([0.5, 0.9, 0.95]),
)
def test_p_inverts_the_limits(draws, n_users, level):
    low, high = central_limits(draws, level, n_users=n_users)
    p = two_sided_p(draws, n_users=n_users)
    assert 1 / len(draws) <= p <= 1
    if p > 1 / len(draws) and abs(p - (1 - level)) > 1e-9 and len(set(draws)) > 2:
        assert (low > 0 or high < 0) == (p < 1 - level) or low == high


def test_p_of_no_draws_is_missing():
    assert np.isnan(two_sided_p([np.nan]))

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from preflamp_stats.errors import InputError
from preflamp_stats.kernels.covariance import means_covariance, method_blocks, ratio_influence

seeds = st.integers(0, 2**32 - 1)


def random_sums(seed, n_users=40, n_methods=4):
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 9, (n_users, 1)) * np.ones((1, 2 * n_methods))
    return rng.normal(0.6, 0.2, counts.shape) * counts, counts


@given(seeds)
def test_influence_is_the_derivative_by_the_weight_of_a_user(seed):
    sums, counts = random_sums(seed, n_users=6, n_methods=2)
    estimates, influence = ratio_influence(sums, counts)
    step = 1e-6
    weights = np.ones(6)
    weights[2] += step
    moved = (weights @ sums) / (weights @ counts)
    np.testing.assert_allclose((moved - estimates) / step, influence[2], rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(influence.sum(axis=0), 0, atol=1e-12)


def test_equal_users_give_the_textbook_covariance_of_means():
    sums, _ = random_sums(1)
    counts = np.ones_like(sums)
    found = means_covariance(sums, counts, contrasts=False, shrink=False)
    np.testing.assert_allclose(found.covariance, np.cov(sums.T) / len(sums), rtol=1e-12)
    np.testing.assert_allclose(found.estimates, sums.mean(axis=0))
    assert found.df == pytest.approx(len(sums) - 1)
    assert found.shrinkage == 0


@given(seeds)
def test_covariance_is_that_of_estimates_without_each_user(seed):
    sums, counts = random_sums(seed, n_users=5, n_methods=2)
    counts = counts * np.array([1, 1, 2, 9, 40])[:, None]
    sums, own = sums * counts, np.arange(5)
    without = np.stack([np.delete(sums, u, 0).sum(0) / np.delete(counts, u, 0).sum(0) for u in own])
    moved = without - sums.sum(axis=0) / counts.sum(axis=0)
    found = means_covariance(sums, counts, contrasts=False, shrink=False)
    np.testing.assert_allclose(found.covariance, 4 / 5 * moved.T @ moved, rtol=1e-9)


def test_the_only_user_of_a_method_says_nothing_of_its_noise():
    sums, counts = random_sums(9, n_users=4, n_methods=2)
    counts[1:, 0] = 0
    found = means_covariance(sums, counts, contrasts=False, shrink=False)
    assert found.covariance[0, 0] == 0


def test_what_a_user_does_to_all_methods_alike_drops_out_of_contrasts():
    sums, counts = random_sums(2)
    shared = np.random.default_rng(3).normal(size=(len(sums), 1)) * counts
    alone = means_covariance(sums, counts, shrink=False).covariance
    together = means_covariance(sums + shared, counts, shrink=False).covariance
    np.testing.assert_allclose(together, alone, rtol=1e-9, atol=1e-14)


@given(seeds, st.sampled_from([3, 4, 9]), st.booleans())
def test_shrunk_covariance_is_one(seed, n_methods, contrasts):
    sums, counts = random_sums(seed, n_users=5, n_methods=n_methods)
    found = means_covariance(sums, counts, contrasts=contrasts)
    assert 0 <= found.shrinkage <= 1
    np.testing.assert_allclose(found.covariance, found.covariance.T, atol=1e-15)
    values = np.linalg.eigvalsh(found.covariance)
    assert values.min() > -1e-12 * values.max()
    if contrasts:
        ones = np.kron(np.eye(2), np.ones(n_methods))
        np.testing.assert_allclose(found.covariance @ ones.T, 0, atol=1e-12)


def test_few_users_get_full_rank_and_related_methods_keep_their_covariance():
    sums, counts = random_sums(4, n_users=8, n_methods=10)
    raw = means_covariance(sums, counts, contrasts=False, shrink=False).covariance
    shrunk = means_covariance(sums, counts, contrasts=False)
    assert np.linalg.matrix_rank(raw) < 20
    assert np.linalg.matrix_rank(shrunk.covariance) == 20
    # Many users and methods that share their errors: nothing to gain from shrinking.
    rng = np.random.default_rng(5)
    family = rng.normal(size=(5000, 2))[:, [0, 0, 1, 1, 0, 0, 1, 1]]
    related = family + 0.3 * rng.normal(size=family.shape)
    assert means_covariance(related, np.ones_like(related)).shrinkage < 0.01


@pytest.mark.parametrize("contrasts", [True, False])
def test_the_unit_of_a_metric_changes_nothing(contrasts):
    sums, counts = random_sums(4, n_users=8, n_methods=10)
    unit = np.repeat([1.0, 1e9], 10)
    plain, found = (means_covariance(s, counts, contrasts=contrasts) for s in (sums, sums * unit))
    assert found.shrinkage == pytest.approx(plain.shrinkage)
    covariance = found.covariance / np.outer(unit, unit)
    np.testing.assert_allclose(covariance, plain.covariance, rtol=1e-6, atol=1e-12)


def test_missing_combinations_count_for_nothing():
    sums, counts = random_sums(6, n_users=10, n_methods=3)
    counts[0, 1] = 0
    sums[0, 1] = np.nan
    found = means_covariance(sums, counts, contrasts=False, shrink=False)
    kept_sums, kept_counts = sums[1:, [1, 4]], counts[1:, [1, 4]]
    assert found.estimates[1] == pytest.approx(kept_sums[:, 0].sum() / kept_counts[:, 0].sum())
    _, influence = ratio_influence(sums, counts)
    assert influence[0, 1] == 0


def test_a_metric_without_sampling_error_has_none():
    sums, counts = random_sums(7, n_methods=3)
    sums[:, 3:], counts[:, 3:] = [0.5, 0.25, 0.75], 1
    found = means_covariance(sums, counts)
    np.testing.assert_allclose(found.covariance[3:], 0, atol=1e-18)


@given(
    st.integers(3, 8).flatmap(
        lambda m: arrays(np.float64, (m, 2, 2), elements=st.floats(-2, 2, allow_nan=False))
    )
)
@settings(max_examples=30)
def test_blocks_are_recovered_from_contrasts(roots):
    own = roots @ roots.transpose(0, 2, 1)
    n_methods = len(own)
    centre = np.eye(n_methods) - 1 / n_methods
    full = np.block([[centre @ np.diag(own[:, a, b]) @ centre for b in range(2)] for a in range(2)])
    np.testing.assert_allclose(method_blocks(full), own, atol=1e-9)


@pytest.mark.parametrize(
    ("sums", "counts", "message"),
    [
        ([[1.0, 2.0]], [[1.0, 1.0]], "two users"),
        ([[1.0, np.nan], [1, 1]], [[1.0, 1.0], [1, 1]], "count of 0"),
        ([[1.0, 1.0], [1, 1]], [[1.0, 0.0], [1, 0]], "columns \\[1\\]"),
        ([[1.0, 1.0], [1, 1]], [[1.0, -1.0], [1, 1]], "negative"),
    ],
)
def test_unusable_sums_are_named(sums, counts, message):
    with pytest.raises(InputError, match=message):
        means_covariance(sums, counts)


def test_shapes_must_fit():
    with pytest.raises(ValueError, match="alike"):
        ratio_influence(np.ones((3, 2)), np.ones((3, 4)))
    with pytest.raises(ValueError, match="two metrics"):
        means_covariance(np.ones((3, 3)), np.ones((3, 3)))

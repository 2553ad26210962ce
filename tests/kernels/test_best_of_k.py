from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflamp_stats.kernels.best_of_k import best_of_k_values

few = st.sampled_from([0.0, 0.5, 1.0, 2.0, np.nan])


def by_enumeration(rewards, quality, k):
    """Mean over all subsets of size k, each of several best samples as likely to be taken."""
    samples = [
        (r, q) for r, q in zip(rewards, quality, strict=True) if not (np.isnan(r) or np.isnan(q))
    ]
    found = []
    for subset in itertools.combinations(samples, k):
        best = max(r for r, _ in subset)
        found.append(np.mean([q for r, q in subset if r == best]))
    return np.mean(found) if found else np.nan


@given(
    samples=st.lists(st.tuples(few, st.one_of(few, st.floats(-9, 9))), min_size=1, max_size=7),
)
def test_equals_the_mean_over_all_subsets(samples):
    rewards, quality = map(list, zip(*samples, strict=True))
    ks = np.arange(1, len(samples) + 2)
    expected = [by_enumeration(rewards, quality, k) for k in ks]
    np.testing.assert_allclose(best_of_k_values(rewards, quality, ks), expected, atol=1e-12)


@given(st.integers(0, 10_000), st.integers(1, 40))
def test_ends_order_and_monotone_maps(seed, n):
    rng = np.random.default_rng(seed)
    rewards, quality = rng.integers(0, 6, (3, n)) / 2, rng.normal(size=(3, n))
    ks = np.arange(1, n + 1)
    found = best_of_k_values(rewards, quality, ks)
    np.testing.assert_allclose(found[:, 0], quality.mean(axis=1), atol=1e-12)  # k = 1: any of them
    order = rng.permutation(n)
    assert (found == best_of_k_values(rewards[:, order], quality[:, order], ks)).all()
    assert (found == best_of_k_values(np.exp(rewards), quality, ks)).all()
    oracle = best_of_k_values(quality, quality, ks)
    assert (np.diff(oracle, axis=1) >= -1e-12).all()
    assert (oracle >= found - 1e-12).all()
    np.testing.assert_allclose(oracle[:, -1], quality.max(axis=1), atol=1e-12)
    # An anti-oracle is the oracle of the negative.
    worst = best_of_k_values(-quality, quality, ks)
    np.testing.assert_allclose(worst, -best_of_k_values(-quality, -quality, ks), atol=1e-12)


def test_constant_rewards_choose_at_random_and_one_sample_is_taken():
    found = best_of_k_values([0.0, 0.0, 0.0], [1.0, 2.0, 6.0], [1, 2, 3])
    np.testing.assert_allclose(found, 3.0)
    assert best_of_k_values([np.nan, 4.0], [9.0, 0.25], [1, 2]).tolist()[0] == 0.25
    assert np.isnan(best_of_k_values([np.nan], [1.0], [1])).all()
    assert np.isnan(best_of_k_values(np.empty((2, 0)), np.empty((2, 0)), [1])).all()


def test_large_n_neither_overflows_nor_loses_weight():
    rng = np.random.default_rng(1)
    quality = rng.normal(size=5_000)
    ks = [1, 2, 100, 4_999, 5_000]
    found = best_of_k_values(quality, np.ones(5_000), ks)
    np.testing.assert_allclose(found, 1.0, atol=1e-10)


@pytest.mark.parametrize("ks", [[0], [1.5], [[1]]])
def test_a_k_that_is_none(ks):
    with pytest.raises(ValueError, match="whole numbers from 1"):
        best_of_k_values([1.0], [1.0], ks)

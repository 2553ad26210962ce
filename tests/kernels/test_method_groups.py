import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflamp_stats.kernels.method_groups import best_splits


def best_split(values, noise):
    evidence, groups = best_splits(values[None], noise[None])
    return evidence[0], groups[0]


def test_metrics_are_split_each_by_itself():
    rng = np.random.default_rng(1)
    values = np.stack([rng.normal(size=9), np.arange(9) % 2 * 5.0 + rng.normal(size=9), np.ones(9)])
    noise = np.full((3, 9), 0.01)
    evidence, groups = best_splits(values, noise)
    for metric in range(3):
        alone, alone_groups = best_split(values[metric], noise[metric])
        assert evidence[metric] == alone
        np.testing.assert_array_equal(groups[metric], alone_groups)


@given(st.integers(0, 2**32 - 1), st.floats(-5, 5), st.floats(0.1, 10), st.permutations(range(8)))
def test_split_follows_shift_scale_and_order(seed, shift, scale, order):
    values = np.random.default_rng(seed).normal(size=8)
    noise = np.full(8, 0.01)
    evidence, groups = best_split(values, noise)
    moved, moved_groups = best_split(scale * values[order] + shift, scale**2 * noise[order])
    assert moved == pytest.approx(evidence, abs=1e-4)
    np.testing.assert_array_equal(moved_groups, groups[order])


def test_clear_groups_are_found_and_one_bell_is_not_split():
    rng = np.random.default_rng(0)
    labels = np.arange(12) % 2
    apart = labels * 2.0 + 0.2 * rng.normal(size=12)
    evidence, groups = best_split(apart, np.full(12, 0.01))
    np.testing.assert_array_equal(groups, labels)
    assert evidence > 5
    bells = [best_split(rng.normal(size=12), np.full(12, 0.01))[0] for _ in range(200)]
    assert np.mean(np.array(bells) > 2) < 0.1


def test_noise_explains_a_gap_away():
    values = np.array([0.0, 0.1, 0.2, 1.0, 1.1, 1.2, 0.05, 1.05])
    assert best_split(values, np.full(8, 1e-4))[0] > 2
    assert best_split(values, np.full(8, 1.0))[0] < 0


@pytest.mark.parametrize("values", [np.arange(5.0), np.ones(8)])
def test_too_few_or_constant_values_are_one_group(values):
    evidence, groups = best_split(values, np.full(len(values), 0.1))
    assert evidence == -np.inf
    assert not groups.any()

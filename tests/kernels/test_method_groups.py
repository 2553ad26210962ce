import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflamp_stats.kernels.method_groups import (
    bent,
    best_bend,
    best_splits,
    family_means,
    outlier,
    straightened,
)


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


def test_families_that_differ_are_told_by_the_likelihood_ratio():
    values = np.array([[0.0, 1, 5, 7], [1.0, 0, 3, 6]]).repeat(2, axis=1) + np.tile([0.1, -0.1], 4)
    values[1, ::2] += 0.3
    members, evidence = family_means(values, np.repeat([0, 1], 4))
    np.testing.assert_array_equal(members, np.repeat(np.eye(2), 4, axis=0))
    total = np.linalg.det(np.cov(values, bias=True))
    within = np.linalg.det(np.cov(values - values.reshape(2, 2, 4).mean(2).repeat(4, 1), bias=True))
    assert evidence == pytest.approx(4 * np.log(total / within) - np.log(8))
    alike = np.random.default_rng(0).normal(size=(200, 2, 12))
    found = [family_means(each, np.arange(12) % 3)[1] for each in alike]
    assert np.mean(np.array(found) > 0) < 0.15


@pytest.mark.parametrize(
    ("values", "families"),
    [
        (np.random.default_rng(1).normal(size=(2, 8)), np.zeros(8, dtype=int)),
        (np.random.default_rng(1).normal(size=(2, 8)), np.array([0, 1, 2, 3, 4, 5, 5, 5])),
        (np.tile(np.arange(8.0), (2, 1)), np.arange(8) % 2),
        (np.stack([np.arange(8.0), np.ones(8)]), np.arange(8) % 2),
    ],
    ids=["one", "too many", "a line", "constant"],
)
def test_families_that_say_nothing(values, families):
    assert family_means(values, families)[1] == -np.inf


def test_a_bend_is_found_in_the_metric_that_has_it_and_not_in_a_straight_line():
    rng = np.random.default_rng(2)
    x = rng.normal(size=24)
    bends, evidence = best_bend(np.stack([x, np.exp(x) + 0.01 * rng.normal(size=24)]))
    assert bends[0] == pytest.approx(1.0, abs=0.1)
    assert bends[1] == 0
    assert evidence > 10
    lines = rng.normal(size=(200, 2, 12))
    lines[:, 1] += 2 * lines[:, 0]
    assert np.mean([best_bend(line)[1] > 2 for line in lines]) < 0.08


@pytest.mark.parametrize(
    "values", [np.zeros((2, 8)), np.tile(np.arange(8.0) - 3.5, (2, 1)), np.eye(2, 5)]
)
def test_no_bend_without_scatter_or_methods(values):
    bends, evidence = best_bend(values)
    assert not bends.any()
    assert evidence == -np.inf


@given(st.floats(-3, 3), st.sampled_from([-2.0, -0.3, 0.0, 0.5, 2.0]))
def test_bending_keeps_ranks_and_can_be_undone(at, bend):
    low, high = bent(np.array([at, at + 0.1]), bend)
    assert low < high
    np.testing.assert_allclose(straightened(np.array([low, high]), bend), [at, at + 0.1], atol=1e-3)


def test_beyond_the_end_of_its_range_the_end_stands():
    assert straightened(np.array([-5.0]), 1.0) == straightened(np.array([-1.0]), 1.0)


def test_a_method_of_another_kind_is_found_and_seldom_where_there_is_none():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(2, 11))
    values[:, 4] += 9
    member, evidence = outlier(values)
    np.testing.assert_array_equal(member[:, 0], np.arange(11) == 4)
    assert evidence > 5
    assert outlier(5 - 3 * values)[1] == pytest.approx(evidence)
    for n_methods in (6, 12, 24):
        found = [outlier(each)[1] for each in rng.normal(size=(200, 2, n_methods))]
        assert np.mean(np.array(found) > 2) < 0.08
        assert np.mean(np.array(found) > 5) < 0.02


@pytest.mark.parametrize("values", [np.ones((2, 8)), np.tile(np.arange(8.0), (2, 1)), np.eye(2, 5)])
def test_no_outlier_on_a_line_or_among_few(values):
    member, evidence = outlier(values)
    assert not member.any()
    assert evidence == -np.inf

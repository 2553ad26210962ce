"""Means of which most units say the same: against the binomial, and the size of equivalence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from preflamp_stats.kernels.paired import paired_differences
from preflamp_stats.kernels.unlike_units import positive_gamma_sum, unlike_units


def column(values, weights=None, least=-1.0, most=1.0):
    v = np.asarray(values, dtype=float)[:, None]
    w = np.ones_like(v) if weights is None else np.asarray(weights, dtype=float)[:, None]
    return unlike_units(v, w, least, most)


@pytest.mark.parametrize("wrong", range(5))
@pytest.mark.parametrize("n", [10, 25, 200])
def test_a_share_near_one_has_clopper_and_pearsons_limits(wrong: int, n: int) -> None:
    low, high = column([0.0] * wrong + [1.0] * (n - wrong), least=0.0).limits(0.025)
    exact = stats.binomtest(n - wrong, n).proportion_ci(method="exact")
    assert_allclose([low[0], high[0]], [exact.low, exact.high], rtol=2e-3)


def test_equal_values_inside_the_scale_reach_to_both_sides() -> None:
    low, high = column([0.4] * 20, least=0.0).limits(0.025)
    unseen = 1 - 0.025 ** (1 / 20)
    assert_allclose([low[0], high[0]], [0.4 - 0.4 * unseen, 0.4 + 0.6 * unseen])


def test_units_without_weight_do_not_count_and_large_ones_are_worth_fewer() -> None:
    plain = column([1.0] * 30, least=0.0)
    padded = column([1.0] * 30 + [0.0] * 9, [1.0] * 30 + [0.0] * 9, least=0.0)
    assert plain.limits(0.1) == padded.limits(0.1)
    large = column([1.0] * 30, [50.0] + [1.0] * 29, least=0.0)
    assert large.limits(0.1)[0] < plain.limits(0.1)[0]


@pytest.mark.parametrize(("above", "below"), [(0, 0), (1, 0), (4, 0), (3, 1), (1, 3), (14, 5)])
def test_ties_with_some_who_differ_are_the_sign_test(above: int, below: int) -> None:
    found = column([1.0] * above + [-1.0] * below + [0.0] * 20)
    exact = stats.binomtest(above, max(above + below, 1), alternative="greater").pvalue
    assert_allclose(found.at_most(0.0), exact if above else 1.0, rtol=0.01)


def test_where_many_differ_alike_the_interval_is_left_to_student() -> None:
    n = 39
    assert np.isfinite(column([0.5] * n + [0.0] * 90).few.value)
    assert np.isnan(column([0.5] * (n + 1) + [0.0] * 90).few.value)
    # One that differs by far more than the others is worth little more than itself.
    assert np.isfinite(column([1.0] + [0.01] * n + [0.0] * 90).few.value)


def test_on_a_scale_without_ends_few_who_differ_show_no_equivalence() -> None:
    def p(k):
        return column([0.1] * k + [0.0] * 900, least=-np.inf, most=np.inf)

    assert p(9).at_least(5.0, cautious=True)[0] == 1
    assert p(10).at_least(5.0, cautious=True)[0] < 1e-9
    assert np.isnan(p(10).few.value[0])


@pytest.mark.parametrize(("k", "n"), [(0, 20), (1, 50), (5, 100), (9, 60)])
def test_those_who_differ_by_all_the_scale_are_clopper_and_pearsons(k: int, n: int) -> None:
    found = column([1.0] * k + [0.0] * (n - k), least=0.0).at_least(0.2)[0]
    assert_allclose(found, stats.binom.cdf(k, n, 0.2), rtol=0.03)


def test_a_sum_of_one_sign_is_certain() -> None:
    assert positive_gamma_sum(np.ones((3, 1)), np.ones((3, 1))) == 1
    assert positive_gamma_sum(-np.ones((3, 1)), np.ones((3, 1))) == 0


def test_no_majority_or_one_unit_is_left_to_the_usual_test() -> None:
    assert np.isnan(column([0.0, 1.0]).value)
    assert np.isnan(column([0.3]).value)
    assert np.isnan(column(np.arange(30) / 30).value)
    assert np.isnan(column([0.3] * 9, None, -np.inf, np.inf).value)


values = st.lists(st.sampled_from([0.0, 0.0, 0.0, -0.5, 0.1, 1.0]), min_size=2, max_size=60)


@given(values, st.floats(0.01, 0.4))
def test_tails_are_probabilities_mirror_and_fall_with_the_target(v, margin) -> None:
    found = column(v)
    if np.isnan(found.value[0]):
        return
    p, further = found.at_least(margin)[0], found.at_least(margin + 0.1)[0]
    assert 0 <= further <= p * 1.05 + 1e-9 <= 1.06
    assert_allclose(column(-np.array(v)).at_most(-margin)[0], p, atol=1e-9)
    assert_allclose(column(v[::-1]).at_least(margin)[0], p, atol=1e-9)
    assert found.at_least(margin, cautious=True)[0] >= p - 1e-9
    (low,), (high,) = found.limits(0.05)
    assert -1 <= low <= np.mean(v) + 1e-9
    assert np.mean(v) - 1e-9 <= high <= 1
    (lower,), (higher,) = found.limits(0.01)
    assert lower <= low
    assert high <= higher
    if found.value[0] < high < 1:
        assert_allclose(found.at_least(high)[0], 0.05, rtol=1e-3)


@pytest.mark.parametrize("n_users", [20, 100])
@pytest.mark.parametrize("share", [0.02, 0.05, 0.1, 0.2])
def test_size_at_the_exact_margin(n_users: int, share: float) -> None:
    rng, shown, n = np.random.default_rng(16), 0, 300
    for _ in range(n):
        unlike = rng.random(n_users) < share
        s = np.stack([0.5 + np.where(unlike, 0.01 / share, 0.0), np.full(n_users, 0.5)], axis=1)
        found = paired_differences(s[:, :, None], np.ones((n_users, 2, 1)), bounded=True)
        shown += found.within(0.01)[0] <= 0.05
    assert shown / n <= 0.06


def test_pairs_over_different_users_are_judged_as_each_by_itself() -> None:
    rng = np.random.default_rng(5)
    s = np.where(rng.random((80, 4)) < 0.1, rng.random((80, 4)), 0.5)
    n = np.ones((80, 4))
    n[:30, 2] = n[60:, 3] = 0
    whole = paired_differences((s * n)[:, :, None], n[:, :, None], bounded=True)
    for i, pair in enumerate(zip(whole.first, whole.second, strict=True)):
        own = paired_differences((s * n)[:, pair, None], n[:, pair, None], bounded=True)
        assert_allclose(whole.within(0.1)[i], own.within(0.1)[0], rtol=1e-6)


def test_a_tail_of_nothing_reaches_to_the_ends_of_the_scale() -> None:
    low, high = column([0.0] * 20 + [0.3]).limits(0.0)
    assert_allclose([low[0], high[0]], [-1, 1])

"""Means of which almost all units say the same, against Clopper and Pearson and the binomial."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from preflamp_stats.kernels.few_differ import few_differ, may_agree


def column(values, weights=None, least=0.0, most=1.0):
    v = np.asarray(values, dtype=float)[:, None]
    w = np.ones_like(v) if weights is None else np.asarray(weights, dtype=float)[:, None]
    return few_differ(v, w, least, most)


@pytest.mark.parametrize("wrong", range(5))
@pytest.mark.parametrize("n", [10, 25, 200])
def test_a_share_near_one_has_clopper_and_pearsons_lower_limit(wrong: int, n: int) -> None:
    found = column([0.0] * wrong + [1.0] * (n - wrong)).limits(0.025)
    exact = stats.binomtest(n - wrong, n).proportion_ci(method="exact")
    assert_allclose(found[0], exact.low)
    assert found[1] == 1


def test_equal_values_inside_the_scale_reach_to_both_sides() -> None:
    low, high = column([0.4] * 20).limits(0.025)
    unseen = 1 - 0.025 ** (1 / 20)
    assert_allclose([low[0], high[0]], [0.4 - 0.4 * unseen, 0.4 + 0.6 * unseen])


def test_five_who_differ_or_no_majority_is_left_to_the_usual_interval() -> None:
    assert np.isnan(column([0.0] * 5 + [1.0] * 95).value)
    assert np.isnan(column([0.0, 1.0]).value)
    assert np.isnan(column([1.0]).value)
    assert np.isfinite(column([0.0] * 4 + [1.0] * 96).value)


def test_units_without_weight_do_not_count_and_large_ones_are_worth_fewer() -> None:
    plain = column([1.0] * 30)
    padded = column([1.0] * 30 + [0.0] * 9, [1.0] * 30 + [0.0] * 9)
    assert plain.limits(0.1) == padded.limits(0.1)
    assert column([1.0] * 30, [50.0] + [1.0] * 29).limits(0.1)[0] < plain.limits(0.1)[0]


@pytest.mark.parametrize(("above", "below"), [(0, 0), (1, 0), (4, 0), (3, 1), (1, 3)])
def test_ties_with_few_who_differ_are_the_sign_test(above: int, below: int) -> None:
    found = column([1.0] * above + [-1.0] * below + [0.0] * 20, least=-1.0)
    exact = stats.binomtest(above, max(above + below, 1), alternative="greater").pvalue
    assert_allclose(found.at_most(0.0), exact if above else 1.0)


shares = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=2, max_size=90)


@given(shares, st.floats(0.001, 0.4))
def test_limits_stay_on_the_scale_hold_the_mean_and_agree_with_the_tails(values, tail) -> None:
    found = column(values)
    if np.isnan(found.value):
        return
    low, high = (float(v[0]) for v in found.limits(tail))
    assert -1e-12 <= low <= np.mean(values) + 1e-9 or tail > 0.2
    assert high <= 1 + 1e-12
    if low < found.value[0] - 1e-9:
        assert_allclose(found.at_most(low), tail, rtol=1e-5)
    if high > found.value[0] + 1e-9:
        assert_allclose(found.at_least(high), tail, rtol=1e-5)


@given(shares)
def test_turned_around_it_is_the_mirror_image(values) -> None:
    plain = column(values, least=-1.0)
    turned = plain.oriented(np.array([0]), np.array([-1.0]))
    assert_allclose(turned.limits(0.05), [-v for v in plain.limits(0.05)[::-1]], equal_nan=True)
    assert_allclose(turned.at_most(-0.1), plain.at_least(0.1), equal_nan=True)


@given(shares)
def test_a_look_at_the_first_units_overlooks_none(values) -> None:
    v = np.asarray(values)[:, None]
    if np.isfinite(column(values).value):
        assert may_agree(v[:64], np.ones_like(v[:64])).all()

"""Bets on bounded means: against loops, by hand, and looked at after every ten users."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from preflamp_stats.kernels import betting
from preflamp_stats.kernels.betting import betting_limits, betting_p_values
from preflamp_stats.kernels.paired import AnytimeDifferences, paired_differences

shares = st.lists(st.floats(0, 1), min_size=1, max_size=40)


def column(values):
    return np.asarray(values, dtype=float)[:, None]


@settings(max_examples=40)
@given(shares, st.floats(0.05, 0.95))
def test_is_one_over_the_most_that_a_gambler_ever_has(values, target) -> None:
    purses, most = betting._PRIOR.copy(), 1.0
    for value in values:
        purses *= 1 + betting._STAKES * (value / target - 1)
        most = max(most, purses.sum())
    p = betting_p_values(column(values), np.ones((len(values), 1)), 0.0, target)[0]
    assert_allclose(p, 1 / most, rtol=1e-9)


@settings(max_examples=40)
@given(shares, st.floats(0.01, 0.2), st.integers(1, 40))
def test_limits_nest_in_time_and_level_mirror_and_agree_with_p(values, tail, early) -> None:
    v, w = column(values), np.ones((len(values), 1))
    (low,), (high,) = betting_limits(v, w, 0.0, 1.0, tail)
    assert 0 <= low <= high + 1e-9 <= 1 + 1e-9
    (before,), (after,) = betting_limits(v[:early], w[:early], 0.0, 1.0, tail)
    assert before <= low
    assert high <= after
    (lower,), (higher,) = betting_limits(v, w, 0.0, 1.0, tail / 2)
    assert lower <= low
    assert high <= higher
    assert_allclose(betting_limits(1 - v, w, 0.0, 1.0, tail)[0][0], 1 - high, atol=1e-5)
    if low > 0.001:
        assert betting_p_values(v, w, 0.0, low * 0.999)[0] <= tail * (1 + 1e-6)


def test_users_who_all_agree_refute_by_the_stakes_alone() -> None:
    """With 1 from everybody and a target of a half each stake wins its share every time."""
    n = 8
    capital = np.sum(betting._PRIOR * (1 + betting._STAKES) ** n)
    assert_allclose(betting_p_values(np.ones((n, 1)), np.ones((n, 1)), 0.0, 0.5), 1 / capital)


def test_where_nothing_is_known_nothing_is_claimed() -> None:
    nothing = np.zeros((0, 1))
    assert betting_limits(nothing, nothing, -1.0, 1.0, 0.05) == (-1, 1)
    unknown, one = np.full((3, 1), np.nan), np.ones((3, 1))
    assert np.isnan([*betting_limits(unknown, one, -1.0, 1.0, 0.05)]).all()
    assert np.isnan(betting_p_values(unknown, one, -1.0, 0.0)).all()
    # A user of no weight is no user.
    padded = betting_p_values(column([1.0, 0.3, 1.0]), column([1.0, 0.0, 1.0]), 0.0, 0.5)
    assert_allclose(padded, betting_p_values(column([1.0, 1.0]), column([1.0, 1.0]), 0.0, 0.5))


@pytest.mark.parametrize("share", [0.02, 0.2, 1.0])
@pytest.mark.parametrize("unequal", [False, True])
def test_users_added_until_it_is_decided(share: float, unequal: bool) -> None:
    """At the margin and at 0 a look after every ten users up to 400 decides wrongly in few."""
    rng, n_studies, margin = np.random.default_rng(1), 300, 0.01
    values = (rng.random((400, n_studies)) < share) * np.minimum(
        rng.exponential(margin / share, (400, n_studies)), 1.0
    )
    weights = rng.uniform(0.05, 1, values.shape) if unequal else np.ones(values.shape)
    ever = betting_p_values(-values, weights, -1.0, -margin)
    assert np.mean(ever <= 0.05) <= 0.05
    turned = values * rng.choice([-1, 1], values.shape)
    assert np.mean(betting_p_values(turned, weights, -1.0, 0.0) <= 0.025) <= 0.025 + 0.01


def test_differences_are_bets_on_each_users_difference_in_the_order_given() -> None:
    rng = np.random.default_rng(2)
    sums, counts = rng.random((60, 3, 1)) * [[[1.0], [2.0], [3.0]]], np.full((60, 3, 1), 3.0)
    order = rng.permutation(60)
    found = paired_differences(sums, counts, bounded=True, arrival=order)
    assert isinstance(found, AnytimeDifferences)
    own = (sums[order, 0] - sums[order, 1]) / 3
    low, high = betting_limits(own, np.ones_like(own), -1.0, 1.0, 0.025)
    limits = found.limits(1.959963984540054)
    assert_allclose([limits[0][0], limits[1][0]], [low[0], high[0]], atol=1e-9)
    sides = [betting_p_values(way * own, np.ones_like(own), -1.0, -0.5)[0] for way in (1, -1)]
    assert_allclose(found.within(0.5)[0], max(sides))
    turned = found.oriented(np.array([0, 2]), np.array([-1.0, 1.0]))
    assert_allclose(turned.limits(2.0)[0][0], -found.limits(2.0)[1][0], atol=1e-5)
    assert (found.users_times(1.96) > 1).all()
    fixed = paired_differences(sums, counts, bounded=True)
    assert_allclose(found.estimate, fixed.estimate)
    free = paired_differences(sums, counts, arrival=order)
    assert np.isnan([free.beyond(0.0), free.within(1.0), *free.limits(2.0)]).all()

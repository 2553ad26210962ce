from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from preflamp_stats.kernels.accuracy import pair_credit
from preflamp_stats.kernels.scoring import credit_by_weight, token_totals, weighted_score

VALUES = st.sampled_from([-3.0, -1.25, -0.5, 0.0, 0.25, 1.0, 2.0, np.nan])
# Base and reward parts of the chosen and the rejected response of each pair.
PARTS = hnp.arrays(np.float64, st.tuples(st.just(4), st.integers(0, 10)), elements=VALUES)


def test_score_by_hand():
    score = weighted_score([-1.0, -2.0], [[0.5, 1.0], [-1.0, np.nan]], 2.0)
    np.testing.assert_array_equal(score, [[0.0, 0.0], [-3.0, np.nan]])


@given(PARTS)
def test_both_ends_of_the_weight_are_exact(parts):
    base, _, reward, _ = parts
    there = ~(np.isnan(base) | np.isnan(reward))
    np.testing.assert_array_equal(weighted_score(base, reward, 0.0), np.where(there, base, np.nan))
    np.testing.assert_array_equal(
        weighted_score(base, reward, np.inf), np.where(there, reward, np.nan)
    )


@pytest.mark.parametrize("weight", [0.0, 1e-3, 1.0, 1e6, np.inf])
def test_no_reward_is_no_guided_policy_whatever_the_weight(weight):
    score = weighted_score([-1.0, np.nan, -1.0], [np.nan, 1.0, 1.0], weight)
    np.testing.assert_array_equal(np.isnan(score), [True, True, False])


def test_infinite_reward_at_weight_zero_is_not_read():
    assert weighted_score(-1.0, np.inf, 0.0) == -1.0


@given(
    hnp.arrays(np.float64, st.tuples(st.just(2), st.integers(0, 4), st.just(6)), elements=VALUES)
)
def test_token_totals_are_those_of_a_loop(parts):
    base, reward = token_totals(*parts)
    for row in range(len(base)):
        both = [(p, r) for p, r in zip(*parts[:, row], strict=True) if p == p and r == r]
        expected = [sum(column) for column in zip(*both, strict=True)] or [np.nan, np.nan]
        np.testing.assert_array_equal([base[row], reward[row]], expected)


def test_totals_of_an_empty_response_are_missing_not_zero():
    base, reward = token_totals(np.full((2, 3), np.nan), np.zeros((2, 3)))
    assert np.isnan(base).all()
    assert np.isnan(reward).all()


@given(PARTS, st.sampled_from(["half", "strict", "drop"]))
def test_credit_by_weight_is_the_credit_at_each_weight(parts, ties):
    base, reward = parts[:2], parts[2:]
    weights = [0.0, 0.3, 7.0, np.inf]
    credit = credit_by_weight(tuple(base), tuple(reward), weights, ties=ties)
    assert credit.shape == (4, parts.shape[1])
    for found, weight in zip(credit, weights, strict=True):
        scores = [weighted_score(b, r, weight) for b, r in zip(base, reward, strict=True)]
        np.testing.assert_array_equal(found, pair_credit(*scores, ties=ties))


@given(PARTS)
def test_finite_weights_approach_both_ends_where_these_are_not_tied(parts):
    base, reward = tuple(parts[:2]), tuple(parts[2:])
    at_0, tiny, huge, at_inf = credit_by_weight(base, reward, [0.0, 1e-6, 1e6, np.inf])
    untied_base, untied_reward = base[0] != base[1], reward[0] != reward[1]
    np.testing.assert_array_equal(tiny[untied_base], at_0[untied_base])
    np.testing.assert_array_equal(huge[untied_reward], at_inf[untied_reward])
    # A tie in the reward alone is broken by the base model at every finite weight.
    np.testing.assert_array_equal(huge[~untied_reward], at_0[~untied_reward])

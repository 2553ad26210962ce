from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from preflamp_stats.kernels.accuracy import pair_credit

# Few distinct values, so that ties are common.
VALUES = st.sampled_from([-np.inf, -2.0, -0.5, 0.0, 0.5, 1.0, 3.0, np.inf, np.nan])
PAIRS = hnp.arrays(np.float64, st.tuples(st.just(2), st.integers(0, 12)), elements=VALUES)


@pytest.mark.parametrize(
    ("chosen", "rejected", "half", "strict", "drop"),
    [
        (2.0, 1.0, 1.0, 1.0, 1.0),
        (1.0, 2.0, 0.0, 0.0, 0.0),
        (1.0, 1.0, 0.5, 0.0, np.nan),
        (0.0, -0.0, 0.5, 0.0, np.nan),
        (np.inf, np.inf, 0.5, 0.0, np.nan),
        (np.inf, 1e308, 1.0, 1.0, 1.0),
        (-np.inf, 0.0, 0.0, 0.0, 0.0),
        (np.nan, 1.0, np.nan, np.nan, np.nan),
        (1.0, np.nan, np.nan, np.nan, np.nan),
        (np.nan, np.nan, np.nan, np.nan, np.nan),
    ],
)
def test_credit_of_one_pair(chosen, rejected, half, strict, drop):
    for ties, expected in (("half", half), ("strict", strict), ("drop", drop)):
        np.testing.assert_equal(pair_credit(chosen, rejected, ties=ties), expected)


@given(PAIRS)
def test_tie_rules_differ_in_ties_alone(pair):
    chosen, rejected = pair
    half, strict, drop = (pair_credit(*pair, ties=ties) for ties in ("half", "strict", "drop"))
    tied = chosen == rejected
    np.testing.assert_array_equal(half[~tied], strict[~tied])
    np.testing.assert_array_equal(half[~tied], drop[~tied])
    assert (half[tied] == 0.5).all()
    assert (strict[tied] == 0.0).all()
    assert np.isnan(drop[tied]).all()


@given(PAIRS)
def test_swapping_the_labels_gives_the_complement(pair):
    there = ~np.isnan(pair).any(axis=0)
    total = pair_credit(*pair) + pair_credit(*pair[::-1])
    np.testing.assert_array_equal(total, np.where(there, 1.0, np.nan))


@given(PAIRS, st.sampled_from([lambda r: 4 * r - 1, lambda r: r**3, np.arctan]))
def test_a_strictly_increasing_map_changes_nothing(pair, increasing):
    np.testing.assert_array_equal(pair_credit(*increasing(pair)), pair_credit(*pair))


def test_scores_are_broadcast_and_may_be_whole_numbers():
    credit = pair_credit(np.array([[3], [1]]), np.array([1, 2, 3]))
    np.testing.assert_array_equal(credit, [[1.0, 1.0, 0.5], [0.5, 0.0, 0.0]])


def test_unknown_tie_rule_is_refused():
    with pytest.raises(KeyError):
        pair_credit(1.0, 1.0, ties="third")

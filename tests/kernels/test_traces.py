from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflamp_stats.kernels.traces import prefix_rewards

SHARES = np.arange(1, 11) / 10


def _trace(length: int, width: int) -> np.ndarray:
    return np.where(np.arange(width) < length, np.arange(width, dtype=float), np.nan)


@given(st.integers(0, 30), st.integers(1, 30))
def test_a_prefix_has_the_ceiling_of_its_share_of_the_tokens(length, percent):
    trace = _trace(length, 30)
    (found,) = prefix_rewards(trace, [percent / 100])
    # In whole numbers: ceil(percent · length / 100), at least one token; rewards count from 0.
    expected = max(1, -(-percent * length // 100)) - 1 if length else math.nan
    np.testing.assert_equal(found, expected)


def test_a_share_that_rounding_lifts_above_a_whole_number_takes_no_further_token():
    assert 0.1 * 3 * 10 > 3
    assert prefix_rewards(_trace(10, 12), [0.1 * 3])[0] == 2.0


def test_the_smallest_share_still_has_one_token():
    np.testing.assert_array_equal(prefix_rewards([0.3, 0.1, 0.7], 1e-12), [0.3])


@given(st.lists(st.integers(0, 8), min_size=1, max_size=6))
def test_many_traces_at_once_are_those_one_by_one(lengths):
    traces = np.array([_trace(length, 8) for length in lengths])
    together = prefix_rewards(traces, SHARES)
    assert together.shape == (len(lengths), 10)
    np.testing.assert_array_equal(together, [prefix_rewards(trace, SHARES) for trace in traces])


def test_the_whole_response_ends_with_its_last_token():
    np.testing.assert_array_equal(
        prefix_rewards([[0.3, 0.1, np.nan], [0.3, 0.1, 0.7]], 1.0), [[0.1], [0.7]]
    )


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01, np.nan])
def test_shares_outside_the_response_are_refused(share):
    with pytest.raises(ValueError, match="shares must lie in"):
        prefix_rewards([0.1, 0.2], [0.5, share])

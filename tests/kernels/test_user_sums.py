from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from preflamp_stats.kernels import user_sums
from preflamp_stats.kernels.user_sums import exact_step, round_to_step, sum_by_user

# Sizes that differ by many orders of magnitude: plain sums of them depend on their order.
WILD = st.floats(-1e6, 1e6).map(lambda v: v * 1.1) | st.floats(-1e-3, 1e-3)


@given(hnp.arrays(np.float64, st.integers(1, 200), elements=WILD), st.randoms())
def test_sums_on_the_grid_are_exact_in_any_order(values, random):
    step = exact_step(float(np.abs(values).max()), len(values))
    rounded = round_to_step(values, step)
    exact = sum(map(Fraction, rounded.tolist()))
    order = list(range(len(values)))
    random.shuffle(order)
    assert Fraction(float(rounded.sum())) == exact
    assert Fraction(float(np.add.accumulate(rounded[order])[-1])) == exact


@given(hnp.arrays(np.float64, st.integers(1, 50), elements=WILD))
def test_rounding_moves_a_value_by_half_a_step_at_most(values):
    step = exact_step(float(np.abs(values).max()), 10_000)
    assert math.frexp(step)[0] == 0.5  # a power of two
    assert (np.abs(round_to_step(values, step) - values) <= step / 2).all()


def test_the_step_is_fine_enough_to_matter_to_nobody():
    # Shares of a million examples, all of them drawn as the largest of 10 000 users of 1 000.
    assert exact_step(1.0, 10_000_000) < 1e-8


def test_zeros_and_single_values_have_a_step():
    assert exact_step(0.0, 0) > 0
    np.testing.assert_array_equal(round_to_step(np.zeros(3), exact_step(0.0, 3)), 0.0)


@given(st.data(), st.integers(1, 6), st.integers(1, 40), st.sampled_from([bool, float, int]))
def test_sums_are_those_of_a_loop(data, n_users, n_examples, kind):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    values = rng.integers(0, 2 if kind is bool else 50, (n_examples, 3)).astype(kind)
    codes = rng.integers(0, n_users, n_examples)
    expected = np.zeros((n_users, 3))
    for code, row in zip(codes, values, strict=True):
        expected[code] += row
    found = sum_by_user(values, codes, n_users)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("block_rows", [1, 2, 7, 1000])
def test_blocks_of_rows_change_nothing(monkeypatch, block_rows):
    rng = np.random.default_rng(3)
    values, codes = rng.integers(0, 9, (50, 2)).astype(float), rng.integers(2, 8, 50)
    whole = sum_by_user(values, codes, 11)
    monkeypatch.setattr(user_sums, "_BLOCK_ROWS", block_rows)
    np.testing.assert_array_equal(sum_by_user(values, codes, 11), whole)
    np.testing.assert_array_equal(whole[[0, 1, 8, 9, 10]], 0.0)


def test_no_examples_sum_to_nothing():
    found = sum_by_user(np.empty((0, 2)), np.empty(0, dtype=np.intp), 3)
    np.testing.assert_array_equal(found, np.zeros((3, 2)))

"""Soft pairwise accuracy and tie calibration, against plain loops written from the papers.

Where the reference implementation can be imported (google-research/mt-metrics-eval, from its
repository), both are compared with it too.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflamp_stats.kernels.agreement import (
    soft_pairwise_accuracy,
    swap_p_values,
    tie_calibrated_accuracy,
)

grid = st.integers(-4, 4).map(lambda n: n / 4)


def plain_p(values, signs):
    found = []
    for i, j in itertools.combinations(range(values.shape[1]), 2):
        difference = values[:, i] - values[:, j]
        null = [sum(s * d for s, d in zip(row, difference, strict=True)) for row in signs]
        found.append(np.mean([n >= difference.sum() for n in null]))
    return np.array(found)


def plain_calibration(metric, gold):
    """Try every distance between two values as the threshold."""
    rows = []
    for x, y in zip(metric, gold, strict=True):
        there = [i for i in range(len(x)) if not (np.isnan(x[i]) or np.isnan(y[i]))]
        rows.append([(x[i] - x[j], y[i] - y[j]) for i, j in itertools.combinations(there, 2)])
    rows = [row for row in rows if row]
    best = (np.nan, np.nan)
    for threshold in sorted({0.0, *(abs(dx) for row in rows for dx, _ in row)}):
        shares = [
            np.mean([np.sign(0 if abs(dx) <= threshold else dx) == np.sign(dy) for dx, dy in row])
            for row in rows
        ]
        if rows and not np.mean(shares) <= best[0] + 1e-12:
            best = (np.mean(shares), threshold)
    return best


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(2, 5))
def test_p_values_equal_plain_loops(seed, units, methods):
    rng = np.random.default_rng(seed)
    values = rng.integers(-4, 5, (units, methods)) / 4  # exact sums, many ties
    signs = rng.choice([-1, 1], (37, units))
    np.testing.assert_array_equal(swap_p_values(values, signs), plain_p(values, signs))


@given(
    st.integers(1, 4).flatmap(
        lambda items: st.lists(
            st.lists(
                st.tuples(st.one_of(grid, st.just(np.nan)), grid), min_size=items, max_size=items
            ),
            min_size=1,
            max_size=4,
        )
    )
)
def test_tie_calibration_tries_every_threshold(rows):
    both = np.array(rows, dtype=float)
    found = tie_calibrated_accuracy(both[..., 0], both[..., 1])
    np.testing.assert_allclose(found, plain_calibration(both[..., 0], both[..., 1]), atol=1e-12)


def test_a_batch_is_its_parts():
    rng = np.random.default_rng(3)
    metric, gold = rng.normal(size=(6, 4, 5)), rng.integers(0, 3, (6, 4, 5))
    accuracy, threshold = tie_calibrated_accuracy(metric, gold)
    for at in range(6):
        alone = tie_calibrated_accuracy(metric[at], gold[at])
        np.testing.assert_allclose((accuracy[at], threshold[at]), alone, atol=1e-12)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=9))
def test_soft_accuracy_is_symmetric_and_bounded(pairs):
    p_x, p_y = np.array(pairs).T
    found = soft_pairwise_accuracy(p_x, p_y)
    assert 0 <= found <= 1
    assert found == pytest.approx(soft_pairwise_accuracy(p_y, p_x))
    assert soft_pairwise_accuracy(p_x, p_x) == 1
    # Turning both metrics round changes nothing.
    assert soft_pairwise_accuracy(1 - p_x, 1 - p_y) == pytest.approx(found)


def test_edges():
    assert np.isnan(soft_pairwise_accuracy([], []))
    assert swap_p_values(np.ones((4, 1)), np.ones((3, 4))).shape == (0,)
    # Methods that are equal everywhere: every permutation reaches the difference of 0.
    assert swap_p_values(np.ones((4, 2)), np.ones((3, 4))).tolist() == [1.0]
    assert np.isnan(tie_calibrated_accuracy([[1.0]], [[1.0]])).all()
    assert np.isnan(tie_calibrated_accuracy([[1.0, np.nan]], [[1.0, 2.0]])).all()
    # A constant metric calls everything a tie.
    assert tie_calibrated_accuracy([[1.0, 1.0, 1.0]], [[1.0, 1.0, 2.0]])[0] == pytest.approx(1 / 3)


def test_certain_p_values_give_the_share_of_pairs_ordered_alike():
    x, y = np.array([3.0, 1.0, 2.0]), np.array([3.0, 2.0, 1.0])
    i, j = np.triu_indices(3, 1)
    found = soft_pairwise_accuracy((x[i] < x[j]) * 1.0, (y[i] < y[j]) * 1.0)
    assert found == pytest.approx(2 / 3)


@pytest.mark.parametrize("seed", range(20))
def test_soft_pairwise_accuracy_equals_mt_metrics_eval(seed):
    pce = pytest.importorskip("mt_metrics_eval.pce")
    rng = np.random.default_rng(seed)
    methods, units = int(rng.integers(2, 15)), int(rng.integers(5, 200))
    # Sixteenths are exact in the single precision that the reference computes in.
    gold, metric = np.round(rng.normal(size=(2, methods, units)) * 16) / 16
    theirs = pce.compute_one_minus_pce(
        *(pce.compute_pairwise_p_values(each, num_permutations=500) for each in (gold, metric))
    )
    draws = np.random.default_rng(4).random(size=(500, units), dtype=np.float32)  # as the reference
    signs = 2.0 * np.rint(draws) - 1.0
    ours = soft_pairwise_accuracy(*(swap_p_values(each.T, signs) for each in (gold, metric)))
    assert ours == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_tie_calibration_equals_mt_metrics_eval(seed):
    reference = pytest.importorskip("mt_metrics_eval.tau_optimization")
    rng = np.random.default_rng(seed)
    shape = int(rng.integers(1, 12)), int(rng.integers(2, 12))
    metric, gold = rng.normal(size=shape), rng.integers(0, 5, shape).astype(float)
    gold[rng.random(shape) < 0.1 * (seed % 3)] = np.nan
    gold[0, :2] = 1.0, 2.0  # at least one pair
    theirs = reference.tau_optimization(
        metric,
        np.where(np.isnan(gold), None, gold),
        reference.TauSufficientStats.acc_23,
    )
    accuracy, threshold = tie_calibrated_accuracy(metric, gold)
    assert accuracy == pytest.approx(theirs.best_tau, abs=1e-6)
    # Of thresholds that are equally good ours is the smallest; theirs may be any, by rounding.
    assert threshold <= theirs.best_threshold + 1e-12

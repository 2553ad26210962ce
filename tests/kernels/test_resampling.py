from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from preflamp_stats.kernels import resampling
from preflamp_stats.kernels.resampling import bootstrap_counts, resampled_ratios

SEED = np.random.SeedSequence(20, spawn_key=(4,))


def _counts(n_units: int, n_resamples: int, seed: np.random.SeedSequence = SEED) -> np.ndarray:
    return np.vstack([counts for _, counts in bootstrap_counts(n_units, n_resamples, seed)])


@given(st.integers(1, 3000), st.integers(1, 40))
def test_every_resample_draws_as_many_units_as_there_are(n_units, n_resamples):
    counts = _counts(n_units, n_resamples)
    assert counts.shape == (n_resamples, n_units)
    assert (counts >= 0).all()
    assert (counts.sum(axis=1) == n_units).all()


@pytest.mark.parametrize("n_units", [1, 7, 20, 200, 5000, 20_000])
def test_a_resample_is_the_same_however_many_are_asked_for(n_units):
    most = _counts(n_units, 1100 if n_units <= 200 else 230)
    for n_resamples in (1, 3, 104, 105, 1024, 1025):
        if n_resamples <= len(most):
            np.testing.assert_array_equal(_counts(n_units, n_resamples), most[:n_resamples])


def test_chunks_follow_one_another_without_repeating_a_stream():
    slices = [where for where, _ in bootstrap_counts(50, 2500, SEED)]
    assert [(s.start, s.stop) for s in slices] == [(0, 1024), (1024, 2048), (2048, 2500)]
    counts = _counts(50, 2500)
    assert not np.array_equal(counts[:452], counts[1024:1476])
    assert not np.array_equal(counts[:452], counts[2048:])


def test_drawing_leaves_the_seed_sequence_as_it_was():
    seed = np.random.SeedSequence(5)
    first = _counts(10, 3, seed)
    assert seed.n_children_spawned == 0
    np.testing.assert_array_equal(_counts(10, 3, seed), first)
    assert not np.array_equal(_counts(10, 3, np.random.SeedSequence(6)), first)


def test_counts_are_multinomial():
    counts = _counts(6, 30_000)
    expected = 30_000 * stats.binom.pmf(np.arange(7), 6, 1 / 6)
    for unit in counts.T:
        observed = np.bincount(unit.astype(int), minlength=7)
        lumped = [[*n[:3], n[3:].sum()] for n in (observed, expected)]
        assert stats.chisquare(*lumped).pvalue > 1e-4
    np.testing.assert_allclose(np.cov(counts.T), np.eye(6) - 1 / 6, atol=0.03)


@pytest.mark.parametrize("n_units", [1, 2, 3, 4, 5])
def test_draws_follow_the_exact_distribution_over_all_resamples(n_units):
    sums = np.array([[0.0], [1.0], [2.5], [7.0], [7.5]])[:n_units]
    counts = np.array([[1.0], [4.0], [5.0], [9.0], [9.0]])[:n_units]
    exact: Counter[float] = Counter()
    for drawn in itertools.product(range(n_units), repeat=n_units):
        exact[float(sums[list(drawn)].sum() / counts[list(drawn)].sum())] += 1
    n_draws = 20_000
    found = Counter(resampled_ratios(sums, counts, n_draws, SEED)[:, 0].tolist())
    assert set(found) <= set(exact)
    values = sorted(exact)
    if len(values) > 1:
        expected = np.array([exact[v] for v in values]) * n_draws / n_units**n_units
        assert stats.chisquare([found[v] for v in values], expected).pvalue > 1e-4


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 4))
def test_draws_are_those_of_a_loop_over_the_same_counts(seed, n_units, n_columns):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, (n_units, n_columns)).astype(float)
    sums = counts * rng.integers(0, 3, (n_units, n_columns)) / 2
    draws = resampled_ratios(sums, counts, 12, SEED, denominators=np.arange(n_columns))
    for draw, times in zip(draws, _counts(n_units, 12), strict=True):
        units = np.repeat(np.arange(n_units), times.astype(int))
        for column in range(n_columns):
            total = counts[units, column].sum()
            expected = sums[units, column].sum() / total if total else np.nan
            np.testing.assert_equal(draw[column], expected)


def test_columns_share_the_resamples_and_name_their_denominators():
    sums = np.array([[1.0, 1.0, 2.0], [0.0, 0.0, 2.0], [1.0, 1.0, 6.0]])
    counts = np.array([[1.0, 2.0], [1.0, 2.0], [1.0, 6.0]])
    draws = resampled_ratios(sums, counts, 50, SEED, denominators=np.array([0, 0, 1]))
    np.testing.assert_array_equal(draws[:, 0], draws[:, 1])
    np.testing.assert_array_equal(draws[:, 2], 1.0)
    alone = resampled_ratios(sums[:, :1], counts[:, :1], 50, SEED)
    np.testing.assert_array_equal(alone[:, 0], draws[:, 0])


def test_a_resample_without_the_column_is_missing():
    draws = resampled_ratios(np.array([[1.0], [0.0]]), np.array([[1.0], [0.0]]), 400, SEED)
    nothing = _counts(2, 400)[:, 0] == 0
    assert nothing.any()
    np.testing.assert_array_equal(draws[:, 0], np.where(nothing, np.nan, 1.0))


def test_single_and_double_precision_give_the_same_bytes():
    rng = np.random.default_rng(1)
    counts = rng.integers(1, 30, (300, 1)).astype(float)
    halves = np.floor(rng.random((300, 6)) * counts) / 2
    # A column that needs double precision must not change the others, nor be changed by them.
    fine = np.floor(rng.random((300, 1)) * 2**30) / 2**30
    mixed = resampled_ratios(np.hstack([halves, fine]), counts, 700, SEED)
    np.testing.assert_array_equal(mixed[:, :6], resampled_ratios(halves, counts, 700, SEED))
    np.testing.assert_array_equal(mixed[:, 6:], resampled_ratios(fine, counts, 700, SEED))
    resampled = _counts(300, 700).astype(np.float64)
    np.testing.assert_array_equal(mixed[:, :6], (resampled @ halves) / (resampled @ counts))


def test_sums_too_large_for_single_precision_are_summed_in_double():
    # 2**24 + 1 has no float32: the resample of both units would lose the 1.
    sums, counts = np.array([[2.0**24], [1.0]]), np.ones((2, 1))
    draws = resampled_ratios(sums, counts, 100, SEED)
    assert set(draws[:, 0].tolist()) == {1.0, (2**24 + 1) / 2, 2.0**24}


def test_rows_counted_together_change_nothing(monkeypatch):
    whole = _counts(30, 50)
    monkeypatch.setattr(resampling, "_CACHED_COUNTS", 30 * 7)
    np.testing.assert_array_equal(_counts(30, 50), whole)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflamp_stats.kernels.calibration import bin_edges, bin_gaps

MARGINS = st.lists(
    st.sampled_from([0.0, 0.5, -0.5, 2.0, -2.0, np.nan]) | st.floats(-30, 30), min_size=1
)


def plain(margins, n_bins):
    """Sort pairs by confidence, cut, and compare by the definition; equal margins stay together."""
    there = sorted((abs(m), float(m > 0) + (m == 0) / 2) for m in margins if m == m)
    starts = [there[len(there) * k // n_bins][0] for k in range(1, n_bins)] if there else []
    total = 0.0
    for k in range(n_bins):
        inside = [(m, c) for m, c in there if sum(m >= start for start in starts) == k]
        if inside:
            confidence = np.mean([1 / (1 + np.exp(-m)) for m, _ in inside])
            accuracy = np.mean([c for _, c in inside])
            total += len(inside) / len(there) * abs(confidence - accuracy)
    return total


@given(MARGINS, st.integers(1, 12))
def test_sums_to_the_calibration_error_of_the_definition(margins, n_bins):
    values = np.array(margins)
    gaps = bin_gaps(values, bin_edges(values, n_bins))
    assert gaps.shape == (len(values), n_bins)
    assert (np.isnan(gaps).all(axis=1) == np.isnan(values)).all()
    there = gaps[~np.isnan(values)]
    assert ((there != 0).sum(axis=1) <= 1).all()
    error = np.abs(there.mean(axis=0)).sum() if len(there) else 0.0
    assert error == pytest.approx(plain(margins, n_bins), abs=1e-12)


def test_bins_hold_as_many_pairs_and_columns_stand_apart():
    rng = np.random.default_rng(1)
    margins = rng.normal(size=(2, 100)) * [[1], [50]]
    margins[1, :60] = np.nan
    edges = bin_edges(margins, 4)
    bins = (np.abs(margins)[..., None] >= edges[:, None]).sum(axis=-1)
    assert np.bincount(bins[0]).tolist() == [25] * 4
    assert np.bincount(bins[1, 60:]).tolist() == [10] * 4
    np.testing.assert_array_equal(bin_gaps(margins, edges)[1], bin_gaps(margins[1], edges[1]))


def test_no_margins_have_no_edges():
    assert np.isnan(bin_edges(np.full(3, np.nan), 3)).all()

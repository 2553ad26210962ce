from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from preflamp_stats.inference.intervals import percentile_interval, percentile_limits
from preflamp_stats.kernels.resampling import resampled_ratios


def test_limits_agree_with_r():
    """Against R 4: library(boot); boot.ci(boot(x, function(x, a) mean(x[a]), 1e6))."""
    x = [10, 12, 12.5, 12.5, 13.9, 15, 21, 22, 23, 34, 50, 81, 89, 121, 134, 213]
    draws = resampled_ratios(
        np.array(x)[:, None], np.ones((16, 1)), 200_000, np.random.SeedSequence(0)
    )
    low, high = percentile_limits(draws, 0.95)
    np.testing.assert_allclose([low[0], high[0]], [28.86, 84.21], rtol=0.005)


def test_limits_of_many_users_are_those_of_the_normal_law():
    rng = np.random.default_rng(8)
    values = rng.exponential(size=(3000, 1))
    draws = resampled_ratios(values, np.ones((3000, 1)), 20_000, np.random.SeedSequence(1))
    error = values.std() / np.sqrt(3000)
    for level, quantile in ((0.95, 1.959964), (0.8, 1.281552)):
        limits = np.array(percentile_limits(draws, level))[:, 0]
        found = (limits - values.mean()) / error
        np.testing.assert_allclose(found, [-quantile, quantile], atol=0.06)


@given(
    hnp.arrays(
        np.float64,
        st.tuples(st.integers(1, 20), st.integers(1, 3)),
        elements=st.sampled_from([-1.0, 0.0, 0.5, 2.0, np.nan]),
    ),
    st.floats(0.01, 0.99),
)
def test_undefined_draws_are_left_out_of_each_column(draws, level):
    low, high = percentile_limits(draws, level)
    for column, lower, upper in zip(draws.T, low, high, strict=True):
        there = column[~np.isnan(column)]
        if there.size:
            expected = np.quantile(there, [(1 - level) / 2, (1 + level) / 2])
            np.testing.assert_allclose([lower, upper], expected)
        else:
            assert np.isnan([lower, upper]).all()


def test_a_wider_level_holds_the_narrower_one():
    draws = np.random.default_rng(0).normal(size=(500, 4))
    narrow, wide = percentile_limits(draws, 0.5), percentile_limits(draws, 0.9)
    assert (wide[0] < narrow[0]).all()
    assert (narrow[1] < wide[1]).all()


@pytest.mark.parametrize("dims", [("resample", "method"), ("method", "resample")])
def test_labelled_limits_reduce_the_dim_resample_wherever_it_stands(dims):
    draws = xr.DataArray(
        np.random.default_rng(0).normal(size=(50, 3)),
        dims=("resample", "method"),
        coords={"method": ["a", "b", "c"]},
    )
    low, high = percentile_interval(draws.transpose(*dims), 0.9)
    expected = percentile_limits(draws.values, 0.9)
    np.testing.assert_array_equal([low, high], expected)
    assert low.dims == ("method",)
    assert low["method"].values.tolist() == ["a", "b", "c"]

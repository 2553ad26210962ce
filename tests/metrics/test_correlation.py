from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from preflamp_stats.errors import InputError
from preflamp_stats.metrics.correlation import kendall_tau

METHODS = ["lore", "pal", "vpl", "gpo", "bt"]


def _metric(values: np.ndarray, dims: tuple[str, ...] = ("method",), **coords: object):
    return xr.DataArray(values, dims=dims, coords={"method": METHODS, **coords})


def test_methods_are_matched_by_label():
    x = _metric(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert kendall_tau(x, x.isel({"method": [3, 1, 0, 4, 2]})) == 1.0
    fewer = x.isel({"method": [4, 0, 2]})
    assert kendall_tau(x, -fewer) == -1.0


def test_other_dims_are_kept_and_broadcast_by_name():
    rng = np.random.default_rng(1)
    x = _metric(rng.normal(size=(2, 5)), ("model", "method"), model=["7B", "1B"])
    y = _metric(rng.normal(size=(5, 3)), ("method", "weight"), weight=[0.0, 1.0, np.inf])
    tau = kendall_tau(x, y)
    assert set(tau.dims) == {"model", "weight"}
    for model in x["model"].values:
        for weight in y["weight"].values:
            expected = stats.kendalltau(x.sel(model=model), y.sel(weight=weight)).statistic
            found = tau.sel(model=model, weight=weight)
            np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("variant", ["a", "b", "c", "weighted"])
def test_dask_gives_the_same_and_stays_lazy(variant):
    rng = np.random.default_rng(2)
    x = _metric(rng.integers(0, 3, (4, 5)).astype(float), ("model", "method"))
    y = _metric(rng.integers(0, 3, (4, 5)).astype(float), ("model", "method"))
    expected = kendall_tau(x, y, variant=variant)
    lazy = kendall_tau(x.chunk(model=2, method=3), y.chunk(model=3), variant=variant)
    assert lazy.chunks is not None
    xr.testing.assert_identical(lazy.compute(), expected)
    assert expected.attrs["variant"] == variant


def test_plain_sequences_and_another_dim_are_ranked_too():
    assert kendall_tau([1, 2, 3], [3, 2, 1]) == -1.0
    seeds = xr.DataArray([1.0, 2.0, 3.0], dims="seed")
    assert kendall_tau(seeds, seeds, dim="seed") == 1.0


@pytest.mark.parametrize("values", [[np.nan] * 5, [1.0, *[np.nan] * 4], [2.0] * 5])
def test_undefined_is_missing_not_zero(values):
    x = _metric(np.array(values))
    assert np.isnan(kendall_tau(x, _metric(np.arange(5.0))))


def test_bad_input_is_named():
    x = _metric(np.arange(5.0))
    with pytest.raises(InputError, match="has dims \\('method',\\); give it a dim 'model'"):
        kendall_tau(x, x, dim="model")
    with pytest.raises(InputError, match="variant: is 'd'; choose one of a, b, c, weighted"):
        kendall_tau(x, x, variant="d")

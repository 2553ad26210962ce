from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from preflamp_stats.errors import InputError
from preflamp_stats.metrics.averages import example_mean, user_codes


def _users(*labels: object) -> xr.DataArray:
    return xr.DataArray(np.array(labels, dtype=object), dims="example")


@st.composite
def values_and_users(draw: st.DrawFn) -> tuple[xr.DataArray, xr.DataArray]:
    n_examples, n_users = draw(st.integers(1, 30)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.integers(0, 3, (2, n_examples)) / 2
    values[rng.random(values.shape) < draw(st.sampled_from([0.0, 0.5, 1.0]))] = np.nan
    users = _users(*(f"u{u}" for u in rng.integers(0, n_users, n_examples)))
    return xr.DataArray(values, dims=("method", "example")), users


def test_users_stand_in_sorted_order_whatever_that_of_the_file():
    labels, codes = user_codes(_users("b", "c", "a", "b"))
    assert labels.tolist() == ["a", "b", "c"]
    assert codes.tolist() == [1, 2, 0, 1]


def test_users_may_be_numbered():
    labels, codes = user_codes(xr.DataArray([7, 3, 7], dims="example"))
    assert labels.tolist() == ["3", "7"]
    assert codes.tolist() == [1, 0, 1]


@pytest.mark.parametrize("absent", [None, np.nan, float("nan")])
def test_an_example_without_a_user_is_refused(absent):
    with pytest.raises(InputError, match="user: is missing in 2 of 3 examples; name a user"):
        user_codes(_users("a", absent, absent))


def test_an_empty_user_is_refused():
    with pytest.raises(InputError, match="user: is empty in 1 of 2 examples; name a user"):
        user_codes(xr.DataArray(["a", ""], dims="example"))


def test_users_that_are_floating_numbers_are_refused():
    with pytest.raises(InputError, match="is missing in 2 of 2"):
        user_codes(xr.DataArray([1.0, np.nan], dims="example"))


@given(values_and_users())
def test_averages_are_those_of_a_loop(drawn):
    values, users = drawn
    micro = example_mean(values)
    macro = example_mean(values, user=users, average="macro")
    for row, one_micro, one_macro in zip(values.values, micro.values, macro.values, strict=True):
        by_user: dict[str, list[float]] = {}
        for user, value in zip(users.values, row, strict=True):
            if not np.isnan(value):
                by_user.setdefault(user, []).append(value)
        there = [value for own in by_user.values() for value in own]
        means = [np.mean(own) for own in by_user.values()]
        np.testing.assert_allclose(one_micro, np.mean(there) if there else np.nan)
        np.testing.assert_allclose(one_macro, np.mean(means) if means else np.nan)


@given(values_and_users())
def test_one_example_a_user_makes_both_averages_equal(drawn):
    values, _ = drawn
    users = _users(*(f"u{i}" for i in range(values.sizes["example"])))
    macro = example_mean(values, user=users, average="macro")
    np.testing.assert_allclose(macro, example_mean(values))


@pytest.mark.parametrize("average", ["micro", "macro"])
def test_chunks_of_dask_and_the_order_of_dims_change_nothing(average):
    rng = np.random.default_rng(0)
    values = xr.DataArray(
        rng.integers(0, 2, (3, 4, 20)).astype(float), dims=("model", "method", "example")
    )
    users = _users(*(f"u{u}" for u in rng.integers(0, 4, 20)))
    expected = example_mean(values, user=users, average=average)
    lazy = example_mean(
        values.chunk(example=7, method=2), user=users.chunk(example=7), average=average
    )
    assert lazy.chunks is not None
    xr.testing.assert_equal(lazy.compute(), expected)
    turned = example_mean(values.transpose("example", ...), user=users, average=average)
    xr.testing.assert_allclose(turned, expected)
    assert expected.dims == ("model", "method")


@pytest.mark.parametrize(
    ("dims", "options", "message"),
    [
        ("example", {"average": "macro"}, "user: is missing; a macro average needs it"),
        ("example", {"average": "median"}, "average: is 'median'; choose micro or macro"),
        ("pair", {}, "has no dim example"),
    ],
)
def test_bad_input_is_named(dims, options, message):
    with pytest.raises(InputError, match=message):
        example_mean(xr.DataArray([1.0, 0.0], dims=dims), **options)

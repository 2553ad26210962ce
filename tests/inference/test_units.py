from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from preflamp_stats.errors import InputError
from preflamp_stats.inference import units as units_module
from preflamp_stats.inference.units import example_units, user_units
from preflamp_stats.io.blocks import example_blocks


def _users(*labels: object) -> xr.Dataset:
    return xr.Dataset({"user": ("example", np.array(labels, dtype=object))})


def test_users_are_sorted():
    units = user_units(_users("b", "a", "c", "b"))
    assert list(units.labels) == ["a", "b", "c"]
    assert units.codes.tolist() == [1, 0, 2, 1]
    assert units.kind == "users"


def test_the_largest_resample_draws_the_largest_unit_every_time():
    assert user_units(_users("b", "a", "c", "b", "b")).most_drawn == 9
    assert example_units(_users("b", "a", "b")).most_drawn == 3


def test_without_users_each_example_is_its_own_unit(make_study):
    ds = make_study().drop_vars("user")
    units = user_units(ds)
    assert units.kind == "examples"
    assert sorted(units.codes.tolist()) == list(range(ds.sizes["example"]))


@pytest.mark.parametrize("absent", [None, np.nan, ""])
def test_an_example_without_a_user_is_refused(absent):
    with pytest.raises(InputError, match=r"user: is (missing|empty) in 1 of 3 examples"):
        user_units(_users("a", absent, "b"))


def test_examples_follow_their_labels_where_they_have_some(make_study):
    ds = make_study()
    units = example_units(ds)
    assert list(units.labels) == sorted(ds["example"].values.tolist())
    assert ds["example"].values.tolist() == [units.labels[code] for code in units.codes]


@settings(max_examples=25)
@given(data=st.data(), seed=st.integers(0, 999))
def test_a_unit_holds_the_same_example_whatever_the_order_of_the_file(
    studies, shuffled, data, seed
):
    ds = data.draw(studies)
    other = shuffled(ds, seed)
    first, second = (
        d.isel(example=np.argsort(example_units(d).codes)).sortby(["method", "model", "candidate"])
        for d in (ds, other)
    )
    order = [dim for dim in ds.dims if dim != "example"]
    first, second = (d.transpose("example", *order) for d in (first, second))
    if "seed" in ds.dims:
        first, second = first.sortby("seed"), second.sortby("seed")
    xr.testing.assert_equal(first, second)


def test_content_is_hashed_in_blocks_that_change_nothing(monkeypatch, make_study):
    ds = make_study(labelled=False, n_tokens=3)
    whole = example_units(ds).codes
    monkeypatch.setattr(units_module, "example_blocks", lambda d: example_blocks(d, max_bytes=1))
    np.testing.assert_array_equal(example_units(ds).codes, whole)
    np.testing.assert_array_equal(example_units(ds.chunk(example=4)).codes, whole)


def test_a_file_without_examples_has_no_units():
    ds = xr.Dataset({"leaderboard": ("method", [0.5, 0.6])})
    assert list(user_units(ds).labels) == []

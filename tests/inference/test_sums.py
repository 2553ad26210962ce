from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import preflamp_stats as pls
from preflamp_stats.errors import InputError
from preflamp_stats.inference import sums as sums_module
from preflamp_stats.inference.sums import ExampleValues, collect_sums, draw_ratios
from preflamp_stats.inference.units import example_units, user_units
from preflamp_stats.io.blocks import example_blocks
from preflamp_stats.kernels.resampling import bootstrap_counts
from preflamp_stats.metrics.averages import example_mean

SEED = np.random.SeedSequence(3)


def _quantity(name: str, scale: str = "free") -> ExampleValues:
    return ExampleValues((name,), lambda block: block[name], scale)


QUANTITIES = {"rouge1": _quantity("rouge1", "share"), "helpfulness": _quantity("helpfulness")}


@given(data=st.data(), average=st.sampled_from(["micro", "macro"]))
def test_the_ratio_is_the_average_over_examples(studies, data, average):
    ds = data.draw(studies)
    collected = collect_sums(ds, QUANTITIES, user_units(ds), average=average)
    for name, sums in collected.items():
        expected = example_mean(ds[name], user=ds["user"], average=average)
        found = sums.ratio().transpose(*expected.dims)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
        there = ds[name].notnull()
        np.testing.assert_array_equal(sums.n_examples, there.sum("example"))
        users = there.groupby(ds["user"].rename("who")).any().sum("who")
        np.testing.assert_array_equal(sums.n_users.transpose(*users.dims), users)


@settings(max_examples=25)
@given(data=st.data(), seed=st.integers(0, 999), average=st.sampled_from(["micro", "macro"]))
def test_order_of_the_file_changes_no_bit(studies, shuffled, data, seed, average):
    ds = data.draw(studies)
    other = shuffled(ds, seed)
    for units in (user_units, example_units):
        first = collect_sums(ds, QUANTITIES, units(ds), average=average)
        second = collect_sums(other, QUANTITIES, units(other), average=average)
        for name in QUANTITIES:
            for field in ("sums", "counts"):
                a, b = getattr(first[name], field), getattr(second[name], field)
                b = b.reindex({d: a[d] for d in a.dims if d != "unit"}).transpose(*a.dims)
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("max_bytes", [1, 900, 4000])
def test_blocks_and_dask_change_no_bit(monkeypatch, make_study, max_bytes):
    ds = make_study(missing=0.2)
    whole = collect_sums(ds, QUANTITIES, user_units(ds))
    read: list[int] = []
    monkeypatch.setattr(
        sums_module, "example_blocks", lambda d: example_blocks(d, max_bytes=max_bytes)
    )
    for other in (ds, ds.chunk(example=7)):
        blocked = collect_sums(other, QUANTITIES, user_units(other), progress=read.append)
        for name, sums in whole.items():
            xr.testing.assert_identical(blocked[name].sums, sums.sums)
            xr.testing.assert_identical(blocked[name].counts, sums.counts)
    assert sum(read) == 2 * ds.sizes["example"]


def test_resampled_sums_are_exact(make_study):
    ds = make_study(n_examples=200, n_users=30)
    units = user_units(ds)
    draws = draw_ratios(collect_sums(ds, QUANTITIES, units), 5, SEED)
    ((_, drawn),) = bootstrap_counts(len(units.labels), 5, SEED)
    for name, sums in collect_sums(ds, QUANTITIES, units).items():
        for b, times in enumerate(drawn.astype(int).tolist()):
            for at in np.ndindex(*sums.n_examples.shape):
                numerator, denominator = (
                    sum(n * Fraction(float(v)) for n, v in zip(times, of, strict=True))
                    for of in (sums.sums.values[:, *at], sums.counts.values[:, *at])
                )
                assert Fraction(float(numerator)) == numerator
                ratio = float(numerator / denominator)
                np.testing.assert_allclose(draws[name].values[b, *at], ratio, atol=1e-8)


@pytest.mark.parametrize("names", [*itertools.permutations(QUANTITIES)])
def test_draws_of_a_metric_do_not_depend_on_the_others(make_study, names):
    ds = make_study(missing=0.2)
    sums = collect_sums(ds, QUANTITIES, user_units(ds))
    together = draw_ratios({name: sums[name] for name in names}, 40, SEED)
    for name in names:
        xr.testing.assert_identical(together[name], draw_ratios({name: sums[name]}, 40, SEED)[name])


def test_nothing_to_draw():
    assert draw_ratios({}, 10, SEED) == {}


def test_infinite_values_are_refused_by_name(make_study):
    ds = make_study()
    ds["helpfulness"][0, 0, 0] = np.inf
    with pytest.raises(InputError, match="helpfulness: holds infinite values; replace them by NaN"):
        collect_sums(ds, QUANTITIES, user_units(ds))


def test_a_metric_that_is_missing_throughout_has_an_empty_ratio(make_study):
    ds = make_study()
    ds["helpfulness"] = ds["helpfulness"] * np.nan
    sums = collect_sums(ds, QUANTITIES, user_units(ds))["helpfulness"]
    assert sums.ratio().isnull().all()
    assert (sums.n_examples == 0).all()
    assert draw_ratios({"x": sums}, 5, SEED)["x"].isnull().all()


def test_no_examples_are_refused(make_study):
    ds = make_study().isel(example=slice(0))
    with pytest.raises(InputError, match="holds no examples"):
        collect_sums(ds, QUANTITIES, user_units(ds))


def test_equal_means_of_values_off_the_grid_are_ties() -> None:
    ratings = np.array([[11, 8, 10, 9] * 24, [12, 9, 10, 7] * 24]) / 3  # the same sum
    ds = xr.Dataset({"rating": (("method", "example"), ratings, {"role": "generation_metric"})})
    ds = ds.assign_coords(method=["a", "b"])
    first, second = pls.bootstrap(ds, "rating", n_resamples=10)["estimate"].values
    assert first == second == pytest.approx(304 / 96)

"""Pooled tau: its definition by hand, its weights, its draws, and what is left out."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import preflamp_stats as pls
from preflamp_stats.errors import InputError
from preflamp_stats.inference.intervals import percentile_limits
from preflamp_stats.inference.pooled import (
    StackedEvidence,
    limits_from_draws,
    pooled_between,
    pooled_tau,
)
from preflamp_stats.inference.resampled import ResampledStudy, read_study
from preflamp_stats.kernels.kendall import kendall_tau
from preflamp_stats.settings import Settings


def of_others(ds: xr.Dataset, who: str) -> xr.Dataset:
    """The same data, of other people."""
    return ds.assign(user=("example", [f"{who} {user}" for user in ds["user"].values]))


@pytest.fixture
def two(make_study) -> dict[str, xr.Dataset]:
    """Five methods on two models, and three methods on one, of other people."""
    return {
        "prism": make_study(1, n_methods=5, n_models=2),
        "tldr": of_others(make_study(2, n_methods=3, n_models=1, n_users=9), "tldr"),
    }


def test_mean_of_the_strata_weighted_by_pairs(two) -> None:
    found = pooled_tau(two, "rm_accuracy", "rouge1", n_resamples=50)
    taus, pairs = [], []
    for name in sorted(two):
        tau = pls.kendall_tau(pls.rm_accuracy(two[name]), two[name]["rouge1"].mean("example"))
        taus += tau.sel(model=two[name]["model"]).values.tolist()
        pairs += [two[name].sizes["method"] * (two[name].sizes["method"] - 1) // 2] * tau.size
    assert found["estimate"].item() == pytest.approx(np.average(taus, weights=pairs))
    assert found["n_pairs"].item() == sum(pairs) == 10 + 10 + 3
    assert (found["n_strata"].item(), found["n_datasets"].item()) == (3, 2)
    assert found["n_users"].item() == sum(len(np.unique(ds["user"])) for ds in two.values())
    np.testing.assert_allclose(found["weight"], np.array(pairs) / 23)
    assert found["dataset"].values.tolist() == ["prism", "prism", "tldr"]


def test_a_single_stratum_is_the_tau_test(make_study) -> None:
    ds = make_study(4, n_models=1).assign_attrs(dataset="prism")
    pooled = pooled_tau(
        {"prism": ds}, "rm_accuracy", "rouge1", n_resamples=300, interval="percentile"
    )
    single = pls.tau_test(ds, "rm_accuracy", "rouge1", n_resamples=300, interval="percentile")
    for name in ("estimate", "low", "high", "n_users", "n_examples"):
        assert pooled[name].item() == pytest.approx(single[name].item())


METRICS = ("rm_accuracy", "rouge1")


def read(ds: xr.Dataset, name: str, level: float = 0.95) -> ResampledStudy:
    return read_study(ds, Settings(resamples=200, level=level), METRICS, name=name)


def test_models_of_a_dataset_share_their_resamples(make_study) -> None:
    """Two copies of one model say no more than one: the interval must not get narrower."""
    one = make_study(4, n_models=1, n_users=8)
    copies = xr.concat([one, one.assign_coords(model=["copy"])], dim="model", data_vars="minimal")
    intervals = [
        pooled_between([read(ds, "prism")], *METRICS, interval="percentile")[["low", "high"]]
        for ds in (one, copies)
    ]
    xr.testing.assert_allclose(*intervals)
    # As two datasets of different people, with resamples of their own, they do.
    apart = [read(of_others(one, name), name) for name in "ab"]
    found = pooled_between(apart, *METRICS, interval="percentile")
    assert found["high"] - found["low"] < intervals[0]["high"] - intervals[0]["low"]


@pytest.mark.parametrize("interval", ["model", "percentile"])
def test_the_same_people_in_four_datasets_are_asked_once(make_study, interval) -> None:
    """Four copies of a dataset say no more than one, whatever they are called."""
    one = make_study(4, n_models=1, n_users=12, n_examples=120)
    # Methods further apart than their noise, so that there is something to know.
    one["rouge1"] += xr.DataArray([0.0, 0.3, 0.6, 0.9, 1.2], dims="method")
    one["reward"][{"candidate": 0}] += xr.DataArray([0.0, 0.7, 0.2, 0.5, 1.1], dims="method")
    names = ("a", "b", "c", "d")
    alone, same, others = (
        pooled_between(studies, *METRICS, interval=interval)
        for studies in (
            [read(one, "a")],
            [read(one, name) for name in names],
            [read(of_others(one, name), name) for name in names],
        )
    )
    width = {k: float(v["high"] - v["low"]) for k, v in (("1", alone), ("4", same), ("o", others))}
    assert width["4"] == pytest.approx(width["1"], rel=0.1)
    assert width["o"] < 0.8 * width["1"]
    assert same["n_users"] == alone["n_users"] == others["n_users"] / 4


def test_people_are_found_through_other_datasets(make_study) -> None:
    """The first and the last dataset share nobody but are both joined to the one between."""
    one = make_study(4, n_models=1, n_users=8, n_examples=200)
    users = one["user"].values

    def named(offset: int) -> xr.Dataset:
        return one.assign(user=("example", [f"u{int(u.split()[1]) + offset}" for u in users]))

    found = pooled_between([read(named(5 * i), f"d{i}") for i in range(3)], *METRICS)
    assert found["n_users"] == 18
    apart = pooled_between([read(named(8 * i), f"d{i}") for i in range(3)], *METRICS)
    assert apart["n_users"] == 24


def test_examples_of_the_same_label_are_not_the_same(make_study) -> None:
    one = make_study(4, n_models=1).drop_vars("user")
    found = pooled_tau({"a": one, "b": one}, "rm_accuracy", "rouge1", n_resamples=50)
    assert found["n_users"] == 2 * one.sizes["example"]


def test_limits_are_percentiles_of_the_weighted_mean(two) -> None:
    studies = [read(ds, name, 0.8) for name, ds in sorted(two.items())]
    found = pooled_between(studies, *METRICS, interval="percentile")
    draws = []
    for study in studies:
        x, y = (study.drawn[name].draws.sortby("method") for name in METRICS)
        x = x.broadcast_like(y).transpose(*y.dims)
        draws.append(kendall_tau(x.values, y.values))
    by_stratum = np.hstack(draws)
    weights = np.array([10, 10, 3]) * ~np.isnan(by_stratum)
    mean = np.nansum(weights * by_stratum, axis=1) / weights.sum(axis=1)
    low, high = percentile_limits(mean, 0.8)
    assert (found["low"].item(), found["high"].item()) == pytest.approx((low, high))


def test_another_way_of_bounding(two) -> None:
    studies = [read(ds, name) for name, ds in two.items()]
    seen = []

    def limits(stacked: StackedEvidence) -> tuple[float, float]:
        seen.append(stacked)
        return -0.25, 0.75

    found = pooled_between(studies, *METRICS, interval=limits)
    assert (found["low"].item(), found["high"].item()) == (-0.25, 0.75)
    assert seen[0].tau == found["estimate"].item()
    assert len(seen[0].strata) == 3


def test_undefined_draws_leave_a_stratum_out_of_that_draw() -> None:
    draws = {"a": np.array([1.0, np.nan, np.nan]), "b": np.array([0.0, 0.5, np.nan])}
    limits = limits_from_draws(lambda stratum: draws[stratum])  # type: ignore[index]
    stacked = StackedEvidence(["a", "b"], np.array([0.75, 0.25]), 1 - 1e-9)  # type: ignore[list-item]
    assert limits(stacked) == pytest.approx((0.5, 0.75))


def test_datasets_and_strata_that_cannot_count_are_left_out(two, make_study) -> None:
    without = two["tldr"].drop_vars("reward")
    flat = make_study(n_methods=2, n_models=1)
    flat["reward"] = xr.zeros_like(flat["reward"])
    options = {"n_resamples": 50}
    alone = pooled_tau({"prism": two["prism"]}, "rm_accuracy", "rouge1", **options)
    joined = pooled_tau(
        {"tldr": without, "prism": two["prism"], "flat": flat}, "rm_accuracy", "rouge1", **options
    )
    xr.testing.assert_identical(alone, joined)
    nothing = pooled_tau({"flat": flat}, "rm_accuracy", "rouge1", **options)
    assert nothing["estimate"].isnull()
    assert nothing["note"].item() == "tau is defined in no stratum"


def test_order_of_datasets_does_not_matter(two) -> None:
    options = {"n_resamples": 50}
    reversed_order = dict(reversed(two.items()))
    xr.testing.assert_identical(
        pooled_tau(two, "rm_accuracy", "rouge1", **options),
        pooled_tau(reversed_order, "rm_accuracy", "rouge1", **options),
    )


def test_a_single_user_gives_no_interval(make_study) -> None:
    found = pooled_tau({"one": make_study(n_users=1)}, "rm_accuracy", "rouge1", n_resamples=20)
    assert found["low"].isnull()
    assert "single unit" in found["note"].item()


def test_bad_input(two) -> None:
    with pytest.raises(InputError, match="there is no dataset"):
        pooled_tau({})
    with pytest.raises(InputError, match="rouge9"):
        pooled_tau(two, "rm_accuracy", "rouge9")
    with pytest.raises(InputError, match=r"choose one of .*percentile"):
        pooled_tau(two, "rm_accuracy", "rouge1", n_resamples=5, interval="exact")

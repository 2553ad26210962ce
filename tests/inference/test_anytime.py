"""Intervals and tests that hold whenever one looks, through the public functions."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import preflamp_stats as pls
from preflamp_stats.inference.bootstrap import bootstrap
from preflamp_stats.inference.floors import NO_ENDS
from preflamp_stats.inference.in_context import in_context_test


@pytest.fixture(scope="module")
def study() -> xr.Dataset:
    return pls.simulate(n_methods=4, n_icl=1, n_users=120, n_examples=5, seed=1).to_dataset()


def first_users(ds: xr.Dataset, n: int) -> xr.Dataset:
    kept = list(dict.fromkeys(ds["user"].values.tolist()))[:n]
    return ds.isel(example=np.flatnonzero(np.isin(ds["user"].values, kept)))


def test_limits_only_narrow_while_users_are_added(study: xr.Dataset) -> None:
    looks = [
        bootstrap(first_users(study, n), "rm_accuracy", n_resamples=50, anytime=True)
        for n in (20, 60, 120)
    ]
    for early, late in pairwise(looks):
        # An estimate outside the limits, which are rounded to a millionth, widens them.
        assert not (early["low"] > late["low"] + 1e-5).any()
        assert not (late["high"] > early["high"] + 1e-5).any()
    fixed = bootstrap(study, "rm_accuracy", n_resamples=50)
    late = looks[-1]
    ratio = ((late["high"] - late["low"]) / (fixed["high"] - fixed["low"])) ** 2
    np.testing.assert_allclose(late["users_times"], ratio)
    assert not (late["users_times"] <= 1).any()


def test_the_order_of_users_in_the_file_is_that_of_the_bets(study: xr.Dataset) -> None:
    turned = study.isel(example=slice(None, None, -1))
    plain, again = (pls.compare_methods(ds, "rouge1", anytime=True) for ds in (study, turned))
    assert not np.allclose(plain["low"], again["low"], atol=1e-6)
    # Within a user it is of no account, nor is the order of the methods.
    user = study["user"].values
    firsts = {name: i for i, name in reversed(list(enumerate(user.tolist())))}
    grouped = np.lexsort((np.arange(len(user))[::-1], [firsts[name] for name in user]))
    within = pls.compare_methods(study.isel(example=grouped), "rouge1", anytime=True)
    np.testing.assert_allclose(within["low"], plain["low"])
    assert plain.attrs["correction"] == "holm"


def test_differences_are_dearer_and_shown_by_more_users(study: xr.Dataset) -> None:
    fixed, anytime = (
        pls.compare_methods(study, "rm_accuracy", correction="none", anytime=at) for at in (0, 1)
    )
    fixed, anytime = (found.dropna("pair", subset=["estimate"]) for found in (fixed, anytime))
    assert anytime["pair"].size == 6
    assert bool((anytime["low"] < fixed["low"]).all())
    assert bool((anytime["users_times"] > 1).all())
    assert bool(((anytime["p_value"] > 0) & (anytime["p_value"] <= 1)).all())
    leads = [in_context_test(study, "rouge1", anytime=at) for at in (False, True)]
    assert bool((leads[1]["low"] <= leads[0]["low"]).all())
    assert bool((leads[1]["high"] >= leads[1]["estimate"]).all())


def test_methods_alike_for_enough_users_are_equivalent_at_any_time() -> None:
    """All alike, and every bet on it won: 1.01 a user; 20 · 14/10-odd to win takes about 340."""
    rng = np.random.default_rng(0)
    n = 420
    right = np.stack([rng.random(n) < 0.9, rng.random(n) < 0.4])
    ds = xr.Dataset(
        {
            "reward": (("method", "example", "candidate"), np.stack([right, ~right], -1) * 1.0),
            "rouge1": (("method", "example"), np.tile(rng.random(n), (2, 1))),
            "user": ("example", [f"u{i:03}" for i in range(n)]),
        },
        coords={"method": ["a", "b"], "candidate": ["chosen", "rejected"]},
    )
    few, many = (
        pls.decoupling_test(first_users(ds, k), anytime=True, n_resamples=50) for k in (200, n)
    )
    assert few["verdict"].item() == "inconclusive"
    assert many["verdict"].item() == "decoupled"


def test_a_scale_without_ends_gets_no_interval_and_says_so(study: xr.Dataset) -> None:
    judge = (7 + study["rouge1"]).assign_attrs(role="generation_metric", direction="higher")
    ds = study.assign(judge=judge)
    found = bootstrap(ds, "judge", n_resamples=50, anytime=True)
    assert found[["low", "high"]].isnull().all().to_array().all()
    assert (found["note"] == NO_ENDS).all()
    assert pls.compare_methods(ds, "judge", anytime=True)["low"].isnull().all()


def test_tables_tell_the_order_and_the_cost(study: xr.Dataset) -> None:
    asked = pls.Settings(resamples=100, anytime=True)
    analysis = pls.analyze(study, asked)
    accuracy = analysis.tables["rm_accuracy"]
    assert "whenever one looks and stops adding users, in the order of the file" in accuracy.caption
    times = pd.Series(accuracy.frame["users_times"]).median()
    assert f"for {times:.1f} times as many users" in accuracy.caption
    for name in ("contrasts", "decoupling", "in_context"):
        assert "whenever one looks" in analysis.tables[name].caption
    assert any("number of users fixed beforehand" in note for note in analysis.notes)
    plain = pls.analyze(study, pls.Settings(resamples=100))
    assert "whenever" not in " ".join(table.caption for table in plain.tables.values())

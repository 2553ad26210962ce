from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from preflamp_stats.errors import InputError
from preflamp_stats.inference import sums as sums_module
from preflamp_stats.inference.bootstrap import bootstrap
from preflamp_stats.inference.resampled import study_of_call
from preflamp_stats.inference.streams import stream
from preflamp_stats.io.blocks import example_blocks
from preflamp_stats.kernels.resampling import bootstrap_counts
from preflamp_stats.metrics.discrimination import rm_accuracy
from preflamp_stats.metrics.options import MetricOptions

RESAMPLES = ("users", "examples", "methods", "both")
METRICS = ("rm_accuracy", "policy_accuracy", "rouge1", "helpfulness", "leaderboard")


@settings(max_examples=25)
@given(
    data=st.data(),
    order=st.integers(0, 999),
    resample=st.sampled_from(RESAMPLES),
    average=st.sampled_from(["micro", "macro"]),
    metric=st.sampled_from(METRICS),
)
def test_order_of_the_file_changes_the_order_of_rows_alone(
    studies, shuffled, data, order, resample, average, metric
):
    ds = data.draw(studies)
    options = {
        "resample": resample,
        "n_resamples": 60,
        "options": MetricOptions(average=average),
    }
    found = bootstrap(ds, metric, **options)
    other = bootstrap(shuffled(ds, order), metric, **options)
    other = other.reindex_like(found).transpose(*found.dims)
    xr.testing.assert_identical(other, found.transpose(*found.dims))


@pytest.mark.parametrize("resample", ["users", "examples"])
@pytest.mark.parametrize("labelled", [True, False])
def test_each_dim_may_stand_in_any_order(make_study, shuffled, resample, labelled):
    ds = make_study(n_seeds=3, n_examples=40, labelled=labelled, missing=0.1)
    found = bootstrap(ds, "rouge1", resample=resample, n_resamples=40)
    for dim in ("example", "method", "model", "seed", "candidate"):
        other = bootstrap(shuffled(ds, 3, dim), "rouge1", resample=resample, n_resamples=40)
        other = other.reindex_like(found).transpose(*found.dims)
        xr.testing.assert_identical(other, found.transpose(*found.dims))


def _draws_by_hand(ds: xr.Dataset, n_resamples: int, seed: int) -> np.ndarray:
    """RM accuracy of each method in each resample, from loops over the users drawn."""
    users = sorted(set(ds["user"].values.tolist()))
    examples = {user: np.flatnonzero(ds["user"].values == user) for user in users}
    reward = ds["reward"].transpose("method", "example", "candidate")
    chosen, rejected = (reward.sel(candidate=c).values for c in ("chosen", "rejected"))
    rows = []
    for _, counts in bootstrap_counts(len(users), n_resamples, stream(seed, "results", "units")):
        for times in counts.astype(int):
            drawn = [i for user, n in zip(users, times, strict=True) for i in [*examples[user]] * n]
            row = []
            for x, y in zip(chosen, rejected, strict=True):
                credit = [
                    0.5 * (x[i] == y[i]) + (x[i] > y[i]) for i in drawn if not np.isnan(x[i] + y[i])
                ]
                row.append(sum(credit) / len(credit) if credit else np.nan)
            rows.append(row)
    return np.array(rows)


def test_draws_are_those_of_a_loop_over_resampled_users(make_study):
    ds = make_study(missing=0.2, without_reward=1, n_examples=40)
    study = study_of_call(ds, ["rm_accuracy"], None, n_resamples=80, seed=5)
    drawn = study.drawn["rm_accuracy"].draws
    by_hand = _draws_by_hand(ds, 80, 5)
    np.testing.assert_array_equal(drawn, by_hand)
    found = bootstrap(ds, "rm_accuracy", n_resamples=80, seed=5, level=0.9)
    limits = np.quantile(by_hand[:, :-1], [0.05, 0.95], axis=0)
    np.testing.assert_array_equal([found["low"][:-1], found["high"][:-1]], limits)
    np.testing.assert_array_equal(found["estimate"], rm_accuracy(ds))


@given(data=st.data(), metric=st.sampled_from(METRICS[:3]))
def test_limits_lie_in_bounds_and_in_order(studies, data, metric):
    found = bootstrap(data.draw(studies), metric, n_resamples=40)
    several = found["n_users"] > 1
    assert (found["low"].notnull() == several).all()
    inside = (found["low"] >= 0) & (found["low"] <= found["high"]) & (found["high"] <= 1)
    assert inside.where(several, other=True).all()


@pytest.mark.parametrize("metric", METRICS)
def test_one_user_an_example_is_resampling_examples(make_study, metric):
    ds = make_study(n_examples=30, missing=0.1)
    ds["user"] = ("example", ds["example"].values)
    users = bootstrap(ds, metric, resample="users", n_resamples=90)
    examples = bootstrap(ds, metric, resample="examples", n_resamples=90)
    assert (users.attrs.pop("resample"), examples.attrs.pop("resample")) == ("users", "examples")
    xr.testing.assert_identical(users, examples)


def test_users_kept_together_widen_the_interval(make_study):
    ds = make_study(n_users=20, n_examples=400, n_methods=1)
    right = ds["user"].isin(sorted(set(ds["user"].values))[::2])
    ds["reward"] = ds["reward"] * 0 + xr.where(ds["candidate"] == "chosen", right - 0.5, 0.0)
    users, examples = (
        (found["high"] - found["low"]).item()
        for found in (
            bootstrap(ds, "rm_accuracy", resample=resample, n_resamples=2000)
            for resample in ("users", "examples")
        )
    )
    assert users > 3 * examples


def test_interval_of_independent_users_is_that_of_a_share(make_study):
    ds = make_study(n_methods=1, n_examples=2000).drop_vars("user")
    ds["reward"] = ds["reward"].where(ds["candidate"] == "rejected", -0.4)
    found = bootstrap(ds, "rm_accuracy", n_resamples=4000)
    share = found["estimate"].item()
    error = np.sqrt(share * (1 - share) / 2000)
    np.testing.assert_allclose(found["low"].item(), share - 1.96 * error, atol=0.15 * error)
    np.testing.assert_allclose(found["high"].item(), share + 1.96 * error, atol=0.15 * error)


@pytest.mark.parametrize("resample", RESAMPLES)
def test_dask_and_blocks_change_nothing(monkeypatch, make_study, resample):
    ds = make_study(missing=0.1, labelled=False)
    found = {m: bootstrap(ds, m, resample=resample, n_resamples=30) for m in METRICS}
    monkeypatch.setattr(sums_module, "example_blocks", lambda d: example_blocks(d, max_bytes=1))
    lazy = ds.chunk(example=6, method=2)
    for metric, expected in found.items():
        other = bootstrap(lazy, metric, resample=resample, n_resamples=30)
        xr.testing.assert_identical(other.compute(), expected)


def test_a_number_known_only_per_method_has_no_interval(make_study):
    found = bootstrap(make_study(), "leaderboard", n_resamples=10)
    assert found["estimate"].notnull().all()
    assert found["low"].isnull().all()
    assert found["high"].isnull().all()


def test_one_user_has_an_estimate_and_no_interval(make_study):
    found = bootstrap(make_study(n_users=1), "rm_accuracy", n_resamples=10)
    assert found["estimate"].notnull().all()
    assert found["low"].isnull().all()
    assert (found["n_users"] == 1).all()


def test_training_seeds_widen_the_interval_where_they_differ(make_study):
    ds = make_study(n_seeds=4, n_examples=200, n_users=40)
    differs = ds["reward"] + xr.where(ds["candidate"] == "chosen", 1.0, 0.0) * (
        ds["seed"].isin([0, 1]) * 4 - 2
    )
    ds["reward"] = differs.transpose(*ds["reward"].dims)
    fixed, drawn = (
        bootstrap(ds, "rm_accuracy", n_resamples=2000, include_seeds=include)
        for include in (False, True)
    )
    assert (drawn["high"] - drawn["low"] > 3 * (fixed["high"] - fixed["low"])).all()
    xr.testing.assert_identical(drawn["estimate"], fixed["estimate"])
    assert (drawn["n_seeds"] == 4).all()
    assert (fixed.attrs["seeds"], drawn.attrs["seeds"]) == ("not resampled", "resampled")


def test_choices_are_recorded(make_study):
    found = bootstrap(make_study(), "rouge1", n_resamples=9, seed=3, level=0.8)
    expected = {"metric": "rouge1", "n_resamples": 9, "seed": 3, "level": 0.8, "resample": "users"}
    assert expected.items() <= found.attrs.items()
    without = bootstrap(make_study().drop_vars("user"), "rouge1", n_resamples=9)
    assert without.attrs["resample"] == "examples"


@pytest.mark.parametrize("absent", [None, np.nan, ""])
@pytest.mark.parametrize("metric", ["rm_accuracy", "rouge1"])
def test_an_example_without_a_user_is_refused(make_study, metric, absent):
    ds = make_study()
    users = ds["user"].values.astype(object)
    users[3] = absent
    with pytest.raises(InputError, match=r"user: is (missing|empty) in 1 of 25 examples"):
        bootstrap(ds.assign(user=("example", users)), metric)


@pytest.mark.parametrize(
    ("metric", "options", "message"),
    [
        ("accuracy", {}, "accuracy: cannot be computed.*choose one of rm_accuracy"),
        ("rm_accuracy", {"resample": "user"}, "resample: is 'user'; choose one of users"),
    ],
)
def test_bad_input_is_named(make_study, metric, options, message):
    with pytest.raises(InputError, match=message):
        bootstrap(make_study(), metric, **options)


def test_a_dataset_without_examples_is_refused(make_study):
    with pytest.raises(InputError, match="holds no examples"):
        bootstrap(make_study().isel(example=slice(0)), "rm_accuracy")

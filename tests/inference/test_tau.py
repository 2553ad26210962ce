from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from preflamp_stats.errors import InputError
from preflamp_stats.inference.alignment import align_metrics
from preflamp_stats.inference.resampled import study_of_call
from preflamp_stats.inference.streams import stream
from preflamp_stats.inference.tau import tau_test
from preflamp_stats.inference.tau_evidence import model_evidence
from preflamp_stats.inference.tau_intervals import INTERVALS
from preflamp_stats.kernels.resampling import bootstrap_counts
from preflamp_stats.metrics.correlation import kendall_tau
from preflamp_stats.metrics.discrimination import policy_accuracy, rm_accuracy
from preflamp_stats.metrics.options import MetricOptions

RESAMPLES = ("users", "examples", "methods", "both")
VARIANTS = ("a", "b", "c", "weighted")


def _tau(ds: xr.Dataset, *metrics: str, **options: object) -> xr.Dataset:
    return tau_test(ds, *metrics, **{"n_resamples": 60, "interval": "percentile", **options})


@settings(max_examples=12)
@given(
    data=st.data(),
    order=st.integers(0, 999),
    resample=st.sampled_from(RESAMPLES),
    downstream=st.sampled_from(["policy_accuracy", "rouge1", "helpfulness", "leaderboard"]),
    variant=st.sampled_from(VARIANTS),
)
def test_order_of_the_file_changes_the_order_of_rows_alone(
    studies, shuffled, data, order, resample, downstream, variant
):
    ds = data.draw(studies)
    options = {"resample": resample, "variant": variant}
    found = _tau(ds, "rm_accuracy", downstream, **options)
    other = _tau(shuffled(ds, order), "rm_accuracy", downstream, **options)
    other = other.reindex_like(found).transpose(*found.dims)
    xr.testing.assert_identical(other, found.transpose(*found.dims))


@pytest.mark.parametrize("resample", RESAMPLES)
@pytest.mark.parametrize("labelled", [True, False])
def test_every_dim_may_stand_in_any_order(make_study, shuffled, resample, labelled):
    ds = make_study(n_methods=6, n_models=1, n_seeds=3, n_examples=40, labelled=labelled)
    found = _tau(ds, "rm_accuracy", "rouge1", resample=resample)
    assert (found["high"] - found["low"] > 0).all()
    other = _tau(shuffled(ds, 3), "rm_accuracy", "rouge1", resample=resample)
    xr.testing.assert_identical(other, found)


@pytest.mark.parametrize("interval", INTERVALS)
def test_every_interval_is_the_same_whatever_the_order(make_study, shuffled, interval):
    ds = make_study(n_methods=6, n_models=1, n_examples=60, n_users=12, missing=0.1)
    found = _tau(ds, "rm_accuracy", "helpfulness", interval=interval)
    assert found.attrs["interval"] == interval
    other = _tau(shuffled(ds, 3), "rm_accuracy", "helpfulness", interval=interval)
    xr.testing.assert_identical(other, found)


def _kendalltau(x: np.ndarray, y: np.ndarray) -> float:
    both = ~(np.isnan(x) | np.isnan(y))
    if both.sum() < 2 or np.ptp(x[both]) == 0 or np.ptp(y[both]) == 0:
        return np.nan
    return float(stats.kendalltau(x[both], y[both]).statistic)


@pytest.mark.parametrize("without_reward", [0, 2])
def test_interval_is_that_of_a_loop_over_resampled_users(make_study, without_reward):
    ds = make_study(n_models=1, without_reward=without_reward, n_methods=6, n_examples=40)
    options = MetricOptions(weight=2.0)
    users = sorted(set(ds["user"].values.tolist()))
    of_user = [np.flatnonzero(ds["user"].values == user) for user in users]
    ordered = ds.sortby("method")
    taus = []
    for _, counts in bootstrap_counts(len(users), 60, stream(9, "results", "units")):
        for times in counts.astype(int):
            drawn = np.concatenate([np.tile(e, n) for e, n in zip(of_user, times, strict=True)])
            sample = ordered.isel(example=drawn)
            x = rm_accuracy(sample).values
            y = policy_accuracy(sample, weight=2.0).isel(model=0).values
            taus.append(_kendalltau(x, y))
    found = _tau(ds, seed=9, level=0.8, options=options).isel(model=0)
    expected = np.nanquantile(taus, [0.1, 0.9])
    np.testing.assert_allclose([found["low"], found["high"]], expected, atol=1e-12)
    assert found["n_methods"] == 6 - without_reward


@pytest.mark.parametrize("variant", VARIANTS)
def test_estimate_is_tau_of_the_metrics(make_study, variant):
    ds = make_study(missing=0.2, n_models=3)
    found = _tau(ds, variant=variant)
    expected = kendall_tau(rm_accuracy(ds), policy_accuracy(ds), variant=variant)
    np.testing.assert_allclose(found["estimate"], expected.reindex_like(found), rtol=1e-12)
    assert found.attrs["variant"] == variant
    assert (found["low"] <= found["high"]).all()


@pytest.mark.parametrize("resample", RESAMPLES)
def test_methods_without_the_metric_change_nothing(make_study, resample):
    ds = make_study(n_methods=6, n_models=1, without_reward=2)
    kept = ds.isel({"method": slice(4)})
    found = _tau(ds, resample=resample)
    xr.testing.assert_identical(found, _tau(kept, resample=resample))
    assert found["n_methods"] == 4


@pytest.mark.parametrize("resample", RESAMPLES)
def test_more_resamples_hold_the_fewer(make_study, resample):
    """The limits of few resamples are found among the draws of many: the first ones are shared."""
    ds = make_study(n_models=1)
    one = _tau(ds, resample=resample, n_resamples=1)
    assert one["estimate"].item() in (one["low"].item(), one["high"].item())
    low = [_tau(ds, resample=resample, n_resamples=n, level=1 - 1e-12) for n in (1, 10, 100)]
    ends = np.array([[-found["low"].item(), found["high"].item()] for found in low])
    assert (np.diff(ends, axis=0) >= -1e-9).all()  # limits lie a hair inside the extremes


def test_what_is_drawn_and_for_whom_is_recorded(make_study):
    ds = make_study()
    recorded = {resample: _tau(ds, resample=resample).attrs for resample in RESAMPLES}
    assert {name: attrs["resample"] for name, attrs in recorded.items()} == {
        name: name for name in RESAMPLES
    }
    targets = [attrs["target"] for attrs in recorded.values()]
    assert targets == [*["these methods"] * 2, *["population of methods"] * 2]
    assert _tau(ds.drop_vars("user")).attrs["resample"] == "examples"


def test_methods_alone_are_drawn_without_sampling_error(make_study):
    ds = make_study(n_models=1, n_methods=6, without_reward=1).sortby("method")
    x, y = rm_accuracy(ds).values, policy_accuracy(ds).isel(model=0).values
    there = np.flatnonzero(~np.isnan(x))
    uniforms = np.random.default_rng(stream(2, "results", "methods")).random((200, 5))
    taus = [_kendalltau(x[pick], y[pick]) for pick in there[(uniforms * 5).astype(int)]]
    found = _tau(ds, resample="methods", n_resamples=200, seed=2, level=0.9).isel(model=0)
    expected = np.nanquantile(taus, [0.05, 0.95])
    np.testing.assert_allclose([found["low"], found["high"]], expected, atol=1e-12)
    both = _tau(ds, resample="both", n_resamples=200, seed=2, level=0.9).isel(model=0)
    assert (both["low"], both["high"]) != (found["low"], found["high"])


def test_a_metric_agrees_with_itself(make_study):
    found = _tau(make_study(n_methods=6), "rouge1", "rouge1")
    for name in ("estimate", "low", "high"):
        np.testing.assert_allclose(found[name], 1.0)


def test_two_methods_agree_or_disagree(make_study):
    for seed in range(5):
        found = _tau(make_study(seed, n_methods=2), "rouge1", "helpfulness")
        assert set(np.abs(found["estimate"].values)) == {1.0}


@pytest.mark.parametrize("resample", ["methods", "both"])
def test_numbers_known_only_per_method_have_an_interval_over_methods(make_study, resample):
    ds = make_study(n_methods=6)
    ds["elo"] = ds["leaderboard"].copy(data=np.arange(6.0))
    found = _tau(ds[["leaderboard", "elo"]], "leaderboard", "elo", resample=resample)
    assert found["low"] < found["estimate"] < found["high"]
    assert found["n_users"] == 0
    fixed = _tau(ds[["leaderboard", "elo"]], "leaderboard", "elo")
    assert fixed["estimate"] == found["estimate"]
    assert fixed["low"].isnull().all()
    assert fixed["note"].item().startswith("no interval: ")


@pytest.mark.parametrize(
    ("options", "note"),
    [
        ({"n_methods": 1}, "fewer than two methods have both metrics"),
        ({"n_methods": 3, "without_reward": 2}, "fewer than two methods have both metrics"),
        ({"n_users": 1}, "no interval: "),
    ],
)
def test_undefined_is_missing_with_a_note(make_study, options, note):
    found = _tau(make_study(**options))
    assert found["low"].isnull().all()
    assert found["high"].isnull().all()
    assert all(text.startswith(note) for text in found["note"].values.tolist())
    assert found["estimate"].isnull().all() == note.startswith("fewer")


def test_methods_that_are_all_tied_have_no_order(make_study):
    ds = make_study()
    ds["reward"] = ds["reward"] * 0
    for variant in VARIANTS:
        found = _tau(ds, variant=variant)
        # Tau-a counts the agreeing pairs among all: there are none.
        np.testing.assert_array_equal(found["estimate"], 0.0 if variant == "a" else np.nan)
        assert found["low"].isnull().all()
        assert (found["note"] == "all methods have the same value in one metric").all()
        assert (found["n_methods"] == 5).all()


def test_smaller_sample_behind_the_two_metrics_counts(make_study):
    ds = make_study(without_reward=1, n_models=1)
    ds["rouge1"] = ds["rouge1"].where(ds["example"] != ds["example"][3])
    found = _tau(ds, "rm_accuracy", "rouge1")
    assert found["n_examples"] == ds.sizes["example"] - 1
    assert found["n_users"] == len(set(ds["user"].values))
    assert found["n_methods"] == 4


def test_a_model_that_lacks_a_method_compares_the_others(make_study):
    ds = make_study(n_methods=5, n_models=2)
    ds["rouge1"][0, 2] = np.nan
    found = _tau(ds, "rm_accuracy", "rouge1")
    assert found["n_methods"].values.tolist() == [4, 5]
    rest = ds.isel({"method": [0, 1, 3, 4], "model": [0]})
    xr.testing.assert_identical(found.isel(model=[0]), _tau(rest, "rm_accuracy", "rouge1"))


def test_training_seeds_widen_the_interval_where_they_differ(make_study):
    ds = make_study(n_seeds=4, n_methods=6, n_examples=300, n_users=100, n_models=1)
    rng = np.random.default_rng(0)
    skill = np.arange(6.0)[:, None] / 3 - 1 + rng.choice([-0.8, 0.8], (6, 4))
    margin = xr.DataArray(skill, dims=("method", "seed")) * (ds["candidate"] == "chosen")
    ds["reward"] = (ds["reward"] + margin).transpose(*ds["reward"].dims)
    fixed, drawn = (
        _tau(ds, "rm_accuracy", "leaderboard", include_seeds=include, n_resamples=400)
        for include in (False, True)
    )
    assert fixed["estimate"] == drawn["estimate"]
    assert drawn["high"] - drawn["low"] > fixed["high"] - fixed["low"]


@pytest.mark.parametrize(
    ("metrics", "options", "message"),
    [
        (("rm", "rouge1"), {}, "rm: cannot be computed.*choose one of rm_accuracy"),
        (("rm_accuracy", "rouge9"), {}, "rouge9: cannot be computed"),
        ((), {"interval": "bca"}, "interval: is 'bca'; choose one of .*percentile"),
        ((), {"resample": "user"}, "resample: is 'user'; choose one of users"),
    ],
)
def test_bad_input_is_named(make_study, metrics, options, message):
    with pytest.raises(InputError, match=message):
        _tau(make_study(), *metrics, **options)


def test_families_reach_the_model_and_methods_without_one_stand_alone():
    """One line within three families, another one between them."""
    rng = np.random.default_rng(0)
    family, within = np.arange(12) % 3, 0.01 * np.arange(12)
    chance = np.array([0.1, 0.0, -0.1])[family] + within
    values = {"up": 0.5 + chance, "down": 0.5 - chance + 2 * within}
    ds = xr.Dataset(
        {
            name: (
                ("method", "example"),
                (rng.random((12, 600)) < share[:, None]).astype(float),
                {"role": "generation_metric", "direction": "higher"},
            )
            for name, share in values.items()
        },
        coords={
            "method": [f"m{i:02}" for i in range(12)],
            "example": np.arange(600),
            "user": ("example", [f"u{i:03}" for i in np.arange(600) // 10]),
        },
    )
    study = study_of_call(ds, ["up", "down"], None, n_resamples=50, seed=0)
    assert _evidence(study).families is None
    told = ds.assign_coords(family=("method", np.array([*"abc" * 3, "a", "b", None], object)))
    study = study_of_call(told, ["up", "down"], None, n_resamples=50, seed=0)
    np.testing.assert_array_equal(_evidence(study).families, [*"abc" * 3, "a", "b", "m11"])
    plain, known = (tau_test(one, "up", "down", n_resamples=50, seed=0) for one in (ds, told))
    assert (known["low"], known["high"]) != (plain["low"], plain["high"])
    assert known.attrs["coverage_kind"] == "average over methods like these"
    fixed = tau_test(ds, "up", "down", n_resamples=50, seed=0, interval="guaranteed")
    assert fixed.attrs["coverage_kind"] == "these methods held fixed"


def test_draws_that_questions_share_cannot_be_changed_and_twins_stay_alike() -> None:
    rng = np.random.default_rng(3)
    spread = 0.3 * np.array([[0], [3], [1], [2], [0]])
    values = {name: spread + rng.random((5, 40)) for name in ("up", "down")}
    for each in values.values():
        each[4] = each[0]
    role = {"role": "generation_metric", "direction": "higher"}
    ds = xr.Dataset({name: (("method", "example"), v, role) for name, v in values.items()})
    ds = ds.assign_coords(method=list("abcde"), user=("example", [f"u{i:02}" for i in range(40)]))
    study = study_of_call(ds, ["up", "down"], None, n_resamples=50, seed=0)
    first, second = _evidence(study), _evidence(study)
    assert np.shares_memory(first.latent.rho, second.latent.rho)
    with pytest.raises(ValueError, match="read-only"):
        first.latent.rho[0] = 0
    for theta in (first.latent.theta_x, first.latent.theta_y):
        assert theta.shape[1] == 5
        np.testing.assert_array_equal(theta[:, 4], theta[:, 0])
        np.testing.assert_array_equal(np.argsort(theta.mean(axis=0)[:4]), [0, 2, 3, 1])
    other = study_of_call(ds, ["up", "down"], None, n_resamples=50, seed=1)
    assert not np.array_equal(_evidence(other).latent.rho, first.latent.rho)


def _evidence(study):
    metrics = {"x": study.drawn["up"], "y": study.drawn["down"]}
    (here,) = align_metrics(metrics).by_model
    return model_evidence(here, *metrics.values(), study.settings, study.name)

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import preflamp_stats as pls
from preflamp_stats.errors import InputError
from preflamp_stats.inference.best_of_k import may_be_highest, some_ks
from preflamp_stats.io.schema import structure_warnings


def sampled(seed=1, *, users=12, examples=4, n=6, missing=0.0, ties=False):
    """A study of two reward models that choose among the same samples."""
    rng = np.random.default_rng(seed)
    size = users * examples
    user = np.repeat([f"u{u}" for u in range(users)], examples).astype(object)
    quality = rng.normal(size=(size, n))
    reward = np.stack([quality + rng.normal(size=(size, n)), rng.normal(size=(size, n))])
    if ties:
        reward = np.round(reward)
    reward[:, rng.random((size, n)) < missing] = np.nan
    return xr.Dataset(
        {
            "sample_reward": (("method", "example", "sample"), reward),
            "judge": (("example", "sample"), quality, {"direction": "higher"}),
            "user": ("example", user),
        },
        {"method": ["knows", "guesses"], "example": [f"e{e}" for e in range(size)]},
    )


def plain(ds, method, k):
    """Mean over examples of the mean over all subsets."""
    found = []
    for r, q in zip(
        ds["sample_reward"].sel({"method": method}).values, ds["judge"].values, strict=True
    ):
        there = np.flatnonzero(~np.isnan(r))
        subsets = [list(each) for each in itertools.combinations(there, k)]
        best = [q[s][r[s] == r[s].max()].mean() for s in subsets]
        found += [np.mean(best)] if best else []
    return np.mean(found), len(found)


@pytest.mark.parametrize(("missing", "ties"), [(0.0, False), (0.3, False), (0.2, True)])
def test_equals_enumeration_of_every_subset(missing, ties):
    ds = sampled(3, missing=missing, ties=ties)
    found = pls.best_of_k(ds, "judge", n_resamples=50)
    for method in ("knows", "guesses"):
        for k in found["k"].values:
            value, n = plain(ds, method, k)
            here = found.sel({"method": method, "k": k})
            assert here["n_examples"] == n
            assert here["estimate"].item() == pytest.approx(value, abs=1e-6)
    np.testing.assert_allclose(found["gap"], found["oracle"] - found["estimate"], atol=1e-6)
    np.testing.assert_allclose(found["gain"], found["estimate"] - found["random"], atol=1e-6)
    first = found.sel(k=1)
    np.testing.assert_allclose(first["estimate"], first["random"], atol=1e-9)
    assert (found["low"] <= found["estimate"]).all()
    assert (found["estimate"] <= found["high"]).all()


def test_a_reward_that_knows_rises_and_one_that_does_harm_is_found_out():
    ds = sampled(5, users=60)
    ds["sample_reward"][1] = -ds["sample_reward"][0]
    found = pls.best_of_k(ds, "judge", n_resamples=400)
    knows, harms = (found.isel(method=m) for m in (0, 1))
    assert (np.diff(knows["estimate"]) > 0).all()
    assert (knows["peak"].item(), knows["peak_high"].item()) == (6, 6)
    assert knows["p_value"] > 0.5
    assert (harms["peak"].item(), harms["p_value"] < 0.05) == (1, True)
    # Where lower is better the oracle takes the lowest, and the same rewards are the other way.
    ds["judge"].attrs["direction"] = "lower"
    turned = pls.best_of_k(ds, "judge", n_resamples=400)
    assert turned["peak"].values.tolist() == [1, 6]
    assert (turned["oracle"] <= turned["estimate"] + 1e-12).all()
    assert (turned["gap"] >= -1e-12).all()


def test_neither_order_nor_other_methods_change_a_number():
    ds = sampled(2, missing=0.2)
    found = pls.best_of_k(ds, "judge", n_resamples=60)
    rng = np.random.default_rng(0)
    shuffled = ds.isel(
        example=rng.permutation(ds.sizes["example"]), sample=rng.permutation(6), method=[1, 0]
    )
    again = pls.best_of_k(shuffled, "judge", n_resamples=60).sel({"method": found["method"]})
    xr.testing.assert_identical(found, again)
    alone = pls.best_of_k(ds.isel(method=[0]), "judge", n_resamples=60)
    xr.testing.assert_identical(alone, found.isel(method=[0]))


def test_candidates_models_and_seeds():
    ds = sampled(4)
    as_candidates = ds.rename(sample="candidate", sample_reward="reward").assign_coords(
        candidate=["chosen", "rejected", "c", "d", "e", "f"]
    )
    found = pls.best_of_k(as_candidates, "judge", n_resamples=50)
    xr.testing.assert_equal(found, pls.best_of_k(ds, "judge", n_resamples=50))
    wide = ds.assign(
        sample_reward=ds["sample_reward"].expand_dims(model=["m", "n"], seed=[0, 1]).copy()
    )
    both = pls.best_of_k(wide, "judge", n_resamples=50)
    assert both["estimate"].dims == ("model", "method", "k")
    np.testing.assert_allclose(both["estimate"].isel(model=1), found["estimate"], atol=1e-6)


@pytest.mark.parametrize(
    ("ds", "note"),
    [
        (sampled(users=1), "cannot be judged: with 1 users"),
        (sampled(n=1), "a single k"),
        (sampled().assign(judge=lambda d: d["judge"].drop_attrs()), "direction unknown"),
    ],
)
def test_what_cannot_be_told_says_why(ds, note):
    found = pls.best_of_k(ds, "judge", n_resamples=50)
    assert found["estimate"].notnull().all()
    assert found["peak"].isnull().all()
    assert all(note in text for text in found["note"].values)
    if note == "direction unknown":
        assert found[["oracle", "gap", "gain"]].to_dataarray().isnull().all()


@pytest.mark.parametrize(
    ("spoil", "arguments", "message"),
    [
        (lambda d: d, {"metric": "jugde"}, "jugde: is not in this dataset; choose one of judge"),
        (lambda d: d.drop_vars("sample_reward"), {}, "sample_reward: is missing; judge is known"),
        (lambda d: d.assign(judge=d["judge"].isel(sample=0)), {}, "one value an example"),
        (lambda d: d, {"ks": [0, 2]}, "ks: is .*; give whole numbers from 1"),
        (lambda d: d, {"ks": [9]}, "no example has k samples with both"),
    ],
)
def test_bad_input_is_named(spoil, arguments, message):
    with pytest.raises(InputError, match=message):
        pls.best_of_k(spoil(sampled()), **({"metric": "judge", "n_resamples": 9} | arguments))


def test_a_long_table_of_samples_is_read():
    ds = sampled(7, missing=0.2)
    frame = ds.to_dataframe().reset_index().dropna(subset="sample_reward")
    frame = frame.rename(columns={"sample_reward": "reward", "judge": "quality"})
    said = []
    tree = pls.from_frame(frame, higher_is_better=["quality"], say=said.append)
    assert "reward read as the reward of each sample" in said[0]
    assert pls.validate(tree) == []
    found = pls.best_of_k(tree, "quality", n_resamples=50)
    expected = pls.best_of_k(ds, "judge", n_resamples=50)
    xr.testing.assert_allclose(
        found["estimate"].sel({"method": ds["method"]}), expected["estimate"]
    )
    for spoilt, message in (
        (frame.rename(columns={"reward": "by_rm"}), "no column is the reward of a sample"),
        (frame.assign(candidate="chosen"), "sample: stands beside candidate"),
        (frame.assign(score=1.0), "reward and score may each be"),
    ):
        with pytest.raises(InputError, match=message):
            pls.from_frame(spoilt, say=said.append)


def test_a_column_that_is_only_called_sample_is_left_out():
    table = pd.DataFrame(
        {"method": "rm", "sample": range(4), "chosen": [1.0, 2, 3, 4], "rejected": [0.0, 1, 5, 2]}
    )
    assert "sample" not in pls.from_frame(table, say=lambda line: None).dims


def test_an_analysis_tells_it():
    ds = sampled(5, users=30)
    ds["sample_reward"][1] = -ds["sample_reward"][0]
    analysis = pls.analyze(ds, pls.Settings(resamples=200))
    rows = analysis.tables["best_of_k"].frame
    found = pls.best_of_k(ds, "judge", ks=some_ks(6), n_resamples=200)
    values = found["estimate"].to_series()
    assert values.equals(rows.set_index(["method", "k"])["estimate"])
    peaks = analysis.tables["over_optimisation"]
    assert peaks.frame["peak"].tolist() == [6, 1]
    assert peaks.findings == (
        "Judge falls before the largest k for 1 of 2 methods, for guesses after 1 sample.",
    )
    lonely = ds.drop_vars("judge").assign(
        reward=(("method", "example", "candidate"), np.ones((2, 120, 2)))
    )
    assert "no quality beside it" in str(list(structure_warnings(lonely)))


def test_a_metric_of_samples_counts_as_that_of_any_of_them():
    ds = sampled(6)
    own = ds.assign(judge=ds["judge"].expand_dims(method=ds["method"].values).copy())
    own["judge"].attrs["direction"] = "higher"
    found = pls.bootstrap(own, "judge", n_resamples=50)
    np.testing.assert_allclose(found["estimate"], ds["judge"].mean(), atol=1e-6)


def test_the_highest_is_kept_and_certain_leads_exclude():
    rng = np.random.default_rng(2)
    values = np.array([0.0, 1.0, 0.9, -3.0])
    inside, p_value = may_be_highest(values, values + 0.1 * rng.normal(size=(800, 4)), 0.95, 50)
    assert inside.tolist() == [False, True, True, False]
    assert p_value == pytest.approx(1 / 801)
    # Nothing varies: nothing is excluded.
    inside, p_value = may_be_highest(values, np.tile(values, (10, 1)), 0.95, 50)
    assert inside.all()
    assert np.isnan(p_value)


def test_every_k_up_to_sixteen_and_some_beyond():
    assert some_ks(5) == [1, 2, 3, 4, 5]
    assert some_ks(128)[-3:] == [90, 107, 128]
    assert set(range(1, 17)) <= set(some_ks(128))

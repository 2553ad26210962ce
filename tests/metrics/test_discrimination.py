from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from preflamp_stats import simulate
from preflamp_stats.errors import InputError, SchemaError
from preflamp_stats.io.schema import validate
from preflamp_stats.metrics.discrimination import (
    pair_accuracy,
    policy_accuracy,
    rm_accuracy,
    score_credit,
)
from preflamp_stats.metrics.policy import policy_score

TIES = st.sampled_from(["half", "strict", "drop"])
AVERAGES = st.sampled_from(["micro", "macro"])
INCREASING = st.sampled_from([lambda r: 4 * r - 3, lambda r: r**3, np.arctan])


def _swapped(ds: xr.Dataset) -> xr.Dataset:
    return ds.assign_coords(candidate=ds["candidate"].values[::-1])


def _by_hand(scores: xr.DataArray, users: np.ndarray, ties: str, average: str) -> float:
    """Accuracy of one method, from loops over its pairs."""
    by_user: dict[str, list[float]] = {}
    for chosen, rejected, user in zip(
        scores.sel(candidate="chosen").values,
        scores.sel(candidate="rejected").values,
        users,
        strict=True,
    ):
        if np.isnan(chosen) or np.isnan(rejected) or (chosen == rejected and ties == "drop"):
            continue
        credit = 0.5 if chosen == rejected and ties == "half" else float(chosen > rejected)
        by_user.setdefault(user, []).append(credit)
    values = list(by_user.values())
    if average == "macro":
        values = [[np.mean(own)] for own in values]
    flat = [value for own in values for value in own]
    return float(np.mean(flat)) if flat else np.nan


@given(data=st.data(), ties=TIES, average=AVERAGES)
def test_rm_accuracy_is_that_of_a_loop_and_lies_in_bounds(studies, data, ties, average):
    ds = data.draw(studies)
    accuracy = rm_accuracy(ds, ties=ties, average=average)
    assert ((accuracy >= 0) & (accuracy <= 1) | accuracy.isnull()).all()
    for where in np.ndindex(*accuracy.shape):
        at = dict(zip(accuracy.dims, where, strict=True))
        expected = _by_hand(ds["reward"][at], ds["user"].values, ties, average)
        np.testing.assert_allclose(accuracy[at], expected, atol=1e-12)


@given(data=st.data(), weight=st.sampled_from([0.0, 0.5, 3.0, np.inf]), average=AVERAGES)
def test_swapped_labels_give_the_complement_under_half_credit(studies, data, weight, average):
    ds = data.draw(studies)
    for accuracy in (
        rm_accuracy,
        lambda d, average: policy_accuracy(d, weight=weight, average=average),
    ):
        total = accuracy(ds, average=average) + accuracy(_swapped(ds), average=average)
        assert (abs(total - 1) < 1e-12).where(total.notnull(), other=True).all()


@given(data=st.data(), ties=TIES, increasing=INCREASING)
def test_a_strictly_increasing_map_of_rewards_changes_nothing(studies, data, ties, increasing):
    ds = data.draw(studies)
    mapped = ds.assign(reward=increasing(ds["reward"]))
    xr.testing.assert_identical(rm_accuracy(mapped, ties=ties), rm_accuracy(ds, ties=ties))


@given(data=st.data(), seed=st.integers(0, 999), ties=TIES, average=AVERAGES)
def test_order_of_labels_and_of_dims_changes_nothing(studies, shuffled, data, seed, ties, average):
    ds = data.draw(studies)
    other = shuffled(ds, seed)
    for accuracy in (rm_accuracy, policy_accuracy):
        expected = accuracy(ds, ties=ties, average=average)
        found = accuracy(other, ties=ties, average=average)
        found = found.reindex_like(expected).transpose(*expected.dims)
        xr.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@given(data=st.data(), ties=TIES, average=AVERAGES)
def test_both_ends_of_the_weight_are_exact(studies, data, ties, average):
    ds = data.draw(studies)
    at_inf = policy_accuracy(ds, weight=np.inf, ties=ties, average=average)
    # A model's log-probability is never missing here, so each model has the RM accuracy.
    expected = rm_accuracy(ds, ties=ties, average=average).broadcast_like(at_inf)
    np.testing.assert_array_equal(at_inf, expected.transpose(*at_inf.dims))
    at_0 = policy_accuracy(ds, weight=0.0, ties=ties, average=average)
    likelihood = ds["logprob"].where(ds["reward"].notnull())
    likelihood = pair_accuracy(likelihood, user=ds["user"], ties=ties, average=average)
    np.testing.assert_array_equal(at_0, likelihood.transpose(*at_0.dims))


def test_weight_zero_is_the_base_model_for_every_method_with_all_rewards(make_study):
    ds = make_study(n_methods=3)
    likelihood = pair_accuracy(ds["logprob"])
    found = policy_accuracy(ds, weight=0.0)
    for method in ds["method"].values:
        xr.testing.assert_equal(
            found.sel({"method": method}, drop=True).drop_vars("weight"), likelihood
        )


def test_policy_score_by_hand(make_study):
    ds = make_study(n_methods=2, n_models=1, n_tokens=4)
    sequence = policy_score(ds, weight=2.0)
    np.testing.assert_array_equal(
        sequence.transpose("model", "method", "example", "candidate"),
        ds["logprob"].values[:, None] + 2 * ds["reward"].values[None],
    )
    normalised = policy_score(ds, weight=2.0, length_normalise=True)
    xr.testing.assert_allclose(normalised * ds["n_tokens"], sequence)
    accumulated = policy_score(ds, weight=2.0, scoring="accumulated")
    tokens = ds["token_logprob"] + 2 * ds["reward_trace"]
    xr.testing.assert_allclose(
        accumulated.drop_vars("weight").drop_attrs(), tokens.sum("token", min_count=1)
    )


@pytest.mark.parametrize("scoring", ["sequence", "accumulated"])
@pytest.mark.parametrize("length_normalise", [False, True])
def test_several_weights_are_those_one_by_one(make_study, scoring, length_normalise):
    ds = make_study(n_tokens=4, missing=0.2)
    options = {"scoring": scoring, "length_normalise": length_normalise}
    weights = [0.0, 0.25, 8.0, np.inf]
    together = policy_score(ds, weight=weights, **options)
    assert together["weight"].values.tolist() == weights
    for weight in weights:
        one = policy_score(ds, weight=weight, **options)
        xr.testing.assert_equal(together.sel(weight=weight), one)


def test_the_score_used_is_named(make_study):
    accuracy = policy_accuracy(make_study(n_tokens=3), scoring="accumulated", ties="drop")
    assert accuracy.name == "policy_accuracy"
    assert accuracy.attrs["scoring"] == "accumulated"
    assert accuracy.attrs["ties"] == "drop"


@pytest.mark.parametrize("weight", [0.0, 1.0, np.inf])
def test_a_method_without_rewards_has_no_policy(make_study, weight):
    ds = make_study(without_reward=1)
    without = ds["method"].values[-1]
    accuracy = policy_accuracy(ds, weight=weight)
    assert accuracy.sel({"method": without}).isnull().all()
    assert accuracy.drop_sel({"method": without}).notnull().all()


def test_dask_gives_the_same_and_stays_lazy(make_study):
    ds = make_study(n_examples=60, n_tokens=4, missing=0.1)
    lazy = ds.chunk(example=13, method=2, token=3)
    for accuracy in (
        rm_accuracy,
        policy_accuracy,
        lambda d: policy_accuracy(d, scoring="accumulated", length_normalise=True),
        lambda d: policy_accuracy(d, weight=[0.0, 1.0, np.inf], average="macro"),
    ):
        found = accuracy(lazy)
        assert found.chunks is not None
        xr.testing.assert_identical(found.compute(), accuracy(ds))


def test_stored_scores_are_taken_as_they_are(make_study):
    ds = make_study()
    made = policy_score(ds, weight=[0.5, 2.0])
    for scoring in ("stored", "renormalised", "renormalised_with_target"):
        told = {"support": "fixed"} if scoring == "renormalised" else {}
        stored = ds[["user"]].assign(policy_score=made.assign_attrs(scoring=scoring, **told))
        found = policy_accuracy(stored, weight=2.0, scoring=scoring)
        xr.testing.assert_equal(found, policy_accuracy(ds, weight=2.0))
        assert found.attrs["scoring"] == scoring
        both = policy_accuracy(stored, weight=[2.0, 0.5], scoring=scoring)
        assert both["weight"].values.tolist() == [2.0, 0.5]


def test_a_score_of_one_weight_does_not_pass_for_that_of_another(make_study):
    ds = make_study()
    made = policy_score(ds, weight=2.0)
    untold = ds[["user"]].assign(policy_score=made.drop_vars("weight", errors="ignore"))
    expected = policy_accuracy(ds, weight=2.0)
    xr.testing.assert_equal(
        policy_accuracy(untold, scoring="stored").drop_attrs(),
        expected.drop_vars("weight", errors="ignore").drop_attrs(),
    )
    with pytest.raises(InputError, match="stored without a dim weight, and weight 2 is asked for"):
        policy_accuracy(untold, scoring="stored", weight=2.0)
    told = ds[["user"]].assign(policy_score=made.assign_coords(weight=2.0))
    assert policy_accuracy(told, scoring="stored", weight=2.0).notnull().all()
    with pytest.raises(InputError, match="stored for weight 2, and weight 1 is asked for"):
        policy_accuracy(told, scoring="stored")


def test_rewards_alone_are_enough(make_study):
    reward = make_study(missing=0.1)["reward"]
    assert rm_accuracy(reward).dims == ("method",)
    with_user = reward.assign_coords(user=("example", ["a"] * reward.sizes["example"]))
    xr.testing.assert_allclose(
        rm_accuracy(with_user, average="macro").drop_attrs(), rm_accuracy(reward).drop_attrs()
    )


def test_further_candidates_are_left_out(make_study):
    ds = make_study()
    more = ds["reward"].isel(candidate=[0]).assign_coords(candidate=["third"]) + 99
    reward = xr.concat([more, ds["reward"]], "candidate")
    xr.testing.assert_equal(rm_accuracy(reward), rm_accuracy(ds))


@pytest.mark.parametrize(
    ("spoil", "options", "message"),
    [
        (lambda d: d.drop_vars("reward"), {}, "reward: is missing; it is needed for scoring"),
        (lambda d: d.drop_vars("logprob"), {}, "logprob: is missing"),
        (lambda d: d.drop_vars("n_tokens"), {"length_normalise": True}, "n_tokens: is missing"),
        (lambda d: d, {"scoring": "accumulated"}, "token_logprob: is missing"),
        (lambda d: d, {"scoring": "stored"}, "policy_score: is missing"),
        (lambda d: d, {"scoring": "best"}, "scoring: is 'best'; choose one of sequence"),
        (lambda d: d, {"weight": -1.0}, "weight: is -1.0; take 0 or more"),
        (lambda d: d, {"weight": [1.0, np.nan]}, "weight: is .*nan.*; take 0 or more"),
        (
            lambda d: d.assign_coords(candidate=["chosen", "other"]),
            {},
            "has candidates chosen, other but not rejected; name the two",
        ),
        (lambda d: d.drop_vars("candidate"), {}, "has no labelled dim candidate"),
        (lambda d: d.drop_vars("user"), {"average": "macro"}, "user: is missing"),
    ],
)
def test_bad_input_is_named(make_study, spoil, options, message):
    with pytest.raises(InputError, match=message):
        policy_accuracy(spoil(make_study()), **options)


@pytest.mark.parametrize(
    ("attrs", "scoring", "weight", "message"),
    [
        ({}, "stored", 3.0, "is not stored for weight 3; take one of 0.5, 2"),
        ({}, "renormalised", 2.0, "was made with scoring 'unknown', not 'renormalised'"),
        ({"scoring": "sequence"}, "renormalised", 2.0, "was made with scoring 'sequence'"),
        # A file from before the support was fixed: its score keeps its meaning, under another name.
        ({"scoring": "renormalised"}, "renormalised", 2.0, "ask for scoring 'renormalised_with_t"),
    ],
)
def test_stored_scores_that_do_not_fit_are_refused(make_study, attrs, scoring, weight, message):
    made = policy_score(make_study(), weight=[0.5, 2.0])
    made.attrs = attrs
    with pytest.raises(InputError, match=message):
        policy_accuracy(xr.Dataset({"policy_score": made}), weight=weight, scoring=scoring)


def test_a_score_from_before_the_support_was_fixed_is_read_as_what_it_was(make_study):
    made = policy_score(make_study(), weight=2.0).assign_attrs(scoring="renormalised")
    old = xr.Dataset({"policy_score": made})
    found = policy_score(old, weight=2.0, scoring="renormalised_with_target")
    xr.testing.assert_equal(found, made)
    assert found.attrs["scoring"] == "renormalised_with_target"


def test_unknown_tie_rule_is_refused_by_name(make_study):
    with pytest.raises(InputError, match="ties: is 'third'; choose one of half, strict, drop"):
        score_credit(make_study()["reward"], ties="third")


def test_a_judge_of_pairs_has_no_policy_accuracy() -> None:
    ds = simulate(n_methods=3, n_icl=0, n_users=5, n_examples=3, seed=1).to_dataset()
    judge = str(ds["method"].values[0])
    judged = ds.assign(reward=ds["reward"].assign_attrs(pairwise=json.dumps([judge])))
    xr.testing.assert_equal(rm_accuracy(judged), rm_accuracy(ds))
    found, plain = policy_accuracy(judged), policy_accuracy(ds)
    assert bool(found.sel({"method": judge}).isnull().all())
    xr.testing.assert_equal(found.drop_sel(method=judge), plain.drop_sel(method=judge))


@pytest.mark.parametrize("pairwise", ['["nobody"]', "persona", "[1]"])
def test_an_unreadable_list_of_judges_is_named(pairwise: str) -> None:
    ds = simulate(n_methods=3, n_users=5, n_examples=3, seed=1).to_dataset()
    with pytest.raises(SchemaError, match="pairwise"):
        validate(ds.assign(reward=ds["reward"].assign_attrs(pairwise=pairwise)))

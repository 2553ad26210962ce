from __future__ import annotations

import itertools

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from preflamp_stats.errors import InputError
from preflamp_stats.metrics.curves import (
    DEFAULT_SHARES,
    DEFAULT_WEIGHTS,
    length_bins,
    length_difference,
    prefix_accuracy,
    weight_curve,
)
from preflamp_stats.metrics.discrimination import policy_accuracy, rm_accuracy
from preflamp_stats.metrics.policy import policy_score

TIES = st.sampled_from(["half", "strict", "drop"])


@given(data=st.data(), ties=TIES, average=st.sampled_from(["micro", "macro"]))
def test_the_curve_is_policy_accuracy_at_each_weight(studies, data, ties, average):
    ds = data.draw(studies)
    scoring = data.draw(st.sampled_from(["sequence", "accumulated"]))
    if "token" not in ds.dims:
        scoring = "sequence"
    weights = [0.0, 0.25, 4.0, np.inf]
    options = {
        "scoring": scoring,
        "ties": ties,
        "average": average,
        "length_normalise": data.draw(st.booleans()),
    }
    curve = weight_curve(ds, weights=weights, **options)
    expected = policy_accuracy(ds, weight=weights, **options)
    xr.testing.assert_equal(curve.transpose(*expected.dims), expected)


@given(data=st.data())
def test_a_huge_weight_approaches_the_end_where_no_rewards_are_tied(studies, data):
    ds = data.draw(studies)
    untied = ds["reward"].isel(candidate=0) != ds["reward"].isel(candidate=1)
    ds = ds.assign(reward=ds["reward"].where(untied))
    # Rewards differ by a quarter at least, log-probabilities by 1.5 at most.
    curve = weight_curve(ds, weights=[7.0, 1e6, np.inf])
    for weight in (7.0, 1e6):
        np.testing.assert_array_equal(curve.sel(weight=weight), curve.sel(weight=np.inf))
    end = curve.sel(weight=np.inf)
    expected = rm_accuracy(ds).broadcast_like(end).transpose(*end.dims)
    np.testing.assert_array_equal(end, expected)


def test_default_weights_have_both_ends_and_rise():
    assert DEFAULT_WEIGHTS[0] == 0
    assert DEFAULT_WEIGHTS[-1] == np.inf
    assert list(DEFAULT_WEIGHTS) == sorted(set(DEFAULT_WEIGHTS))


def test_stored_scores_make_a_curve_of_their_weights(make_study):
    ds = make_study()
    stored = ds[["user"]].assign(policy_score=policy_score(ds, weight=[0.5, 2.0]))
    curve = weight_curve(stored, weights=[0.5, 2.0], scoring="stored")
    expected = weight_curve(ds, weights=[0.5, 2.0])
    xr.testing.assert_equal(curve.transpose(*expected.dims), expected)


def test_curves_of_dask_are_lazy_and_the_same(make_study):
    ds = make_study(n_examples=40, n_tokens=6)
    lazy = ds.chunk(example=9, token=2, method=2)
    for curve in (weight_curve, prefix_accuracy):
        found = curve(lazy)
        assert found.chunks is not None
        xr.testing.assert_identical(found.compute(), curve(ds))


def test_the_whole_response_has_the_accuracy_of_its_last_rewards(make_study):
    ds = make_study(n_tokens=6, n_examples=40)
    length = ds["reward_trace"].notnull().sum("token")
    last = ds["reward_trace"].isel(token=(length - 1).clip(0))
    expected = rm_accuracy(last.where(length > 0))
    whole = prefix_accuracy(ds).sel(share=1.0, drop=True)
    xr.testing.assert_equal(whole, expected)


def test_prefixes_by_hand():
    # Of four and of two tokens the half is two and one.
    trace = xr.DataArray(
        [[[[0.0, 3.0, 1.0, 1.0], [2.0, 5.0, np.nan, np.nan]]]],
        dims=("method", "example", "candidate", "token"),
        coords={"candidate": ["chosen", "rejected"]},
    )
    accuracy = prefix_accuracy(xr.Dataset({"reward_trace": trace}), shares=[0.25, 0.5, 1.0])
    assert accuracy.values.tolist() == [[0.0, 1.0, 0.0]]
    assert accuracy["share"].values.tolist() == [0.25, 0.5, 1.0]
    assert len(DEFAULT_SHARES) == 10


def test_views_need_their_variables(make_study):
    ds = make_study().drop_vars("n_tokens")
    with pytest.raises(InputError, match="reward_trace: is missing"):
        prefix_accuracy(ds)
    with pytest.raises(InputError, match="n_tokens: is missing"):
        length_difference(ds)


def test_length_difference_is_chosen_less_rejected(make_study):
    ds = make_study(n_examples=2)
    ds["n_tokens"] = (("candidate", "example"), np.array([[5, 9], [7, 4]], dtype=np.uint8))
    ds = ds.isel(candidate=[1, 0])
    assert length_difference(ds).values.tolist() == [-2.0, 5.0]


@given(
    hnp.arrays(np.float64, st.integers(0, 60), elements=st.sampled_from([-9, -2, 0, 0, 1, np.nan])),
    st.integers(1, 6),
)
def test_bins_hold_every_pair_once_and_none_is_empty(difference, n_bins):
    edges = length_bins(difference, n_bins=n_bins)
    assert edges[0] == -np.inf
    assert edges[-1] == np.inf
    assert (np.diff(edges) > 0).all()
    assert len(edges) - 1 <= max(n_bins, 1)
    there = difference[~np.isnan(difference)]
    held = [np.sum((there >= low) & (there < high)) for low, high in itertools.pairwise(edges)]
    assert sum(held) == len(there)
    assert not len(there) or min(held) > 0


def test_bins_of_many_lengths_are_about_equally_full():
    difference = np.random.default_rng(0).normal(0, 100, 5000).round()
    held = np.histogram(difference, length_bins(difference))[0]
    assert held.min() > 900

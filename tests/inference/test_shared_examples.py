"""Methods are compared on the examples that both have, and ranked on those that all have."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from preflamp_stats.inference import sums
from preflamp_stats.inference.bootstrap import bootstrap
from preflamp_stats.inference.contrasts import compare_methods
from preflamp_stats.inference.decoupling import decoupling_test
from preflamp_stats.inference.in_context import in_context_test
from preflamp_stats.inference.permutation import permutation_test
from preflamp_stats.inference.pooled import pooled_tau
from preflamp_stats.inference.regret import selection_regret
from preflamp_stats.inference.tau import tau_test
from preflamp_stats.metrics.options import MetricOptions


def half_missing(n_methods: int = 2, n_users: int = 40, n_examples: int = 10) -> xr.Dataset:
    """Methods with the same rewards and texts, the last without its users' harder half."""
    hard = np.tile(np.arange(n_examples) >= n_examples // 2, n_users)
    rng = np.random.default_rng(0)
    right = rng.random(len(hard)) < np.where(hard, 0.55, 0.95)
    reward = np.repeat(np.where(right[:, None], [1.0, 0.0], [0.0, 1.0])[None], n_methods, axis=0)
    rouge = np.repeat((0.5 - 0.2 * hard + 0.1 * rng.random(len(hard)))[None], n_methods, axis=0)
    reward[-1, hard] = np.nan
    rouge[-1, hard] = np.nan
    return xr.Dataset(
        {
            "reward": (("method", "example", "candidate"), reward),
            "rouge1": (("method", "example"), rouge),
            "user": ("example", np.repeat([f"u{i:03}" for i in range(n_users)], n_examples)),
        },
        coords={
            "method": [f"m{i}" for i in range(n_methods)],
            "candidate": ["chosen", "rejected"],
            "method_family": (
                "method",
                ["reward-guided"] * (n_methods - 1) + ["in-context"],
            ),
        },
    )


@pytest.mark.parametrize("average", ["micro", "macro"])
def test_a_method_without_the_harder_half_does_not_gain(average) -> None:
    ds, options = half_missing(), MetricOptions(average=average)
    found = compare_methods(ds, "rm_accuracy", n_resamples=200, options=options).isel(pair=0)
    assert (found["estimate"], found["p_value"], found["n_examples"]) == (0, 1, 200)
    assert found["low"] < 0 < found["high"]
    level = bootstrap(ds, "rm_accuracy", n_resamples=200, options=options)
    assert level["estimate"][1] - level["estimate"][0] > 0.15  # each over the examples it has
    assert level["n_examples"].values.tolist() == [400, 200]


def test_no_test_of_two_methods_calls_the_spared_one_better() -> None:
    ds = half_missing(3)
    apart = decoupling_test(ds, n_resamples=200)
    assert (apart["upstream_difference"] == 0).all()
    assert (apart["downstream_difference"] == 0).all()
    lead = in_context_test(ds, n_resamples=200).squeeze()
    assert (lead["naive_estimate"], lead["dominates"]) == (0, False)
    regret = selection_regret(ds, n_resamples=200)
    assert regret["chosen"].item() == "m0, m1, m2"
    assert regret["estimate"] == 0
    assert "ROUGE-1: ranked on the 200 examples that all methods have" in regret["note"].item()


def test_a_ranking_is_over_the_examples_that_all_methods_have(make_study) -> None:
    """Every question on rankings gives what it gives of those examples alone."""
    ds = make_study(3, n_models=1, n_examples=200, n_users=12, missing=0.1)
    ds = ds.drop_vars(["helpfulness", "leaderboard", "logprob", "n_tokens"])
    full = ds["reward"].notnull().all(["method", "candidate"]) & ds["rouge1"].notnull().all(
        ["model", "method"]
    )
    both = ds.where(ds["user"].notnull() & full, drop=False)
    both["user"] = ds["user"]
    alone = ds.isel(example=full.values)
    choices = {"upstream": "rm_accuracy", "downstream": "rouge1", "n_resamples": 200}
    kept = both.copy()
    kept["reward"][{"method": 0}] = ds["reward"][{"method": 0}]
    kept["rouge1"][{"method": 0}] = ds["rouge1"][{"method": 0}]
    for test in (tau_test, selection_regret, permutation_test):
        wanted, found = test(alone, **choices).squeeze(), test(kept, **choices).squeeze()
        assert_allclose(found["estimate"], wanted["estimate"])
        assert found["n_examples"] == wanted["n_examples"] == full.sum()
        assert "ranked on the" in found["note"].item()
    pooled = pooled_tau({"one": kept}, **choices)
    assert_allclose(pooled["estimate"], tau_test(alone, **choices)["estimate"].squeeze())
    assert "ranked on the" in pooled["note"].item()


def test_methods_without_common_examples_are_ranked_on_their_own_and_that_is_said(make_study):
    ds = make_study(1, n_models=1, n_examples=100)
    first = np.arange(100) < 50
    ds["reward"] = ds["reward"].where(
        (ds["method"] != "lore") | xr.DataArray(first, dims="example")
    )
    ds["reward"] = ds["reward"].where(
        (ds["method"] != "vpl") | xr.DataArray(~first, dims="example")
    )
    found = tau_test(ds, "rm_accuracy", "rouge1", n_resamples=50).squeeze()
    assert "too few examples in common" in found["note"].item()
    assert np.isfinite(found["estimate"])


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 2]),
    st.sampled_from(["micro", "macro"]),
    st.integers(1, 30),
)
def test_each_pair_is_as_if_the_file_held_its_shared_examples_alone(
    make_study, seed, n_seeds, average, rows
):
    """Block by block, with training seeds, by examples or by users, for every pair of methods."""
    ds = make_study(seed, n_seeds=n_seeds, n_examples=40, missing=0.2, n_methods=3, n_models=2)
    options = MetricOptions(average=average)
    starts = list(range(0, 40, rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sums, "example_blocks", lambda _: map(slice, starts, [*starts[1:], 40]))
        found = compare_methods(ds, "rouge1", correction="none", n_resamples=1, options=options)
    for model in ds["model"].values:
        for pair in range(found.sizes["pair"]):
            one = found.sel(model=model).isel(pair=pair)
            methods = [one["method_a"].item(), one["method_b"].item()]
            part = ds.sel({"model": [model], "method": methods})
            dims = [d for d in part["rouge1"].dims if d != "example"]
            part = part.isel(example=part["rouge1"].notnull().all(dims).values)
            assert one["n_examples"] == part.sizes["example"]
            if not part.sizes["example"]:
                assert np.isnan(one["estimate"])
                continue
            wanted = compare_methods(
                part, "rouge1", correction="none", n_resamples=1, options=options
            ).squeeze()
            for name in ("estimate", "se", "df", "low", "high", "p_value", "n_users"):
                assert_allclose(one[name], wanted[name], atol=1e-9, err_msg=name)

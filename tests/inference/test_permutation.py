"""Permutation tests of a dataset's metrics against scipy and the kernel on the same values."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import preflamp_stats as pls
from preflamp_stats.errors import InputError
from preflamp_stats.inference.permutation import permutation_test

SWAPS = ("perm-inputs", "perm-systems", "perm-both-rows", "perm-both-cells")


def test_p_values_by_model_are_scipys(make_study) -> None:
    ds = make_study(seed=3, n_methods=6, n_models=2, without_reward=1)
    found = permutation_test(ds, "leaderboard", "helpfulness")
    board = ds["leaderboard"].values
    for model in ds["model"].values:
        quality = ds["helpfulness"].sel(model=model).mean("example").values
        expected = stats.kendalltau(board, quality, method="exact")
        here = found.sel(model=model)
        assert here["estimate"].item() == pytest.approx(expected.statistic)
        assert here["p_value"].item() == pytest.approx(expected.pvalue)
        assert here["null"].item() == "exact"
    assert found["n_users"].min() > 0
    assert found.attrs["scheme"] == "methods"


def test_only_methods_with_all_metrics_count(make_study) -> None:
    ds = make_study(n_methods=5, without_reward=2)
    assert (permutation_test(ds, "rm_accuracy", "rouge1")["n_methods"] == 3).all()
    compared = permutation_test(ds, "rm_accuracy", "rouge1", other="leaderboard")
    assert (compared["n_methods"] == 3).all()


@pytest.mark.parametrize("n_seeds", [0, 3])
@pytest.mark.parametrize("scheme", SWAPS)
def test_two_predictors(make_study, scheme: str, n_seeds: int) -> None:
    # With gaps, training seeds have unequal numbers of examples and yet the same weight.
    ds = make_study(n_methods=5, n_seeds=n_seeds, missing=0.3 if n_seeds else 0.0)
    found = permutation_test(
        ds, "rm_accuracy", "helpfulness", other="rouge1", scheme=scheme, n_resamples=2000
    )
    np.testing.assert_allclose(found["estimate"], found["tau"] - found["tau_other"], atol=1e-12)
    taus = [
        pls.tau_test(ds, name, "helpfulness", n_resamples=10)["estimate"]
        for name in ("rm_accuracy", "rouge1")
    ]
    for name, tau in zip(("tau", "tau_other"), taus, strict=True):
        np.testing.assert_allclose(found[name], tau)
    assert ((found["p_value"] > 0) & (found["p_value"] <= 1)).all()
    expected = {"perm-systems": 2**5}.get(scheme, 2000)
    assert (found["n_permutations"] == expected).all() or scheme in (
        "perm-inputs",
        "perm-both-rows",
    )


@pytest.mark.parametrize("scheme", SWAPS)
def test_a_metric_is_no_better_than_itself(make_study, scheme: str) -> None:
    ds = make_study(n_methods=5)
    found = permutation_test(ds, "rouge1", "helpfulness", other="rouge1", scheme=scheme)
    assert (found["estimate"] == 0).all()
    assert (found["p_value"] == 1).all()


@pytest.mark.parametrize("scheme", SWAPS)
@pytest.mark.parametrize("n_seeds", [0, 2])
def test_order_of_the_file_does_not_matter(make_study, shuffled, scheme, n_seeds) -> None:
    ds = make_study(n_methods=4, n_users=9, n_examples=60, n_seeds=n_seeds, missing=0.1)
    options = {"other": "rouge1", "scheme": scheme, "n_resamples": 200}
    one, two = (
        permutation_test(d, "rm_accuracy", "helpfulness", **options) for d in (ds, shuffled(ds, 5))
    )
    xr.testing.assert_identical(one.sortby("model"), two.sortby("model"))


def test_examples_as_units(make_study) -> None:
    ds = make_study(n_examples=8, n_users=3)
    options = {"other": "rouge1", "scheme": "perm-inputs"}
    by_user = permutation_test(ds, "rm_accuracy", "helpfulness", **options)
    by_example = permutation_test(ds, "rm_accuracy", "helpfulness", resample="examples", **options)
    n_users = len(np.unique(ds["user"]))
    assert (by_user["n_permutations"] == 2**n_users).all()
    assert (by_example["n_permutations"] == 2**8).all()


def test_undefined_results_say_why(make_study) -> None:
    one = permutation_test(make_study(n_methods=1), "rm_accuracy", "rouge1")
    assert one["p_value"].isnull().all()
    assert (one["note"] == "fewer than two methods have all metrics").all()
    none = permutation_test(
        make_study(n_methods=2, without_reward=2),
        "rm_accuracy",
        "helpfulness",
        other="rouge1",
        scheme="perm-both-cells",
    )
    assert none["p_value"].isnull().all()
    ds = make_study(n_methods=3).assign(constant=("method", np.ones(3), {"role": "method_metric"}))
    flat = permutation_test(ds, "constant", "rouge1")
    assert (flat["note"] == "all methods have the same value in one metric").all()
    assert flat["p_value"].isnull().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheme": "perm-systems"}, "choose one of methods"),
        ({"other": "helpfulness", "scheme": "methods"}, "choose one of perm-inputs"),
        (
            {"other": "leaderboard", "scheme": "perm-inputs"},
            "leaderboard: is known only per method",
        ),
        ({"alternative": "bigger"}, "variable alternative"),
        ({"n_resamples": 0}, "variable n_resamples"),
        ({"other": "rouge9"}, "rouge9"),
    ],
)
def test_bad_input(make_study, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        permutation_test(make_study(), "rm_accuracy", "rouge1", **options)


def test_a_defined_result_has_no_note(make_study) -> None:
    found = permutation_test(make_study())
    assert np.isfinite(found["p_value"]).all()
    assert (found["note"] == "").all()

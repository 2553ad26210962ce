"""Surrogacy: its parts against simpler ways, its edges, and what it says of what is new."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import preflamp_stats as pls
from preflamp_stats.errors import InputError

FEW = {"n_resamples": 50}


def made(correlation: float = 0.9, *, n_datasets: int = 2, models: int = 1, **options: object):
    names = [f"d{i}" for i in range(n_datasets)]
    design = {"n_methods": 6, "n_users": 30, "n_examples": 8, "spread": 0.4, "seed": 1}
    tree = pls.simulate(
        datasets=names, models=models, correlation=correlation, **(design | options)
    )
    return pls.datasets(tree)


@pytest.fixture(scope="module")
def four() -> dict[str, xr.Dataset]:
    return made(n_datasets=2, models=2)


@pytest.fixture(scope="module")
def found(four: dict[str, xr.Dataset]) -> xr.Dataset:
    return pls.surrogacy(four, **FEW)


def test_rows_for_all_that_can_be_new(found: xr.Dataset) -> None:
    assert found["new"].values.tolist() == ["method", "model", "dataset"]
    assert (found["low"] < found["estimate"]).all()
    assert (found["estimate"] < found["high"]).all()
    assert 0 <= found["r2_trial_low"] <= found["r2_trial"] <= found["r2_trial_high"] <= 1
    assert found.sizes["stratum"] == found["n_strata"] == 4
    assert (found["n_datasets"], found["n_methods"]) == (2, 6)
    assert 0 < found["step"] <= 0.05


def test_the_individual_level_is_within_methods(four: dict[str, xr.Dataset]) -> None:
    ds = four["d0"].isel(model=0)
    gap = ds["reward"].sel(candidate="chosen") - ds["reward"].sel(candidate="rejected")
    x = ((np.sign(gap) + 1) / 2).where(gap.notnull()).dropna("method")
    y = ds["rouge1"].sel({"method": x["method"]})
    x, y = (v.transpose("method", "example") - v.mean("example") for v in (x, y))
    found = pls.surrogacy({"d0": ds}, "rm_accuracy", "rouge1", **FEW)
    expected = np.corrcoef(x.values.ravel(), y.values.ravel())[0, 1] ** 2
    assert found["r2_individual"].item() == pytest.approx(expected, abs=1e-9)
    assert found["r2_individual_low"] <= found["r2_individual"] <= found["r2_individual_high"]


def test_one_stratum_knows_of_new_methods_only() -> None:
    found = pls.surrogacy(made(n_datasets=1), **FEW)
    assert found["new"].values.tolist() == ["method"]
    assert "one dataset and model only" in found["note"].item()
    models = pls.surrogacy(made(n_datasets=1, models=2), **FEW)
    assert models["new"].values.tolist() == ["method", "model"]


def test_prediction_scales_with_the_unit_and_turns_with_the_sign(four) -> None:
    one, hundred, turned = (
        pls.surrogacy(
            {
                name: ds.assign(
                    quality=(factor * ds["rouge1"]).assign_attrs(role="generation_metric")
                )
                for name, ds in four.items()
            },
            "rm_accuracy",
            "quality",
            **FEW,
        )
        for factor in (1, 100, -100)
    )
    for found in (hundred, turned):
        for name in ("r2_individual", "step"):
            assert found[name].item() == pytest.approx(one[name].item(), rel=1e-6)
    assert hundred["r2_trial"].item() == pytest.approx(one["r2_trial"].item(), rel=1e-6)
    assert turned["r2_trial"].item() == pytest.approx(one["r2_trial"].item(), abs=0.05)
    width = [
        float((each["high"] - each["low"]).sel(new="dataset")) for each in (one, hundred, turned)
    ]
    assert width[1] == pytest.approx(100 * width[0], rel=1e-6)
    assert width[2] == pytest.approx(100 * width[0], rel=0.15)


def test_a_strong_surrogate_has_a_threshold_and_none_has_none() -> None:
    strong = pls.surrogacy(
        made(1.0, n_datasets=4, n_methods=10, n_users=150, n_examples=20, spread=0.8), **FEW
    )
    assert (strong["threshold"] > 0).all()
    assert strong["r2_trial"] > 0.8
    further = pls.surrogacy(
        made(1.0, n_datasets=4, n_methods=10, n_users=150, n_examples=20, spread=0.8),
        step=1.5 * float(strong["threshold"].sel(new="dataset")),
        **FEW,
    )
    assert further["low"].sel(new="dataset") > 0
    none = pls.surrogacy(made(0.0, n_datasets=4, n_users=100, spread=0.2), **FEW)
    assert none["threshold"].isnull().all()
    assert all("no threshold" in note for note in none["new_note"].values)


def test_a_difference_that_no_methods_have_is_not_predicted(four) -> None:
    found = pls.surrogacy(four, step=5.0, **FEW)
    assert found["estimate"].isnull().all()
    assert "do not differ by 5" in found["new_note"].values[0]


def test_strata_that_cannot_count_are_left_out_and_said(four) -> None:
    flat = four["d0"].copy(deep=True)
    flat["reward"] = xr.zeros_like(flat["reward"])
    both = pls.surrogacy({"d1": four["d1"], "flat": flat}, **FEW)
    assert both["n_strata"] == 2
    nothing = pls.surrogacy({"flat": flat}, **FEW)
    assert nothing["n_strata"] == 0
    assert np.isnan([nothing["r2_trial"], nothing["step"]]).all()
    assert nothing["note"].item()
    lone = pls.surrogacy({"one": four["d0"].isel(example=[0, 1]), "d1": four["d1"]}, **FEW)
    assert lone["n_strata"] >= 2


def test_numbers_known_only_by_method_have_no_individual_level(make_study) -> None:
    found = pls.surrogacy({"a": make_study(1)}, "leaderboard", "rouge1", **FEW)
    assert found["r2_individual"].isnull()
    assert "known only per method" in found["note"].item()


def test_missing_values_and_the_order_of_datasets(make_study) -> None:
    two = {name: make_study(i, missing=0.2, n_examples=60) for i, name in enumerate("ab")}
    found = [
        pls.surrogacy(each, "rm_accuracy", "rouge1", **FEW)
        for each in (two, dict(reversed(two.items())))
    ]
    xr.testing.assert_allclose(*found)
    assert np.isfinite(found[0]["low"]).all()


def test_two_methods_are_enough_for_a_wide_interval(four) -> None:
    few = {name: ds.isel(method=[0, 1]) for name, ds in four.items()}
    found, more = (pls.surrogacy(each, step=0.02, **FEW) for each in (few, four))
    assert found["n_methods"] == 2
    width = [float((each["high"] - each["low"]).sel(new="method")) for each in (found, more)]
    assert width[0] > width[1]


def test_bad_input(four) -> None:
    with pytest.raises(InputError, match="rouge9"):
        pls.surrogacy(four, "rm_accuracy", "rouge9")
    with pytest.raises(InputError, match="step"):
        pls.surrogacy(four, step=-0.1)
    with pytest.raises(InputError, match="there is no dataset"):
        pls.surrogacy({})

"""Which values are better: told by the file, turned round where lower, assumed nowhere."""

import numpy as np
import pytest
import xarray as xr

from preflamp_stats import simulate
from preflamp_stats.inference.decoupling import decoupling_test
from preflamp_stats.inference.in_context import in_context_test
from preflamp_stats.inference.permutation import permutation_test
from preflamp_stats.inference.pooled import pooled_tau
from preflamp_stats.inference.regret import selection_regret
from preflamp_stats.inference.tau import tau_test

N = {"n_resamples": 200}


def study(direction: str | None, sign: int = 1) -> xr.Dataset:
    """A metric of the file's own, better the larger, or (sign −1) the smaller."""
    ds = simulate(
        n_methods=6, n_users=60, n_examples=8, spread=0.4, icl_advantage=0.6, seed=2
    ).to_dataset()
    attrs = {"role": "generation_metric"} | ({"direction": direction} if direction else {})
    return ds.assign(quality=(sign * 10 * ds["rouge1"]).drop_attrs().assign_attrs(attrs))


@pytest.mark.parametrize("test", [tau_test, permutation_test])
def test_tau_is_agreement_on_what_is_good(test) -> None:
    higher, lower = (
        test(study("higher"), "rm_accuracy", "quality", **N),
        test(study("lower", -1), "rm_accuracy", "quality", **N),
    )
    for name in ("estimate", "low", "high", "p_value", "population_tau", "ceiling"):
        if name in higher:
            np.testing.assert_allclose(higher[name], lower[name], atol=1e-9)
    raw = test(study(None, -1), "rm_accuracy", "quality", **N)
    np.testing.assert_allclose(raw["estimate"], -lower["estimate"])


def test_pooled_tau_and_two_predictors_are_turned_round_too() -> None:
    found = [
        pooled_tau({"a": ds}, "quality", "rm_accuracy", **N)[["estimate", "low", "high"]]
        for ds in (study("higher"), study("lower", -1))
    ]
    xr.testing.assert_allclose(*found)
    found = [
        permutation_test(ds, "quality", "rm_accuracy", other="rouge1", scheme="perm-inputs", **N)[
            ["estimate", "tau", "p_value"]
        ]
        for ds in (study("higher"), study("lower", -1))
    ]
    xr.testing.assert_allclose(*found)


def test_nothing_is_best_where_nobody_says_what_is_better() -> None:
    ds = study(None)
    for upstream, downstream in (("rm_accuracy", "quality"), ("quality", "rouge1")):
        regret = selection_regret(ds, upstream, downstream, **N).squeeze()
        assert np.isnan([regret[n].item() for n in ("estimate", "low", "high", "gain")]).all()
        assert regret["chosen"].item() == regret["best"].item() == ""
        assert "higher or lower quality is better" in regret["note"].item()
    lead = in_context_test(ds, "quality", **N)
    assert (
        lead[["estimate", "low", "high", "p_value", "naive_estimate"]]
        .isnull()
        .all()
        .to_array()
        .all()
    )
    assert not lead["dominates"].any()
    assert "direction unknown" in lead["note"].values.ravel()[0]
    assert "note" not in in_context_test(study("higher"), "quality", **N)


def test_decoupling_needs_no_direction_but_coupling_does() -> None:
    told, untold = (
        decoupling_test(study(d), "rm_accuracy", "quality", margin=0.4, **N)
        for d in ("higher", None)
    )
    same = told["verdict"] == "decoupled"
    assert same.any()
    assert ((untold["verdict"] == "decoupled") == same).all()
    assert set(untold["verdict"].values[~same.values]) == {"direction unknown"}
    assert untold[["p_coupled", "p_reversed"]].isnull().all().to_array().all()
    xr.testing.assert_identical(told["p_decoupled"], untold["p_decoupled"])

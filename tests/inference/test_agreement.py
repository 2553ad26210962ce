from __future__ import annotations

import numpy as np
import pytest

import preflamp_stats as pls
from preflamp_stats.errors import InputError
from preflamp_stats.kernels.agreement import soft_pairwise_accuracy, tie_calibrated_accuracy


@pytest.fixture(scope="module")
def ds():
    study = pls.simulate(n_methods=6, n_users=40, n_examples=6, seed=3)
    return next(iter(pls.datasets(study).values()))


def test_soft_pairwise_accuracy_of_p_values_by_hand(ds):
    """Users swapped whole between two methods, apart from the code's own way."""
    found = pls.tau_test(ds, downstream="rouge1", agreement="soft-pairwise", n_resamples=200)
    right = ds["reward"].sel(candidate="chosen") > ds["reward"].sel(candidate="rejected")
    scored = ds["reward"].notnull().any([d for d in ds["reward"].dims if d != "method"])
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (4000, 40))
    p = []
    for values in (right, ds["rouge1"]):
        sums = values.isel(method=scored.values).groupby(ds["user"]).sum("example").squeeze()
        sums = sums.transpose("user", "method").sortby("method").values.astype(float)
        i, j = np.triu_indices(sums.shape[1], 1)
        difference = sums[:, i] - sums[:, j]
        p.append((signs @ difference >= difference.sum(axis=0) - 1e-9).mean(axis=0))
    expected = soft_pairwise_accuracy(*p)
    assert found["estimate"].item() == pytest.approx(expected, abs=0.02)  # other permutations
    assert found["low"] < found["estimate"] < found["high"]
    assert found.attrs["agreement"] == "soft-pairwise"


def test_tie_calibration_is_that_of_the_estimates(ds):
    found = pls.tau_test(ds, agreement="pairwise-tie", n_resamples=200)
    x = pls.rm_accuracy(ds).squeeze(drop=True).sortby("method")
    y = pls.policy_accuracy(ds).squeeze(drop=True).sortby("method")
    expected = tie_calibrated_accuracy(x.values[None], y.values[None])
    assert found["estimate"].item() == pytest.approx(expected[0])
    assert found["tied_within"].item() == pytest.approx(expected[1])
    tau = pls.tau_test(ds, n_resamples=200, variant="a")
    if tau["low"] < tau["estimate"] < tau["high"]:
        for end in ("low", "high"):
            limit = found[end].item()
            assert limit in (
                pytest.approx((1 + tau[end].item()) / 2, abs=1e-9),
                pytest.approx(found["estimate"].item()),
            )
    usual = pls.tau_test(ds, agreement="pairwise-tie", interval="percentile", n_resamples=200)
    assert usual.attrs["interval"] == "percentile"
    assert 0 <= usual["low"] <= usual["estimate"] <= usual["high"] <= 1


@pytest.mark.parametrize("agreement", ["soft-pairwise", "pairwise-tie"])
def test_a_metric_agrees_with_itself(ds, agreement):
    found = pls.tau_test(ds, downstream="rm_accuracy", agreement=agreement, n_resamples=100)
    assert (found["estimate"] == 1).all()


@pytest.mark.parametrize("agreement", ["soft-pairwise", "pairwise-tie"])
def test_edges(ds, agreement):
    alone = pls.tau_test(ds.isel(method=[0]), agreement=agreement, n_resamples=50)
    assert alone["estimate"].isnull().all()
    assert "fewer than two methods" in alone["note"].item()
    one_user = ds.assign(user=ds["user"].copy(data=np.full(ds.sizes["example"], "u", object)))
    found = pls.tau_test(one_user, agreement=agreement, n_resamples=50)
    assert found["estimate"].notnull().all()
    assert found["low"].isnull().all()
    assert "single unit" in found["note"].item()
    with pytest.raises(InputError, match="resample users or examples"):
        pls.tau_test(ds, agreement=agreement, resample="methods", n_resamples=50)
    with pytest.raises(InputError, match="agreement: is 'rho'; choose one of tau, soft-pairwise"):
        pls.tau_test(ds, agreement="rho")


def test_a_number_known_only_per_method_is_certain(ds):
    methods = ds.sizes["method"]
    told = ds.assign(board=("method", np.arange(methods, dtype=float), {"direction": "higher"}))
    found = pls.tau_test(told, upstream="board", agreement="soft-pairwise", n_resamples=100)
    assert 0 <= found["low"] <= found["estimate"] <= found["high"] <= 1


def test_an_analysis_shows_it_beside_tau(ds):
    tables = pls.analyze(ds, pls.Settings(resamples=100, agreement="soft-pairwise")).tables
    assert {"tau", "agreement"} <= set(tables)
    found = pls.tau_test(ds, agreement="soft-pairwise", n_resamples=100)
    row = tables["agreement"].frame.iloc[0]
    assert row["estimate"] == found["estimate"].item()
    assert row["agreement"] == "soft-pairwise"
    assert "agreement" not in pls.analyze(ds, pls.Settings(resamples=100)).tables

from __future__ import annotations

import numpy as np
import pytest

import preflamp_stats as pls

STUDY = pls.simulate(n_methods=5, models=2, n_users=30, n_examples=4, seed=1)


def test_draws_are_those_of_the_interval():
    draws = pls.tau_posterior(STUDY, n_resamples=300)["posterior"]
    found = pls.tau_test(STUDY, n_resamples=300)
    assert draws["upstream"].dims == ("chain", "draw", "model", "method")
    assert draws["model"].values.tolist() == found["model"].values.tolist()
    middle = draws["population_tau"].median(("chain", "draw"))
    np.testing.assert_allclose(middle, found["population_tau"], atol=0.01)
    x, y = (
        draws[side].isel(chain=0, draw=7, model=0).values for side in ("upstream", "downstream")
    )
    assert draws["tau"].isel(chain=0, draw=7, model=0).item() == pls.kendall_tau(x, y)


def test_values_keep_their_sign_where_lower_is_better():
    ds = (
        STUDY.to_dataset()
        if "reward" in STUDY.data_vars
        else next(iter(pls.datasets(STUDY).values()))
    )
    ds = ds.assign(
        errors=(1 - ds["rouge1"]).assign_attrs(direction="lower", role="generation_metric")
    )
    draws = pls.tau_posterior(ds, "rm_accuracy", "errors", n_resamples=100)["posterior"]
    np.testing.assert_allclose(
        draws["downstream"].mean(("chain", "draw", "method")),
        ds["errors"].sel({"method": draws["method"]}).mean(("example", "method")),
        atol=0.02,
    )


def test_what_allows_no_tau_says_why():
    alone = next(iter(pls.datasets(STUDY).values())).isel(method=[0])
    with pytest.raises(pls.InputError, match="fewer than two methods have both metrics"):
        pls.tau_posterior(alone, n_resamples=20)


def test_arviz_takes_them():
    base = pytest.importorskip("arviz_base", reason="arviz-base is not installed")
    draws = pls.tau_posterior(STUDY, n_resamples=100)
    assert base.convert_to_datatree(draws) is draws
    flat = base.extract(draws, var_names=["tau", "upstream"])
    np.testing.assert_array_equal(flat["tau"].values, draws["posterior/tau"].values[0].T)

"""Contenders against the best guided method."""

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy import stats

from preflamp_stats import simulate
from preflamp_stats.errors import InputError
from preflamp_stats.inference.in_context import in_context_test, lead_over_best
from preflamp_stats.kernels.paired import PairedDifferences, paired_differences


@pytest.fixture(scope="module")
def study() -> xr.Dataset:
    return simulate(
        models=["1B", "10B", "70B"],
        n_methods=4,
        n_icl=2,
        icl_advantage=0.5,
        icl_crossover=5e9,
        spread=0.05,
        n_users=150,
        seed=4,
    ).to_dataset()


def normal_study(seed: int, n_methods: int, n_users: int = 40) -> PairedDifferences:
    values = np.random.default_rng(seed).standard_normal((n_users, n_methods, 1))
    return paired_differences(values, np.ones_like(values))


def test_one_guided_method_is_the_paired_t_interval() -> None:
    values = np.random.default_rng(0).standard_normal((30, 2))
    pairs = paired_differences(values[:, :, None], np.ones((30, 2, 1)))
    found = lead_over_best(pairs, 1, [0], level=0.95, n_draws=20_000, rng=np.random.default_rng(1))
    expected = stats.ttest_rel(values[:, 1], values[:, 0])
    interval = expected.confidence_interval(0.95)
    assert_allclose(found["low"], interval.low)
    assert found["high"] == pytest.approx(interval.high, abs=0.02)
    assert found["estimate"] == pytest.approx(found["naive_estimate"], abs=0.01)
    one_sided = stats.ttest_rel(values[:, 1], values[:, 0], alternative="greater").pvalue
    assert_allclose(found["p_value"], min(1, 2 * one_sided))


def test_estimate_takes_back_the_luck_of_the_best() -> None:
    draws = [
        lead_over_best(
            normal_study(seed, 8),
            0,
            range(1, 8),
            level=0.95,
            n_draws=200,
            rng=np.random.default_rng(seed),
        )
        for seed in range(200)
    ]
    naive = np.mean([d["naive_estimate"] > 0 for d in draws])
    corrected = np.mean([d["estimate"] > 0 for d in draws])
    covered = np.mean([d["low"] <= 0 <= d["high"] for d in draws])
    assert naive < 0.25
    assert 0.35 < corrected < 0.65
    assert covered > 0.9


def test_a_hopeless_method_does_not_widen_the_interval() -> None:
    values = np.random.default_rng(0).standard_normal((100, 6))
    values[:, 3:] -= 50
    ends = []
    for n_methods in (3, 6):
        one = values[:, :n_methods, None]
        pairs = paired_differences(one, np.ones_like(one))
        found = lead_over_best(
            pairs, 0, range(1, n_methods), level=0.95, n_draws=4000, rng=np.random.default_rng(2)
        )
        ends.append((found["low"], found["high"]))
    assert_allclose(ends[0], ends[1], atol=0.02)


def test_dominates_from_the_crossover(study: xr.Dataset) -> None:
    found = in_context_test(study, n_resamples=499)
    assert found["method"].values.tolist() == ["icl-01", "icl-02"]
    best = study["true_rouge1"].where(study["method_family"] == "reward-guided").max("method")
    lead = (study["true_rouge1"] - best).sel({"method": found["method"]})
    assert bool(((found["low"] <= lead) & (lead <= found["high"])).mean() >= 0.8)
    assert bool((lead.where(found["dominates"], 1) > 0).all())
    assert set(found["dominates_from"].values) <= {"10B", "70B"}
    p = found["p_adjusted"].sortby("parameters")
    assert bool((p.diff("model") <= 0).all())  # never surer of a smaller model than of a larger


def test_low_limit_and_p_value_agree(study: xr.Dataset) -> None:
    found = in_context_test(study, n_resamples=499)
    assert bool(((found["low"] > 0) == (found["p_value"] < 0.05)).all())
    assert bool((found["low"] <= found["estimate"]).all())
    assert bool((found["estimate"] <= found["high"]).all())


def test_a_smaller_model_waits_for_the_larger(study: xr.Dataset) -> None:
    flipped = study.assign_coords(parameters=("model", [70, 10, 1]))
    found = in_context_test(flipped, n_resamples=99)
    assert not found["dominates"].any()  # the "largest" shows nothing, so the others do not count
    assert found["dominates_from"].values.tolist() == ["", ""]


def test_without_parameters_models_are_corrected_by_holm(study: xr.Dataset) -> None:
    found = in_context_test(study.drop_vars("parameters"), n_resamples=99)
    assert "dominates_from" not in found
    assert bool((found["p_adjusted"] >= found["p_value"]).all())
    assert float(found["p_adjusted"].min()) == pytest.approx(
        min(1, 6 * float(found["p_value"].min()))
    )


def test_order_changes_nothing(study: xr.Dataset) -> None:
    turned = study.isel(method=slice(None, None, -1), example=slice(None, None, -1))
    found, again = (in_context_test(ds, n_resamples=99) for ds in (study, turned))
    xr.testing.assert_identical(found, again)


def test_absent_methods(study: xr.Dataset) -> None:
    absent = study.copy()
    rouge = study["rouge1"].copy()
    rouge.loc[{"model": "10B", "method": "icl-01"}] = np.nan
    rouge.loc[{"model": "70B", "method": "guided-01"}] = np.nan
    absent["rouge1"] = rouge
    found = in_context_test(absent, n_resamples=99).sel({"method": "icl-01"})
    assert found["n_guided"].values.tolist() == [4, 0, 3]
    assert np.isnan(found["estimate"].sel(model="10B"))
    assert found["best_guided"].sel(model="10B") == ""


def test_needs_both_sides(study: xr.Dataset) -> None:
    guided = study.isel(method=slice(0, 4))
    with pytest.raises(InputError, match="4 reward-guided methods and 0 others"):
        in_context_test(guided)
    with pytest.raises(InputError, match="variable method_family: is not in the file"):
        in_context_test(study.drop_vars("method_family"))


def test_a_lower_cost_is_a_lead() -> None:
    ds = simulate(n_methods=4, n_icl=1, n_users=60, seed=4).to_dataset()
    cost = (1 - ds["rouge1"]).assign_attrs(role="generation_metric", higher_is_better=0)
    upright = in_context_test(ds, n_resamples=199)
    turned = in_context_test(ds.assign(cost=cost), "cost", n_resamples=199)
    assert turned["best_guided"].values.tolist() == upright["best_guided"].values.tolist()
    assert_allclose(turned["naive_estimate"], upright["naive_estimate"], atol=1e-7)
    assert_allclose(turned["low"], upright["low"], atol=1e-7)


def test_contenders_cost_their_number(study: xr.Dataset) -> None:
    found = in_context_test(study.isel(model=0, drop=True), "rouge1", n_resamples=200)
    assert found.sizes["method"] == 2
    assert_allclose(found["p_adjusted"], np.minimum(1.0, 2 * found["p_value"]))
    assert float(found["p_adjusted"].max()) == 1.0


def test_a_contender_counts_once_whatever_the_models(study: xr.Dataset) -> None:
    largest = in_context_test(study, "rouge1", n_resamples=200).sel(model="70B")
    assert_allclose(largest["p_adjusted"], np.minimum(1.0, 2 * largest["p_value"]))


def test_only_rivals_that_can_be_the_best_are_sought_on_one_side() -> None:
    """The contender is behind all rivals but one: those ahead of it by much cannot be the best."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((60, 12, 1)) + np.linspace(0, 2, 12)[:, None]
    pairs = paired_differences(values, np.ones_like(values))
    found = [
        lead_over_best(pairs, 0, rivals, level=0.95, n_draws=4000, rng=np.random.default_rng(1))
        for rivals in ([11], range(1, 12))
    ]
    assert found[0]["high"] == pytest.approx(found[1]["high"], abs=0.15)
    assert found[0]["best_guided"] == found[1]["best_guided"] == 11


@pytest.mark.parametrize("place", [0, 2, 4])
def test_leads_that_share_the_contenders_noise_are_as_wide_as_one(place: int) -> None:
    """Wherever the contender stands among the methods: a sign lost makes its leads contrary."""
    rng = np.random.default_rng(8)
    values = 0.01 * rng.standard_normal((400, 5, 1))
    values[:, place] += rng.standard_normal((400, 1))
    pairs = paired_differences(values, np.ones_like(values))
    rivals = [other for other in range(5) if other != place]
    found = lead_over_best(
        pairs, place, rivals, level=0.95, n_draws=20_000, rng=np.random.default_rng(1)
    )
    error = values[:, place, 0].std() / 20
    # 1.96 errors; with contrary signs the larger of two, 2.24.
    assert found["high"] - found["naive_estimate"] == pytest.approx(1.96 * error, rel=0.04)


@pytest.mark.parametrize(("n_users", "critical"), [(30, 1.96), (1_000_000, 2.21)])
def test_the_more_users_the_surer_it_must_be_that_a_rival_is_behind(
    n_users: int, critical: float
) -> None:
    """One of two rivals is 7 errors behind: 30 users rule it out as the best, a million do not."""
    first, second = np.triu_indices(3, 1)
    ones = np.ones(3)
    pairs = PairedDifferences(
        first, second, np.array([0.0, 7, 7]), ones, 1e9 * ones, n_users * ones
    )
    found = lead_over_best(
        pairs, 0, [1, 2], level=0.95, n_draws=40_000, rng=np.random.default_rng(0)
    )
    assert found["high"] == pytest.approx(critical, abs=0.04)

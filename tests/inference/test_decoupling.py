"""Verdicts on pairs whose truth is known."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from preflamp_stats import simulate
from preflamp_stats.analysis.run import analyze
from preflamp_stats.errors import InputError
from preflamp_stats.inference.decoupling import decoupling_test, judge_pairs
from preflamp_stats.kernels.paired import PairedDifferences
from preflamp_stats.settings import Settings

MARGINS = {"margin": 0.01, "discrimination_margin": 0.05}


def pairs(estimate, se=0.001, df=100.0) -> PairedDifferences:
    estimate = np.atleast_1d(np.asarray(estimate, dtype=float))
    n_methods = int((1 + np.sqrt(1 + 8 * len(estimate))) / 2)
    first, second = np.triu_indices(n_methods, 1)
    full = np.ones(len(estimate))
    return PairedDifferences(first, second, estimate, se * full, df * full, 200 + 0 * first)


@pytest.mark.parametrize(
    ("x", "y", "verdict"),
    [
        (0.20, 0.002, "decoupled"),
        (-0.20, 0.002, "decoupled"),
        (0.20, 0.05, "coupled"),
        (-0.20, -0.05, "coupled"),
        (0.20, -0.05, "reversed"),
        (-0.20, 0.05, "reversed"),
        (0.04, 0.00, "inconclusive"),  # too small a difference in discrimination
        (0.20, 0.0099, "inconclusive"),  # neither within nor beyond the margin for sure
        (0.0515, 0.0, "inconclusive"),  # beyond the margin, but not significantly
    ],
)
def test_verdicts(x: float, y: float, verdict: str) -> None:
    assert judge_pairs(pairs(x), pairs(y), **MARGINS)["verdict"] == [verdict]


def test_noise_is_never_taken_for_equivalence() -> None:
    found = judge_pairs(pairs(0.3), pairs(0.0, se=0.02), **MARGINS)
    assert found["verdict"] == ["inconclusive"]


def test_many_pairs_need_more_evidence() -> None:
    x, y = [0.3, *[0.0] * 65], [0.0075, *[0.0] * 65]
    alone = judge_pairs(pairs(x[:1]), pairs(y[:1]), **MARGINS)
    among = judge_pairs(pairs(x), pairs(y), **MARGINS)
    uncorrected = judge_pairs(pairs(x), pairs(y), correction="none", **MARGINS)
    assert [f["verdict"][0] for f in (alone, among, uncorrected)] == [
        "decoupled",
        "inconclusive",
        "decoupled",
    ]
    assert among["p_decoupled"][0] == pytest.approx(66 * alone["p_decoupled"][0])


def test_pairs_that_lack_a_metric_are_not_counted() -> None:
    x, y = pairs([0.3, np.nan, 0.3]), pairs([0.0, 0.0, 0.0])
    found = judge_pairs(x, y, **MARGINS)
    alone = judge_pairs(pairs(0.3), pairs(0.0), **MARGINS)
    assert found["verdict"].tolist() == ["decoupled", "inconclusive", "decoupled"]
    assert np.isnan(found["downstream_p_adjusted"][1])
    assert found["p_decoupled"][0] == pytest.approx(2 * alone["p_decoupled"][0])


@settings(max_examples=60)
@given(
    hnp.arrays(float, (2, 6), elements=st.floats(-0.3, 0.3)), st.sampled_from([0.0005, 0.003, 0.02])
)
def test_swapping_methods_or_signs_keeps_verdicts(estimates, se) -> None:
    x, y = estimates[0], estimates[1] / 5
    verdict = judge_pairs(pairs(x, se), pairs(y, se), **MARGINS)["verdict"]
    swapped = judge_pairs(pairs(-x, se), pairs(-y, se), **MARGINS)["verdict"]
    assert verdict.tolist() == swapped.tolist()
    turned = judge_pairs(pairs(-x, se), pairs(y, se), **MARGINS)["verdict"]
    mirror = {"coupled": "reversed", "reversed": "coupled"}
    assert turned.tolist() == [mirror.get(v, v) for v in verdict]
    for value, dx, dy in zip(verdict, x, y, strict=True):
        if value != "inconclusive":
            assert abs(dx) > 0.05
            assert (abs(dy) < 0.01) == (value == "decoupled")


@pytest.fixture(scope="module")
def study() -> xr.Dataset:
    return simulate(
        n_methods=4,
        n_icl=1,
        models=2,
        spread=0.4,
        generation_spread=0.0,
        scoring="stored",
        n_users=300,
        seed=1,
    ).to_dataset()


def test_a_study_with_equal_generations_is_decoupled(study: xr.Dataset) -> None:
    found = decoupling_test(study, n_resamples=499)
    assert found.sizes == {"model": 2, "pair": 6}  # in-context methods have no rewards
    far = abs(study["true_rm_accuracy"].diff("method")).max() > 0.1
    assert bool(far)
    verdicts = set(found["verdict"].values.ravel())
    assert "decoupled" in verdicts
    assert verdicts <= {"decoupled", "inconclusive"}
    decoupled = found["verdict"] == "decoupled"
    assert bool((abs(found["upstream_difference"]) > 0.05).where(decoupled, True).all())
    assert bool((found["p_decoupled"] <= 0.05).where(decoupled, True).all())


def test_intervals_without_correction_are_narrower(study: xr.Dataset) -> None:
    together, alone = (
        decoupling_test(study, correction=way, n_resamples=499) for way in ("holm", "none")
    )
    for side in ("upstream", "downstream"):
        assert bool((alone[f"{side}_low"] > together[f"{side}_low"]).all())


def test_pairs_of_all_models_are_one_family(study: xr.Dataset) -> None:
    together = decoupling_test(study, n_resamples=99)
    one = decoupling_test(study.sel(model=study["model"][:1]), n_resamples=99)
    first = together.isel(model=[0])
    for side in ("upstream", "downstream"):
        xr.testing.assert_allclose(first[f"{side}_low"], one[f"{side}_low"])
    assert bool((first["p_decoupled"] >= one["p_decoupled"]).all())
    assert bool((first["p_decoupled"] > one["p_decoupled"]).any())


def test_order_changes_nothing(study: xr.Dataset) -> None:
    turned = study.isel(method=slice(None, None, -1), example=slice(None, None, -1))
    found, again = (decoupling_test(ds, n_resamples=99) for ds in (study, turned))
    xr.testing.assert_identical(found, again)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"margin": 0.0}, "variable margin: .*positive"),
        ({"discrimination_margin": -1.0}, "variable discrimination_margin"),
        ({"correction": "max-t"}, "choose one of holm, none"),
        ({"level": 1.0}, "variable level"),
        ({"downstream": "bleu"}, "variable bleu"),
    ],
)
def test_bad_options_are_refused(study: xr.Dataset, options, words) -> None:
    with pytest.raises(InputError, match=words):
        decoupling_test(study, **options)


def test_pairs_of_all_datasets_are_one_family(study: xr.Dataset) -> None:
    settings = Settings(resamples=99, downstream=("rouge1",))
    verdicts = ["p_decoupled", "p_coupled", "p_reversed"]
    both = analyze({"a": study, "b": study}, settings).tables["decoupling"].frame
    one = analyze({"a": study}, settings).tables["decoupling"].frame
    first = both[both["dataset"] == "a"]
    assert first["upstream_low"].tolist() == one["upstream_low"].tolist()
    assert (first[verdicts].to_numpy() >= one[verdicts].to_numpy()).all()
    assert (first["p_decoupled"].to_numpy() > one["p_decoupled"].to_numpy()).any()


def test_a_cost_that_falls_with_accuracy_is_coupled() -> None:
    study = simulate(
        n_methods=3, n_icl=0, spread=0.6, generation_spread=0.6, generation_correlation=1, seed=2
    ).to_dataset()
    upright = decoupling_test(study, n_resamples=99)
    assert "coupled" in upright["verdict"]
    cost = (1 - study["rouge1"]).assign_attrs(role="generation_metric", higher_is_better=0)
    turned = decoupling_test(study.assign(cost=cost), downstream="cost", n_resamples=99)
    np.testing.assert_array_equal(turned["verdict"], upright["verdict"])
    np.testing.assert_allclose(turned["downstream_difference"], -upright["downstream_difference"])


def test_training_seeds_widen_both_sides() -> None:
    seeded = simulate(n_methods=3, n_icl=0, n_users=40, n_seeds=3, seed=1).to_dataset()
    width = {}
    for include in (True, False):
        found = decoupling_test(seeded, n_resamples=500, include_seeds=include)
        width[include] = {
            side: float((found[f"{side}_high"] - found[f"{side}_low"]).sum())
            for side in ("upstream", "downstream")
        }
    assert width[True]["upstream"] > width[False]["upstream"]
    assert width[True]["downstream"] > width[False]["downstream"]


def test_says_how_it_was_corrected(study: xr.Dataset) -> None:
    for correction in ("holm", "none"):
        found = decoupling_test(study, correction=correction, n_resamples=100)
        assert found.attrs["correction"] == correction


def test_more_draws_change_the_simultaneous_limits(study: xr.Dataset) -> None:
    few, many = (decoupling_test(study, n_resamples=n) for n in (50, 5000))
    assert not np.array_equal(few["upstream_low"], many["upstream_low"])

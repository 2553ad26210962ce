"""Simulated studies: what is planted is what the numbers converge to."""

import json

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import ndtr, ndtri
from scipy.stats import kendalltau

from preflamp_stats import StudyDesign, simulate, simulate_dataset
from preflamp_stats.cli.simulate import simulate_command
from preflamp_stats.errors import InputError
from preflamp_stats.io.schema import validate
from preflamp_stats.simulation.truth import plant_asymmetry, plant_truth, tilted_accuracy


def credit(score: xr.DataArray) -> xr.DataArray:
    """Half-credit accuracy of each pair, NaN where a score is missing."""
    chosen = score.sel(candidate="chosen", drop=True)
    rejected = score.sel(candidate="rejected", drop=True)
    value = (chosen > rejected) + 0.5 * (chosen == rejected)
    return value.where(chosen.notnull() & rejected.notnull())


def mean_and_error(values: xr.DataArray, user: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Mean over examples and its standard error with users as clusters."""
    mean = values.mean("example")
    residual = (values - mean).transpose(..., "example")
    starts = np.unique(user, return_index=True)[1]  # users stand together
    sums = np.add.reduceat(residual.values.astype(float), starts, axis=-1)
    return mean, mean.copy(data=np.sqrt((sums**2).sum(axis=-1)) / values.sizes["example"])


def assert_converges(values: xr.DataArray, truth: xr.DataArray, user: xr.DataArray) -> None:
    mean, error = mean_and_error(values, user)
    distance = (abs(mean - truth) / error).where(truth.notnull(), drop=True)
    assert distance.size
    assert distance.notnull().all()
    assert float(distance.max()) < 5


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"models": 2, "policy_accuracy": 0.7},
        {"base_likelihood": 0.6, "weight": 0.25},
        {"ties": 0.3},
        {"scoring": "stored", "policy_accuracy": 0.45, "ties": 0.2},
        {"n_examples": "unequal"},
        {"n_examples": (1, 30), "method_effects": "clusters"},
        {"example_correlation": 0.8, "user_sd": 0.6},
        {"texts": True, "n_users": 400},
    ],
)
def test_estimates_converge_to_the_planted_truth(options: dict) -> None:
    design = StudyDesign(**{"n_methods": 4, "n_users": 2000, "n_examples": 10, **options})
    ds = simulate_dataset(design, seed=3)
    if design.texts:
        words = [set(text.split()) for text in ds["reference"].values]
        kept = xr.apply_ufunc(
            np.vectorize(lambda text, i: sum(word in words[i] for word in text.split()) / 20),
            ds["generation"],
            xr.DataArray(np.arange(ds.sizes["example"]), dims="example"),
        )
        rouge1 = kept
    else:
        rouge1 = ds["rouge1"]
    score = (
        ds["policy_score"] if "policy_score" in ds else ds["logprob"] + design.weight * ds["reward"]
    )
    assert_converges(credit(ds["reward"]), ds["true_rm_accuracy"], ds["user"])
    assert_converges(credit(score), ds["true_policy_accuracy"], ds["user"])
    assert_converges(rouge1, ds["true_rouge1"], ds["user"])
    base = xr.full_like(
        ds["logprob"].isel(example=0, candidate=0, drop=True), design.base_likelihood
    )
    assert_converges(credit(ds["logprob"]), base, ds["user"])


def test_truth_holds_on_average_over_training_seeds() -> None:
    # Seeds are few and their effects large, so the mean over many is compared across seeds.
    design = StudyDesign(n_methods=2, n_icl=0, n_seeds=200, seed_sd=0.5, n_users=20, n_examples=5,
                         user_sd=0.1, example_sd=0.1)  # fmt: skip
    ds = simulate_dataset(design, seed=1)
    by_seed = credit(ds["reward"]).mean("example")
    error = by_seed.std("seed") / np.sqrt(ds.sizes["seed"])
    truth = ds["true_rm_accuracy"].isel(model=0, drop=True)
    # Users and examples are shared by the seeds, which adds about .02.
    assert (abs(by_seed.mean("seed") - truth) < 5 * error + 0.04).all()
    assert (by_seed.std("seed") > 0.1).all()
    assert ds["rouge1"].dims == ("method", "model", "seed", "example")


@settings(deadline=None)
@given(rm=st.floats(-1.0, 1.5), base=st.floats(0.3, 0.7), share=st.floats(0.05, 0.95))
def test_asymmetry_hits_any_policy_accuracy_between_both_and_either(
    rm: float, base: float, share: float
) -> None:
    accuracy = ndtr(rm)
    both, either = accuracy * base, accuracy + (1 - accuracy) * base
    target = both + share * (either - both)
    factor = plant_asymmetry(np.array([[rm]]), np.array([[ndtri(target)]]), base)
    assert_allclose(tilted_accuracy(rm, factor.item(), ndtri(base)), target, atol=1e-9)


def test_tilted_accuracy_without_asymmetry_is_that_of_a_sum_of_normals() -> None:
    # (log-probability difference) + (margin) ~ N(0.2 + 0.7, 2)
    assert_allclose(tilted_accuracy(0.7, 1.0, 0.2), ndtr(0.9 / np.sqrt(2)), rtol=1e-12)


def test_unattainable_policy_accuracy_says_what_to_change() -> None:
    with pytest.raises(InputError, match=r"policy_accuracy: .*; lower the spread.*stored"):
        simulate(rm_accuracy=0.9, policy_accuracy=0.2, n_users=2)


@pytest.mark.parametrize("effects", ["normal", "t3", "skewed", "clusters"])
@pytest.mark.parametrize("correlation", [-0.5, 0.0, 0.95])
def test_method_effects_have_the_planted_moments(effects: str, correlation: float) -> None:
    design = StudyDesign(n_methods=20_000, method_effects=effects, correlation=correlation,
                         generation_correlation=0.5, spread=0.2, generation_spread=0.1)  # fmt: skip
    planted = plant_truth(design, np.random.SeedSequence(5))
    latent = np.stack([planted.rm, planted.policy, planted.rouge])[..., 0]
    # The variance of a t with 3 degrees of freedom converges slowly.
    assert_allclose(latent.std(axis=1), [0.2, 0.2, 0.1], rtol=0.3 if effects == "t3" else 0.05)
    found = np.corrcoef(latent)
    tolerance = 0.15 if effects == "t3" else 0.03
    assert_allclose(found[0, 1:], [correlation, 0.5], atol=tolerance)
    assert_allclose(found[1, 2], correlation * 0.5, atol=tolerance)


def test_generation_spread_of_zero_makes_methods_write_equally_well() -> None:
    ds = simulate_dataset(StudyDesign(n_icl=0, generation_spread=0.0, n_users=2))
    assert np.ptp(ds["true_rouge1"].values) == 0


def test_tau_of_the_truth() -> None:
    ds = simulate_dataset(StudyDesign(models=2, missing=3, n_users=2), seed=4)
    for model in ds["model"]:
        truth = ds.sel(model=model).dropna("method", subset=["true_rm_accuracy"])
        for name in ("policy_accuracy", "rouge1"):
            expected = kendalltau(truth["true_rm_accuracy"], truth[f"true_{name}"]).statistic
            assert truth[f"true_tau_{name}"].item() == expected


def test_tau_of_one_method_is_undefined() -> None:
    assert np.isnan(simulate_dataset(StudyDesign(n_methods=1, n_users=2))["true_tau_rouge1"]).all()


def test_share_of_ties() -> None:
    ds = simulate_dataset(StudyDesign(ties=0.25, n_icl=0), seed=1)
    tied = (ds["reward"].diff("candidate") == 0).mean().item()
    # 32,000 pairs: a standard error of 0.0024.
    assert abs(tied - 0.25) < 0.012


def test_in_context_methods_have_generations_and_no_reward() -> None:
    ds = simulate_dataset(StudyDesign(n_methods=2, n_icl=2, n_users=3))
    icl = ds.isel(method=(ds["method_family"] == "in-context").values)
    assert icl.sizes["method"] == 2
    assert icl["reward"].isnull().all()
    assert icl["rouge1"].notnull().all()
    assert ds["reward"].isel(method=slice(2)).notnull().all()


def test_in_context_methods_overtake_guided_ones_at_the_crossover() -> None:
    models = {"small": 3e8, "at": 3e9, "large": 3e10}
    truth = simulate_dataset(
        StudyDesign(models=models, generation_spread=0.0, icl_crossover=3e9, n_users=2)
    )["true_rouge1"]
    lead = truth.sel({"method": "icl-01"}) - truth.sel({"method": "guided-01"})
    assert lead.sel(model="small") < 0 < lead.sel(model="large")
    assert_allclose(lead.sel(model="at"), 0, atol=1e-15)


@pytest.mark.parametrize(("missing", "expected"), [(4, 4), (0.5, 9), (0, 0)])
def test_missing_combinations(missing: float, expected: int) -> None:
    ds = simulate_dataset(StudyDesign(models=2, missing=missing, n_users=3, texts=True))
    absent = ds["true_rouge1"].isnull()
    assert absent.sum() == expected
    assert ((ds["generation"] == "").all("example") == absent).all()
    assert ds["reward"].isnull().where(absent, drop=True).all()


def test_traces_end_in_the_totals() -> None:
    design = StudyDesign(models=2, n_seeds=2, tokens=9, n_users=5, n_examples=4)
    ds = simulate_dataset(design, seed=2)
    position = xr.DataArray(np.arange(9), dims="token")
    inside = position < ds["n_tokens"]
    assert (ds["token_logprob"].notnull() == inside).all()
    assert (ds["token_logprob"].fillna(-1) < 0).all()
    assert_allclose(ds["token_logprob"].sum("token", dtype=float), ds["logprob"], rtol=1e-12)
    guided = ds.isel(method=slice(design.n_methods))
    assert (guided["reward_trace"].notnull() == inside).all()
    last = guided["reward_trace"].isel(token=ds["n_tokens"] - 1)
    assert (last == guided["reward"]).all()


def test_prefix_rewards_grow_informative_as_planted() -> None:
    # All responses are of one length, so that the share read is the same on both sides.
    design = StudyDesign(n_methods=1, n_icl=0, spread=0.0, rm_accuracy=0.8, tokens=4,
                         scoring="stored", n_users=4000, n_examples=10)  # fmt: skip
    ds = simulate_dataset(design, seed=6)
    full = (ds["n_tokens"] == 4).all("candidate")
    found = credit(ds["reward_trace"].sel(example=full)).mean("example").squeeze().values
    assert full.sum() > 1000
    assert_allclose(found, ndtr(ndtri(0.8) * np.sqrt([0.25, 0.5, 0.75, 1.0])), atol=0.03)


def test_log_probabilities_are_negative_however_short_the_response() -> None:
    ds = simulate_dataset(StudyDesign(tokens=2, base_likelihood=0.9, scoring="stored"))
    assert (ds["logprob"] < 0).all()
    assert (ds["n_tokens"] <= 2).all()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"datasets": ["tldr", "prism"], "n_examples": "unequal"},
        {"models": ["350M", "7B"], "n_seeds": 2, "texts": True, "tokens": 6, "missing": 3},
        {"scoring": "stored", "ties": 1.0, "tokens": 1},
        {"n_methods": 0, "n_icl": 2},
        {"n_icl": 0, "n_users": 1, "n_examples": 1},
    ],
)
def test_every_study_follows_the_schema(options: dict) -> None:
    tree = simulate(**{"n_users": 6, **options})
    assert validate(tree) == []
    assert json.loads(tree.attrs["simulation_design"])["ties"] == options.get("ties", 0)


def test_same_seed_same_bytes() -> None:
    options = {"models": 2, "n_seeds": 2, "texts": True, "tokens": 5, "n_users": 7}
    first, again, other = (simulate(seed=seed, **options) for seed in (1, 1, 2))
    for name, variable in first.variables.items():
        assert variable.values.tobytes() == again[name].values.tobytes()
    assert not np.array_equal(first["logprob"], other["logprob"])


def test_a_seed_sequence_can_be_used_twice() -> None:
    seed = np.random.SeedSequence(1)
    design = StudyDesign(n_users=3)
    assert simulate_dataset(design, seed=seed).identical(simulate_dataset(design, seed=seed))


def test_datasets_differ_in_truth_and_keep_theirs_when_one_is_added() -> None:
    two, three = (simulate(datasets=list(names), n_users=3) for names in ("ab", "abc"))
    assert two["a"].to_dataset().identical(three["a"].to_dataset())
    assert not np.allclose(two["a"]["true_rouge1"], two["b"]["true_rouge1"])


@pytest.mark.parametrize(
    "change",
    [{"n_icl": 3}, {"tokens": 0, "texts": True}, {"missing": 0, "generation_correlation": -1.0}],
)
def test_options_of_other_parts_leave_rewards_as_they_are(change: dict) -> None:
    options = {"n_methods": 3, "n_users": 5}
    plain, changed = (
        simulate_dataset(StudyDesign(**options, **more))["reward"].isel(method=slice(3))
        for more in ({}, change)
    )
    xr.testing.assert_identical(plain, changed)


def test_a_further_method_leaves_the_others_as_they_are() -> None:
    fewer, more = (simulate_dataset(StudyDesign(n_methods=n, n_users=5)) for n in (2, 4))
    for name in ("reward", "rouge1", "true_policy_accuracy"):
        guided = {"method": ["guided-01", "guided-02"]}
        xr.testing.assert_identical(fewer[name].sel(guided), more[name].sel(guided))


def test_methods_are_paired_through_users_and_examples() -> None:
    design = StudyDesign(n_methods=2, n_icl=0, user_sd=0.6, example_sd=0.6, scoring="stored")
    ds = simulate_dataset(design)
    margin = ds["reward"].diff("candidate").squeeze("candidate").values
    # Shared variance .36 + .36 of 1; standard error about .01.
    assert_allclose(np.corrcoef(margin)[0, 1], 0.72, atol=0.05)


def test_example_correlation_ties_ranking_to_writing() -> None:
    design = StudyDesign(n_methods=1, n_icl=0, example_correlation=0.7, scoring="stored")
    ds = simulate_dataset(design)
    margin = -ds["reward"].diff("candidate").values.ravel()
    assert np.corrcoef(margin, ds["rouge1"].values.ravel())[0, 1] > 0.6


@given(seed=st.integers(0, 2**63), correlation=st.floats(-1, 1), spread=st.floats(0, 0.15))
@settings(max_examples=15, deadline=None)
def test_rouge_and_truth_stay_in_bounds(seed: int, correlation: float, spread: float) -> None:
    design = StudyDesign(n_users=4, correlation=correlation, spread=spread, scoring="stored")
    ds = simulate_dataset(design, seed=seed)
    for name in ("rouge1", "rouge2", "rougeL", "true_rm_accuracy", "true_rouge1"):
        values = ds[name].values[~np.isnan(ds[name].values)]
        assert ((values >= 0) & (values <= 1)).all()
    assert (ds["rouge2"] <= ds["rougeL"]).all()
    assert (ds["rougeL"] <= ds["rouge1"]).all()
    assert len(set(ds["example"].values)) == ds.sizes["example"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rm_accuracy": 1.0}, r"variable rm_accuracy: is 1.0; take a share in \(0, 1\)"),
        ({"correlation": 2}, "variable correlation: is 2; take -1 to 1"),
        ({"n_examples": (5, 2)}, r"variable n_examples: is \(5, 2\)"),
        ({"n_examples": 0}, "variable n_examples: is 0"),
        ({"n_users": 0}, "variable n_users: is 0; take at least 1"),
        ({"n_methods": 0, "n_icl": 0}, "there is no method"),
        ({"method_effects": "cauchy"}, "choose one of normal, t3, skewed, clusters"),
        ({"user_sd": 0.9, "example_sd": 0.9}, "add up to 1.63; lower them"),
        ({"models": ["large"]}, "has 'large', whose size is unknown"),
        ({"models": ["7B", "7B"]}, "repeats a label"),
        ({"models": 0}, "variable models: is 0; take 1 to 7"),
        ({"models": {"a": 0}}, "has 'a'"),
        ({"missing": 9}, "of 9 combinations of model and method; leave at least one"),
        ({"weight": float("inf")}, "take a positive, finite weight"),
        ({"tokens": -1}, "variable tokens: is -1"),
    ],
)
def test_bad_options_are_named(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        StudyDesign(**options)


def test_all_bad_options_are_named_at_once() -> None:
    with pytest.raises(InputError) as caught:
        StudyDesign(spread=-1, ties=2)
    assert len(caught.value.problems) == 2


def test_command_writes_what_the_function_makes(tmp_path) -> None:
    path = tmp_path / "study.nc"
    arguments = ["-o", str(path), "--users", "5", "--examples", "2-4", "--models", "0.5B,7B",
                 "--missing", "2", "--seed", "3"]  # fmt: skip
    result = CliRunner().invoke(simulate_command, arguments)
    assert result.exit_code == 0, result.output
    expected = simulate(n_users=5, n_examples=(2, 4), models=["0.5B", "7B"], missing=2, seed=3)
    with xr.open_dataset(path) as written:
        assert_allclose(written["reward"], expected["reward"])
        assert_allclose(written["true_rouge1"], expected["true_rouge1"])


@pytest.mark.parametrize("value", ["many", "1-2-3", "-5"])
def test_command_names_a_bad_number_of_examples(value: str, tmp_path) -> None:
    result = CliRunner().invoke(
        simulate_command, ["-o", str(tmp_path / "x.nc"), "--examples", value]
    )
    assert result.exit_code == 2
    assert "such as 5-40" in result.output
    assert not list(tmp_path.iterdir())


def test_training_seeds_leave_the_base_model_as_it_is() -> None:
    without, with_seeds = (
        simulate_dataset(StudyDesign(n_seeds=n, seed_sd=0.5, scoring="stored", n_users=4))
        for n in (None, 3)
    )
    xr.testing.assert_identical(without["logprob"], with_seeds["logprob"])


def test_a_study_larger_than_the_memory_is_refused_before_anything_is_made(tmp_path) -> None:
    out = tmp_path / "results.nc"
    options = ["-o", str(out), "--users", "1000000", "--examples", "100000"]
    result = CliRunner().invoke(simulate_command, options)
    assert isinstance(result.exception, InputError)
    assert "GiB of memory" in str(result.exception)
    assert not out.exists()


@pytest.mark.parametrize(
    "options",
    [
        {"n_examples": 40},
        {"n_examples": (10, 70)},
        {"n_examples": "unequal", "n_users": 400},
        {"n_seeds": 4, "models": 2},
        {"tokens": 16},
        {"texts": True},
    ],
)
def test_the_size_of_a_design_is_about_that_of_its_study(options: dict) -> None:
    design = StudyDesign(**options)
    made = simulate_dataset(design, seed=0)
    large = sum(each.nbytes for name, each in made.data_vars.items() if "method" in each.dims)
    assert 0.5 <= design.bytes / large <= 1.5

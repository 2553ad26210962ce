"""Comparisons of methods on labelled data."""

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from preflamp_stats import simulate
from preflamp_stats.errors import InputError
from preflamp_stats.inference.contrasts import compare_methods


@pytest.fixture(scope="module")
def study() -> xr.Dataset:
    return simulate(
        n_methods=4, n_users=40, n_examples=(2, 12), models=2, n_seeds=2, missing=1, seed=3
    ).to_dataset()


def by_pair(found: xr.Dataset, name: str) -> dict[tuple[str, str, str], float]:
    frame = found.reset_coords().to_dataframe().reset_index()
    return {(r["model"], r["method_a"], r["method_b"]): r[name] for _, r in frame.iterrows()}


def test_estimates_are_differences_of_means_over_seeds(study: xr.Dataset) -> None:
    found = compare_methods(study, "rouge1", n_resamples=200)
    mean = study["rouge1"].mean("example").mean("seed")
    for model in study["model"].values:
        for pair in range(found.sizes["pair"]):
            one = found.sel(model=model).isel(pair=pair)
            a, b = (
                mean.sel({"model": model, "method": one[m].item()})
                for m in ("method_a", "method_b")
            )
            assert_allclose(one["estimate"], a - b, atol=1e-6)


@pytest.mark.parametrize("correction", ["max-t", "holm", "none"])
def test_intervals_and_p_values_agree(study: xr.Dataset, correction) -> None:
    found = compare_methods(study, "rouge1", correction=correction, n_resamples=999)
    there = found["estimate"].notnull()
    excluded = (found["low"] > 0) | (found["high"] < 0)
    significant = found["p_adjusted"] <= 0.05
    if correction == "holm":  # steps down, while Bonferroni's intervals do not
        assert bool((significant | ~excluded).all())
    else:
        assert_array_equal(excluded, significant)
    assert bool((found["p_adjusted"] >= found["p_value"]).where(there, True).all())
    if correction == "max-t":
        assert float(found["p_adjusted"].min()) >= 1 / 1000


def test_max_t_is_narrower_than_bonferroni_and_wider_than_none(study: xr.Dataset) -> None:
    width = {}
    for correction in ("max-t", "holm", "none"):
        found = compare_methods(study, "rouge1", correction=correction, n_resamples=4000)
        width[correction] = (found["high"] - found["low"]).sum()
    assert width["none"] < width["max-t"] < width["holm"]


def test_absent_methods_have_no_numbers(study: xr.Dataset) -> None:
    found = compare_methods(study, "rouge1", n_resamples=99)
    absent = found["n_users"] == 0
    assert int(absent.sum()) == 4
    assert bool(
        found[["estimate", "low", "p_value", "p_adjusted"]]
        .where(absent)
        .isnull()
        .all()
        .to_array()
        .all()
    )


def test_order_of_methods_and_examples_changes_nothing(study: xr.Dataset) -> None:
    rng = np.random.default_rng(0)
    shuffled = study.isel(
        example=rng.permutation(study.sizes["example"]), method=rng.permutation(5)
    )
    found, again = (compare_methods(ds, "rm_accuracy", n_resamples=99) for ds in (study, shuffled))
    xr.testing.assert_identical(found, again)


def test_swapping_labels_swaps_signs(study: xr.Dataset) -> None:
    names = list(study["method"].values)
    mirrored = study.assign_coords(method=names[::-1])
    plain, turned = (
        by_pair(compare_methods(ds, "rouge1", n_resamples=99), "estimate")
        for ds in (study, mirrored)
    )
    other = dict(zip(names, names[::-1], strict=True))
    for (model, a, b), estimate in plain.items():
        here, sign = (other[a], other[b]), 1
        if here[0] > here[1]:
            here, sign = here[::-1], -1
        assert_allclose(turned[model, *here], sign * estimate, atol=1e-12, equal_nan=True)


def test_one_example_a_user_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(2)
    values = rng.random((2, 30))
    ds = xr.Dataset(
        {
            "user": ("example", [f"u{i}" for i in range(30)]),
            "rouge1": (("model", "method", "example"), values[None]),
        },
        {"method": ["a", "b"], "model": ["m"]},
    )
    found = compare_methods(ds, "rouge1", n_resamples=99)
    expected = stats.ttest_rel(*values)
    assert_allclose(found["p_value"].item(), expected.pvalue, rtol=1e-6)
    interval = expected.confidence_interval(0.95)
    assert found["low"].item() <= interval.low + 1e-9
    assert found["high"].item() >= interval.high - 1e-9


def test_a_single_method_has_no_pairs(study: xr.Dataset) -> None:
    found = compare_methods(study.isel(method=[0]), "rouge1", n_resamples=99)
    assert found.sizes["pair"] == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"metric": "bleu"}, "cannot be computed"),
        ({"correction": "bonferroni"}, "choose one of max-t, holm, none"),
        ({"level": 95}, "between 0 and 1"),
        ({"metric": "leaderboard"}, "known only per method"),
    ],
)
def test_bad_options_are_refused(study: xr.Dataset, options, words) -> None:
    scores = xr.DataArray(np.arange(5.0), dims="method", attrs={"role": "method_metric"})
    with pytest.raises(InputError, match=words):
        compare_methods(study.assign(leaderboard=scores), **{"metric": "rouge1", **options})


@pytest.mark.parametrize(
    ("n_seeds", "include", "said"),
    [(2, True, "included"), (2, False, "not included"), (1, True, "not included")],
)
def test_says_whether_training_seeds_are_in_the_interval(n_seeds, include, said) -> None:
    seeded = simulate(n_methods=3, n_users=20, n_seeds=n_seeds, seed=1).to_dataset()
    found = compare_methods(seeded, "rouge1", n_resamples=50, include_seeds=include)
    assert found.attrs["seeds"] == said

"""What a file at hand could show."""

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

import preflamp_stats as pls
from preflamp_stats.errors import InputError
from preflamp_stats.inference.contrasts import compare_methods
from preflamp_stats.inference.detectable_effect import minimum_detectable_effect
from preflamp_stats.inference.metric_design import MetricDesign
from preflamp_stats.inference.power import power
from preflamp_stats.kernels.power import difference_power, equivalence_power


@pytest.fixture(scope="module")
def study() -> xr.Dataset:
    return pls.simulate(n_methods=4, n_icl=0, n_users=60, n_examples=10, seed=2).to_dataset()


def test_mde_has_the_target_power_at_holms_first_step(study: xr.Dataset) -> None:
    found = minimum_detectable_effect(study, "rm_accuracy", target=0.9)
    assert found.sizes["pair"] == 6
    at_mde = difference_power(found["mde"], found["se"], found["df"], alpha=0.05 / 6)
    assert_allclose(at_mde, 0.9, atol=1e-6)


def test_errors_are_those_of_the_comparison(study: xr.Dataset) -> None:
    found = minimum_detectable_effect(study, "rm_accuracy")
    compared = compare_methods(study, "rm_accuracy", correction="none", n_resamples=10)
    for name in ("se", "df", "n_users", "method_a", "method_b"):
        assert found[name].values.tolist() == compared[name].values.tolist()


def test_users_needed_at_hand_and_elsewhere(study: xr.Dataset) -> None:
    mde = minimum_detectable_effect(study, "rm_accuracy")["mde"]
    pair = int(np.argmax(mde.values))
    hardest = float(mde[pair])
    found = minimum_detectable_effect(
        study, "rm_accuracy", differences=[hardest, hardest / 2], margins=[hardest]
    ).isel(pair=pair)
    at_hand, half = found["users_for_difference"].values
    assert at_hand in (60, 61)
    # Half the difference needs four times the users, a little less for more degrees of freedom.
    assert 220 < half < 240
    (n,) = found["users_for_margin"].values
    se = found["se"].item() * np.sqrt(60 / np.array([n - 1, n]))
    shown = equivalence_power(0.0, se, [n - 2, n - 1], margin=hardest, alpha=0.05 / 6)
    assert shown[0] < 0.8 <= shown[1]


def test_more_users_bring_their_degrees_of_freedom() -> None:
    """From nine users on, every one adds a degree of freedom as well as taking off error."""
    study = pls.simulate(n_methods=2, n_icl=0, n_users=9, n_examples=30, seed=3).to_dataset()
    mde = minimum_detectable_effect(study, "rm_accuracy")["mde"].item()
    found = minimum_detectable_effect(study, "rm_accuracy", differences=[0.6 * mde])
    (n,) = found["users_for_difference"].values.ravel()
    users = np.array([n - 1, n])
    se = found["se"].item() * np.sqrt(9 / users)
    df = (found["df"].item() + 1) * users / 9 - 1
    short, enough = difference_power(0.6 * mde, se, df, alpha=0.05)
    assert short < 0.8 <= enough
    # The nine users' own degrees of freedom would ask for another number.
    kept = difference_power(0.6 * mde, se, np.full(2, found["df"].item()), alpha=0.05)
    assert not kept[0] < 0.8 <= kept[1]


def test_variance_between_trainings_does_not_shrink_with_users() -> None:
    study = pls.simulate(
        n_methods=3, n_icl=0, n_users=100, n_examples=10, n_seeds=3, seed=1, models=1
    ).to_dataset()
    small = {"differences": [0.002]}
    with_seeds = minimum_detectable_effect(study, "rm_accuracy", **small)
    fixed = minimum_detectable_effect(study, "rm_accuracy", include_seeds=False, **small)
    more = (with_seeds["se"] > fixed["se"]).values
    assert more.any()
    assert np.isinf(with_seeds["users_for_difference"].values[more]).all()
    assert np.isfinite(fixed["users_for_difference"].values).all()


def test_pair_without_error_has_no_mde() -> None:
    study = pls.simulate(n_methods=3, n_icl=0, n_users=30, n_examples=5, seed=1).to_dataset()
    study["reward"][{"method": 1}] = study["reward"].isel(method=0)
    found = minimum_detectable_effect(study, "rm_accuracy", differences=[0.1])
    assert np.isnan(found["mde"].values).tolist() == [True, False, False]
    at_mde = difference_power(found["mde"][1:], found["se"][1:], found["df"][1:], alpha=0.05 / 2)
    assert_allclose(at_mde, 0.8, atol=1e-6)


def test_plan_and_file_agree() -> None:
    study = pls.simulate(
        n_methods=6, n_icl=0, n_users=400, n_examples=20, user_method_sd=0.1, spread=0.0, seed=5
    ).to_dataset()
    found = float(minimum_detectable_effect(study, "rm_accuracy")["mde"].median())
    # User effects of .1 in a latent difference of unit variance, .25 of which is shared.
    design = MetricDesign(mean=0.65, examples=20, pairing=0.15, icc=0.012)
    planned = power(difference=0.1, methods=6, users=400, design=design)["detectable"].item()
    assert_allclose(found, planned, rtol=0.1)


@pytest.mark.parametrize(
    "options", [{"differences": [0.0]}, {"margins": [-1.0]}, {"target": 1.0}, {"level": 0}]
)
def test_bad_input_is_refused(study: xr.Dataset, options) -> None:
    with pytest.raises(InputError):
        minimum_detectable_effect(study, "rm_accuracy", **options)

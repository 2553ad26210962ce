"""Example-level association: planted values, statsmodels, fallbacks and what they say."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from statsmodels.regression.mixed_linear_model import MixedLM

import preflamp_stats as pls
from preflamp_stats.errors import InputError
from preflamp_stats.inference import example_level
from preflamp_stats.inference.example_level import example_association
from preflamp_stats.kernels.clustered import user_products


def study(
    *, slope: float = 0.2, user_sd: float = 0.5, n_users: int = 30, n_examples: int = 6
) -> xr.Dataset:
    """Four methods; quality is slope × credit plus effects of method, user and noise."""
    rng = np.random.default_rng(1)
    n, user = n_users * n_examples, np.repeat(np.arange(n_users), n_examples)
    right = rng.random((4, n)) < 0.6
    reward = np.stack([np.where(right, 1.0, 0.0), np.full(right.shape, 0.5)], axis=-1)
    quality = slope * right + 0.1 * np.arange(4)[:, None] + user_sd * rng.normal(size=n_users)[user]
    quality = quality + rng.normal(size=(4, n))
    return xr.Dataset(
        {
            "user": ("example", [f"user {u:03d}" for u in user]),
            "reward": (("method", "example", "candidate"), reward),
            "helpfulness": (("method", "example"), quality, {"role": "generation_metric"}),
        },
        coords={"method": list("abcd"), "candidate": ["chosen", "rejected"]},
    )


def test_mixed_model_is_that_of_statsmodels() -> None:
    ds = study()
    found = example_association(ds, "helpfulness")
    credit = (ds["reward"].sel(candidate="chosen") > 0.5).values.astype(float)
    design = np.column_stack([credit.ravel(), np.repeat(np.eye(4), ds.sizes["example"], axis=0)])
    fit = MixedLM(
        ds["helpfulness"].values.ravel(), design, groups=np.tile(ds["user"].values, 4)
    ).fit(reml=True, method=["bfgs"])
    assert (found["estimator"].item(), found["note"].item()) == ("mixed", "")
    assert found["estimate"].item() == pytest.approx(fit.fe_params[0], abs=1e-4)
    share = fit.cov_re[0, 0] / (fit.cov_re[0, 0] + fit.scale)
    assert found["user_share"].item() == pytest.approx(share, rel=1e-2)
    # Here, where the model is true, its own standard error and that of the users agree roughly.
    reach = (found["high"] - found["low"]).item() / 2
    assert reach == pytest.approx(2.045 * fit.bse_fe[0], rel=0.35)
    assert found["low"] < 0.2 < found["high"]
    assert (found["n_rows"].item(), found["n_users"].item()) == (720, 30)


def test_without_variance_between_users_estimating_equations_are_used() -> None:
    found = example_association(study(user_sd=0.0), "helpfulness")
    gee = example_association(study(user_sd=0.0), "helpfulness", estimator="gee")
    if found["estimator"].item() == "gee":
        assert "generalised estimating equations instead" in found["note"].item()
        assert found["estimate"].item() == gee["estimate"].item()
    assert found["estimate"].item() == pytest.approx(gee["estimate"].item(), abs=0.01)


@pytest.mark.parametrize(
    ("ratio", "reason"),
    [(np.inf, "did not converge"), (0.0, "no variance between users (singular)")],
)
def test_a_failed_mixed_model_is_reported(
    monkeypatch: pytest.MonkeyPatch, ratio: float, reason: str
) -> None:
    monkeypatch.setattr(example_level.UserVariance, "reml", ratio)
    found = example_association(study(), "helpfulness")
    assert found["estimator"].item() == "gee"
    assert found["note"].item().startswith(f"mixed model: {reason}")
    monkeypatch.setattr(example_level.UserVariance, "exchangeable", np.nan)
    last = example_association(study(), "helpfulness")
    assert last["estimator"].item() == "within"
    assert "within users instead" in last["note"].item()
    assert np.isnan(last["user_share"].item())


def test_all_estimators_agree_on_a_planted_slope() -> None:
    ds = study(slope=0.5, n_users=60)
    found = [
        example_association(ds, "helpfulness", estimator=e) for e in ("mixed", "gee", "within")
    ]
    assert [f["estimator"].item() for f in found] == ["mixed", "gee", "within"]
    for one in found:
        assert one["low"].item() < 0.5 < one["high"].item()
        assert one["p_value"].item() < 0.001
    assert np.ptp([f["estimate"].item() for f in found]) < 0.02


@pytest.mark.parametrize("limit", ["MOST_MIXED_ROWS", "MOST_MIXED_USERS"])
def test_large_data_are_compared_within_users(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(example_level, limit, 10)
    found = example_association(study(), "helpfulness")
    assert found["estimator"].item() == "within"
    assert "too large for a mixed model by default" in found["note"].item()
    asked = example_association(study(), "helpfulness", estimator="mixed")
    assert asked["estimator"].item() == "mixed"


def test_by_model_and_with_seeds(make_study) -> None:
    ds = make_study(n_models=2, n_seeds=2, missing=0.1)
    found = example_association(ds, "rouge1", estimator="within")
    assert found["model"].values.tolist() == ds["model"].values.tolist()
    one = example_association(ds.isel(model=[1]), "rouge1", estimator="within")
    xr.testing.assert_allclose(found.isel(model=[1]), one)
    credit = pls.kernels.accuracy.pair_credit(*np.moveaxis(ds["reward"].values, -1, 0))
    there = ~np.isnan(ds["rouge1"].isel(model=0).transpose(*ds["reward"].dims[:-1]).values + credit)
    assert found["n_rows"].values[0] == there.sum()


@pytest.mark.parametrize("estimator", [None, "within"])
def test_order_of_the_file_does_not_matter(make_study, shuffled, estimator) -> None:
    ds = make_study(missing=0.1, n_examples=60)
    one, two = (
        example_association(d, "rouge1", estimator=estimator) for d in (ds, shuffled(ds, 3))
    )
    xr.testing.assert_allclose(one.sortby("model"), two.sortby("model"))


def test_undefined_results_say_why() -> None:
    ds = study()
    flat = ds.assign(reward=xr.zeros_like(ds["reward"]))
    found = example_association(flat, "helpfulness")
    assert found["estimate"].isnull()
    assert found["note"].item() == "the upstream metric does not vary within a user and method"
    lonely = example_association(ds.assign(user=("example", ["one"] * 180)), "helpfulness")
    assert lonely["estimate"].notnull()
    assert lonely["low"].isnull()
    assert lonely["note"].item() == "no interval: a single user decides"


def test_one_user_and_constant_metrics_have_no_interval() -> None:
    ds = study()
    one = example_association(ds.assign(user=ds["user"].copy(data=["u"] * 180)), "helpfulness")
    flat = example_association(ds.assign(helpfulness=ds["helpfulness"] * 0 + 2), "helpfulness")
    alike = example_association(ds.assign(reward=ds["reward"] * 0), "helpfulness")
    for found, note in ((one, "single user"), (flat, "no variation"), (alike, "does not vary")):
        assert note in found["note"].item()
        assert found[["low", "p_value"]].isnull().all().to_array().all()


@pytest.mark.parametrize("estimator", ["mixed", "gee"])
def test_values_far_from_zero_keep_their_digits(estimator) -> None:
    ds = study()
    near = example_association(ds, "helpfulness", estimator=estimator)
    far = ds.assign(helpfulness=1e-6 * ds["helpfulness"] + 1e3)
    found = example_association(far, "helpfulness", estimator=estimator)
    assert found["estimator"].item() == estimator
    for name, times in (("estimate", 1e6), ("high", 1e6), ("user_share", 1)):
        assert times * found[name].item() == pytest.approx(near[name].item(), rel=1e-5)


def test_without_users_examples_are_the_units() -> None:
    found = example_association(study().drop_vars("user"), "helpfulness", estimator="within")
    assert found.attrs["unit"] == "examples"
    assert found["n_users"].item() == 180


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"downstream": "leaderboard"}, "leaderboard: is known only per method"),
        ({"upstream": "accuracy"}, "accuracy"),
        ({"estimator": "ols"}, "choose one of mixed, gee, within"),
        ({"level": 95}, "variable level"),
    ],
)
def test_bad_input(make_study, call: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        example_association(make_study(), **call)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_variance_ratio_of_users_is_that_of_the_data(share: float) -> None:
    """Estimating equations find the correlation within users; the ratio is its odds."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(400), 6)
    effect = rng.normal(size=400)[users] * np.sqrt(share)
    x = rng.normal(size=len(users))
    y = x + effect + rng.normal(size=len(users)) * np.sqrt(1 - share)
    products = user_products(x[:, None], y[:, None], users, 400)
    ratio = example_level.UserVariance(products).exchangeable
    assert ratio == pytest.approx(share / (1 - share), rel=0.25)

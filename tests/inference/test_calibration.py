from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import preflamp_stats as pls
from preflamp_stats.errors import InputError


def judged(margins, users=10, **attrs):
    """One method whose rewards differ by these margins."""
    margins = np.asarray(margins, dtype=float)
    reward = np.stack([margins / 2, -margins / 2], axis=-1)[None]
    user = np.array([f"u{i % users}" for i in range(len(margins))], dtype=object)
    return xr.Dataset(
        {"reward": (("method", "example", "candidate"), reward, attrs), "user": ("example", user)},
        {
            "method": ["rm"],
            "candidate": ["chosen", "rejected"],
            "example": np.arange(len(margins)).astype(str),
        },
    )


def calibrated(n, seed=0):
    """Margins whose sign is right with the probability that they claim."""
    rng = np.random.default_rng(seed)
    size = np.abs(rng.normal(size=n) * 2)
    return np.where(rng.random(n) < 1 / (1 + np.exp(-size)), size, -size)


def test_by_hand():
    margins = np.log([3.0, 9.0, 1 / 4, 1.0])  # p = .75, .9, .2, .5
    found = pls.reward_calibration(judged(margins), n_bins=2, n_resamples=50)
    assert found["brier"].item() == pytest.approx((0.0625 + 0.01 + 0.64 + 0.25) / 4, abs=1e-6)
    assert found["mean_margin"].item() == pytest.approx(margins.mean(), abs=1e-6)
    # Lower bin: confidence .75 and .5, right 1 and ½; upper one: .8 and .9, right 0 and 1.
    assert found["estimate"].item() == pytest.approx((0.25 + 0.7) / 4, abs=1e-6)
    assert found["n_examples"].item() == 4


def test_a_calibrated_reward_has_no_error_and_one_too_sure_has():
    margins = calibrated(100_000)
    p = 1 / (1 + np.exp(-margins))
    right = pls.reward_calibration(judged(margins, 200), n_resamples=100)
    sure = pls.reward_calibration(judged(3 * margins, 200), n_resamples=100)
    assert right["estimate"].item() < 0.01
    assert right["low"].item() == 0
    assert right["estimate"].item() == pytest.approx(right["by_chance"].item(), rel=0.6)
    # The expected score of a calibrated p is p(1 − p).
    assert right["brier"].item() == pytest.approx((p * (1 - p)).mean(), abs=0.005)
    assert sure["low"].item() > 0.08
    assert sure["brier"].item() > right["brier"].item()
    assert sure["mean_margin"].item() == pytest.approx(3 * right["mean_margin"].item(), abs=1e-5)


def test_the_interval_holds_a_true_error_of_zero():
    held = [
        pls.reward_calibration(judged(calibrated(100, s), 20), n_resamples=100)["low"].item() == 0
        for s in range(30)
    ]
    assert sum(held) >= 26


def test_a_reward_that_was_hardly_ever_wrong_gets_no_interval():
    margins = np.linspace(2, 4, 60)
    margins[:5] *= -1  # one of each of five users
    found = pls.reward_calibration(judged(margins), n_resamples=50)
    assert found["estimate"].item() > 0
    names = ["low", "high", "brier_low", "brier_high", "mean_margin_low", "mean_margin_high"]
    assert found[names].to_dataarray().isnull().all()
    assert "too few users" in found["note"].item()
    margins[5] *= -1
    sixth = pls.reward_calibration(judged(margins), n_resamples=50)
    assert sixth[names].to_dataarray().notnull().all()
    assert sixth["note"].item() == ""
    for turned in (margins, -margins):
        alike = pls.reward_calibration(judged(np.sign(turned[-1]) * abs(margins)), n_resamples=50)
        assert alike[names].to_dataarray().isnull().all()


def test_macro_average_training_seeds_and_order():
    margins = calibrated(60)
    ds = judged(margins, 7).isel(example=slice(0, 40))
    macro = pls.MetricOptions(average="macro")
    users = ds["user"].values
    each = [(1 / (1 + np.exp(margins[:40][users == u])) ** 2).mean() for u in np.unique(users)]
    found = pls.reward_calibration(ds, options=macro, n_resamples=50)
    assert found["brier"].item() == pytest.approx(np.mean(each), abs=1e-6)
    shuffled = ds.isel(example=np.random.default_rng(0).permutation(40))
    again = pls.reward_calibration(shuffled, options=macro, n_resamples=50)
    xr.testing.assert_identical(found, again)
    # One training too sure and one not sure enough do not make up for one another.
    parts = [ds["reward"] * 4, ds["reward"] / 4]
    alone = [
        pls.reward_calibration(ds.assign(reward=one), n_resamples=50)["estimate"].item()
        for one in parts
    ]
    both = ds.assign(reward=xr.concat(parts, "seed").assign_coords(seed=[2, 1]))
    found = pls.reward_calibration(both, n_resamples=50)
    assert found["estimate"].item() == pytest.approx(np.mean(alone), abs=1e-6)
    assert found["n_seeds"].item() == 2


def test_edges():
    constant = pls.reward_calibration(judged(np.zeros(12)), n_resamples=50)
    assert (constant["estimate"].item(), constant["brier"].item()) == (0, 0.25)
    assert constant[["low", "high", "mean_margin_low"]].to_dataarray().isnull().all()
    assert "no variation" in constant["note"].item()
    alone = pls.reward_calibration(judged(calibrated(12), 1), n_resamples=50)
    assert alone["estimate"].item() > 0
    assert alone[["low", "high", "brier_low"]].to_dataarray().isnull().all()
    assert alone["note"].item() == ""
    margins = calibrated(40)
    gaps = judged(np.append(margins, [np.nan] * 3))
    some = pls.reward_calibration(gaps, n_resamples=50)
    full = pls.reward_calibration(judged(margins), n_resamples=50)
    assert (some["n_examples"].item(), some["estimate"].item()) == (40, full["estimate"].item())
    nothing = pls.reward_calibration(judged([np.nan] * 3), n_resamples=50)
    assert (
        nothing[["estimate", "low", "brier", "mean_margin", "by_chance"]]
        .to_dataarray()
        .isnull()
        .all()
    )


def test_only_what_the_file_calls_log_odds_claims_to_be_a_probability():
    for attrs, scale in (({}, "not known"), ({"log_odds": '["rm"]'}, "log-odds")):
        found = pls.reward_calibration(judged(calibrated(20), **attrs), n_resamples=20)
        assert found["reward_scale"].item() == scale
    with pytest.raises(pls.SchemaError, match=r"log_odds that names no method: .*whose rewards"):
        pls.validate(judged(calibrated(20), log_odds='["rn"]'))


@pytest.mark.parametrize(
    ("ds", "n_bins", "message"),
    [
        (judged([1.0]).drop_vars("reward"), 10, "reward: is missing; it is needed for calibration"),
        (judged([1.0]), 0, "n_bins: is 0; give a whole number"),
        (judged([1.0]), 2.5, "n_bins: is 2.5"),
        (judged([np.inf, 1.0]), 10, "reward: holds infinite values"),
        (judged([1.0], log_odds="rm"), 10, "reward: attribute log_odds is no list"),
    ],
)
def test_bad_input_is_named(ds, n_bins, message):
    with pytest.raises(InputError, match=message):
        pls.reward_calibration(ds, n_bins=n_bins, n_resamples=20)


def test_the_table_comes_where_it_is_asked_for():
    ds = {"d": judged(calibrated(60), log_odds='["rm"]')}
    assert "reward_calibration" not in pls.analyze(ds, pls.Settings(resamples=20)).tables
    table = pls.analyze(ds, pls.Settings(resamples=20, calibration=True)).tables[
        "reward_calibration"
    ]
    assert table.frame["reward_scale"].tolist() == ["log-odds"]
    assert "these users" in table.caption

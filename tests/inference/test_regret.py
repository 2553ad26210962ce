"""Selection regret: targets by hand, invariances, edges, and what the interval must hold."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import preflamp_stats as pls
from preflamp_stats.errors import InputError
from preflamp_stats.inference.regret import _limits, choice_regret, selection_regret


def study(seed: int, n_units: int, n_methods: int, **kwargs: float) -> tuple[np.ndarray, ...]:
    """Estimates and bootstrap draws of two metrics whose true values are the first two results."""
    rng = np.random.default_rng(seed)
    true = kwargs.get("spread", 1.0) * rng.normal(size=(2, n_methods))
    shared = kwargs.get("noise_correlation", 0.0)
    noise = rng.normal(size=(2, n_units, n_methods))
    noise[1] = shared * noise[0] + np.sqrt(1 - shared**2) * noise[1]
    units = true[:, None] + noise
    counts = rng.multinomial(n_units, np.full(n_units, 1 / n_units), 500) / n_units
    return *true, *units.mean(axis=1), *(counts @ units)


def test_regret_by_hand() -> None:
    # x ranks method 0 first; method 2 is best: regret .3 − .2; the mean is .2, so chance loses .1.
    x, y = np.array([3.0, 1.0, 2.0]), np.array([0.2, 0.1, 0.3])
    found = choice_regret(x, y, np.tile(x, (9, 1)), np.tile(y, (9, 1)), n_units=5)
    np.testing.assert_array_equal(found.chosen, [1, 0, 0])
    np.testing.assert_array_equal(found.best, [0, 0, 1])
    values = (found.naive, found.estimate, found.random, found.relative, found.gain)
    np.testing.assert_allclose(values, (0.1, 0.1, 0.1, 1.0, 0.0), atol=1e-12)
    assert np.isnan([found.low, found.high, found.gain_low]).all()


def test_methods_that_tie_upstream_are_chosen_by_lot() -> None:
    x, y = np.array([2.0, 2.0, 1.0]), np.array([0.3, 0.1, 0.0])
    found = choice_regret(x, y, np.tile(x, (9, 1)), np.tile(y, (9, 1)), n_units=5)
    assert found.naive == pytest.approx(0.1)
    np.testing.assert_array_equal(found.chosen, [0.5, 0.5, 0])


def test_choosing_by_the_downstream_metric_itself_loses_nothing_as_observed() -> None:
    *_, y, _, draws = study(1, 50, 6)
    found = choice_regret(y, y, draws, draws, n_units=50)
    assert found.naive == found.low == 0
    assert found.high >= found.estimate >= 0


@given(st.integers(0, 10_000), st.integers(2, 8))
def test_limits_enclose_the_estimate(seed: int, n_methods: int) -> None:
    _, _, x, y, x_draws, y_draws = study(seed, 20, n_methods)
    found = choice_regret(x, y, x_draws, y_draws, n_units=20)
    assert 0 <= found.low <= found.estimate <= found.high
    assert found.gain_low <= found.gain <= found.gain_high
    assert found.low <= found.naive <= found.high


@given(st.integers(0, 10_000), st.floats(0.1, 10), st.floats(-5, 5))
def test_units_of_the_metrics_do_not_matter(seed: int, scale: float, shift: float) -> None:
    _, _, x, y, x_draws, y_draws = study(seed, 20, 4)
    one = choice_regret(x, y, x_draws, y_draws, n_units=20)
    two = choice_regret(
        np.exp(x), scale * y + shift, np.exp(x_draws), scale * y_draws + shift, n_units=20
    )
    for name in ("estimate", "low", "high", "random", "gain"):
        assert getattr(two, name) == pytest.approx(scale * getattr(one, name), abs=1e-8)


@given(st.integers(0, 10_000))
def test_order_of_methods_does_not_matter(seed: int) -> None:
    _, _, x, y, x_draws, y_draws = study(seed, 20, 5)
    order = np.random.default_rng(seed).permutation(5)
    one = choice_regret(x, y, x_draws, y_draws, n_units=20)
    two = choice_regret(x[order], y[order], x_draws[:, order], y_draws[:, order], n_units=20)
    np.testing.assert_array_equal(one.chosen[order], two.chosen)
    assert (one.low, one.high) == pytest.approx((two.low, two.high))


@pytest.mark.parametrize("noise_correlation", [0.0, 0.95])
@pytest.mark.parametrize("spread", [0.05, 0.5])
def test_interval_covers(spread: float, noise_correlation: float) -> None:
    hits, naive_bias, bias = [], [], []
    for seed in range(120):
        _, true, x, y, x_draws, y_draws = study(
            seed, 60, 6, spread=spread, noise_correlation=noise_correlation
        )
        found = choice_regret(x, y, x_draws, y_draws, n_units=60)
        regret = true.max() - found.chosen @ true
        hits.append(found.low - 1e-12 <= regret <= found.high + 1e-12)
        gain = found.chosen @ true - true.mean()
        hits.append(found.gain_low <= gain <= found.gain_high)
        naive_bias.append(found.naive - regret)
        bias.append(found.estimate - regret)
    # 93 % less three standard errors of 120 studies.
    assert np.mean(hits[::2]) > 0.86
    assert np.mean(hits[1::2]) > 0.86
    assert abs(np.mean(bias)) < abs(np.mean(naive_bias)) + 0.02


def test_naive_interval_would_fail_where_methods_are_alike() -> None:
    """Percentiles of the regret of the fixed choice miss the truth: the reason for the design."""
    ours, percentile = [], []
    for seed in range(80):
        _, true, x, y, x_draws, y_draws = study(seed, 50, 12, spread=0.03)
        found = choice_regret(x, y, x_draws, y_draws, n_units=50)
        regret = true.max() - found.chosen @ true
        ours.append(found.low <= regret <= found.high)
        draws = y_draws.max(axis=1) - y_draws @ found.chosen
        low, high = np.quantile(draws, [0.025, 0.975])
        percentile.append(low <= regret <= high)
    assert np.mean(percentile) < 0.92 < np.mean(ours)


def test_from_a_dataset_by_model(make_study) -> None:
    ds = make_study(n_methods=5, n_models=2, without_reward=1)
    found = selection_regret(ds, "rm_accuracy", "helpfulness", n_resamples=200)
    assert set(found.dims) == {"model"}
    assert (found["n_methods"] == 4).all()
    accuracy = pls.rm_accuracy(ds).isel(method=slice(0, 4))
    quality = ds["helpfulness"].mean("example").isel(method=slice(0, 4))
    for model in ds["model"].values:
        here = found.sel(model=model)
        tops = accuracy["method"].values[accuracy.values == accuracy.values.max()]
        assert here["chosen"].item().split(", ") == sorted(tops)
        best = quality.sel(model=model)
        assert here["best"].item() == best["method"].values[best.values.argmax()]
        naive = float(best.max() - best.sel({"method": tops}).mean())
        assert float(here["naive"]) == pytest.approx(naive)


def test_order_of_the_file_does_not_matter(make_study, shuffled) -> None:
    ds = make_study(n_examples=40)
    one, two = (
        selection_regret(d, "rm_accuracy", "rouge1", n_resamples=100) for d in (ds, shuffled(ds, 1))
    )
    xr.testing.assert_identical(one.sortby("model"), two.sortby("model"))


def test_numbers_without_sampling_error(make_study) -> None:
    ds = make_study()
    by_board = selection_regret(ds, "leaderboard", "rouge1", n_resamples=200)
    assert by_board["low"].notnull().all()
    of_board = selection_regret(ds, "rm_accuracy", "leaderboard", n_resamples=50)
    assert of_board["estimate"].notnull().all()
    assert of_board["low"].isnull().all()
    assert "no interval" in of_board["note"].values.ravel()[0]


def test_single_method_and_no_method(make_study) -> None:
    one = selection_regret(make_study(n_methods=1), "rm_accuracy", "rouge1", n_resamples=50)
    np.testing.assert_array_equal(one["estimate"], 0)
    np.testing.assert_array_equal(one["high"], 0)
    none = make_study(n_methods=2, without_reward=2)
    found = selection_regret(none, "rm_accuracy", "rouge1", n_resamples=50)
    assert found["estimate"].isnull().all()
    assert (found["note"] == "no method has both metrics").all()


def test_an_unknown_metric_is_refused(make_study) -> None:
    ds = make_study()
    with pytest.raises(InputError, match="accuracy_of_rm"):
        selection_regret(ds, "accuracy_of_rm")


def test_a_cost_is_better_where_it_is_lower() -> None:
    ds = pls.simulate(n_methods=5, n_icl=0, n_users=60, seed=4).to_dataset()
    cost = (1 - ds["rouge1"]).assign_attrs(role="generation_metric", higher_is_better=0)
    options = {"n_resamples": 200, "seed": 1}
    upright = selection_regret(ds, **options)
    turned = selection_regret(ds.assign(cost=cost), downstream="cost", **options)
    assert turned["best"].item() == upright["best"].item()
    for name in ("estimate", "low", "high", "gain"):
        assert turned[name].item() == pytest.approx(upright[name].item(), abs=1e-6)


def test_limits_are_those_of_students_t_where_units_are_few() -> None:
    y = np.array([0.5, 0.4])
    y_draws = y + 0.01 * np.random.default_rng(0).normal(size=(400, 2))
    chosen = np.array([1.0, 0.0])
    choices = np.tile(chosen, (400, 1))

    def half_width(n_units: int) -> float:
        low, high = _limits(y, chosen, y_draws, choices, n_units, 0.95)[2:]
        return float(high - low) / 2

    def factor(n_units: int) -> float:
        return float(np.sqrt(n_units / (n_units - 1)) * stats.t.isf(0.025, n_units - 1))

    assert half_width(4) / half_width(1001) == pytest.approx(factor(4) / factor(1001))


@pytest.mark.parametrize("share", [0.0, 0.03])
def test_methods_that_most_users_find_alike_are_not_certain_to_be_equal(share: float) -> None:
    """Equal texts have no error; before, the regret was 0 [0, 0] whatever the number of users."""
    rng, n = np.random.default_rng(0), 40
    right = rng.random((3, n)) < np.array([[0.6], [0.7], [0.9]])
    texts = np.tile(rng.uniform(0.2, 0.6, n), (3, 1))
    texts = texts + 0.1 * (rng.random((3, n)) < share)
    ds = xr.Dataset(
        {
            "reward": (("method", "example", "candidate"), np.stack([right, ~right], -1) * 1.0),
            "rouge1": (("method", "example"), texts),
            "user": ("example", [f"u{i:02}" for i in range(n)]),
        },
        coords={"method": ["a", "b", "c"], "candidate": ["chosen", "rejected"]},
    )
    found = selection_regret(ds, n_resamples=300)
    assert found["low"] == 0
    unseen = 1 - 0.025 ** (1 / n)
    assert found["high"] >= unseen * (0.9 if share == 0 else 0.4)
    assert found["gain_low"] < found["gain"] < found["gain_high"]

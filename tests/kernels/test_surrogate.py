"""Prediction and threshold against the bivariate normal; the individual level against pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from preflamp_stats.kernels.clustered import user_products
from preflamp_stats.kernels.surrogate import DifferenceModel, within_correlation


def known(rho: float, x: float = 1.0, y: float = 1.0, n: int = 50) -> DifferenceModel:
    return DifferenceModel(np.full(n, rho), np.full(n, x), np.full(n, y))


def test_the_prediction_is_the_conditional_normal() -> None:
    drawn = known(0.6, 0.5, 2.0).predict(0.3, np.random.default_rng(0))
    mean, deviation = 0.6 * 4 * 0.3, 2 * np.sqrt(2 * 0.64)
    assert stats.kstest(drawn, stats.norm(mean, deviation).cdf).pvalue > 0.001


@given(st.floats(0.3, 0.99), st.sampled_from([0.5, 0.8, 0.95]))
def test_the_threshold_is_where_the_normal_interval_leaves_zero_out(rho: float, level: float):
    slope, deviation = rho, np.sqrt(2 * (1 - rho**2))
    exact = stats.norm.isf((1 - level) / 2) * deviation / slope
    assert known(rho).threshold(1.5 * exact, level) == pytest.approx(exact, rel=1e-3)
    assert np.isnan(known(rho).threshold(0.9 * exact, level))
    assert known(-rho).threshold(1.5 * exact, level) == pytest.approx(exact, rel=1e-3)


def test_no_association_has_no_threshold_and_perfect_one_is_sure_at_once() -> None:
    assert np.isnan(known(0.0).threshold(4.0, 0.95))
    assert known(1.0).threshold(4.0, 0.95) < 1e-3
    assert np.isnan(known(0.9, y=0.0).threshold(4.0, 0.95))


def test_populations_whose_methods_lie_too_close_count_little() -> None:
    close, far = known(-0.9, 0.01, 1.0, 400), known(0.9, 1.0, 1.0, 400)
    both = DifferenceModel(
        *(np.concatenate([getattr(m, f) for m in (close, far)]) for f in vars(far))
    )
    assert both.predict(1.0, np.random.default_rng(0)).min() > -3
    assert both.weights(1.0)[:400].sum() < 1e-9
    assert not DifferenceModel(np.zeros(9), np.zeros(9), np.ones(9)).reaches(1.0)
    assert not known(0.5, n=20).reaches(1.0)


def rows(seed: int, n_users: int = 12):
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(n_users), rng.integers(2, 6, n_users))
    x = rng.normal(size=(codes.size, 3)) + 10 * np.arange(3)
    y = 0.5 * x + rng.normal(size=x.shape) - 20 * np.arange(3)
    y[rng.random(y.shape) < 0.1] = np.nan
    return x, y, codes


def by_pandas(strata) -> float:
    frames = [
        pd.DataFrame({"g": f"{s} {c}", "x": x[:, c], "y": y[:, c]}).dropna()
        for s, (x, y, _) in enumerate(strata)
        for c in range(x.shape[1])
    ]
    frame = pd.concat(frames)
    frame[["x", "y"]] -= frame.groupby("g")[["x", "y"]].transform("mean")
    return float(np.corrcoef(frame["x"], frame["y"])[0, 1]) if len(frame) else np.nan


@given(st.integers(0, 10_000))
def test_the_individual_level_is_the_correlation_about_the_methods_means(seed: int) -> None:
    strata = [rows(seed), rows(seed + 1)]
    names = [str(u) for u in range(12)]
    products = [(user_products(*s, 12), names) for s in strata]
    correlation, low, high = within_correlation(products, 0.95)
    assert correlation == pytest.approx(by_pandas(strata), abs=1e-9)
    assert low < correlation < high
    without = []
    for u in range(12):
        kept = [(x[c != u], y[c != u], c[c != u]) for x, y, c in strata]
        without.append(np.arctanh(by_pandas(kept)))
    error = np.sqrt(11 / 12 * np.sum((np.array(without) - np.mean(without)) ** 2))
    reach = stats.t.isf(0.025, 11) * error
    assert high == pytest.approx(np.tanh(np.arctanh(correlation) + reach), abs=1e-8)


def test_the_same_people_twice_say_no_more() -> None:
    products = user_products(*rows(1), 12)
    names = [str(u) for u in range(12)]
    once = within_correlation([(products, names)], 0.95)
    assert within_correlation([(products, names)] * 2, 0.95) == pytest.approx(once)
    other = within_correlation([(products, names), (products, [f"o{n}" for n in names])], 0.95)
    assert other[2] - other[1] < once[2] - once[1]


def test_what_does_not_vary_has_no_correlation_and_few_users_no_interval() -> None:
    x, y, codes = rows(2)
    names = [str(u) for u in range(12)]
    constant = user_products(np.ones_like(x), y, codes, 12)
    assert np.isnan(within_correlation([(constant, names)], 0.95)).all()
    one = user_products(x, y, np.zeros_like(codes), 1)
    correlation, low, high = within_correlation([(one, ["a"])], 0.95)
    assert np.isfinite(correlation)
    assert np.isnan([low, high]).all()
    assert np.isnan(within_correlation([], 0.95)).all()

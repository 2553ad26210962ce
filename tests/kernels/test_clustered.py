"""The clustered slope against dummy regressions by statsmodels, refitted without each user."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from preflamp_stats.kernels.clustered import ClusteredFit, clustered_slope, user_products


def rows(seed: int, *, missing: float = 0.1, n_users: int = 9, n_columns: int = 3):
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(n_users), rng.integers(2, 6, n_users))
    x = rng.integers(0, 3, (codes.size, n_columns)) / 2
    y = 0.3 * x + rng.normal(size=x.shape) + rng.normal(size=n_users)[codes, None] + 5
    y[rng.random(y.shape) < missing] = np.nan
    return x, y, codes


def with_dummies(x: np.ndarray, y: np.ndarray, codes: np.ndarray) -> float:
    """Slope of ordinary least squares with an indicator of every column and user."""
    there = ~np.isnan(x + y)
    user, column = np.broadcast_to(codes[:, None], x.shape)[there], np.nonzero(there)[1]
    design = [x[there], *(column == c for c in np.unique(column))]
    design += [user == u for u in np.unique(user)[1:]]
    return float(sm.OLS(y[there], np.column_stack(design).astype(float)).fit().params[0])


@given(st.integers(0, 10_000))
def test_within_users_is_the_regression_with_dummies(seed: int) -> None:
    x, y, codes = rows(seed)
    fit = clustered_slope(user_products(x, y, codes, 9))
    assert fit.slope == pytest.approx(with_dummies(x, y, codes), abs=1e-7)
    without = np.array([with_dummies(*(a[codes != u] for a in (x, y, codes))) for u in range(9)])
    assert fit.error == pytest.approx(np.sqrt(8 / 9 * np.sum((without - fit.slope) ** 2)), rel=1e-5)


def gls(x: np.ndarray, y: np.ndarray, codes: np.ndarray, ratio: float) -> float:
    there = ~np.isnan(x + y)
    user, column = np.broadcast_to(codes[:, None], x.shape)[there], np.nonzero(there)[1]
    design = np.column_stack([x[there], column[:, None] == np.arange(x.shape[1])]).astype(float)
    covariance = np.eye(user.size) + ratio * (user[:, None] == user)
    return float(sm.GLS(y[there], design, sigma=covariance).fit().params[0])


@pytest.mark.parametrize("ratio", [0.0, 0.3, 5.0, -0.02])
def test_random_intercepts_are_generalised_least_squares(ratio: float) -> None:
    x, y, codes = rows(3)
    fit = clustered_slope(user_products(x, y, codes, 9), ratio)
    assert fit.slope == pytest.approx(gls(x, y, codes, ratio), abs=1e-7)
    without = np.array([gls(*(a[codes != u] for a in (x, y, codes)), ratio) for u in range(9)])
    assert fit.error == pytest.approx(np.sqrt(8 / 9 * np.sum((without - fit.slope) ** 2)), rel=1e-5)


def test_interval_and_p_value_are_students() -> None:
    fit = ClusteredFit(2.0, 1.0, 30, 10.0)
    reach = stats.t.ppf(0.975, 10)
    assert fit.interval(0.95) == pytest.approx((2 - reach, 2 + reach))
    assert fit.p_value == pytest.approx(2 * stats.t.sf(2.0, 10))


@given(st.integers(0, 10_000), st.floats(-3, 3), st.floats(-100, 100))
def test_shifts_by_user_and_method_do_not_matter_within(
    seed: int, slope: float, far: float
) -> None:
    x, y, codes = rows(seed)
    rng = np.random.default_rng(seed)
    moved = y + slope * x + far * rng.normal(size=9)[codes, None] + rng.normal(size=3)
    one, two = (clustered_slope(user_products(x, v, codes, 9)) for v in (y, moved))
    assert two.slope == pytest.approx(one.slope + slope, abs=1e-6)
    assert two.error == pytest.approx(one.error, abs=1e-6)


def test_degrees_of_freedom_count_effective_users() -> None:
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(20), 50)
    x, y = rng.integers(0, 2, (2, 1000, 4)).astype(float)
    equal = clustered_slope(user_products(x, y, codes, 20))
    assert equal.df == pytest.approx(19, abs=0.2)
    codes[: 10 * 50] = 0  # one user owns half: 1 / (¼ + 10 · 1/400)
    unequal = clustered_slope(user_products(x, y, codes, 20))
    assert unequal.df == pytest.approx(1 / (1 / 4 + 10 / 400) - 1, abs=0.2)


def test_blocks_add_up() -> None:
    x, y, codes = rows(5)
    whole = user_products(x, y, codes, 9)
    parts = user_products(x[:10], y[:10], codes[:10], 9) + user_products(
        x[10:], y[10:], codes[10:], 9
    )
    np.testing.assert_allclose(whole.xy, parts.xy)
    assert clustered_slope(whole).slope == pytest.approx(clustered_slope(parts).slope)


def test_a_method_that_a_single_user_has_is_harmless() -> None:
    x, y, codes = rows(6, missing=0.0)
    y[codes != 2, 1] = np.nan
    fit = clustered_slope(user_products(x, y, codes, 9))
    assert fit.slope == pytest.approx(with_dummies(x, y, codes), abs=1e-6)
    assert np.isfinite(fit.error)
    without = np.array([with_dummies(*(a[codes != u] for a in (x, y, codes))) for u in range(9)])
    assert fit.error == pytest.approx(np.sqrt(8 / 9 * np.sum((without - fit.slope) ** 2)), rel=1e-4)


def test_undefined() -> None:
    x, y, codes = rows(7, missing=0.0)
    by_user = np.broadcast_to(codes[:, None] / 7, x.shape)
    for flat in (by_user, 0 * x):
        fit = clustered_slope(user_products(flat, y, codes, 9))
        assert np.isnan([fit.slope, fit.error]).all()
        assert (fit.n_users, fit.df) == (9, 1.0)
    one_varies = np.where(codes[:, None] == 0, x, 0.5)
    fit = clustered_slope(user_products(one_varies, y, codes, 9))
    assert np.isfinite(fit.slope)
    assert np.isnan([fit.error, fit.p_value, *fit.interval(0.95)]).all()
    assert fit.n_users == 9
    empty = clustered_slope(user_products(np.full_like(x, np.nan), y, codes, 9))
    assert (np.isnan(empty.slope), empty.n_users) == (True, 0)

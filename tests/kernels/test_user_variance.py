"""Variance between users: statsmodels, the likelihood itself, and where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.genmod.cov_struct import Exchangeable
from statsmodels.genmod.generalized_estimating_equations import GEE
from statsmodels.regression.mixed_linear_model import MixedLM

from preflamp_stats.kernels.clustered import user_products
from preflamp_stats.kernels.user_variance import UserVariance


def rows(seed: int, user_sd: float, n_columns: int = 3) -> tuple[np.ndarray, ...]:
    """x, y, users: unequal users, some rows missing."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(15), rng.integers(2, 9, 15))
    x = (rng.random((len(codes), n_columns)) < 0.6).astype(float)
    y = 0.3 * x + np.arange(n_columns) + user_sd * rng.normal(size=15)[codes, None]
    x[rng.random(x.shape) < 0.1] = np.nan
    return x, y + rng.normal(size=x.shape), codes


def long(x: np.ndarray, y: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, ...]:
    example, column = np.nonzero(~np.isnan(x))
    design = np.column_stack([x[example, column], column[:, None] == np.arange(x.shape[1])])
    order = np.argsort(codes[example], kind="stable")
    return y[example, column][order], design.astype(float)[order], codes[example][order]


@pytest.mark.parametrize("seed", range(3))
def test_as_statsmodels(seed: int) -> None:
    x, y, codes = rows(seed, 0.8)
    found, (response, design, users) = (
        UserVariance(user_products(x, y, codes, 15)),
        long(x, y, codes),
    )
    fit = MixedLM(response, design, groups=users).fit(reml=True, method=["bfgs"], gtol=1e-9)
    assert found.reml == pytest.approx(fit.cov_re[0, 0] / fit.scale, rel=1e-3)
    structure = Exchangeable()
    GEE(response, design, groups=users, cov_struct=structure).fit(ctol=1e-10)
    correlation = float(np.squeeze(structure.dep_params))
    assert found.exchangeable == pytest.approx(correlation / (1 - correlation), rel=1e-7)


def test_the_restricted_likelihood_is_largest_there() -> None:
    x, y, codes = rows(5, 0.5)
    response, design, users = long(x, y, codes)
    same = users[:, None] == users

    def log_likelihood(ratio: float) -> float:
        inverse = np.linalg.inv(np.eye(len(users)) + ratio * same)
        left = design.T @ inverse @ design
        rest = response - design @ np.linalg.solve(left, design.T @ inverse @ response)
        logs = -np.linalg.slogdet(inverse)[1] + np.linalg.slogdet(left)[1]
        return -logs / 2 - (len(users) - 4) / 2 * np.log(rest @ inverse @ rest)

    best = UserVariance(user_products(x, y, codes, 15)).reml
    assert log_likelihood(best) > max(log_likelihood(f * best) for f in (0.98, 0.999, 1.001, 1.02))


def test_scale_and_origin_change_nothing() -> None:
    x, y, codes = rows(2, 0.8)
    one, two = (UserVariance(user_products(x, v, codes, 15)) for v in (y, 1e6 + 100 * y))
    assert two.reml == pytest.approx(one.reml, rel=1e-6)
    assert two.exchangeable == pytest.approx(one.exchangeable, rel=1e-6)


def test_users_alike_are_on_the_boundary() -> None:
    x, y, codes = rows(1, 0.0)
    x = np.nan_to_num(x)
    # Every user has the same mean of residuals in every column.
    y = y - np.array([y[codes == u].mean(axis=0) for u in range(15)])[codes]
    x = x - np.array([x[codes == u].mean(axis=0) for u in range(15)])[codes]
    found = UserVariance(user_products(x, y, codes, 15))
    assert found.reml == 0.0
    assert not found.exchangeable > 0


def test_single_rows_have_no_correlation() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 30, 1))
    assert np.isnan(UserVariance(user_products(x, y, np.arange(30), 30)).exchangeable)


def test_one_user_and_a_constant_tell_nothing() -> None:
    x, y, codes = rows(0, 0.5)
    assert UserVariance(user_products(x, y, np.zeros_like(codes), 1)).reml == 0.0
    constant = UserVariance(user_products(x, np.full_like(y, 3.0), codes, 15))
    assert np.isinf(constant.reml)
    assert np.isnan(constant.exchangeable)


def test_users_and_columns_without_rows_change_nothing() -> None:
    x, y, codes = rows(4, 0.8)
    without = UserVariance(user_products(x, y, codes, 15))
    absent = np.full((len(y), 1), np.nan)
    more = user_products(np.hstack([x, absent]), np.hstack([y, absent]), codes, 17)
    assert UserVariance(more).reml == without.reml
    assert UserVariance(more).exchangeable == without.exchangeable


def test_without_residuals_users_are_all_there_is() -> None:
    x, _, codes = rows(3, 0.0)
    y = 2 * x + codes[:, None]
    found = UserVariance(user_products(x, y, codes, 15))
    assert found.reml > 1e5 or np.isinf(found.reml)

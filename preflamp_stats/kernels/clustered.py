"""Regression on one predictor beside group effects, with errors clustered by user."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from preflamp_stats.kernels.user_sums import sum_by_user

__all__ = ["ClusteredFit", "UserProducts", "clustered_slope", "user_products"]

Array = NDArray[np.float64]

_RIDGE = 1e-10
_LEAST_VARIATION = 1e-8
_CHUNK_VALUES = 2**22


@dataclass(frozen=True)
class UserProducts:
    """Sums of products by user and column (such as a method): all that the regression needs.

    Parameters
    ----------
    n, x, y, xx, xy, yy : ndarray, shape (user, column)
        Number of rows, and sums of x, y, x², xy and y² over them.
    """

    n: Array
    x: Array
    y: Array
    xx: Array
    xy: Array
    yy: Array

    def __add__(self, other: UserProducts) -> UserProducts:
        return UserProducts(*(getattr(self, f) + getattr(other, f) for f in _FIELDS))


_FIELDS = ("n", "x", "y", "xx", "xy", "yy")


def user_products(x: Array, y: Array, codes: NDArray[np.intp], n_users: int) -> UserProducts:
    """Sum products by user; rows with a NaN in either count nowhere.

    Parameters
    ----------
    x, y : ndarray, shape (row, column)
    codes : ndarray of int, shape (row,)
        User of each row.
    n_users : int

    Returns
    -------
    UserProducts

    Examples
    --------
    >>> x, y = np.array([[1.0], [0.0]]), np.array([[2.0], [3.0]])
    >>> user_products(x, y, np.array([0, 0]), 1).xy
    array([[2.]])
    """
    there = ~(np.isnan(x) | np.isnan(y))
    x, y = np.where(there, x, 0.0), np.where(there, y, 0.0)
    products = (there, x, y, x * x, x * y, y * y)
    return UserProducts(*(sum_by_user(p.astype(np.float64), codes, n_users) for p in products))


@dataclass(frozen=True)
class ClusteredFit:
    """A slope with the standard error of its users.

    Parameters
    ----------
    slope : float
        Change of y with x; NaN where x does not vary within the groups.
    error : float
        Standard error, from leaving out each user; NaN where a single user decides.
    n_users : int
        Users with rows.
    df : float
        Degrees of freedom: effective number of users less one, 1 at least.
    """

    slope: float
    error: float
    n_users: int
    df: float = 1.0

    def interval(self, level: float) -> tuple[float, float]:
        """Limits from Student's t; NaN where no error is known or users do not vary."""
        if not self.error > 0:
            return np.nan, np.nan
        reach = -special.stdtrit(self.df, (1 - level) / 2) * self.error
        return float(self.slope - reach), float(self.slope + reach)

    @property
    def p_value(self) -> float:
        """Two-sided, of no slope."""
        if not self.error > 0:
            return np.nan
        p = 2 * special.stdtr(self.df, -abs(self.slope / self.error))
        return float(max(p, np.finfo(np.float64).tiny))


def clustered_slope(products: UserProducts, variance_ratio: float = np.inf) -> ClusteredFit:
    """Slope of y on x with an effect of every column, and of every user.

    Generalised least squares for a random intercept of the users whose variance is
    ``variance_ratio`` times that of the residuals: infinite compares within users only (fixed
    effects of users), 0 ignores them. Whatever the ratio, the standard error comes from leaving out
    each user in turn, so that it also holds where rows of a user are dependent in other ways, such
    as through examples that all methods share.

    Parameters
    ----------
    products : UserProducts
        Sums by user and column.
    variance_ratio : float
        From 0 to infinity; slightly negative ratios, which a moment estimate may give, are allowed
        as long as every user's covariance stays positive.

    Returns
    -------
    ClusteredFit

    References
    ----------
    Wooldridge (2010), Econometric Analysis of Cross Section and Panel Data, chapter 10; MacKinnon,
    Nielsen and Webb (2023), Cluster-robust inference: a guide to empirical practice, Journal of
    Econometrics 232:272-299 (the jackknife is their CV3); Carter, Schnepel and Steigerwald (2017),
    Review of Economics and Statistics 99:698-709 (the effective number of clusters).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> codes, x = np.repeat(np.arange(50), 4), rng.normal(size=(200, 2))
    >>> fit = clustered_slope(user_products(x, 2 * x + codes[:, None], codes, 50))
    >>> round(fit.slope, 6), round(fit.error, 6)
    (2.0, 0.0)
    """
    rows = products.n.sum(axis=1)
    present = rows > 0
    products = UserProducts(*(getattr(products, f)[present] for f in _FIELDS))
    rows = rows[present]
    n_users, n_columns = products.n.shape
    if n_users == 0:
        return ClusteredFit(np.nan, np.nan, 0)
    # Share of a user's mean that is taken off: all of it for fixed effects.
    with np.errstate(divide="ignore", invalid="ignore"):
        share = rows * variance_ratio / (1 + rows * variance_ratio)
    share = np.where(np.isinf(variance_ratio), 1.0, share) / rows
    # x and y about their overall means: the products then lose no digits.
    x_mean, y_mean = products.x.sum() / rows.sum(), products.y.sum() / rows.sum()
    x = products.x - x_mean * products.n
    y = products.y - y_mean * products.n
    xx = products.xx - 2 * x_mean * products.x + x_mean**2 * products.n
    xy = products.xy - x_mean * products.y - y_mean * products.x + x_mean * y_mean * products.n
    # Columns of the design: x, then an indicator of every column.
    totals = np.concatenate([x.sum(axis=1, keepdims=True), products.n], axis=1)
    right = np.concatenate([xy.sum(axis=1, keepdims=True), y], axis=1)
    right -= share[:, None] * totals * y.sum(axis=1, keepdims=True)
    left = np.einsum("u,ui,uj->ij", -share, totals, totals)
    left[0, 0] += xx.sum()
    left[0, 1:] += x.sum(axis=0)
    left[1:, 0] += x.sum(axis=0)
    left[1:, 1:] += np.diag(products.n.sum(axis=0))
    if _variation(left) < _LEAST_VARIATION * xx.sum() or xx.sum() == 0:
        return ClusteredFit(np.nan, np.nan, n_users)
    coefficients = np.linalg.solve(_ridged(left), right.sum(axis=0))
    errors = np.empty(n_users)
    size = max(1, _CHUNK_VALUES // (n_columns + 1) ** 2)
    for start in range(0, n_users, size):
        some = slice(start, start + size)
        own = np.einsum("u,ui,uj->uij", -share[some], totals[some], totals[some])
        own[:, 0, 0] += xx[some].sum(axis=1)
        own[:, 0, 1:] += x[some]
        own[:, 1:, 0] += x[some]
        places = np.arange(1, n_columns + 1)
        own[:, places, places] += products.n[some]
        scores = right[some] - own @ coefficients
        rest = left - own
        if (_variation(rest) < _LEAST_VARIATION * xx.sum()).any():
            return ClusteredFit(float(coefficients[0]), np.nan, n_users)
        errors[some] = np.linalg.solve(_ridged(rest), scores[..., None])[:, 0, 0]
    # errors are the full slope less those without a user.
    error = np.sqrt((n_users - 1) / n_users * np.sum(errors**2)) if n_users > 1 else np.nan
    # Users count by their share of x's variation: a few large ones are few.
    own_variation = np.maximum(xx.sum(axis=1) - share * totals[:, 0] ** 2, 0.0)
    effective = own_variation.sum() ** 2 / np.sum(own_variation**2)
    return ClusteredFit(
        float(coefficients[0]), float(error), n_users, float(max(1.0, effective - 1))
    )


def _ridged(left: Array) -> Array:
    """Make indicators that add up to the users' effects, or stand alone, harmless."""
    diagonal = np.einsum("...ii->...i", left)
    scale = np.maximum(diagonal, 0.0) + np.where(diagonal > 0, 0.0, 1.0)
    return np.asarray(left + _RIDGE * scale[..., None] * np.eye(left.shape[-1]))


def _variation(left: Array) -> Array:
    """What is left of x's sum of squares beside the other effects."""
    within = _ridged(left[..., 1:, 1:])
    cross = left[..., 1:, 0]
    explained = np.einsum("...i,...i", cross, np.linalg.solve(within, cross[..., None])[..., 0])
    return np.asarray(left[..., 0, 0] - explained)

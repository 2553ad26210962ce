"""How much users differ beside what a regression explains: REML, and the exchangeable correlation.

Both are found from sums of products by user and column alone, so that their cost does not grow
with the number of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from preflamp_stats.kernels.clustered import UserProducts

__all__ = ["UserVariance"]

Array = NDArray[np.float64]

_LEAST, _MOST = 1e-5, 1e6
"""Variance ratios between which the likelihood is searched: below it is on the boundary."""
_PRECISION = 1e-9
_MOST_STEPS = 200


@dataclass(frozen=True)
class UserVariance:
    """Variance of users' random intercepts in y on x beside an effect of every column.

    A variance is told in units of that of the residuals: of a user's rows any two then have the
    correlation ratio / (1 + ratio).

    Parameters
    ----------
    products : UserProducts
        Sums by user and column; x must vary within columns.

    Examples
    --------
    >>> from preflamp_stats.kernels.clustered import user_products
    >>> rng = np.random.default_rng(0)
    >>> codes, x = np.repeat(np.arange(200), 5), rng.normal(size=(1000, 2))
    >>> y = x + rng.normal(scale=2, size=200)[codes, None] + rng.normal(size=(1000, 2))
    >>> found = UserVariance(user_products(x, y, codes, 200))
    >>> round(found.reml, 2), round(found.exchangeable, 2)
    (3.98, 3.94)
    """

    products: UserProducts

    @cached_property
    def reml(self) -> float:
        """Ratio of largest restricted likelihood; 0 at the boundary, inf where it ever rises.

        A single user tells nothing of it: 0 too.

        References
        ----------
        Patterson and Thompson (1971), Recovery of inter-block information when block sizes are
        unequal, Biometrika 58:545-554; Harville (1977), Journal of the American Statistical
        Association 72:320-338.
        """
        low, high = np.log(_LEAST), np.log(_MOST)
        if len(self._rows) < 2 or self._score(_LEAST) <= 0:
            return 0.0
        if self._score(_MOST) > 0:
            return np.inf
        while high - low > _PRECISION:
            middle = (low + high) / 2
            rises = self._score(np.exp(middle)) > 0
            low, high = (middle, high) if rises else (low, middle)
        return float(np.exp((low + high) / 2))

    @cached_property
    def exchangeable(self) -> float:
        """Ratio by the correlation of two rows of a user that generalised equations estimate.

        The slope and the moment estimate of the correlation are repeated until neither moves. A
        little below 0 where users differ less than chance; NaN where there are no two rows of a
        user, the correlation is 1 or beyond, or it never settles.

        References
        ----------
        Liang and Zeger (1986), Longitudinal data analysis using generalized linear models,
        Biometrika 73:13-22.
        """
        n = self._rows
        pairs, left = (n * (n - 1) / 2).sum(), n.sum() - self._left.shape[0]
        if pairs <= self._left.shape[0] or left <= 0:
            return np.nan
        found = 0.0
        for _ in range(_MOST_STEPS):
            if 1 + n.max() * found <= 0:
                return np.nan
            totals, squares, _ = self._residuals(found)
            scale = squares.sum() / left
            products = (totals**2 - squares).sum() / 2
            if not scale > 0:
                return np.nan
            correlation = products / scale / (pairs - self._left.shape[0])
            if not correlation < 1:
                return np.nan
            before, found = found, correlation / (1 - correlation)
            if abs(found - before) <= _PRECISION * max(abs(found), _LEAST):
                return float(found)
        return np.nan

    def _score(self, ratio: float) -> float:
        """Slope of the restricted log-likelihood in the ratio, the residuals' variance aside."""
        n = self._rows
        totals, squares, inverse = self._residuals(ratio)
        # Of a user's total, the weights' derivative, and what the design takes of it.
        falls = 1 / (1 + n * ratio) ** 2
        taken = ((self._totals @ inverse) * self._totals).sum(axis=1)
        rss = squares.sum() - (ratio / (1 + n * ratio) * totals**2).sum()
        fit = (n.sum() - len(inverse)) * (falls * totals**2).sum() / rss if rss > 0 else np.inf
        return float(fit - (n / (1 + n * ratio)).sum() + (falls * taken).sum())

    def _residuals(self, ratio: float) -> tuple[Array, Array, Array]:
        """Sums of each user's residuals and of their squares; inverse of the normal equations."""
        share = ratio / (1 + self._rows * ratio)
        left = self._left - (self._totals * share[:, None]).T @ self._totals
        inverse: Array = np.asarray(np.linalg.inv(left))
        y = self._centred.y.sum(axis=1)
        slope, *effects = inverse @ (self._right - (share * y) @ self._totals)
        own, c = self._centred, np.asarray(effects)
        totals: Array = y - slope * self._totals[:, 0] - own.n @ c
        squares = (own.yy - 2 * slope * own.xy + slope**2 * own.xx).sum(axis=1)
        squares += (2 * slope * own.x - 2 * own.y) @ c + own.n @ c**2
        return totals, squares, inverse

    @cached_property
    def _centred(self) -> UserProducts:
        """Of users and columns with rows, about the means of x and y: no digits are lost then."""
        every = self.products
        rows = np.ix_((every.n > 0).any(axis=1), (every.n > 0).any(axis=0))
        n, x, y, xx, xy, yy = (
            part[rows] for part in (every.n, every.x, every.y, every.xx, every.xy, every.yy)
        )
        x_mean, y_mean = x.sum() / n.sum(), y.sum() / n.sum()
        return UserProducts(
            n,
            x - x_mean * n,
            y - y_mean * n,
            xx - 2 * x_mean * x + x_mean**2 * n,
            xy - x_mean * y - y_mean * x + x_mean * y_mean * n,
            yy - 2 * y_mean * y + y_mean**2 * n,
        )

    @cached_property
    def _rows(self) -> Array:
        return np.asarray(self._centred.n.sum(axis=1))

    @cached_property
    def _totals(self) -> Array:
        """Sums of each user's rows of the design: x, then an indicator of every column."""
        own = self._centred
        return np.column_stack([own.x.sum(axis=1), own.n])

    @cached_property
    def _left(self) -> Array:
        """Normal equations were there no users."""
        own = self._centred
        left = np.diag(np.concatenate([[own.xx.sum()], own.n.sum(axis=0)]))
        left[0, 1:] = left[1:, 0] = own.x.sum(axis=0)
        return left

    @cached_property
    def _right(self) -> Array:
        own = self._centred
        return np.concatenate([[own.xy.sum()], own.y.sum(axis=0)])

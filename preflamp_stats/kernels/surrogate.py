"""How well a surrogate endpoint stands for a true one: prediction, threshold, individual level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from preflamp_stats.kernels.clustered import UserProducts

__all__ = ["DifferenceModel", "within_correlation"]

Array = NDArray[np.float64]

_DRAWS = 6000
_FEWEST = 30.0
_DISTANCES = 60


@dataclass(frozen=True)
class DifferenceModel:
    """Draws of the population from which two methods of a stratum are drawn.

    Parameters
    ----------
    rho, sigma_x, sigma_y : ndarray, shape (draw,)
        Correlation and standard deviations of the methods' true values.
    """

    rho: Array
    sigma_x: Array
    sigma_y: Array

    def weights(self, difference: float) -> Array:
        """Weight of each draw, had two of its methods been seen to differ so much upstream."""
        with np.errstate(divide="ignore", invalid="ignore"):
            log_weight = -0.25 * (difference / self.sigma_x) ** 2 - np.log(self.sigma_x)
        log_weight = np.where(self.sigma_x > 0, log_weight, -np.inf)
        return np.asarray(np.exp(log_weight - log_weight.max()))

    def reaches(self, difference: float) -> bool:
        """Whether enough draws know of methods that lie so far apart."""
        if not (self.sigma_x > 0).any():
            return False
        weights = self.weights(difference)
        return bool(weights.sum() ** 2 / (weights**2).sum() >= _FEWEST)

    def predict(self, difference: float, rng: np.random.Generator) -> Array:
        """Draw the downstream difference of two methods that differ so much upstream.

        Given a draw it is normal around ρσy/σx times the upstream difference, with variance
        2σy²(1 − ρ²): both methods are new.

        Returns
        -------
        ndarray, shape (draw,)

        Examples
        --------
        >>> exact = DifferenceModel(np.ones(9), np.ones(9), np.full(9, 2.0))
        >>> np.unique(exact.predict(0.5, np.random.default_rng(0)))
        array([1.])
        """
        running = np.cumsum(self.weights(difference))
        where = (np.arange(_DRAWS) + 0.5) / _DRAWS * running[-1]
        at = np.minimum(np.searchsorted(running, where, side="right"), len(running) - 1)
        mean, deviation = self._conditional(difference)
        return np.asarray(mean[at] + deviation[at] * rng.standard_normal(_DRAWS))

    def threshold(self, furthest: float, level: float) -> float:
        """Smallest upstream difference whose prediction interval leaves 0 out.

        Parameters
        ----------
        furthest : float
            Largest difference to try.
        level : float

        Returns
        -------
        float
            NaN where there is none up to the furthest.

        Examples
        --------
        >>> model = DifferenceModel(np.full(99, 0.8), np.ones(99), np.ones(99))
        >>> round(model.threshold(4.0, 0.95), 2)
        2.08

        The slope is .8 and the standard deviation √(2 · .36), of which the threshold is 1.96.
        """
        found, step = np.nan, furthest / _DISTANCES
        for place in range(1, _DISTANCES + 1):
            if not self.reaches(place * step):
                break
            if self._certain(place * step, level):
                found = place * step
                break
        if np.isnan(found):
            return np.nan
        low, high = found - step, found
        for _ in range(10):
            middle = (low + high) / 2
            low, high = (low, middle) if self._certain(middle, level) else (middle, high)
        return float(high)

    def _certain(self, difference: float, level: float) -> bool:
        """Whether the sign of the downstream difference is as good as known."""
        mean, deviation = self._conditional(difference)
        with np.errstate(divide="ignore", invalid="ignore"):
            above = np.where(deviation > 0, ndtr(mean / deviation), (mean > 0) + (mean == 0) / 2)
        share = np.average(above, weights=self.weights(difference))
        return bool(max(share, 1 - share) >= (1 + level) / 2)

    def _conditional(self, difference: float) -> tuple[Array, Array]:
        slope = np.zeros(len(self.rho))
        np.divide(self.rho * self.sigma_y, self.sigma_x, out=slope, where=self.sigma_x > 0)
        return slope * difference, self.sigma_y * np.sqrt(2 * (1 - self.rho**2))


def within_correlation(
    strata: Sequence[tuple[UserProducts, Sequence[str]]], level: float
) -> tuple[float, float, float]:
    """Correlation of x and y over rows, within the columns of every stratum.

    Parameters
    ----------
    strata : sequence of (UserProducts, sequence of str)
        Sums of products, and who the users are: the same name is the same person everywhere.
    level : float

    Returns
    -------
    correlation, low, high : float
        Limits from leaving out each user in turn, on the scale of Fisher's z, by Student's t; NaN
        where x or y does not vary within columns, or users cannot be left out.

    Examples
    --------
    >>> from preflamp_stats.kernels.clustered import user_products
    >>> x = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> products = user_products(x, 5 - 2 * x, np.arange(4), 4)
    >>> within_correlation([(products, ["a", "b", "c", "d"])], 0.95)[0]
    -1.0
    """
    people = sorted({name for _, names in strata for name in names})
    place = {name: i for i, name in enumerate(people)}
    # Sums of squares and products with each person left out, and (last) with all.
    moments = np.zeros((3, len(people) + 1))
    for products, names in strata:
        at = np.array([place[name] for name in names], dtype=np.intp)
        moments += _moments(products)[:, -1:]
        moments[:, at] += _moments(products)[:, :-1] - _moments(products)[:, -1:]
    xx, yy, xy = moments
    least = 1e-12 * np.array([xx[-1], yy[-1]])
    if not (least > 0).all():
        return np.nan, np.nan, np.nan
    if len(people) < 3 or (xx <= least[0]).any() or (yy <= least[1]).any():
        return float(xy[-1] / np.sqrt(xx[-1] * yy[-1])), np.nan, np.nan
    correlation = np.clip(xy / np.sqrt(xx * yy), -1.0, 1.0)
    z = np.arctanh(np.clip(correlation, -1 + 1e-12, 1 - 1e-12))
    without = z[:-1]
    n = len(people)
    error = np.sqrt((n - 1) / n * np.sum((without - without.mean()) ** 2))
    reach = -stdtrit(n - 1, (1 - level) / 2) * error
    return float(correlation[-1]), float(np.tanh(z[-1] - reach)), float(np.tanh(z[-1] + reach))


def _moments(products: UserProducts) -> Array:
    """Sums of xx, yy and xy about the columns' means, shape (3, user + 1): without each, of all."""

    def without(values: Array) -> Array:
        total = values.sum(axis=0)
        return np.vstack([total - values, total])

    n = np.maximum(without(products.n), 1.0)
    # About the overall means first: the products then lose no digits.
    mean_x, mean_y = (v.sum() / products.n.sum() for v in (products.x, products.y))
    x, y = without(products.x - mean_x * products.n), without(products.y - mean_y * products.n)
    xx = products.xx - 2 * mean_x * products.x + mean_x**2 * products.n
    yy = products.yy - 2 * mean_y * products.y + mean_y**2 * products.n
    xy = products.xy - mean_x * products.y - mean_y * products.x + mean_x * mean_y * products.n
    return np.stack(
        [
            (without(both) - a * b / n).sum(axis=1)
            for both, a, b in ((xx, x, x), (yy, y, y), (xy, x, y))
        ]
    )

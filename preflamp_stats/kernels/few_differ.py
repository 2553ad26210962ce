"""Bounds of a mean of which almost all units say the same, so that it seems to have no error."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["LOOKED_AT", "FewDiffer", "few_differ", "may_agree"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_FEWEST = 5
"""Units that differ from the rest, from which on their variation tells the error of the mean.

The smallest for which a percentile interval widened below it covers a share near 1 in .93 of
studies or more: 10 to 200 users, 1 or 5 examples each, alike within users or not.
"""
LOOKED_AT = 64
"""Units that tell of most columns that more than a few differ."""
_SAME = 1e-12


@dataclass(frozen=True)
class FewDiffer:
    """A mean of units of which fewer than five differ from the common value.

    With k of n units seen to differ, more of them may do so among units not seen: their share is
    bounded as Clopper and Pearson bound a share, and how far they differ by the mean distance of
    those seen and of one more at the end of the scale. Where all are alike and the common value is
    an end of the scale, these are Clopper and Pearson's limits.

    Parameters
    ----------
    value : ndarray, shape (column,)
        What most units say; NaN in columns in which five or more differ, or no majority agrees.
    n, differing : ndarray, shape (column,)
        Effective number of units, and how many of them differ.
    down, up : ndarray, shape (column,)
        Mean distance from the value, below and above it, of those that differ.
    below, above : ndarray, shape (column,)
        Number of units below and above the value.

    Examples
    --------
    Twenty-five of 25 users are right: 0.025 = 0.863²⁵.

    >>> low, high = few_differ(np.ones((25, 1)), np.ones((25, 1)), 0.0, 1.0).limits(0.025)
    >>> low.round(3), high
    (array([0.863]), array([1.]))

    References
    ----------
    Clopper and Pearson (1934), The use of confidence or fiducial limits illustrated in the case of
    the binomial, Biometrika 26:404-413.
    """

    value: Array
    n: Array
    differing: Array
    down: Array
    up: Array
    below: Array
    above: Array

    def oriented(self, columns: NDArray[np.intp], sign: Array) -> FewDiffer:
        """Some of the columns, those of sign −1 with their values negated."""
        value, n, differing, *sides = (getattr(self, f.name)[columns] for f in fields(self))
        down, up, below, above = sides
        turned = np.where(sign > 0, sides, [up, down, above, below])
        return FewDiffer(sign * value, n, differing, *turned)

    def limits(self, tail: float) -> tuple[Array, Array]:
        """Limits that the mean leaves with at most this probability on either side."""
        k = self.differing
        share = special.betaincinv(k + 1, np.maximum(self.n - k, _SAME), 1 - tail)
        return self.value - share * self.down, self.value + share * self.up

    def at_most(self, target: float) -> Array:
        """Largest probability of these data were the mean no larger than the target.

        Where the common value is the target itself, the sign test of those that differ.
        """
        return self._tail(self.value - target, self.down, self.above)

    def at_least(self, target: float) -> Array:
        """Largest probability of these data were the mean no smaller than the target."""
        return self._tail(target - self.value, self.up, self.below)

    def _tail(self, distance: Array, reach: Array, against: Array) -> Array:
        share = np.full(self.value.shape, np.inf)
        np.divide(distance, reach, out=share, where=reach > 0)
        k = self.differing
        share = np.where(distance > 0, np.minimum(share, 1.0), 0.0)
        found = special.betaincc(k + 1, np.maximum(self.n - k, _SAME), share)
        others = self.below + self.above - against
        sign_test = special.betainc(np.maximum(against, 1.0), others + 1, 0.5)
        found = np.where((distance == 0) & (against > 0), sign_test, found)
        return np.asarray(np.where(np.isnan(self.value), np.nan, found))


def few_differ(values: Array, weights: Array, least: float, most: float) -> FewDiffer:
    """Find the columns in which fewer than five units differ from the rest.

    Parameters
    ----------
    values : ndarray, shape (unit, column)
        What each unit says, within the scale.
    weights : ndarray, shape (unit, column)
        Its weight in the mean; 0 where it says nothing.
    least, most : float
        Ends of the scale.

    Returns
    -------
    FewDiffer
        NaN in the other columns.
    """
    found = np.full((len(fields(FewDiffer)), values.shape[1]), np.nan)
    some = np.flatnonzero(may_agree(values[:LOOKED_AT], weights[:LOOKED_AT]))
    if some.size:
        v, w = values[:, some], np.maximum(weights[:, some], 0.0)
        there = w > 0
        value = _median(v, there)
        distance = np.where(there, v - value, 0.0)
        differs = np.abs(distance) > _SAME
        k, present = differs.sum(axis=0), there.sum(axis=0)
        few = (k < _FEWEST) & (present - k > k) & (present > 1)
        total = np.maximum(w.sum(axis=0), np.finfo(np.float64).tiny)
        n = total**2 / np.maximum((w**2).sum(axis=0), np.finfo(np.float64).tiny)
        differing = (w * differs).sum(axis=0) / total * n
        down = (np.maximum(-distance, 0.0).sum(axis=0) + value - least) / (k + 1)
        up = (np.maximum(distance, 0.0).sum(axis=0) + most - value) / (k + 1)
        sides = (np.maximum(down, 0.0), np.maximum(up, 0.0))
        counts = ((distance < -_SAME).sum(axis=0), (distance > _SAME).sum(axis=0))
        rows = np.stack([value, n, differing, *sides, *counts])
        found[:, some] = np.where(few, rows, np.nan)
    return FewDiffer(*found)


def may_agree(values: Array, weights: Array) -> Mask:
    """Columns whose first units leave it open that few of all units differ."""
    there = weights > 0
    differ = there & (np.abs(values - _median(values, there)) > _SAME)
    return np.asarray((differ.sum(axis=0) < _FEWEST) | (there.sum(axis=0) < 2 * _FEWEST))


def _median(values: Array, there: Mask) -> Array:
    """Middle value of the units that are there (the lower of two); NaN where there are none."""
    ordered = np.sort(np.where(there, values, np.inf), axis=0)
    middle = np.maximum(there.sum(axis=0) - 1, 0) // 2
    found = np.take_along_axis(ordered, middle[None], axis=0)[0]
    return np.where(there.any(axis=0), found, np.nan)

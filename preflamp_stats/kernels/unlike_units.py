"""How far off a mean may be of which most units say the same, and some something else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = [
    "UnlikeUnits",
    "middle_value",
    "positive_gamma_sum",
    "side_by_side",
    "spread_over",
    "unlike_units",
]

Array = NDArray[np.float64]
Index = NDArray[np.intp]

_MOST_UNLIKE = 1000
"""Units that differ, from which on a mean of them is near enough to normal for Student's t."""
_FEW_UNLIKE = 10
"""Units that differ, under which no equivalence is shown unless one more may differ by as much as
the scale allows. With five, users of whom a fifth differ six times as far as the others were called
equivalent at the margin in 12 % of studies."""
_LOPSIDED = 40
"""Units that differ, all equally far, that make a mean so skewed that its interval must be wider.

Intervals of accuracies that most users have in full then cover .93 or more, save with 20 users of
log-normal sizes, and those of differences that are rare .92 or more.
"""
_LOOKED_AT = 256
_SAME = 1e-12
_STEPS, _PRECISION = 100, 1e-10
_FAR = 37.0
"""End of the normal scale in float64."""


@dataclass(frozen=True)
class UnlikeUnits:
    """Means of units of which the majority says the same, column by column.

    Let the units seen, and one more that was not, have independent exponential shares of the
    population. A mean is then as far off as their shares are unlucky: where all that differ are at
    the end of the scale these are Clopper and Pearson's limits, and for small means of positive
    numbers they are Gaffke's. The unit not seen differs by the mean of those seen and of one at the
    end of the scale.

    Parameters
    ----------
    value : ndarray, shape (column,)
        What most units say; NaN where they do not, where very many differ, and where all agree on a
        scale without ends.
    distance, weight : ndarray, shape (unit, column)
        How far the units that differ are from it, and their weights; weight 0 behind the last.
    alike, alike_weight : ndarray, shape (column,)
        Effective number of units that agree, and the weight of each.
    spare_weight, down, up : ndarray, shape (column,)
        Weight of the unit that was not seen, and how far below and above the value the scale ends.

    References
    ----------
    Gaffke (2005), Three test statistics for a nonparametric one-sided hypothesis on the mean of a
    nonnegative variable, Mathematical Methods of Statistics 14:451-467; Learned-Miller and Thomas
    (2020), A new confidence interval for the mean of a bounded random variable, arXiv 1905.06208;
    Clopper and Pearson (1934), Biometrika 26:404-413.

    Examples
    --------
    None of 25 users differs: 0.025 = 0.863²⁵.

    >>> found = unlike_units(np.ones((25, 1)), np.ones((25, 1)), 0.0, 1.0)
    >>> found.at_most(0.863)[0].round(3), found.limits(0.025)[0].round(3)
    (np.float64(0.025), array([0.863]))
    """

    value: Array
    distance: Array
    weight: Array
    alike: Array
    alike_weight: Array
    spare_weight: Array
    down: Array
    up: Array

    @property
    def few(self) -> UnlikeUnits:
        """Those columns on a scale with ends of which so few differ that the mean is lopsided."""
        pull = np.abs(self.weight * self.distance)
        squares, cubes = (pull**2).sum(axis=0), (pull**3).sum(axis=0)
        # Of units that differ equally far, their number; else one over the mean's squared skewness.
        worth = squares**3 / np.maximum(cubes**2, np.finfo(np.float64).tiny)
        few = (worth < _LOPSIDED) & np.isfinite(self.down + self.up)
        return replace(self, value=np.where(few, self.value, np.nan))

    def oriented(self, columns: Index, sign: Array) -> UnlikeUnits:
        """Some of the columns, those of sign −1 with their values negated."""
        down, up = self.down[columns], self.up[columns]
        return UnlikeUnits(
            sign * self.value[columns],
            sign * self.distance[:, columns],
            self.weight[:, columns],
            self.alike[columns],
            self.alike_weight[columns],
            self.spare_weight[columns],
            np.where(sign > 0, down, up),
            np.where(sign > 0, up, down),
        )

    def at_least(self, target: float | Array, *, cautious: bool = False) -> Array:
        """Probability of so small a mean of these units were the true one at least the target.

        Parameters
        ----------
        target : float or ndarray, shape (column,)
        cautious : bool
            Let the unit not seen differ as far as the farthest seen at least, and where fewer than
            ten differ as far as the scale allows: that little was seen does not show equivalence.
        """
        known = np.flatnonzero(~np.isnan(self.value))
        found = np.full(self.value.shape, np.nan)
        if known.size:
            of = self.oriented(known, np.ones(known.size))
            beyond = np.broadcast_to(target, self.value.shape)[known] - of.value
            spare = of.spare_weight * (of._reach(cautious) - beyond)
            endless = np.isposinf(spare)
            terms = [of.weight * (of.distance - beyond), np.where(endless, 0.0, spare)]
            shapes = np.vstack([of.weight > 0, ~endless, of.alike])
            tail = positive_gamma_sum(np.vstack([*terms, -beyond * of.alike_weight]), shapes)
            found[known] = np.where(endless, 1.0, tail)
        return found

    def at_most(self, target: float | Array, *, cautious: bool = False) -> Array:
        """Probability of so large a mean of these units were the true one at most the target."""
        return self._negated.at_least(-np.asarray(target), cautious=cautious)

    def limits(self, tail: float) -> tuple[Array, Array]:
        """Limits that the mean leaves with at most this probability on either side."""
        return -self._negated._upper(tail), self._upper(tail)

    @property
    def _negated(self) -> UnlikeUnits:
        columns = np.arange(len(self.value))
        return self.oriented(columns, -np.ones(len(columns)))

    def _upper(self, tail: float) -> Array:
        """Where the tail is reached, by the rule of Illinois on the normal scale, nearly a line."""
        low, high = self.value - self.down, self.value + self.up
        if tail < special.ndtr(-_FAR):
            return high
        wanted = special.ndtri(tail)
        below, above = np.full((2, len(low)), [[_FAR - wanted], [-_FAR - wanted]])
        at = np.flatnonzero(~np.isnan(self.value))
        for _ in range(_STEPS):
            lo, hi, f, g = low[at], high[at], below[at], above[at]
            # At first the ends are further than the normal scale goes: halve.
            ended = np.maximum(f, -g) > _FAR / 4
            middle = lo + np.where(ended, 0.5, f / (f - g)) * (hi - lo)
            tails = self.oriented(at, np.ones(at.size)).at_least(middle)
            found = np.clip(special.ndtri(tails), -_FAR, _FAR) - wanted
            left, kept = found > 0, np.where(ended, 1.0, 0.5)
            below[at], above[at] = np.where(left, found, f * kept), np.where(left, g * kept, found)
            low[at], high[at] = np.where(left, middle, lo), np.where(left, hi, middle)
            at = at[np.minimum((high - low)[at], np.abs(found)) > _PRECISION]
            if not at.size:
                break
        return np.where(np.abs(above) < np.abs(below), high, low)

    def _reach(self, cautious: bool) -> Array:
        """How far above the value the unit that was not seen may lie."""
        far = np.abs(self.distance)
        k = (self.weight > 0).sum(axis=0)
        typical = np.minimum((far.sum(axis=0) + self.up) / (k + 1), self.up)
        if not cautious:
            return np.asarray(typical)
        farthest = np.minimum(far.max(axis=0, initial=0.0), self.up)
        typical = np.where(np.isinf(typical), 0.0, typical)
        return np.asarray(np.where(k < _FEW_UNLIKE, self.up, np.maximum(farthest, typical)))


def unlike_units(values: Array, weights: Array, least: float, most: float) -> UnlikeUnits:
    """Find the columns of which the majority of units say the same, and what the others say.

    Parameters
    ----------
    values : ndarray, shape (unit, column)
        What each unit says, within the scale.
    weights : ndarray, shape (unit, column)
        Its weight in the mean; 0 where it says nothing.
    least, most : float
        Ends of the scale; infinite where it has none.

    Returns
    -------
    UnlikeUnits
        NaN in the other columns.
    """
    w = np.maximum(weights, 0.0)
    there = w > 0
    look = slice(None, None, spread_over(len(values)))
    value = middle_value(values[look], there[look])
    distance = np.where(there, values - value, 0.0)
    differs = np.abs(distance) > _SAME
    k, present = differs.sum(axis=0), there.sum(axis=0)
    fits = (k < _MOST_UNLIKE) & (2 * k < present) & (present > 1)
    some = np.flatnonzero(fits & ((k > 0) | np.isfinite(most - least)))
    value, distance, differs, w = value[some], distance[:, some], differs[:, some], w[:, some]
    order = np.argsort(~differs, axis=0, kind="stable")[: k[some].max(initial=0)]
    agree = np.where(differs, 0.0, w)
    total, squares = agree.sum(axis=0), (agree**2).sum(axis=0)
    found = UnlikeUnits(
        value,
        np.take_along_axis(np.where(differs, distance, 0.0), order, axis=0),
        np.take_along_axis(np.where(differs, w, 0.0), order, axis=0),
        total**2 / squares,
        squares / total,
        (w**2).sum(axis=0) / w.sum(axis=0),
        np.maximum(value - least, 0.0),
        np.maximum(most - value, 0.0),
    )
    return side_by_side([(some, found)], values.shape[1])


def side_by_side(parts: Sequence[tuple[Index, UnlikeUnits]], n_columns: int) -> UnlikeUnits:
    """Columns at their places among ``n_columns``, NaN at the others."""
    deep = max((len(one.distance) for _, one in parts), default=0)
    found = []
    for field in fields(UnlikeUnits):
        flat = field.name not in ("distance", "weight")
        whole = np.full(n_columns, np.nan) if flat else np.zeros((deep, n_columns))
        for columns, one in parts:
            own = getattr(one, field.name)
            if flat:
                whole[columns] = own
            else:
                whole[: len(own), columns] = own
        found.append(whole)
    return UnlikeUnits(*found)


def positive_gamma_sum(coefficients: Array, shapes: Array) -> Array:
    """P(Σ cᵢ Gᵢ ≥ 0) of independent gammas, by the saddlepoint, within 2 % of itself.

    Parameters
    ----------
    coefficients, shapes : ndarray, shape (term, column)
        A shape of 0 leaves a term out.

    Returns
    -------
    ndarray, shape (column,)

    References
    ----------
    Barndorff-Nielsen (1986), Inference on full or partial parameters based on the standardized
    signed log likelihood ratio, Biometrika 73:307-322, for r*; Lugannani and Rice (1980).

    Examples
    --------
    Of two exponentials the first is larger in half of cases.

    >>> positive_gamma_sum(np.array([[1.0], [-1.0]]), np.ones((2, 1)))
    array([0.5])
    """
    c, s = np.where(shapes > 0, coefficients, 0.0), shapes
    most, least = c.max(axis=0), c.min(axis=0)
    tiny = np.finfo(np.float64).tiny
    mixed = (most > 0) & (least < 0)
    c = np.where(mixed, c, 0.0) / np.where(mixed, np.abs(c).max(axis=0), 1.0)
    with np.errstate(divide="ignore"):
        low = np.where(mixed, 1 / np.minimum(c.min(axis=0), -tiny), -1.0)
        high = np.where(mixed, 1 / np.maximum(c.max(axis=0), tiny), 1.0)
    t = np.zeros(len(most))
    for _ in range(_STEPS):
        ratio = c / (1 - c * t)
        slope, curve = (s * ratio).sum(axis=0), (s * ratio**2).sum(axis=0)
        low, high = np.where(slope < 0, t, low), np.where(slope > 0, t, high)
        step = np.divide(slope, curve, out=np.zeros_like(t), where=mixed)
        nearer = t - step
        nearer = np.where((nearer > low) & (nearer < high), nearer, (low + high) / 2)
        settled = step**2 * curve <= _PRECISION**2
        t = np.where(settled, t, nearer)
        if settled.all():
            break
    ratio = c / (1 - c * t)
    root = np.sign(t) * np.sqrt(np.maximum(2 * (s * np.log1p(-c * t)).sum(axis=0), 0.0))
    speed = t * np.sqrt((s * ratio**2).sum(axis=0))
    # Where the sum is 0 on average both vanish; what is left of them is a sixth of its skewness.
    middle = np.abs(root) < 1e-4
    spread = (s * c**2).sum(axis=0)
    skew = np.divide((s * c**3).sum(axis=0), spread**1.5, out=np.zeros_like(t), where=mixed) / 3
    safe = np.where(middle, 1.0, root)
    bend = np.log(np.where(middle, 1.0, speed) / safe) / safe
    found = special.ndtr(-(root + np.where(middle, skew, bend)))
    # One exponential is at least a sum of gammas with the product of their Laplace transforms.
    alone = mixed & ((s * (c > 0)).sum(axis=0) == 1) & (((s > 0) & (c > 0)).sum(axis=0) == 1)
    against = np.maximum(-c, 0.0) / np.maximum(c.max(axis=0), tiny)
    found = np.where(alone, np.exp(-(s * np.log1p(against)).sum(axis=0)), found)
    return np.asarray(np.where(mixed, found, (least >= 0).astype(np.float64)))


def spread_over(n_units: int) -> int:
    """Step at which units are looked at to learn what most of them say."""
    return max(1, n_units // _LOOKED_AT)


def middle_value(values: Array, there: NDArray[np.bool_]) -> Array:
    """Middle value of the units that are there (the lower of two); NaN where there are none."""
    ordered = np.sort(np.where(there, values, np.inf), axis=0)
    middle = np.maximum(there.sum(axis=0) - 1, 0) // 2
    found = np.take_along_axis(ordered, middle[None], axis=0)[0]
    return np.where(there.any(axis=0), found, np.nan)

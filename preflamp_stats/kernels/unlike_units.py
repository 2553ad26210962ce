"""How far off a mean may be of which most units say the same, and some something else."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["UnlikeUnits", "positive_gamma_sum", "unlike_units"]

Array = NDArray[np.float64]

_MOST_UNLIKE = 200
"""Units that differ, from which on a mean of them is near enough to normal for Student's t."""
_FEW_UNLIKE = 10
"""Units that differ, under which one more may differ by as much as the scale allows."""
_LOOKED_AT = 256
"""Units, spread over all, that tell of most columns that the majority differs."""
_SAME = 1e-12
_STEPS, _PRECISION = 100, 1e-10


@dataclass(frozen=True)
class UnlikeUnits:
    """Means of units of which the majority says the same, column by column.

    Let the units seen, and one more that was not, have independent exponential shares of the
    population. A mean is then as far off as their shares are unlucky: where all that differ are at
    the end of the scale these are Clopper and Pearson's limits, and for small means of positive
    numbers they are Gaffke's. The unit not seen differs as far as the scale allows where fewer than
    ten differ, else as far as the farthest seen, and at least as the mean of those seen and of one
    at the end of the scale.

    Parameters
    ----------
    value : ndarray, shape (column,)
        What most units say; NaN where they do not, where 200 or more differ, and where all agree on
        a scale without ends.
    distance, weight : ndarray, shape (unit, column)
        How far the units that differ are from it, and their weights; weight 0 behind the last.
    alike, alike_weight : ndarray, shape (column,)
        Effective number of units that agree, and the weight of each.
    spare_weight, down, up : ndarray, shape (column,)
        Weight of the unit that was not seen, and how far it may lie below and above the value.

    References
    ----------
    Gaffke (2005), Three test statistics for a nonparametric one-sided hypothesis on the mean of a
    nonnegative variable, Mathematical Methods of Statistics 14:451-467; Learned-Miller and Thomas
    (2020), A new confidence interval for the mean of a bounded random variable, arXiv 1905.06208.

    Examples
    --------
    None of 25 users differs: a mean difference of .1 would leave that at 0.9²⁵.

    >>> found = unlike_units(np.zeros((25, 1)), np.ones((25, 1)), -1.0, 1.0)
    >>> float(found.at_least(0.1)[0].round(6)), round(0.9**25, 6)
    (0.07179, 0.07179)
    """

    value: Array
    distance: Array
    weight: Array
    alike: Array
    alike_weight: Array
    spare_weight: Array
    down: Array
    up: Array

    def oriented(self, columns: NDArray[np.intp], sign: Array) -> UnlikeUnits:
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

    def among(
        self, columns: NDArray[np.intp], n_columns: int, others: UnlikeUnits | None
    ) -> UnlikeUnits:
        """These columns at their places among ``n_columns``, beside others put there before."""
        parts = []
        for field in fields(self):
            part = _spread(getattr(self, field.name), columns, n_columns)
            if others is not None:
                before = getattr(others, field.name).copy()
                if part.ndim == 2:
                    # Side by side: weight 0 fills what the shorter lacks.
                    deep = max(len(part), len(before))
                    part, before = (np.pad(x, ((0, deep - len(x)), (0, 0))) for x in (part, before))
                before[..., columns] = part[..., columns]
                part = before
            parts.append(part)
        return UnlikeUnits(*parts)

    def at_least(self, target: float) -> Array:
        """Probability of so small a mean of these units were the true one at least the target."""
        known = np.flatnonzero(~np.isnan(self.value))
        found = np.full(self.value.shape, np.nan)
        if known.size:
            of = self.oriented(known, np.ones(known.size))
            beyond = target - of.value
            spare, alike = of.spare_weight * (of.up - beyond), -beyond * of.alike_weight
            terms = np.vstack([of.weight * (of.distance - beyond), spare, alike])
            shapes = np.vstack([of.weight > 0, np.ones(known.size), of.alike])
            found[known] = positive_gamma_sum(terms, shapes)
        return found

    def at_most(self, target: float) -> Array:
        """Probability of so large a mean of these units were the true one at most the target."""
        columns = np.arange(len(self.value))
        return self.oriented(columns, -np.ones(len(columns))).at_least(-target)


def unlike_units(values: Array, weights: Array, least: float, most: float) -> UnlikeUnits:
    """Find the columns of which the majority of units say the same, and what the others say.

    Parameters
    ----------
    values : ndarray, shape (unit, column)
        What each unit says, within the scale.
    weights : ndarray, shape (unit, column)
        Its weight in the mean; 0 where it says nothing.
    least, most : float
        Ends of the scale; infinite where it has none. The unit not seen then differs as far as the
        farthest seen.

    Returns
    -------
    UnlikeUnits
        NaN in the other columns.
    """
    n_columns = values.shape[1]
    every = np.arange(0, len(values), max(1, len(values) // _LOOKED_AT))
    look, there = values[every], weights[every] > 0
    differ = there & (np.abs(look - _median(look, there)) > _SAME)
    some = np.flatnonzero(differ.sum(axis=0) <= 0.75 * there.sum(axis=0))
    v, w = values[:, some], np.maximum(weights[:, some], 0.0)
    there = w > 0
    value = _median(v, there)
    distance = np.where(there, v - value, 0.0)
    differs = np.abs(distance) > _SAME
    k, present = differs.sum(axis=0), there.sum(axis=0)
    fits = (k < _MOST_UNLIKE) & (2 * k < present) & (present > 1)
    fits &= (k > 0) | np.isfinite(most - least)
    some, value, k = some[fits], value[fits], k[fits]
    distance, differs, w = distance[:, fits], differs[:, fits], w[:, fits]
    order = np.argsort(~differs, axis=0, kind="stable")[: k.max(initial=0)]
    far = np.take_along_axis(np.where(differs, distance, 0.0), order, axis=0)
    agree = np.where(differs, 0.0, w)
    total, squares = agree.sum(axis=0), (agree**2).sum(axis=0)
    largest = np.abs(far).max(axis=0, initial=0.0)
    sides = []
    for room in (value - least, most - value):
        typical = (np.abs(far).sum(axis=0) + room) / (k + 1)
        near = np.minimum(np.maximum(largest, typical), room)
        sides.append(np.where(k < _FEW_UNLIKE, room, near) if np.isfinite(most) else largest)
    columns = (
        value,
        far,
        np.take_along_axis(np.where(differs, w, 0.0), order, axis=0),
        total**2 / squares,
        squares / total,
        (w**2).sum(axis=0) / w.sum(axis=0),
        *sides,
    )
    return UnlikeUnits(*(_spread(part, some, n_columns) for part in columns))


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
    # One exponential against one gamma is known.
    few = (s * (c > 0)).sum(axis=0)
    alone = mixed & (few == 1) & (((s > 0) & (c < 0)).sum(axis=0) == 1)
    against = np.where(c < 0, s, 0.0).sum(axis=0)
    exact = np.exp(-against * np.log1p(np.abs(c.min(axis=0)) / np.maximum(c.max(axis=0), tiny)))
    found = np.where(alone, exact, found)
    return np.asarray(np.where(mixed, found, (least >= 0).astype(np.float64)))


def _spread(part: Array, columns: NDArray[np.intp], n_columns: int) -> Array:
    """Values of some columns among all, NaN elsewhere; of weights and distances, 0."""
    found = np.full((*part.shape[:-1], n_columns), np.nan if part.ndim == 1 else 0.0)
    found[..., columns] = part
    return found


def _median(values: Array, there: NDArray[np.bool_]) -> Array:
    """Middle value of the units that are there (the lower of two); NaN where there are none."""
    ordered = np.sort(np.where(there, values, np.inf), axis=0)
    middle = np.maximum(there.sum(axis=0) - 1, 0) // 2
    found = np.take_along_axis(ordered, middle[None], axis=0)[0]
    return np.where(there.any(axis=0), found, np.nan)

"""Paired differences between methods, with users as clusters and training seeds as a factor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from preflamp_stats.kernels.betting import betting_limits, betting_p_values
from preflamp_stats.kernels.equivalence import equivalence_test, minimum_effect_test
from preflamp_stats.kernels.overlap import Overlap
from preflamp_stats.kernels.unlike_units import (
    UnlikeUnits,
    middle_value,
    side_by_side,
    spread_over,
    unlike_units,
)

__all__ = ["AnytimeDifferences", "PairedDifferences", "paired_differences"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]

_DRAWS_AT_ONCE, _DRAWS_IN_CACHE = 1024, 256
_MAY_DIFFER = 0.75
"""Share of some users, spread over all, that may differ where a majority of all agrees."""
_VALUES_AT_ONCE = 2**22
_SAME = 1e-12


@dataclass(frozen=True)
class PairedDifferences:
    """Differences of methods' means, first minus second, for every pair of methods.

    Parameters
    ----------
    first, second : ndarray of int, shape (pair,)
        Methods of each pair, in the order of ``numpy.triu_indices(n_methods, 1)``.
    estimate, se, df : ndarray, shape (pair,)
        Difference, its standard error, and degrees of freedom of that. NaN where the two methods
        share no user; no standard error where they share fewer than two.
    n_users : ndarray of int, shape (pair,)
        Users that both methods have.
    n_examples : ndarray of int, shape (pair,), optional
        Examples that both methods have, where methods have different ones.
    unlike : UnlikeUnits, optional
        Of pairs of which most users say the same: their standard error tells little, or nothing.
    """

    first: Index
    second: Index
    estimate: Array
    se: Array
    df: Array
    n_users: NDArray[np.int64]
    n_examples: NDArray[np.int64] | None = None
    unlike: UnlikeUnits | None = None

    def oriented(self, pairs: Index, sign: Array) -> PairedDifferences:
        """Some of the pairs, those of sign −1 the other way round."""
        return PairedDifferences(
            self.first[pairs],
            self.second[pairs],
            sign * self.estimate[pairs],
            self.se[pairs],
            self.df[pairs],
            self.n_users[pairs],
            unlike=self.unlike and self.unlike.oriented(pairs, sign),
        )

    @cached_property
    def few(self) -> UnlikeUnits | None:
        """Of pairs of which all users, or all but a few, say the same."""
        few = self.unlike and self.unlike.few
        return few if few is not None and np.isfinite(few.value).any() else None

    @property
    def statistic(self) -> Array:
        """Studentised differences, carried to the normal scale by their tail probability.

        There they can be compared whatever the pairs' degrees of freedom.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.where((self.estimate == 0) & (self.se == 0), 0.0, self.estimate / self.se)
        tail = special.stdtr(self.df, -np.abs(t))
        if self.few is not None:
            tail = np.fmax(tail, np.fmin(self.few.at_most(0.0), self.few.at_least(0.0)))
        return np.asarray(np.sign(t) * -special.ndtri(np.minimum(tail, 0.5)))

    def beyond(self, margin: float) -> Array:
        """p-values of the minimum-effect test: does the difference lie beyond the margin?"""
        p = minimum_effect_test(self.estimate, self.se, self.df, margin=margin)
        if self.few is None:
            return p
        sides = np.where(
            self.estimate < 0,
            self.few.at_least(-margin) + self.few.at_least(margin),
            self.few.at_most(margin) + self.few.at_most(-margin),
        )
        return np.fmax(p, np.minimum(sides, 1.0))

    def within(self, margin: float) -> Array:
        """p-values of the equivalence test (TOST): does the difference lie within the margin?

        Where most users say the same, also the users not seen must leave it there.
        """
        p = equivalence_test(self.estimate, self.se, self.df, margin=margin)
        if self.unlike is None:
            return p
        above = self.unlike.at_least(margin, cautious=True)
        return np.fmax(p, np.fmax(above, self.unlike.at_most(-margin, cautious=True)))

    def limits(self, critical: float) -> tuple[Array, Array]:
        """Limits for a critical value on the normal scale."""
        half = self.half_widths(critical)
        low, high = self.estimate - half, self.estimate + half
        if self.few is None:
            return low, high
        lower, upper = self.few.limits(float(special.ndtr(-critical)))
        return np.fmin(low, lower), np.fmax(high, upper)

    def half_widths(self, critical: float) -> Array:
        """Half-width of the t intervals for a critical value on the normal scale."""
        if np.isinf(critical):
            return np.where(np.isnan(self.se), np.nan, np.inf)
        t = -special.stdtrit(self.df, special.ndtr(-critical))
        return np.asarray(t * self.se)

    def method_variances(self) -> Array:
        """Variances of methods whose errors, were they independent, fit those of the differences.

        Returns
        -------
        ndarray, shape (method,)
            Least squares solution, 0 or more, of v_i + v_j = se²_ij.
        """
        n_methods = int(self.second.max(initial=0)) + 1
        known = np.flatnonzero(self.se > 0)
        if not len(known):
            return np.zeros(n_methods)
        first, second, variance = self.first[known], self.second[known], self.se[known] ** 2
        variance = variance / variance.max()
        # Normal equations: in how many pairs each is, with whom, and the sum of their variances.
        left = np.zeros((n_methods, n_methods))
        left[first, second] = left[second, first] = 1
        np.fill_diagonal(left, left.sum(axis=0))
        right = np.bincount(first, variance, n_methods) + np.bincount(second, variance, n_methods)
        return _nonnegative(left, np.asarray(right, dtype=np.float64))

    def null_maxima(
        self,
        rng: np.random.Generator,
        n_draws: int,
        *,
        pairs: Index | None = None,
        signs: ArrayLike | None = None,
    ) -> Array:
        """Draw the largest statistic over pairs, were all differences at their null value.

        Pairs that share a method are correlated; how much is taken from methods with independent
        errors of their own variance, as in Tukey and Kramer's procedure. Estimating the correlation
        from few users makes the maximum too small.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of the draws.
        n_draws : int
            Number of draws.
        pairs : ndarray of int, optional
            Pairs over which the maximum is taken; all by default.
        signs : array_like of ±1, shape (pair in ``pairs``,), optional
            Take the maximum of the signed statistics instead of that of their absolute values.

        Returns
        -------
        ndarray, shape (n_draws,)
        """
        where = np.flatnonzero(self.se >= 0) if pairs is None else pairs
        error = np.sqrt(self.method_variances())
        i, j = self.first[where], self.second[where]
        scale = np.hypot(error[i], error[j])
        # A pair that the fit leaves without noise of its own counts as independent of the others.
        flat = scale == 0
        turned = None if signs is None else np.asarray(signs, dtype=np.float64)[:, None]
        groups = [(m, np.flatnonzero((i == m) & ~flat)) for m in np.unique(i[~flat])]
        with_first = [(m, _as_slice(j[own]), 1 / scale[own, None], own) for m, own in groups]
        room = np.empty((max((len(own) for _, own in groups), default=0), _DRAWS_IN_CACHE))
        maxima = np.full(n_draws, -np.inf)
        for start in range(0, n_draws, _DRAWS_AT_ONCE):
            rows = min(_DRAWS_AT_ONCE, n_draws - start)
            # A method a row: what is compared with one method runs along contiguous memory.
            noise = np.ascontiguousarray((rng.standard_normal((rows, len(error))) * error).T)
            alone = rng.standard_normal((rows, int(flat.sum()))).T
            for first in range(0, rows, _DRAWS_IN_CACHE):
                some = slice(first, min(first + _DRAWS_IN_CACHE, rows))
                largest = maxima[start + some.start : start + some.stop]
                for method, others, precision, own in with_first:
                    drawn = room[: len(own), : len(largest)]
                    np.subtract(noise[method, some], noise[others, some], out=drawn)
                    drawn *= precision
                    if turned is None:
                        np.abs(drawn, out=drawn)
                    else:
                        drawn *= turned[own]
                    np.maximum(largest, drawn.max(axis=0), out=largest)
                if len(alone):
                    drawn = alone[:, some]
                    drawn = np.abs(drawn) if turned is None else drawn * turned[flat]
                    np.maximum(largest, drawn.max(axis=0), out=largest)
        return maxima


def _as_slice(index: Index) -> Index | slice:
    """The same rows, without a copy where they follow each other."""
    steps = len(index) and index[-1] - index[0] + 1 == len(index) and (np.diff(index) == 1).all()
    return slice(index[0], index[-1] + 1) if steps else index


def _nonnegative(left: Array, right: Array) -> Array:
    """Solution of normal equations whose numbers are 0 or more (Lawson and Hanson 1974, ch. 23)."""
    found, free = np.zeros(len(right)), np.zeros(len(right), dtype=bool)
    least = 10 * len(right) ** 2 * np.finfo(np.float64).eps
    while True:
        gain = np.where(free, -np.inf, right - left @ found)
        if gain.max() <= least:
            return found
        free[gain.argmax()] = True
        while True:
            solved = np.zeros(len(right))
            solved[free] = np.linalg.solve(left[np.ix_(free, free)], right[free])
            below = free & (solved <= 0)
            if not below.any():
                break
            step = (found[below] / (found[below] - solved[below])).min()
            found = np.where(free, found + step * (solved - found), 0.0)
            free &= found > least
        found = solved


@dataclass(frozen=True)
class AnytimeDifferences(PairedDifferences):
    """Differences whose p-values and limits hold whenever one looks, and stops adding users.

    By bets on the users' differences, all within [−1, 1], in the order in which they came; see
    :func:`preflamp_stats.kernels.betting.betting_p_values`. What is known of the largest weight of
    a user is taken to have been known beforehand.

    Parameters
    ----------
    values, weights : ndarray, shape (user, pair)
        Differences of each user's means, and their weights as shares of the largest; NaN values
        where the scale has no ends: then nothing is known.
    """

    values: Array = field(default_factory=lambda: np.empty((0, 0)))
    weights: Array = field(default_factory=lambda: np.empty((0, 0)))

    def oriented(self, pairs: Index, sign: Array) -> AnytimeDifferences:
        """Some of the pairs, those of sign −1 the other way round."""
        fixed = super().oriented(pairs, sign)
        own = {one.name: getattr(fixed, one.name) for one in fields(fixed)}
        return AnytimeDifferences(
            **own, values=sign * self.values[:, pairs], weights=self.weights[:, pairs]
        )

    @property
    def statistic(self) -> Array:
        """On the normal scale, with the tail of a difference that is at most 0."""
        return np.asarray(-special.ndtri(self._at_most(0.0)))

    def beyond(self, margin: float) -> Array:
        """p-values of the minimum-effect test, two-sided."""
        return np.asarray(
            np.minimum(1.0, 2 * np.minimum(self._at_most(margin), self._at_least(-margin)))
        )

    def within(self, margin: float) -> Array:
        """p-values of the equivalence test."""
        return np.maximum(self._at_least(margin), self._at_most(-margin))

    def limits(self, critical: float) -> tuple[Array, Array]:
        """Limits for the tail of a critical value on the normal scale."""
        low, high = betting_limits(
            self.values, self.weights, -1.0, 1.0, float(special.ndtr(-critical))
        )
        return np.minimum(low, self.estimate), np.maximum(high, self.estimate)

    def users_times(self, critical: float) -> Array:
        """How many times as many users these limits need as those for a number of users fixed."""
        (low, high), (lower, upper) = self.limits(critical), super().limits(critical)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(((high - low) / (upper - lower)) ** 2)

    def _at_most(self, target: float) -> Array:
        return betting_p_values(self.values, self.weights, -1.0, target)

    def _at_least(self, target: float) -> Array:
        return betting_p_values(-self.values, self.weights, -1.0, -target)


def paired_differences(
    sums: ArrayLike,
    counts: ArrayLike,
    *,
    include_seeds: bool = True,
    bounded: bool = False,
    overlap: Overlap | None = None,
    arrival: Index | None = None,
) -> PairedDifferences:
    """Differences between all methods from sums per user.

    A method's mean is the mean over its training seeds of Σs/Σn over users. The variance of a
    difference adds two parts. *Users*: the jackknife that leaves out one user at a time, for both
    methods and all seeds together; it is the usual cluster-robust variance with U/(U − 1) where
    users are equally large, and larger where one of them carries much. *Training seeds*: for each
    method, the variance between its seeds beyond what users alone make them differ, over their
    number. Degrees of freedom: for users, (Σn)²/Σn² − 1, the number of users of equal size that
    would be worth as much, less one; with seeds, Welch and Satterthwaite's combination.

    Parameters
    ----------
    sums, counts : array_like, shape (user, method, seed)
        Sum of a user's values and their number; a count of 0 marks a combination that is missing.
        Files without training seeds have one.
    include_seeds : bool
        Include the variance between training seeds, where a method has at least two. Without it
        the difference is that of the trained models at hand.
    bounded : bool
        Whether all values lie in [0, 1]. Where most users see the same difference its error is then
        bounded by what the others could have seen; otherwise it is unknown where all do, and no
        equivalence is shown where fewer than ten do not.
    overlap : Overlap, optional
        What methods have in common, where they have different examples.
    arrival : ndarray of int, shape (user,), optional
        Users in the order in which they came, for p-values and limits that hold whenever one looks;
        those of training seeds are then left out.

    Returns
    -------
    PairedDifferences
        Or AnytimeDifferences, with ``arrival``. Each pair over the users, and examples, that both
        methods have, so that no method gains from having been spared the difficult ones.

    References
    ----------
    Cameron and Miller (2015), A practitioner's guide to cluster-robust inference, Journal of Human
    Resources 50:317-372 (the jackknife is their CR3); Kish (1965), Survey Sampling, section 11.7;
    Searle, Casella and McCulloch (1992), Variance Components, chapter 4.

    Examples
    --------
    >>> sums = np.array([[3.0, 1], [2, 2], [4, 1]])[:, :, None]
    >>> found = paired_differences(sums, np.full((3, 2, 1), 4.0))
    >>> found.estimate.round(3), found.se.round(3), found.df
    (array([0.417]), array([0.22]), array([2.]))
    """
    s, n = np.asarray(sums, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    if s.ndim != 3 or s.shape != n.shape:
        raise ValueError(f"sums {s.shape} and counts {n.shape} must be (user, method, seed) alike")
    s = np.where(n > 0, s, 0.0)
    first, second = np.triu_indices(s.shape[1], 1)
    if overlap is None:
        pattern = np.unique((n > 0).any(axis=2), axis=1, return_inverse=True)[1].ravel()
    else:
        pattern = overlap.pattern
    groups: dict[tuple[int, int], list[int]] = {}
    for pair, key in enumerate(zip(pattern[first].tolist(), pattern[second].tolist(), strict=True)):
        groups.setdefault((min(key), max(key)), []).append(pair)

    estimate, se, df = np.full((3, len(first)), np.nan)
    n_users = np.zeros(len(first), dtype=np.int64)
    ends = (-1.0, 1.0) if bounded else (-np.inf, np.inf)
    unlike: list[tuple[Index, UnlikeUnits]] = []
    came = np.full((2, 0 if arrival is None else len(s), len(first)), [[[np.nan]], [[0.0]]])
    n_examples = None if overlap is None else np.zeros(len(first), dtype=np.int64)
    for (one, other), members in groups.items():
        pairs = np.asarray(members)
        methods, place = np.unique([first[pairs], second[pairs]], return_inverse=True)
        a, b = place.reshape(2, -1)
        s_pair, n_pair = s[:, methods], n[:, methods]
        if overlap is not None and n_examples is not None:
            s_pair, n_pair, n_examples[pairs] = overlap.between(one, other, methods)
        users = (n_pair.max(axis=2, initial=0) > 0).all(axis=1)
        n_users[pairs] = users.sum()
        if users.any():
            own = _Methods.of(s_pair[users], n_pair[users])
            estimate[pairs] = own.mean[a] - own.mean[b]
            se[pairs], df[pairs] = own.error_of_difference(a, b, include_seeds=include_seeds)
            parts = _users_unlike(*own.by_user, a, b, *ends)
            unlike += [(pairs[some], part) for some, part in parts]
            if arrival is not None:
                v, w = own.by_user
                weight = np.minimum(w[:, a], w[:, b])
                rows = np.ix_(users, pairs)
                came[0][rows] = v[:, a] - v[:, b] if bounded else np.nan
                came[1][rows] = weight / weight.max(axis=0)
    joined = side_by_side(unlike, len(first)) if unlike else None
    unknown = se == 0 if joined is None else (se == 0) & np.isnan(joined.value)
    fixed = PairedDifferences(
        first,
        second,
        estimate,
        np.where(unknown, np.nan, se),
        df,
        n_users,
        n_examples=n_examples,
        unlike=joined,
    )
    if arrival is None:
        return fixed
    values, weights = came[:, arrival]
    # A user without the pair comes with a weight of 0; where nobody has it all are NaN.
    some = ~np.isnan(values).all(axis=0)
    values[:, some] = np.nan_to_num(values[:, some])
    return AnytimeDifferences(
        **{one.name: getattr(fixed, one.name) for one in fields(fixed)},
        values=values,
        weights=weights,
    )


def _users_unlike(
    values: Array, weights: Array, a: Index, b: Index, least: float, most: float
) -> Iterator[tuple[Index, UnlikeUnits]]:
    """Pairs that most users may find alike, a block at a time, and what the others say."""
    look = slice(None, None, spread_over(len(values)))
    v, w = values[look], weights[look]
    size = max(1, _VALUES_AT_ONCE // len(values))
    for start in range(0, len(a), size):
        one, other = a[start : start + size], b[start : start + size]
        away, there = v[:, one] - v[:, other], np.minimum(w[:, one], w[:, other]) > 0
        differ = (there & (np.abs(away - middle_value(away, there)) > _SAME)).sum(axis=0)
        some = np.flatnonzero(differ <= _MAY_DIFFER * there.sum(axis=0))
        if some.size:
            one, other = one[some], other[some]
            shared = np.minimum(weights[:, one], weights[:, other])
            found = unlike_units(values[:, one] - values[:, other], shared, least, most)
            if np.isfinite(found.value).any():
                yield start + some, found


@dataclass(frozen=True)
class _Methods:
    """Means of methods over the same users, and what moves them.

    Parameters
    ----------
    mean : ndarray, shape (method,)
    jackknife : ndarray, shape (user, method)
        Change of the mean when the user joins the others.
    effective_users : ndarray, shape (method,)
        Users of equal size that are worth as much.
    seed_variance, seed_spread : ndarray, shape (method,)
        Variance of the mean from training seeds, and the variance between seeds over their number
        that it was estimated from, users' part included; both 0 where that explains it all.
    n_seeds : ndarray of int, shape (method,)
    by_user : (ndarray, ndarray), shapes (user, method)
        Each user's mean, over seeds, and weight.
    """

    mean: Array
    jackknife: Array
    effective_users: Array
    seed_variance: Array
    seed_spread: Array
    n_seeds: NDArray[np.int64]
    by_user: tuple[Array, Array]

    @classmethod
    def of(cls, s: Array, n: Array) -> _Methods:
        total = n.sum(axis=0)
        trained = total > 0
        n_seeds = trained.sum(axis=1)
        total = np.where(trained, total, 1.0)
        ratio = s.sum(axis=0) / total
        mean = np.where(trained, ratio, 0.0).sum(axis=1) / n_seeds
        influence = np.where(trained, (s - ratio * n) / total, 0.0)
        share = n / total
        with np.errstate(divide="ignore", invalid="ignore"):
            # One user who holds everything cannot be left out: the error is unknown.
            alone = np.where(share < 1, influence / (1 - share), np.nan)
        weight = share.sum(axis=2) / n_seeds
        n_users = len(s)
        degrees = np.maximum(n_seeds - 1, 1)
        centred = np.where(trained, ratio - mean[:, None], 0.0)
        between = (centred**2).sum(axis=1) / degrees
        own = influence - influence.sum(axis=2, keepdims=True) / n_seeds[:, None]
        own = np.where(trained, own, 0.0)
        by_users = (own**2).sum(axis=(0, 2)) / degrees * n_users / max(n_users - 1, 1)
        beyond = (n_seeds > 1) & (between > by_users)
        some = n > 0
        means = np.divide(s, n, out=np.zeros_like(s), where=some)
        return cls(
            mean,
            alone.sum(axis=2) / n_seeds,
            1 / (weight**2).sum(axis=0),
            np.where(beyond, between - by_users, 0.0) / n_seeds,
            np.where(beyond, between, 0.0) / n_seeds,
            n_seeds,
            (means.sum(axis=2) / np.maximum(some.sum(axis=2), 1), n.sum(axis=2)),
        )

    def error_of_difference(
        self, a: Index, b: Index, *, include_seeds: bool
    ) -> tuple[Array, Array]:
        """Standard error and degrees of freedom of mean a minus mean b, shape (pair,)."""
        n_users = len(self.jackknife)
        effective = np.minimum(self.effective_users[a], self.effective_users[b])
        df = np.maximum(effective - 1, 1.0)
        if n_users < 2:
            return np.full(len(a), np.nan), df
        products = self.jackknife.T @ self.jackknife
        squares = np.diagonal(products)
        users = squares[a] + squares[b] - 2 * products[a, b]
        # Rounding leaves about 1e-16 of the squares where two methods agree user by user.
        users = np.where(users > 1e-12 * (squares[a] + squares[b]), users, 0.0)
        users *= (n_users - 1) / n_users
        if not include_seeds:
            return np.sqrt(users), df
        variance = users + self.seed_variance[a] + self.seed_variance[b]
        by_method = self.seed_spread**2 / np.maximum(self.n_seeds - 1, 1)
        uncertainty = users**2 / df + by_method[a] + by_method[b]
        with np.errstate(divide="ignore", invalid="ignore"):
            combined = np.where(uncertainty > 0, variance**2 / uncertainty, df)
        return np.sqrt(variance), np.maximum(combined, 1.0)

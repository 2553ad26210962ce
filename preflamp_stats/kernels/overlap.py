"""Sums per user over the examples that two methods, or all, have."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from preflamp_stats.choices import Average
from preflamp_stats.kernels.user_sums import averaged_sums, sum_by_user

__all__ = ["Gap", "Overlap", "OverlapSums"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Gap:
    """Sums over the examples that some methods lack and others have, of the users concerned.

    Parameters
    ----------
    users : ndarray of int, shape (k,)
    sums : ndarray, shape (k, method, seed)
    counts : ndarray, shape (k, method)
    """

    users: Index
    sums: Array
    counts: Array

    def __add__(self, other: Gap) -> Gap:
        users, place = np.unique(np.concatenate([self.users, other.users]), return_inverse=True)
        sums = np.zeros((len(users), *self.sums.shape[1:]))
        counts = np.zeros((len(users), self.counts.shape[1]))
        for gap, at in zip((self, other), np.split(place, [len(self.users)]), strict=True):
            sums[at] += gap.sums
            counts[at] += gap.counts
        return Gap(users, sums, counts)


@dataclass(frozen=True)
class Overlap:
    """What methods measured on different examples have in common.

    An example counts for a method where all of its training seeds have a value.

    Parameters
    ----------
    sums : ndarray, shape (user, method, seed)
        Over the examples that count for the method.
    counts : ndarray, shape (user, method)
        Their number.
    trained : ndarray of bool, shape (method, seed)
        Seeds that have values at all.
    pattern : ndarray of int, shape (method,)
        The same for methods that have the same examples.
    gaps : dict of int to Gap
        By pattern, over the examples that it lacks.
    common_sums, common_counts : ndarray, shapes (user, method, seed) and (user,)
        Over the examples that all methods with values have.
    average, step
        How sums enter an average; see :func:`~preflamp_stats.kernels.user_sums.averaged_sums`.
    """

    sums: Array
    counts: Array
    trained: Mask
    pattern: Index
    gaps: dict[int, Gap]
    common_sums: Array
    common_counts: Array
    average: Average = "micro"
    step: float = 0.0

    def between(self, one: int, other: int, methods: Index) -> tuple[Array, Array, int]:
        """Sums and counts over the examples of both patterns, and their number.

        Parameters
        ----------
        one, other : int
            Patterns.
        methods : ndarray of int
            Methods of either pattern.

        Returns
        -------
        sums, counts : ndarray, shape (user, method, seed)
        n_examples : int
        """
        sums, counts = self.sums[:, methods], self.counts[:, methods]
        for pattern in {one, other}:  # a pattern's own methods have nothing where it has a gap
            if (gap := self.gaps.get(pattern)) is not None:
                sums[gap.users] -= gap.sums[:, methods]
                counts[gap.users] -= gap.counts[:, methods]
        return self._averaged(sums, counts[:, :, None], methods, counts[:, 0])

    def common(self) -> tuple[Array, Array, int]:
        """The same over the examples that all methods have."""
        n = self.common_counts
        return self._averaged(self.common_sums, n[:, None, None], slice(None), n)

    def _averaged(
        self, sums: Array, counts: Array, methods: Index | slice, n_examples: Array
    ) -> tuple[Array, Array, int]:
        each = counts * self.trained[methods]
        return *averaged_sums(sums, each, self.average, self.step), int(n_examples.sum())

    def take(self, methods: Index, seeds: Index) -> Overlap:
        """Some of the methods and seeds, in another order; what all have in common stays."""
        gaps = {
            pattern: Gap(gap.users, gap.sums[:, methods][:, :, seeds], gap.counts[:, methods])
            for pattern, gap in self.gaps.items()
        }
        return replace(
            self,
            sums=self.sums[:, methods][:, :, seeds],
            counts=self.counts[:, methods],
            trained=self.trained[methods][:, seeds],
            pattern=self.pattern[methods],
            gaps=gaps,
            common_sums=self.common_sums[:, methods][:, :, seeds],
        )


@dataclass
class OverlapSums:
    """Finds methods measured on different examples in one pass, block by block.

    As long as all methods have had the same examples nothing is kept. From then on the memory is
    that of the sums for every pattern of missing values, for the users concerned.

    Parameters
    ----------
    n_users, n_methods, n_seeds : int
    """

    n_users: int
    n_methods: int
    n_seeds: int
    _trained: Mask = field(init=False)
    _state: Overlap | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._trained = np.zeros((self.n_methods, self.n_seeds), dtype=np.bool_)

    def add(self, values: Array, there: Mask, codes: Index, sums: Array, counts: Array) -> None:
        """Add a block of examples.

        Parameters
        ----------
        values : ndarray, shape (example, method, seed)
            0 where missing.
        there : ndarray of bool, same shape
        codes : ndarray of int, shape (example,)
            User of each example.
        sums, counts : ndarray, shape (user, method, seed)
            Totals of the blocks before.
        """
        new = there.any(axis=0) & ~self._trained
        before = self._trained.any()
        trained = self._trained | new
        have = there[:, trained]
        if self._state is None:
            if not (before and new.any()) and (have == have[:, :1]).all():
                self._trained = trained
                return
            self._state = self._same_so_far(sums, counts)
        state = self._late(self._state, new) if before and new.any() else self._state
        state = replace(state, trained=trained)
        self._trained = trained
        self._state = self._with_block(state, values, there, codes)

    def finish(self, average: Average, step: float) -> Overlap | None:
        """What was found; None where all methods have the same examples."""
        return self._state and replace(self._state, average=average, step=step)

    def _same_so_far(self, sums: Array, counts: Array) -> Overlap:
        """State after blocks in which all methods had the same examples."""
        each = counts.max(axis=2)
        pattern = np.where(self._trained.any(axis=1), 0, -1).astype(np.intp)
        common = each.max(axis=1)
        return Overlap(sums.copy(), each, self._trained, pattern, {}, sums.copy(), common)

    def _late(self, state: Overlap, new: Mask) -> Overlap:
        """Take account of methods, or seeds, of which no earlier block had a value."""
        late = np.flatnonzero(new.any(axis=1))
        sums, counts, pattern = state.sums.copy(), state.counts.copy(), state.pattern.copy()
        sums[:, late], counts[:, late] = 0.0, 0.0
        users = np.flatnonzero(counts.any(axis=1))
        gaps = {}
        for label, gap in state.gaps.items():
            kept = Gap(gap.users, gap.sums.copy(), gap.counts.copy())
            kept.sums[:, late], kept.counts[:, late] = 0.0, 0.0
            gaps[label] = kept
        own = int(pattern.max(initial=0)) + 1
        pattern[late] = own
        gaps[own] = Gap(users, sums[users], counts[users])
        nothing = np.zeros_like(state.common_counts)
        return Overlap(sums, counts, state.trained, pattern, gaps, np.zeros_like(sums), nothing)

    def _with_block(self, state: Overlap, values: Array, there: Mask, codes: Index) -> Overlap:
        any_seed = state.trained.any(axis=1)
        mask: Mask = np.logical_and.reduce(there | ~state.trained, axis=2) & any_seed
        values = np.where(mask[:, :, None], values, 0.0)
        everywhere: Mask = np.logical_and.reduce(mask[:, any_seed], axis=1)
        pattern, gaps = self._split(state, mask)
        for label in np.unique(pattern[any_seed]).tolist():
            lacking = np.flatnonzero(~mask[:, np.flatnonzero(pattern == label)[0]])
            if lacking.size:
                gap = self._gap(values[lacking], mask[lacking], codes[lacking])
                gaps[label] = gaps[label] + gap if label in gaps else gap
        return Overlap(
            state.sums + self._by_user(values, codes),
            state.counts + sum_by_user(mask, codes, self.n_users),
            state.trained,
            pattern,
            gaps,
            state.common_sums + self._by_user(values * everywhere[:, None, None], codes),
            state.common_counts + np.bincount(codes[everywhere], minlength=self.n_users),
        )

    def _split(self, state: Overlap, mask: Mask) -> tuple[Index, dict[int, Gap]]:
        """Give methods of one pattern that differ in this block patterns of their own."""
        pattern, gaps = state.pattern.copy(), dict(state.gaps)
        for label in np.unique(pattern[pattern >= 0]).tolist():
            members = np.flatnonzero(pattern == label)
            _, kind = np.unique(mask[:, members], axis=1, return_inverse=True)
            for other in range(1, int(kind.max()) + 1):
                fresh = int(pattern.max()) + 1
                pattern[members[kind.ravel() == other]] = fresh
                if label in gaps:
                    gaps[fresh] = gaps[label]
        starting = np.flatnonzero((pattern < 0) & state.trained.any(axis=1))
        for method in starting:  # the first block of all: nothing was missed before it
            same = np.flatnonzero((pattern >= 0) & (mask == mask[:, [method]]).all(axis=0))
            pattern[method] = pattern[same[0]] if same.size else int(pattern.max()) + 1
        return pattern, gaps

    def _by_user(self, values: Array, codes: Index) -> Array:
        flat = sum_by_user(values.reshape(len(values), -1), codes, self.n_users)
        return flat.reshape(self.n_users, self.n_methods, self.n_seeds)

    def _gap(self, values: Array, mask: Mask, codes: Index) -> Gap:
        users, place = np.unique(codes, return_inverse=True)
        sums = sum_by_user(values.reshape(len(values), -1), place, len(users))
        counts = sum_by_user(mask, place, len(users))
        return Gap(users, sums.reshape(len(users), *values.shape[1:]), counts)

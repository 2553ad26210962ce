"""Sums per user of every metric, read from a dataset in one pass over its examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preflamp_stats.choices import Average, Values
from preflamp_stats.errors import InputError, Problem
from preflamp_stats.inference.floors import enough_users
from preflamp_stats.inference.units import Units
from preflamp_stats.io.blocks import example_blocks, load_block
from preflamp_stats.kernels.overlap import Overlap, OverlapSums
from preflamp_stats.kernels.resampling import resampled_ratios
from preflamp_stats.kernels.user_sums import (
    RESOLUTION,
    averaged_sums,
    exact_step,
    ratio,
    round_to_step,
    sum_by_user,
)

__all__ = [
    "ExampleValues",
    "SharedExamples",
    "UserSums",
    "collect_sums",
    "draw_ratios",
    "on_common_examples",
]


@dataclass(frozen=True)
class UserSums:
    """Sufficient statistics of a mean over users: a ratio of two sums.

    Parameters
    ----------
    sums : DataArray, dims (unit, ...)
        Per user: the sum of the example values (micro) or their mean (macro).
    counts : DataArray, dims (unit, ...)
        Per user: the number of values (micro), or 1 where there is one (macro).
    n_examples : DataArray, dims (...)
        Examples behind each ratio.
    resolution : float
        Ratios are rounded to multiples of it; 0 leaves them as they are. It is far coarser than the
        grid of the sums, so that values which are equal but for that grid are ties again.
    overlaps : dict of (label or None) to SharedExamples
        By model (None where there is no such dim), where methods have different examples.
    kind : {"users", "examples"}
        What a unit is.
    arrival : ndarray of int, shape (unit,), optional
        Units in the order of the file.

    Examples
    --------
    >>> sums = xr.DataArray([[3.0], [1.0]], dims=("unit", "method"))
    >>> counts = xr.DataArray([[4.0], [4.0]], dims=("unit", "method"))
    >>> UserSums(sums, counts, counts.sum("unit")).ratio().values
    array([0.5])
    """

    sums: xr.DataArray
    counts: xr.DataArray
    n_examples: xr.DataArray
    resolution: float = 0.0
    overlaps: Mapping[Any, SharedExamples] = field(default_factory=dict)
    kind: str = "users"
    arrival: NDArray[np.intp] | None = None

    @cached_property
    def n_users(self) -> xr.DataArray:
        """Users with at least one value, dims (...)."""
        return (self.counts > 0).sum("unit")

    def ratio(self) -> xr.DataArray:
        """Point estimate Σs/Σn, dims (...); NaN where there is nothing."""
        return self._ratio

    @cached_property
    def _ratio(self) -> xr.DataArray:
        total = self.counts.sum("unit")
        ratio = self.sums.sum("unit") / total.where(total > 0)
        return ratio.copy(data=self.rounded(ratio.values))

    def rounded(self, ratios: NDArray[np.float64]) -> NDArray[np.float64]:
        """Ratios on the grid of the resolution."""
        return round_to_step(ratios, self.resolution) if self.resolution else ratios


@dataclass(frozen=True)
class SharedExamples:
    """What the methods of one model have in common, where they have different examples.

    Parameters
    ----------
    overlap : Overlap
        In the order of ``methods`` and ``seeds``.
    methods, seeds : list
        Labels; one seed, None, where there is no such dim.
    """

    overlap: Overlap
    methods: list[Any]
    seeds: list[Any]

    def take(self, methods: Sequence[Any], seeds: Sequence[Any]) -> Overlap:
        """Overlap of some of the methods and seeds, in another order."""
        at = np.array([self.methods.index(m) for m in methods], dtype=np.intp)
        return self.overlap.take(at, np.array([self.seeds.index(s) for s in seeds], dtype=np.intp))


def on_common_examples(sums: UserSums) -> tuple[UserSums, xr.DataArray]:
    """Sums over the examples that all methods have, for ranking methods.

    Methods measured on different examples are not ranked by them: one that was spared the hard
    cases would gain. Where too few units have an example that all methods have, each method keeps
    its own examples.

    Parameters
    ----------
    sums : UserSums
        With overlaps.

    Returns
    -------
    sums : UserSums
        The same in models whose methods all have the same examples.
    note : DataArray of str, dims ([model])
        What was done, by model; empty where nothing.
    """
    order = ("unit", "method", *(("seed",) if "seed" in sums.sums.dims else ()))
    s, n, examples = (v.copy(deep=True) for v in (sums.sums, sums.counts, sums.n_examples))
    note = xr.full_like(examples.isel(dict.fromkeys(order[1:], 0), drop=True), "", dtype=object)
    for model, shared in sums.overlaps.items():
        at = {} if model is None else {"model": model}
        like = s.sel(at).transpose(*order)
        labels = like["method"].values.tolist(), [None]
        if "seed" in order:
            labels = labels[0], like["seed"].values.tolist()
        common_sums, common_counts, n_examples = shared.take(*labels).common()
        if not enough_users((common_counts > 0).any(axis=(1, 2)).sum()):
            note.loc[at] = "methods have too few examples in common: each is ranked on its own"
            continue
        note.loc[at] = f"ranked on the {n_examples:,} examples that all methods have"
        s.loc[at] = like.copy(data=common_sums.reshape(like.shape))
        n.loc[at] = like.copy(data=common_counts.reshape(like.shape))
        trained = (common_counts > 0).any(axis=0) * float(n_examples)
        one = examples.sel(at).transpose(*order[1:])
        examples.loc[at] = one.copy(data=trained.reshape(one.shape))
    return replace(sums, sums=s, counts=n, n_examples=examples, overlaps={}), note


def draw_ratios(
    sums: Mapping[str, UserSums], n_resamples: int, seed: np.random.SeedSequence
) -> dict[str, xr.DataArray]:
    """Bootstrap draws of several ratios, all on the same resamples of the units.

    Parameters
    ----------
    sums : mapping of str to UserSums
        All over the same units.
    n_resamples : int
        Resamples.
    seed : numpy.random.SeedSequence
        Root of the random streams.

    Returns
    -------
    dict of str to DataArray, dims (resample, ...)
        NaN where a resample holds nothing.
    """
    if not sums:
        return {}
    flat = [s.sums.values.reshape(s.sums.sizes["unit"], -1) for s in sums.values()]
    every_count = np.hstack(
        [s.counts.values.reshape(len(f), -1) for s, f in zip(sums.values(), flat, strict=True)]
    )
    counts, denominators = _distinct_columns(every_count)
    draws = resampled_ratios(np.hstack(flat), counts, n_resamples, seed, denominators=denominators)
    ends = np.cumsum([f.shape[1] for f in flat])
    parts = np.split(draws, ends[:-1], axis=1)
    return {
        name: _as_draws(s.rounded(part), s.n_examples)
        for (name, s), part in zip(sums.items(), parts, strict=True)
    }


def _as_draws(draws: NDArray[np.float64], like: xr.DataArray) -> xr.DataArray:
    return xr.DataArray(
        draws.reshape(len(draws), *like.shape), dims=("resample", *like.dims), coords=like.coords
    )


def _distinct_columns(columns: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Each distinct column once, and which one every column is."""
    seen: dict[bytes, int] = {}
    index = [seen.setdefault(column.tobytes(), len(seen)) for column in columns.T]
    first = [index.index(number) for number in range(len(seen))]
    return columns[:, first], np.asarray(index, dtype=np.intp)


@dataclass(frozen=True)
class ExampleValues:
    """A quantity to be averaged over users: how to compute it for a block of examples.

    Parameters
    ----------
    needs : tuple of str
        Variables that it reads.
    compute : callable
        Takes a block of those variables, returns a DataArray with dim ``example``; NaN marks a
        value that does not count.
    scale : {"credit", "share", "free"}
        Which values there can be. Free ones are read once more, for their size.
    """

    needs: tuple[str, ...]
    compute: Callable[[xr.Dataset], xr.DataArray]
    scale: Values = "credit"


def collect_sums(
    ds: xr.Dataset,
    quantities: Mapping[str, ExampleValues],
    units: Units,
    *,
    average: Average = "micro",
    progress: Callable[[int], None] | None = None,
) -> dict[str, UserSums]:
    """Sum quantities by user, reading the dataset block by block.

    Parameters
    ----------
    ds : Dataset
        One benchmark dataset, lazily opened or in memory.
    quantities : mapping of str to ExampleValues
        What to sum; each variable is read once for all of them.
    units : Units
        The unit of resampling of each example.
    average : {"micro", "macro"}
        Mean over examples, or mean of the units' means.
    progress : callable, optional
        Told the number of examples read after each block.

    Returns
    -------
    dict of str to UserSums
        On a grid where every resampled sum is exact, so that neither the order of the examples nor
        of the users changes a result.

    Raises
    ------
    InputError
        If there are no examples, or a value is infinite.
    """
    if quantities and not ds.sizes.get("example"):
        raise InputError(Problem("holds no examples", "add the examples that were scored"))
    names = sorted({name for quantity in quantities.values() for name in quantity.needs})
    blocks = list(example_blocks(ds[names]))
    steps = {
        name: exact_step(_largest(ds, q, blocks) if q.scale == "free" else 1.0, units.most_drawn)
        for name, q in quantities.items()
        if q.scale != "credit"
    }
    totals: dict[str, _Total] = {}
    for block in blocks:
        loaded = load_block(ds, block, names=names)
        for name, quantity in quantities.items():
            values = quantity.compute(loaded[list(quantity.needs)]).transpose("example", ...)
            total = totals.setdefault(name, _Total(values, len(units.labels)))
            total.add(values, units.codes[block], steps.get(name))
        if progress is not None:
            progress(block.stop - block.start)
    return {name: total.finish(units, average, steps.get(name)) for name, total in totals.items()}


class _Total:
    """Running sums and counts of one quantity, and what methods with different examples share."""

    def __init__(self, like: xr.DataArray, n_units: int) -> None:
        self.like = like.isel(example=0, drop=True)
        self.sums = np.zeros((n_units, self.like.size))
        self.counts = np.zeros((n_units, self.like.size))
        sizes = dict(self.like.sizes)
        # Methods are compared model by model, and curves not at all.
        self.compared = "method" in sizes and set(sizes) <= {"model", "method", "seed"}
        self.shape = tuple(sizes.get(dim, 1) for dim in ("model", "method", "seed"))
        self.overlaps = [
            OverlapSums(n_units, *self.shape[1:]) for _ in range(self.shape[0] * self.compared)
        ]

    def add(self, values: xr.DataArray, codes: NDArray[np.intp], step: float | None) -> None:
        columns = np.asarray(values.values, dtype=np.float64).reshape(len(codes), -1)
        missing = np.isnan(columns)
        gaps = missing.any(axis=0)
        if gaps.any():
            columns = np.where(missing, 0.0, columns)
        if step is not None:  # credits are multiples of a half, exact as they are
            columns = round_to_step(columns, step)
        n_units = len(self.sums)
        parts = (self._by_model(v) for v in (columns, ~missing, self.sums, self.counts))
        for overlap, x, there, sums, counts in zip(self.overlaps, *parts, strict=False):
            overlap.add(x, there, codes, sums, counts)
        self.sums += sum_by_user(columns, codes, n_units)
        self.counts[:, ~gaps] += np.bincount(codes, minlength=n_units)[:, None]
        self.counts[:, gaps] += sum_by_user(~missing[:, gaps], codes, n_units)

    def _by_model(self, columns: NDArray[Any]) -> NDArray[Any]:
        """Columns as an array of dims (model, row, method, seed)."""
        if not self.compared:
            return columns[None]
        known = (dim for dim in ("model", "method", "seed") if dim in self.like.dims)
        axes = [self.like.dims.index(dim) + 1 for dim in known]
        array = columns.reshape(len(columns), *self.like.shape)
        array = array.transpose(0, *axes).reshape(len(columns), *self.shape)
        return np.moveaxis(array, 1, 0)

    def finish(self, units: Units, average: Average, step: float | None) -> UserSums:
        n_examples = self.counts.sum(axis=0)
        grid = step or 0.0
        if average == "macro":
            # A credit is within [0, 1], whoever else is asked for.
            means = ratio(self.sums, self.counts)
            largest = 1.0 if step is None else float(np.abs(means).max(initial=0.0))
            grid = max(exact_step(largest, len(units.labels)), grid)
        sums, counts = averaged_sums(self.sums, self.counts, average, grid)
        shape = (len(units.labels), *self.like.shape)
        dims = ("unit", *self.like.dims)
        coords = {**self.like.coords, "unit": np.asarray(units.labels)}
        return UserSums(
            xr.DataArray(sums.reshape(shape), dims=dims, coords=coords),
            xr.DataArray(counts.reshape(shape), dims=dims, coords=coords),
            self.like.copy(data=n_examples.reshape(self.like.shape)),
            resolution=RESOLUTION * grid,
            overlaps=self._shared(average, grid),
            kind=units.kind,
            arrival=units.arrival,
        )

    def _shared(self, average: Average, step: float) -> dict[Any, SharedExamples]:
        labels = [
            self.like[dim].values.tolist() if dim in self.like.dims else [None]
            for dim in ("model", "method", "seed")
        ]
        found = (overlap.finish(average, step) for overlap in self.overlaps)
        return {
            model: SharedExamples(overlap, *labels[1:])
            for model, overlap in zip(labels[0], found, strict=False)
            if overlap is not None
        }


def _largest(ds: xr.Dataset, quantity: ExampleValues, blocks: Sequence[slice]) -> float:
    largest = 0.0
    for block in blocks:
        values = quantity.compute(load_block(ds, block, names=quantity.needs))
        block_largest = float(abs(values).max(skipna=True))
        if np.isinf(block_largest):
            raise InputError(
                Problem(
                    "holds infinite values",
                    "replace them by NaN where the value is missing",
                    variable=", ".join(quantity.needs),
                )
            )
        largest = max(largest, 0.0 if np.isnan(block_largest) else block_largest)
    return largest

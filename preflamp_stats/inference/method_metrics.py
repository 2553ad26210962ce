"""Metrics with one value a method: estimate, bootstrap draws, and what stands behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preflamp_stats.inference.streams import stream
from preflamp_stats.inference.sums import UserSums, draw_ratios, on_common_examples
from preflamp_stats.metric import Metric
from preflamp_stats.settings import Settings

__all__ = ["MethodMetric", "as_method_metric", "draw_metrics", "mean_over_seeds"]


@dataclass(frozen=True)
class MethodMetric:
    """A metric that has one value a method (and model), with its sampling error if it has one.

    Parameters
    ----------
    info : Metric
        Which metric.
    estimate : DataArray, dims ([model], method)
        Mean over training seeds where the file has them.
    sums : UserSums or None
        Sums per user, dims (unit, [model], method, [seed]); None for a number known only per
        method, for which no sampling error is claimed.
    draws : DataArray or None, dims (resample, [model], method)
        Bootstrap draws, paired across metrics; None until drawn.
    common : MethodMetric or None
        The same over the examples that all methods have, where methods have different ones.
    ranking_note : DataArray or None, dims ([model])
        On which examples methods are ranked, where they have different ones.
    family : DataArray or None, dims (method)
        Which methods are alike: the coordinate ``family``, else ``method_family``.
    """

    info: Metric
    estimate: xr.DataArray
    sums: UserSums | None = None
    draws: xr.DataArray | None = field(default=None, repr=False)
    common: MethodMetric | None = field(default=None, repr=False)
    ranking_note: xr.DataArray | None = field(default=None, repr=False)
    family: xr.DataArray | None = field(default=None, repr=False)

    @property
    def ranked(self) -> MethodMetric:
        """The metric as methods are ranked by it: on the examples that all of them have."""
        return self.common or self

    @property
    def n_examples(self) -> xr.DataArray:
        """Examples behind each value; those of the training seed that has most of them."""
        return self._size(None if self.sums is None else self.sums.n_examples)

    @property
    def n_users(self) -> xr.DataArray:
        """Users behind each value."""
        return self._size(None if self.sums is None else self.sums.n_users)

    @property
    def n_seeds(self) -> xr.DataArray:
        """Training seeds behind each value; 0 where the file has none."""
        if self.sums is None or "seed" not in self.sums.sums.dims:
            return xr.zeros_like(self.estimate, dtype=np.int64)
        return (self.sums.n_examples > 0).sum("seed")

    def _size(self, size: xr.DataArray | None) -> xr.DataArray:
        if size is None:
            return xr.zeros_like(self.estimate, dtype=np.int64)
        return (size.max("seed") if "seed" in size.dims else size).astype(np.int64)


def as_method_metric(ds: xr.Dataset, info: Metric, sums: UserSums | None) -> MethodMetric:
    """Estimate of a metric from its sums, or from the file where it is known only per method."""
    if sums is None:
        values = _seeds_in_order(ds[info.name].astype(np.float64).load())
    else:
        sums = replace(
            sums,
            sums=_seeds_in_order(sums.sums),
            counts=_seeds_in_order(sums.counts),
            n_examples=_seeds_in_order(sums.n_examples),
        )
        values = sums.ratio()
    estimate = values.mean("seed", skipna=True) if "seed" in values.dims else values
    family = ds.coords.get("family", ds.coords.get("method_family"))
    found = MethodMetric(info, estimate.transpose(..., "method"), sums, family=family)
    if sums is not None and sums.overlaps:
        shared, note = on_common_examples(sums)
        found = replace(found, common=as_method_metric(ds, info, shared), ranking_note=note)
    return found


def draw_metrics(
    metrics: Mapping[str, MethodMetric], settings: Settings, dataset: str
) -> dict[str, MethodMetric]:
    """Draw every metric on the same resamples of units and of training seeds.

    Parameters
    ----------
    metrics : mapping of str to MethodMetric
        All over the same units.
    settings : Settings
        How often, with which seed, and whether training seeds are resampled too, where a method
        has at least two: intervals then include the variance between trainings.
    dataset : str
        Name of the dataset; each has a stream of its own.

    Returns
    -------
    dict of str to MethodMetric
        With ``draws``; those of a number known only per method do not vary.
    """
    shared = {_on_common(name): m.common for name, m in metrics.items() if m.common is not None}
    every = {**metrics, **shared}
    sums = {name: m.sums for name, m in every.items() if m.sums is not None}
    drawn = draw_ratios(sums, settings.resamples, stream(settings.seed, dataset, "units"))
    streams = partial(stream, settings.seed, dataset, "training seeds")
    found = {}
    for name, metric in every.items():
        if name in drawn:
            draws = drawn[name]
            if "seed" in draws.dims:
                draws = mean_over_seeds(draws, streams if settings.include_seeds else None)
        else:
            draws = metric.estimate.expand_dims(resample=settings.resamples)
        found[name] = replace(metric, draws=draws.transpose("resample", ..., "method"))
    return {name: replace(found[name], common=found.get(_on_common(name))) for name in metrics}


def _on_common(name: str) -> str:
    return f"{name} on common examples"


def mean_over_seeds(
    draws: xr.DataArray, streams: Callable[[str], np.random.SeedSequence] | None
) -> xr.DataArray:
    """Mean over training seeds of bootstrap draws, the seeds resampled within each method.

    Parameters
    ----------
    draws : DataArray, dims (resample, ..., method, seed)
        Draws for each training seed; NaN where a method lacks a seed.
    streams : callable or None
        Random stream of each method, the same for all its metrics; None takes the seeds as fixed.

    Returns
    -------
    DataArray, dims (resample, ..., method)
        Deviations of a resampled mean of S seeds are stretched by sqrt(S / (S − 1)): without
        that the bootstrap of so few numbers understates their variance (Davison and Hinkley 1997,
        Bootstrap Methods and their Application, section 2.3). One seed has no such variance.
    """
    ordered = draws.transpose(..., "method", "seed")
    values = ordered.values
    mean = np.asarray(ordered.mean("seed", skipna=True).values)
    like = ordered.isel(seed=0, drop=True)
    if streams is None:
        return like.copy(data=mean)
    n_seeds = values.shape[-1]
    for position, method in enumerate(like["method"].values):
        picks = np.random.default_rng(streams(str(method))).random((len(values), n_seeds))
        one = values[..., position, :]
        mean[..., position] = _resampled_seed_mean(one, mean[..., position], picks)
    return like.copy(data=mean)


def _seeds_in_order(values: xr.DataArray) -> xr.DataArray:
    """Training seeds, if any, as the last dim, in the order of their labels, not of the file."""
    if "seed" not in values.dims:
        return values
    ordered = values.sortby("seed") if "seed" in values.coords else values
    return ordered.transpose(..., "seed")


def _resampled_seed_mean(
    values: NDArray[np.float64], mean: NDArray[np.float64], picks: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Stretch-corrected resampled mean of the seeds that are there, shape (resample, ...)."""
    flat = values.reshape(len(values), -1, values.shape[-1])
    result = mean.reshape(len(values), -1).copy()
    for column in range(flat.shape[1]):
        there = np.flatnonzero(~np.isnan(flat[:, column]).all(axis=0))
        if len(there) < 2:
            continue
        index = there[(picks[:, : len(there)] * len(there)).astype(np.intp)]
        resampled = np.take_along_axis(flat[:, column], index, axis=1).mean(axis=1)
        stretch = np.sqrt(len(there) / (len(there) - 1))
        result[:, column] += stretch * (resampled - result[:, column])
    return result.reshape(mean.shape)

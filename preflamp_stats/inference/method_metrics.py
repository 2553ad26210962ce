"""Metrics with one value a method: estimate, bootstrap draws, and what stands behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preflamp_stats.choices import Resample, choice_problems
from preflamp_stats.errors import InputError
from preflamp_stats.inference.checks import check_resampling
from preflamp_stats.inference.streams import stream
from preflamp_stats.inference.sums import ExampleValues, UserSums, collect_sums, draw_ratios
from preflamp_stats.inference.units import Units, example_units, user_units
from preflamp_stats.metric import Metric
from preflamp_stats.metrics.options import MetricOptions
from preflamp_stats.metrics.values import example_values, metric_info

__all__ = [
    "MethodMetric",
    "as_method_metric",
    "draw_metrics",
    "method_metrics",
    "metric_quantities",
    "resampling_units",
]


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
    """

    info: Metric
    estimate: xr.DataArray
    sums: UserSums | None = None
    draws: xr.DataArray | None = field(default=None, repr=False)

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


def resampling_units(ds: xr.Dataset, resample: Resample) -> Units:
    """Units that a way of resampling draws; ``methods`` keeps users for what is not ranked.

    Raises
    ------
    InputError
        For an unknown way of resampling, or if some examples lack a user.
    """
    if problems := choice_problems(resample=resample):
        raise InputError(problems)
    return example_units(ds) if resample == "examples" else user_units(ds)


def method_metrics(
    ds: xr.Dataset,
    names: Sequence[str],
    *,
    units: Units,
    options: MetricOptions,
    progress: Callable[[int], None] | None = None,
) -> dict[str, MethodMetric]:
    """Estimate metrics by name, reading the dataset once for all of them.

    Parameters
    ----------
    ds : Dataset
        One benchmark dataset.
    names : sequence of str
        Metrics of the dataset.
    units : Units
        Unit of resampling.
    options : MetricOptions
        How the metrics are computed.
    progress : callable, optional
        Told the number of examples read after each block.

    Returns
    -------
    dict of str to MethodMetric
        Without draws.

    Raises
    ------
    InputError
        If the dataset lacks a metric.
    """
    infos = {name: metric_info(ds, name, options) for name in names}
    quantities = metric_quantities(ds, infos.values(), options)
    sums = collect_sums(ds, quantities, units, average=options.average, progress=progress)
    return {name: as_method_metric(ds, info, sums.get(name)) for name, info in infos.items()}


def metric_quantities(
    ds: xr.Dataset, infos: Iterable[Metric], options: MetricOptions
) -> dict[str, ExampleValues]:
    """Quantities to be summed for metrics; those known only per method need none."""
    return {
        info.name: ExampleValues(
            info.needs,
            partial(example_values, metric=info, options=options),
            info.values,
        )
        for info in infos
        if info.kind != "method"
    }


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
    return MethodMetric(info, estimate.transpose(..., "method"), sums)


def draw_metrics(
    metrics: Mapping[str, MethodMetric],
    *,
    n_resamples: int,
    seed: int,
    dataset: str = "",
    include_seeds: bool = True,
) -> dict[str, MethodMetric]:
    """Draw every metric on the same resamples of units and of training seeds.

    Parameters
    ----------
    metrics : mapping of str to MethodMetric
        All over the same units.
    n_resamples : int
        Resamples.
    seed : int
        Seed of the random numbers.
    dataset : str
        Name of the dataset; each has a stream of its own.
    include_seeds : bool
        Resample training seeds too, where a method has at least two, so that intervals include
        the variance between trainings. With False they hold for the trained models at hand.

    Returns
    -------
    dict of str to MethodMetric
        With ``draws``; those of a number known only per method do not vary.
    """
    check_resampling(n_resamples, seed)
    sums = {name: m.sums for name, m in metrics.items() if m.sums is not None}
    drawn = draw_ratios(sums, n_resamples, stream(seed, dataset, "units"))
    found = {}
    for name, metric in metrics.items():
        if name in drawn:
            draws = drawn[name]
            if "seed" in draws.dims:
                streams = partial(stream, seed, dataset, "training seeds")
                draws = mean_over_seeds(draws, streams if include_seeds else None)
        else:
            draws = metric.estimate.expand_dims(resample=n_resamples)
        found[name] = MethodMetric(
            metric.info, metric.estimate, metric.sums, draws.transpose("resample", ..., "method")
        )
    return found


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

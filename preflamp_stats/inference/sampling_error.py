"""What the estimates of two metrics owe to the users, and the training seeds, that were drawn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preflamp_stats.inference.method_metrics import MethodMetric
from preflamp_stats.kernels.covariance import MeansCovariance, means_covariance

__all__ = ["SamplingError", "sampling_error"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SamplingError:
    """Contributions of the units to two metrics over the same methods.

    Parameters
    ----------
    sums, counts : ndarray, shape (unit, 2 × method)
        First metric for every method, then the second; means over training seeds.
    seed_blocks : ndarray, shape (method, 2, 2)
        Covariance of each method's two values between trainings, as it enters their means over
        seeds; zeros where the file has no seeds or they are taken as fixed.
    """

    sums: Array
    counts: Array
    seed_blocks: Array

    def oriented(self, x: int, y: int) -> SamplingError:
        """The same of metrics multiplied by 1 or −1."""
        n_methods = len(self.seed_blocks)
        signs = np.repeat([x, y], n_methods)
        blocks = self.seed_blocks * np.outer([x, y], [x, y])
        return SamplingError(self.sums * signs, self.counts, blocks)

    def of_methods(self, index: NDArray[np.intp]) -> SamplingError:
        """The same of some methods."""
        columns = np.concatenate([index, index + len(self.seed_blocks)])
        return SamplingError(
            self.sums[:, columns], self.counts[:, columns], self.seed_blocks[index]
        )

    @cached_property
    def alike(self) -> NDArray[np.intp]:
        """Groups of methods that every unit gave the same value, numbered, shape (2, method).

        No covariance shows it so surely. Methods that are right for every unit, or that are without
        numbers by unit, only seem alike: each is a group of its own.
        """
        groups = []
        columns = (np.split(values, 2, axis=1) for values in (self.sums, self.counts))
        for sums, counts in zip(*columns, strict=True):
            _, labels = np.unique(np.vstack([sums, counts]), axis=1, return_inverse=True)
            varied = np.ptp(sums, axis=0) > 0 if len(sums) else np.zeros(sums.shape[1], dtype=bool)
            alone = labels.max(initial=0) + 1 + np.arange(sums.shape[1])
            groups.append(
                np.unique(np.where(varied, labels.ravel(), alone), return_inverse=True)[1]
            )
        return np.stack(groups)

    @cached_property
    def distinct(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Methods, those alike in both metrics once, and which of them each method is."""
        _, first, place = np.unique(self.alike, axis=1, return_index=True, return_inverse=True)
        return first, place.ravel()

    @cached_property
    def of_contrasts(self) -> MeansCovariance:
        """Covariance of differences from the mean over methods, shrunk for few users."""
        return self._with_seeds(means_covariance(self.sums, self.counts))

    @cached_property
    def of_estimates(self) -> MeansCovariance:
        """Covariance of the estimates themselves, as the users give it."""
        plain = means_covariance(self.sums, self.counts, contrasts=False, shrink=False)
        return self._with_seeds(plain)

    def _with_seeds(self, means: MeansCovariance) -> MeansCovariance:
        n_methods = len(self.seed_blocks)
        added = np.zeros((2, n_methods, 2, n_methods))
        own = np.arange(n_methods)
        added[:, own, :, own] = self.seed_blocks
        seeds = added.reshape(2 * n_methods, -1)
        if means.contrasts:
            centre = np.kron(np.eye(2), np.eye(n_methods) - 1 / n_methods)
            seeds = centre @ seeds @ centre
        return MeansCovariance(
            means.estimates, means.covariance + seeds, means.df, means.shrinkage, means.contrasts
        )


def sampling_error(
    x: MethodMetric,
    y: MethodMetric,
    methods: list[Any],
    model: Any = None,
    *,
    include_seeds: bool = True,
) -> SamplingError | None:
    """Collect what the units contribute to two metrics of some methods.

    Parameters
    ----------
    x, y : MethodMetric
        Metrics summed over the same units.
    methods : list
        Labels of methods that have both.
    model : label, optional
        Which model; ignored by a metric without that dim.
    include_seeds : bool
        Add the variance between training seeds.

    Returns
    -------
    SamplingError or None
        None where neither metric has a sampling error, or there are fewer than two units.
    """
    x, y = x.ranked, y.ranked
    sampled = [metric.sums for metric in (x, y) if metric.sums is not None]
    n_units = sampled[0].sums.sizes["unit"] if sampled else 0
    if n_units < 2:
        return None
    parts = [_unit_columns(metric, methods, model, n_units) for metric in (x, y)]
    sums, counts = (np.hstack([part[i] for part in parts]) for i in (0, 1))
    blocks = np.zeros((len(methods), 2, 2))
    if include_seeds:
        blocks = _seed_blocks(parts[0][2], parts[1][2])
    return SamplingError(sums, counts, blocks)


def _unit_columns(
    metric: MethodMetric, methods: list[Any], model: Any, n_units: int
) -> tuple[Array, Array, Array]:
    """Sums and counts, shape (unit, method), and estimates by seed, shape (method, seed)."""

    def here(values: xr.DataArray) -> Array:
        """Values of the methods and the model, shape ([unit], method, [seed])."""
        places = values["method"].values.tolist()
        order = [dim for dim in ("model", "unit", "method", "seed") if dim in values.dims]
        array = values.transpose(*order).values
        if "model" in order:
            array = array[values["model"].values.tolist().index(model)]
        return np.asarray(
            np.take(
                array,
                [places.index(each) for each in methods],
                axis=order.index("method") - len(order),
            )
        )

    if metric.sums is None:
        values = np.asarray(here(metric.estimate), dtype=np.float64)
        return np.tile(values, (n_units, 1)), np.ones((n_units, len(values))), values[:, None]
    sums, counts, seeds = map(here, (metric.sums.sums, metric.sums.counts, metric.sums.ratio()))
    if "seed" not in metric.sums.sums.dims:
        seeds = seeds[:, None]
    else:
        sums, counts = sums.mean(axis=2), counts.mean(axis=2)
    # The layout in memory decides the order in which a matrix product adds.
    return np.ascontiguousarray(sums), np.ascontiguousarray(counts), np.ascontiguousarray(seeds)


def _seed_blocks(x: Array, y: Array) -> Array:
    """Covariance between trainings of each method's means, pooled over methods.

    Each method has few seeds, so all methods share one covariance between trainings. A metric
    without seeds does not vary between them.
    """
    n_methods, n_seeds = len(x), max(x.shape[1], y.shape[1])
    both = np.stack([np.broadcast_to(metric, (n_methods, n_seeds)) for metric in (x, y)], axis=1)
    there = np.asarray(~np.isnan(both).any(axis=1))
    trained = there.sum(axis=1)
    freedom = int(np.maximum(trained - 1, 0).sum())
    if not freedom:
        return np.zeros((n_methods, 2, 2))
    values = np.where(there[:, None], both, 0.0)
    mean = values.sum(axis=2) / np.maximum(trained, 1)[:, None]
    deviation = np.where(there[:, None], values - mean[:, :, None], 0.0)
    pooled = np.einsum("mas,mbs->ab", deviation, deviation) / freedom
    return np.asarray(pooled / np.maximum(trained, 1)[:, None, None])

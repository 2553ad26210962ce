"""Everything that the tables of one dataset are made from, read in one pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preflamp_stats.inference.method_metrics import (
    MethodMetric,
    as_method_metric,
    draw_metrics,
    metric_quantities,
    resampling_units,
)
from preflamp_stats.inference.sums import ExampleValues, collect_sums
from preflamp_stats.inference.units import Units
from preflamp_stats.metric import POINTS, Metric
from preflamp_stats.metrics.curves import (
    DEFAULT_SHARES,
    DEFAULT_WEIGHTS,
    length_bins,
    length_difference,
    prefix_credit,
    weight_credit,
)
from preflamp_stats.metrics.discrimination import score_credit
from preflamp_stats.metrics.values import available_metrics, policy_variables
from preflamp_stats.settings import Settings

__all__ = ["DatasetEvidence", "gather"]

_CURVES = {
    "weight_curve": "policy accuracy",
    "prefix_accuracy": "RM accuracy",
    "length_difference": "RM accuracy",
}
"""Words for what each curve is a curve of."""


@dataclass(frozen=True)
class DatasetEvidence:
    """One benchmark dataset, summed by user and resampled.

    Parameters
    ----------
    name : str
        The dataset's name.
    ds : Dataset
        Its variables, still lazy.
    settings : Settings
        What was asked for.
    units : Units
        What was resampled.
    metrics : mapping of str to MethodMetric
        Every metric of the dataset, drawn.
    curves : mapping of str to MethodMetric
        ``weight_curve``, ``prefix_accuracy``, ``length_difference``, where the file allows them:
        metrics with one more dim (``weight``, ``share``, ``bin_low``), drawn with the rest.
    length_edges : ndarray
        Edges of the bins of ``length_difference``, tokens; empty without it.
    """

    name: str
    ds: xr.Dataset
    settings: Settings
    units: Units
    metrics: Mapping[str, MethodMetric]
    curves: Mapping[str, MethodMetric]
    length_edges: NDArray[np.float64]


def gather(
    ds: xr.Dataset,
    name: str,
    settings: Settings,
    *,
    progress: Callable[[int], None] | None = None,
) -> DatasetEvidence:
    """Read a dataset once, sum everything by user, and resample.

    Parameters
    ----------
    ds : Dataset
        One benchmark dataset, lazily opened or in memory.
    name : str
        Its name; it names the random streams too.
    settings : Settings
        What to estimate and how.
    progress : callable, optional
        Told the number of examples read after each block.

    Returns
    -------
    DatasetEvidence
    """
    options = settings.metric_options
    units = resampling_units(ds, settings.resample)
    edges = _length_edges(ds)
    infos = available_metrics(ds, options)
    curves = _curve_quantities(ds, settings, edges)
    quantities = {**metric_quantities(ds, infos, options), **curves}
    sums = collect_sums(ds, quantities, units, average=settings.average, progress=progress)
    infos += [
        Metric(key, "curve", curve.needs, "credit", _CURVES[key], POINTS, "higher")
        for key, curve in curves.items()
    ]
    estimated = {info.name: as_method_metric(ds, info, sums.get(info.name)) for info in infos}
    drawn = draw_metrics(
        estimated, n_resamples=settings.resamples, seed=settings.seed, dataset=name
    )
    return DatasetEvidence(
        name,
        ds,
        settings,
        units,
        metrics={key: metric for key, metric in drawn.items() if key not in curves},
        curves={key: drawn[key] for key in curves},
        length_edges=edges,
    )


def _curve_quantities(
    ds: xr.Dataset, settings: Settings, edges: NDArray[np.float64]
) -> dict[str, ExampleValues]:
    found = {}
    needs = policy_variables(settings.metric_options)
    stored = "policy_score" in needs
    if set(needs) <= set(ds) and not (stored and "weight" not in ds["policy_score"].dims):
        found["weight_curve"] = ExampleValues(needs, partial(_credit_by_weight, settings=settings))
    if "reward_trace" in ds:
        found["prefix_accuracy"] = ExampleValues(
            ("reward_trace",), partial(prefix_credit, shares=DEFAULT_SHARES, ties=settings.ties)
        )
    if edges.size:
        found["length_difference"] = ExampleValues(
            ("reward", "n_tokens"), partial(_credit_by_length, edges=edges, settings=settings)
        )
    return found


def _credit_by_weight(block: xr.Dataset, settings: Settings) -> xr.DataArray:
    weights = DEFAULT_WEIGHTS
    if settings.scoring in ("stored", "renormalised"):
        weights = tuple(float(w) for w in block["policy_score"]["weight"].values)
    return weight_credit(
        block,
        weights=weights,
        scoring=settings.scoring,
        length_normalise=settings.length_normalise,
        ties=settings.ties,
    )


def _credit_by_length(
    block: xr.Dataset, edges: NDArray[np.float64], settings: Settings
) -> xr.DataArray:
    """Credit of each pair in the bin of its difference in length, NaN in the other bins."""
    credit = score_credit(block["reward"], ties=settings.ties)
    difference = length_difference(block)
    low = xr.DataArray(edges[:-1], dims="bin_low", coords={"bin_low": edges[:-1]})
    high = low.copy(data=edges[1:])
    return credit.where((difference >= low) & (difference < high))


def _length_edges(ds: xr.Dataset) -> NDArray[np.float64]:
    if not {"reward", "n_tokens"} <= set(ds):
        return np.array([])
    return length_bins(length_difference(ds).values)

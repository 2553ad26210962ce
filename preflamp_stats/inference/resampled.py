"""A dataset read once, summed by user and resampled: what every test asks, as often as it likes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preflamp_stats.choices import STORED
from preflamp_stats.inference.method_metrics import MethodMetric, as_method_metric, draw_metrics
from preflamp_stats.inference.sums import ExampleValues, collect_sums
from preflamp_stats.inference.units import Units, resampling_units
from preflamp_stats.io.schema import dataset_name
from preflamp_stats.io.select import Results, one_dataset
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
from preflamp_stats.metrics.options import MetricOptions
from preflamp_stats.metrics.values import (
    available_metrics,
    example_values,
    metric_info,
    policy_variables,
)
from preflamp_stats.settings import Settings

__all__ = ["ResampledStudy", "read_study", "study_of_call"]

_CURVES = {
    "weight_curve": "policy accuracy",
    "prefix_accuracy": "RM accuracy",
    "length_difference": "RM accuracy",
}
"""Words for what each curve is a curve of."""


@dataclass(frozen=True)
class ResampledStudy:
    """One benchmark dataset, summed by user and resampled.

    Parameters
    ----------
    name : str
        The dataset's name; it names the random streams too.
    ds : Dataset
        Its variables, still lazy.
    settings : Settings
        What was asked for.
    units : Units
        What is resampled.
    summed : mapping of str to MethodMetric
        Metrics and curves by name, without draws.
    length_edges : ndarray
        Edges of the bins of ``length_difference``, tokens; empty without it.
    answers : dict
        What several tables ask for, kept by whoever computes it first.
    """

    name: str
    ds: xr.Dataset
    settings: Settings
    units: Units
    summed: Mapping[str, MethodMetric]
    length_edges: NDArray[np.float64]
    answers: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def drawn(self) -> Mapping[str, MethodMetric]:
        """Metrics and curves by name, all drawn on the same resamples, once."""
        return draw_metrics(self.summed, self.settings, self.name)

    @property
    def metrics(self) -> dict[str, MethodMetric]:
        """Metrics with one value a method, drawn."""
        return {name: one for name, one in self.drawn.items() if one.info.kind != "curve"}

    @property
    def curves(self) -> dict[str, MethodMetric]:
        """Metrics along one more dim (``weight``, ``share``, ``bin_low``), drawn."""
        return {name: one for name, one in self.drawn.items() if one.info.kind == "curve"}


def study_of_call(
    ds: Results, names: Sequence[str], options: MetricOptions | None, **chosen: Any
) -> ResampledStudy:
    """Read some metrics of a dataset for one call of a function, with the options given to it."""
    return read_study(one_dataset(ds), Settings.of_call(options, **chosen), names)


def read_study(
    ds: xr.Dataset,
    settings: Settings,
    names: Sequence[str] | None = None,
    *,
    name: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> ResampledStudy:
    """Read a dataset once and sum its metrics by user.

    Parameters
    ----------
    ds : Dataset
        One benchmark dataset, lazily opened or in memory.
    settings : Settings
        What to estimate and how.
    names : sequence of str, optional
        Metrics and curves to read; by default all that the dataset has.
    name : str, optional
        The dataset's name, by default as it says itself.
    progress : callable, optional
        Told the number of examples read after each block.

    Returns
    -------
    ResampledStudy

    Raises
    ------
    InputError
        If the dataset lacks a metric, or some examples lack a user.
    """
    units = resampling_units(ds, settings.resample)
    edges = _length_edges(ds) if names is None or "length_difference" in names else np.array([])
    curves = _curves(ds, settings, edges)
    if names is None:
        infos = available_metrics(ds, settings)
    else:
        curves = {key: curve for key, curve in curves.items() if key in names}
        infos = [
            metric_info(ds, key, settings) for key in dict.fromkeys(names) if key not in curves
        ]
    by_example = [info for info in infos if info.kind != "method"]
    quantities = {
        info.name: ExampleValues(
            info.needs,
            partial(example_values, metric=info, options=settings),
            info.values,
        )
        for info in by_example
    }
    sums = collect_sums(ds, quantities | curves, units, average=settings.average, progress=progress)
    infos += [
        Metric(key, "curve", curve.needs, "credit", _CURVES[key], POINTS, "higher")
        for key, curve in curves.items()
    ]
    summed = {info.name: as_method_metric(ds, info, sums.get(info.name)) for info in infos}
    return ResampledStudy(name or dataset_name(ds), ds, settings, units, summed, edges)


def _curves(
    ds: xr.Dataset, settings: Settings, edges: NDArray[np.float64]
) -> dict[str, ExampleValues]:
    """Curves that the file allows."""
    found = {}
    needs = policy_variables(settings)
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
    if settings.scoring in STORED:
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

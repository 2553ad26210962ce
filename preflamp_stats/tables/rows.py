"""From labelled estimates to tidy rows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import xarray as xr

from preflamp_stats.inference.bootstrap import estimate_with_interval
from preflamp_stats.inference.method_metrics import MethodMetric
from preflamp_stats.inference.resampled import ResampledStudy
from preflamp_stats.results import KEY_COLUMNS
from preflamp_stats.settings import Settings

_PAIR = ("method_a", "method_b")
_ESTIMATE_COLUMNS = ("estimate", "low", "high", "level", "n_examples", "n_users", "n_seeds")


Rows = Callable[[Sequence[ResampledStudy]], pd.DataFrame]
"""Makes the rows of a table."""


def each_dataset(make: Callable[[ResampledStudy], Iterable[pd.DataFrame]]) -> Rows:
    """Make the pieces of a table of each dataset and put them one below the other."""
    return lambda studies: joined(frame for study in studies for frame in make(study))


def joined(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Frames one below the other; an empty frame where there is none with rows."""
    there = [frame for frame in frames if not frame.empty]
    return pd.concat(there, ignore_index=True) if there else pd.DataFrame()


def asked_pairs(settings: Settings) -> Iterator[tuple[str, str]]:
    """Every upstream with every other downstream metric of the settings."""
    pairs = itertools.product(settings.upstream, settings.downstream)
    return ((upstream, downstream) for upstream, downstream in pairs if upstream != downstream)


def both(study: ResampledStudy, pair: tuple[str, str]) -> tuple[MethodMetric, MethodMetric] | None:
    """Two metrics by name, where the dataset has them both; without draws."""
    upstream, downstream = map(study.summed.get, pair)
    return (upstream, downstream) if upstream and downstream else None


def each_pair(
    ask: Callable[[ResampledStudy, str, str], xr.Dataset],
    *told: str,
    where: Callable[[MethodMetric, MethodMetric], bool] = lambda upstream, downstream: True,
) -> Rows:
    """Ask something of every pair of metrics of the settings that a dataset has.

    Parameters
    ----------
    ask : callable
        Takes the study and the names of the upstream and the downstream metric.
    *told : str
        Attributes of its result that become columns.
    where : callable
        Which pairs it can be asked of.
    """

    @each_dataset
    def rows(study: ResampledStudy) -> Iterator[pd.DataFrame]:
        for pair in asked_pairs(study.settings):
            metrics = both(study, pair)
            if metrics and where(*metrics):
                yield pair_rows(ask(study, *pair), study, *told)

    return rows


def pair_rows(found: xr.Dataset, study: ResampledStudy, *told: str) -> pd.DataFrame:
    """Tidy rows of a pair of metrics, with those attributes of the result that are told."""
    names = ("upstream", "downstream", *told)
    return tidy(found, study, {name: found.attrs[name] for name in names})


def both_per_pair(upstream: MethodMetric, downstream: MethodMetric) -> bool:
    """Whether a metric says which pairs are ranked right, and the other how good the texts are."""
    return (upstream.info.kind, downstream.info.kind) == ("discrimination", "generation")


def asked_metrics(study: ResampledStudy) -> Iterator[MethodMetric]:
    """Metrics of the settings that the dataset has and whose sampling error is known."""
    for name in dict.fromkeys([*study.settings.upstream, *study.settings.downstream]):
        metric = study.summed.get(name)
        if metric is not None and metric.sums is not None:
            yield metric


def metric_rows(study: ResampledStudy, name: str, **keys: Any) -> Iterator[pd.DataFrame]:
    """Rows of a metric or curve: one a method, model (and point) that has it."""
    if name in study.drawn:
        metric = study.drawn[name]
        found = estimate_with_interval(metric, study.settings.level)
        frame = tidy(found, study, {**keys, **_told(metric)})
        yield frame[frame["estimate"].notna()].reset_index(drop=True)


def _told(metric: MethodMetric) -> dict[str, Any]:
    """What the file says of a metric of its own: its name in words, units, and direction."""
    info = metric.info
    if info.source != "file":
        return {}
    told = {"long_name": info.words if info.words != info.name else "", "units": info.scale.unit}
    found: dict[str, Any] = {column: text for column, text in told.items() if text}
    return found | ({"higher_is_better": info.sign > 0} if info.sign else {})


def tidy(
    found: xr.Dataset, study: ResampledStudy, keys: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """One row for each combination of labels, key columns first.

    Parameters
    ----------
    found : Dataset
        Variables over the same dims.
    study : ResampledStudy
        Where it comes from.
    keys : mapping, optional
        Further columns, constant over the rows. ``resample``, the unit of independence, is among
        them unless another is given.
    """
    family = study.ds.coords.get("method_family")
    # Pairs of methods have two labels each; their running number says nothing.
    found = found.reset_coords([name for name in _PAIR if name in found.coords])
    found = found.drop_vars([c for c in found.coords if c not in found.dims])
    if "method" in found.dims and family is not None:
        found = found.assign(method_family=family.load().reset_coords(drop=True))
    leading = [dim for dim in ("model", "method") if dim in found.dims]
    order: list[Hashable] = [*leading, *(dim for dim in found.dims if dim not in leading)]
    frame = found.to_dataframe(dim_order=order).reset_index() if order else _single_row(found)
    told = {"resample": study.units.kind, **(keys or {})}
    frame = frame.assign(dataset=study.name, level=study.settings.level, **told)
    if set(_PAIR) <= set(frame):
        frame = frame.drop(columns="pair")
        order.remove("pair")
    columns = [c for c in KEY_COLUMNS if c in frame]
    columns += [str(dim) for dim in order if dim not in columns]
    columns += [c for c in _ESTIMATE_COLUMNS if c in frame]
    columns += [str(c) for c in frame if c not in columns]
    return frame[columns]


def _single_row(found: xr.Dataset) -> pd.DataFrame:
    return pd.DataFrame({str(name): [value.item()] for name, value in found.data_vars.items()})

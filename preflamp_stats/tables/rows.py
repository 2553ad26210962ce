"""From labelled estimates to tidy rows."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import xarray as xr

from preflamp_stats.columns import KEY_COLUMNS
from preflamp_stats.inference.bootstrap import estimate_with_interval
from preflamp_stats.inference.method_metrics import MethodMetric
from preflamp_stats.inference.resampled import ResampledStudy
from preflamp_stats.settings import Settings

_PAIR = ("method_a", "method_b")
_ESTIMATE_COLUMNS = ("estimate", "low", "high", "level", "n_examples", "n_users", "n_seeds")


def joined(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Frames one below the other; an empty frame where there is none with rows."""
    there = [frame for frame in frames if not frame.empty]
    return pd.concat(there, ignore_index=True) if there else pd.DataFrame()


def asked_pairs(settings: Settings) -> Iterator[tuple[str, str]]:
    """Every upstream with every other downstream metric of the settings."""
    for upstream in settings.upstream:
        for downstream in settings.downstream:
            if upstream != downstream:
                yield upstream, downstream


def metric_pairs(
    studies: Sequence[ResampledStudy],
) -> Iterator[tuple[ResampledStudy, MethodMetric, MethodMetric]]:
    """Every dataset with each upstream and downstream metric of the settings that it has."""
    for study in studies:
        for upstream, downstream in asked_pairs(study.settings):
            if having([study], upstream, downstream):
                yield study, study.summed[upstream], study.summed[downstream]


def having(
    studies: Sequence[ResampledStudy], upstream: str, downstream: str
) -> list[ResampledStudy]:
    """Datasets that have both metrics."""
    return [each for each in studies if {upstream, downstream} <= set(each.summed)]


def pair_rows(found: xr.Dataset, evidence: ResampledStudy, *told: str) -> pd.DataFrame:
    """Tidy rows of a pair of metrics, with those attributes of the result that are told."""
    names = ("upstream", "downstream", *told)
    return tidy(found, evidence, {name: found.attrs[name] for name in names})


def asked_metrics(
    studies: Sequence[ResampledStudy],
) -> Iterator[tuple[ResampledStudy, MethodMetric]]:
    """Every dataset with each metric of the settings that it has with a sampling error."""
    for study in studies:
        for name in dict.fromkeys([*study.settings.upstream, *study.settings.downstream]):
            metric = study.summed.get(name)
            if metric is not None and metric.sums is not None:
                yield study, metric


def metric_rows(
    evidence: ResampledStudy, metric: MethodMetric, keys: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """Rows of a metric or curve: one a method, model (and point) that has it."""
    asked = evidence.settings
    found = estimate_with_interval(metric, asked.level, anytime=asked.anytime)
    frame = tidy(found, evidence, {**(keys or {}), **_told(metric)})
    return frame[frame["estimate"].notna()].reset_index(drop=True)


def _told(metric: MethodMetric) -> dict[str, Any]:
    """What the file says of a metric of its own: its name in words, units, and direction."""
    info = metric.info
    if info.source != "file":
        return {}
    told = {"long_name": info.words if info.words != info.name else "", "units": info.scale.unit}
    found: dict[str, Any] = {column: text for column, text in told.items() if text}
    return found | ({"higher_is_better": info.sign > 0} if info.sign else {})


def tidy(
    found: xr.Dataset, evidence: ResampledStudy, keys: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """One row for each combination of labels, key columns first.

    Parameters
    ----------
    found : Dataset
        Variables over the same dims.
    evidence : ResampledStudy
        Where it comes from.
    keys : mapping, optional
        Further columns, constant over the rows. ``resample``, the unit of independence, is among
        them unless another is given.
    """
    family = evidence.ds.coords.get("method_family")
    # Pairs of methods have two labels each; their running number says nothing.
    found = found.reset_coords([name for name in _PAIR if name in found.coords])
    found = found.drop_vars([c for c in found.coords if c not in found.dims])
    if "method" in found.dims and family is not None:
        found = found.assign(method_family=family.load().reset_coords(drop=True))
    leading = [dim for dim in ("model", "method") if dim in found.dims]
    order: list[Hashable] = [*leading, *(dim for dim in found.dims if dim not in leading)]
    frame = found.to_dataframe(dim_order=order).reset_index() if order else _single_row(found)
    told = {"resample": evidence.units.kind, **(keys or {})}
    frame = frame.assign(dataset=evidence.name, level=evidence.settings.level, **told)
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

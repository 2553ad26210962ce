"""From labelled estimates to tidy rows."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
import xarray as xr

from preflamp_stats.analysis.evidence import DatasetEvidence
from preflamp_stats.inference.bootstrap import estimate_with_interval
from preflamp_stats.inference.method_metrics import MethodMetric
from preflamp_stats.kernels.rouge import ROUGE_METRICS
from preflamp_stats.results import KEY_COLUMNS

__all__ = ["metric_rows", "tidy"]

_PAIR = ("method_a", "method_b")
_ESTIMATE_COLUMNS = ("estimate", "low", "high", "level", "n_examples", "n_users", "n_seeds")


def metric_rows(
    evidence: DatasetEvidence, metric: MethodMetric, keys: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """Rows of a metric or curve: one a method, model (and point) that has it."""
    found = estimate_with_interval(metric, evidence.settings.level)
    keys = {**(keys or {}), **_told(evidence, metric)}
    frame = tidy(found, evidence, keys)
    return frame[frame["estimate"].notna()].reset_index(drop=True)


def _told(evidence: DatasetEvidence, metric: MethodMetric) -> dict[str, Any]:
    """What the file says of a metric of its own: its name in words, units, and direction."""
    name = metric.info.name
    if name in ROUGE_METRICS or name not in evidence.ds:
        return {}
    attrs = evidence.ds[name].attrs
    found = {key: str(attrs[key]) for key in ("long_name", "units") if attrs.get(key)}
    if "higher_is_better" in attrs:
        higher = str(attrs["higher_is_better"]).lower() in ("1", "true")
        return {**found, "higher_is_better": higher}
    return found


def tidy(
    found: xr.Dataset, evidence: DatasetEvidence, keys: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """One row for each combination of labels, key columns first.

    Parameters
    ----------
    found : Dataset
        Variables over the same dims.
    evidence : DatasetEvidence
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

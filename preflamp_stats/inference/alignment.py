"""Several metrics over the methods and models that they share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr

from preflamp_stats.inference.method_metrics import MethodMetric

__all__ = ["align_metrics", "each_model", "joined_notes", "over_models"]


def align_metrics(metrics: Mapping[str, MethodMetric]) -> xr.Dataset:
    """Put metrics over the same methods, in canonical order.

    Parameters
    ----------
    metrics : mapping of str to MethodMetric
        By the name that each shall have here.

    Returns
    -------
    Dataset, dims ([model], method)
        One variable a metric, over the methods that all have a place for, and NaN where a metric
        lacks a value; ``NAME_draws``, dims (resample, [model], method), where it has been drawn;
        ``n_examples`` and ``n_users``, dims ([model]): the smallest sample behind a value of a
        method that has all metrics, numbers known only per method aside; ``note``, dims ([model]):
        on which examples methods are ranked, where they have different ones.

    Examples
    --------
    >>> from preflamp_stats.metrics.values import Metric
    >>> info = Metric.of_file("leaderboard", "method", {})
    >>> values = xr.DataArray([0.2, 0.1], dims="method", coords={"method": ["b", "a"]})
    >>> align_metrics({"x": MethodMetric(info, values)})["x"].values
    array([0.1, 0.2])
    """
    notes = [(m.info.words, m.ranking_note) for m in metrics.values() if m.ranking_note is not None]
    metrics = {name: m.ranked for name, m in metrics.items()}
    shared = set.intersection(*(set(m.estimate["method"].values) for m in metrics.values()))
    methods = {"method": sorted(shared)}  # sel() has a parameter of that name
    bare = {name: m.estimate.sel(methods).reset_coords(drop=True) for name, m in metrics.items()}
    found = xr.Dataset(dict(zip(bare, xr.broadcast(*bare.values()), strict=True)))
    found = found.transpose(..., "method")
    like = found[next(iter(bare))]
    for name, metric in metrics.items():
        if metric.draws is not None:
            draws = metric.draws.sel(methods).reset_coords(drop=True)
            found[f"{name}_draws"] = draws.broadcast_like(like).transpose("resample", *like.dims)
    complete = xr.concat([found[name].notnull() for name in bare], dim="metric").all("metric")
    sampled = [m for m in metrics.values() if m.sums is not None]
    for size in ("n_examples", "n_users"):
        behind = [
            getattr(m, size).sel(methods).reset_coords(drop=True).where(complete) for m in sampled
        ]
        smallest = xr.concat(behind, dim="metric").min(["metric", "method"]) if behind else 0
        found[size] = xr.zeros_like(like.isel(method=0, drop=True)) + smallest
        found[size] = found[size].fillna(0).astype(np.int64)
    found["note"] = xr.full_like(found["n_users"], "", dtype=object)
    for words, note in dict(notes).items():
        told = note.reset_coords(drop=True).broadcast_like(found["note"])
        for at in each_model(found):
            if text := told[at].item():
                found["note"][at] = joined_notes(found["note"][at].item(), f"{words}: {text}")
    return found


def joined_notes(*notes: str) -> str:
    """Several notes as one; empty ones are left out."""
    return "; ".join(filter(None, notes))


def each_model(aligned: xr.Dataset) -> Iterator[dict[Any, int]]:
    """Position of every model, or of the single result where there is no such dim."""
    lead = [dim for dim in aligned.dims if dim not in ("method", "resample")]
    for where in np.ndindex(*(aligned.sizes[dim] for dim in lead)):
        yield dict(zip(lead, where, strict=True))


def over_models(
    aligned: xr.Dataset,
    columns: Mapping[str, object],
    row: Callable[[xr.Dataset], Mapping[str, object]],
) -> xr.Dataset:
    """One row of numbers and texts for every model, or one where there is no such dim.

    Parameters
    ----------
    aligned : Dataset
        Of :func:`align_metrics`.
    columns : mapping of str to object
        Columns in their order, ``note`` among them, with what stands where a row does not tell
        them.
    row : callable
        Takes one model, returns what is told of it.

    Returns
    -------
    Dataset, dims ([model])
        The columns, ``n_examples`` and ``n_users``.
    """
    models = [aligned.isel(at) for at in each_model(aligned)]
    rows = [{**columns, **row(here)} for here in models]
    for told, here in zip(rows, models, strict=True):
        told["note"] = joined_notes(str(told["note"]), here["note"].item())
    like = aligned["n_users"]
    found = {}
    for name, empty in columns.items():
        dtype = object if isinstance(empty, str) else type(empty)
        values = np.array([one[name] for one in rows], dtype=dtype)
        found[name] = like.copy(data=values.reshape(like.shape))
    sizes = {size: aligned[size] for size in ("n_examples", "n_users")}
    return xr.Dataset({**found, **{name: v for name, v in sizes.items() if name not in columns}})

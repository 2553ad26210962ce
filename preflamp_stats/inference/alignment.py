"""Several metrics over the methods and models that they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preflamp_stats.inference.method_metrics import MethodMetric

__all__ = ["Aligned", "AlignedModel", "align_metrics", "joined_notes", "over_models"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class AlignedModel:
    """Metrics of one model over the same methods, in canonical order.

    Parameters
    ----------
    methods : ndarray of label, shape (method,)
        Those that all metrics have a place for.
    model : str or None
        None where there is no such dim.
    estimates : mapping of str to ndarray, shape (method,)
        By metric; NaN where it lacks a value.
    draws : mapping of str to ndarray, shape (resample, method)
        Of the metrics that have been drawn.
    n_examples, n_users : int
        The smallest sample behind a value of a method that has all metrics, numbers known only per
        method aside.
    note : str
        On which examples methods are ranked, where they have different ones.
    """

    methods: NDArray[Any]
    model: Any
    estimates: Mapping[str, Array]
    draws: Mapping[str, Array]
    n_examples: int
    n_users: int
    note: str


@dataclass(frozen=True)
class Aligned:
    """Metrics over the same methods, for every model, or for none where there is no such dim.

    Parameters
    ----------
    models : DataArray or None
        Labels of the models.
    by_model : list of AlignedModel
    """

    models: xr.DataArray | None
    by_model: list[AlignedModel]

    def labelled(self, columns: Mapping[str, NDArray[Any]]) -> xr.Dataset:
        """Columns of one value a model, dims ([model])."""
        if self.models is None:
            return xr.Dataset({name: ((), column[0]) for name, column in columns.items()})
        data = {name: ("model", column) for name, column in columns.items()}
        return xr.Dataset(data, coords={"model": self.models.values})


def align_metrics(metrics: Mapping[str, MethodMetric]) -> Aligned:
    """Put metrics over the same methods, in canonical order.

    Parameters
    ----------
    metrics : mapping of str to MethodMetric
        By the name that each shall have here.

    Returns
    -------
    Aligned

    Examples
    --------
    >>> from preflamp_stats.metrics.values import Metric
    >>> info = Metric.of_file("leaderboard", "method", {})
    >>> values = xr.DataArray([0.2, 0.1], dims="method", coords={"method": ["b", "a"]})
    >>> align_metrics({"x": MethodMetric(info, values)}).by_model[0].estimates["x"]
    array([0.1, 0.2])
    """
    notes = {m.info.words: m.ranking_note for m in metrics.values() if m.ranking_note is not None}
    metrics = {name: m.ranked for name, m in metrics.items()}
    shared = set.intersection(*(set(m.estimate["method"].values) for m in metrics.values()))
    methods = sorted(shared)
    with_model = [m.estimate for m in metrics.values() if "model" in m.estimate.dims]
    models = with_model[0]["model"] if with_model else None
    names = [None] if models is None else models.values.tolist()

    def placed(values: xr.DataArray) -> NDArray[Any]:
        """Values as an array of shape ([resample], model, method)."""
        own = {label: place for place, label in enumerate(values["method"].values.tolist())}
        order = [dim for dim in ("resample", "model", "method") if dim in values.dims]
        array = values.transpose(*order).values[..., [own[label] for label in methods]]
        if "model" not in order:
            array = np.repeat(array[..., None, :], len(names), axis=-2)
        return np.asarray(array)

    estimates = {name: placed(m.estimate) for name, m in metrics.items()}
    draws = {name: placed(m.draws) for name, m in metrics.items() if m.draws is not None}
    complete = ~np.logical_or.reduce([np.isnan(values) for values in estimates.values()])
    sizes = {
        size: _smallest([placed(getattr(m, size)) for m in metrics.values() if m.sums], complete)
        for size in ("n_examples", "n_users")
    }
    labels = np.asarray(methods, dtype=next(iter(metrics.values())).estimate["method"].dtype)
    told = {words: np.broadcast_to(note.values, len(names)) for words, note in notes.items()}
    by_model = [
        AlignedModel(
            labels,
            name,
            {name: values[at] for name, values in estimates.items()},
            {name: values[:, at] for name, values in draws.items()},
            int(sizes["n_examples"][at]),
            int(sizes["n_users"][at]),
            joined_notes(*(f"{words}: {text[at]}" for words, text in told.items() if text[at])),
        )
        for at, name in enumerate(names)
    ]
    return Aligned(models, by_model)


def _smallest(sizes: list[NDArray[Any]], there: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Smallest number over metrics and methods, of the methods that are there; 0 of none."""
    found = [np.where(there, size, np.inf).min(axis=1, initial=np.inf) for size in sizes]
    least = np.min(found, axis=0) if found else np.zeros(len(there))
    return np.asarray(np.where(np.isinf(least), 0, least), dtype=np.int64)


def joined_notes(*notes: str) -> str:
    """Several notes as one; empty ones are left out."""
    return "; ".join(filter(None, notes))


def over_models(
    aligned: Aligned,
    columns: Mapping[str, object],
    row: Callable[[AlignedModel], Mapping[str, object]],
) -> xr.Dataset:
    """One row of numbers and texts for every model, or one where there is no such dim.

    Parameters
    ----------
    aligned : Aligned
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
    rows = [{**columns, **row(here)} for here in aligned.by_model]
    for told, here in zip(rows, aligned.by_model, strict=True):
        told["note"] = joined_notes(str(told["note"]), here.note)
    found = {}
    for name, empty in columns.items():
        dtype = object if isinstance(empty, str) else type(empty)
        found[name] = np.array([one[name] for one in rows], dtype=dtype)
    for size in ("n_examples", "n_users"):
        numbers = np.array([getattr(here, size) for here in aligned.by_model], dtype=np.int64)
        found.setdefault(size, numbers)
    return aligned.labelled(found)

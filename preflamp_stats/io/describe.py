"""What is in a results file, in numbers that fit on a screen."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from preflamp_stats.io.blocks import example_blocks, load_block
from preflamp_stats.io.encoding import is_text
from preflamp_stats.schema import datasets, generation_metrics, method_metrics

__all__ = ["describe"]


def describe(tree: xr.DataTree | xr.Dataset) -> dict[str, Any]:
    """Describe results: dims, labels, users, variables and what can be computed from them.

    Parameters
    ----------
    tree : xarray.DataTree or xarray.Dataset
        Results, lazily opened or in memory. Arrays are read in blocks, to count what is missing.

    Returns
    -------
    dict
        JSON-ready: for each dataset ``dims``, ``methods`` and ``models`` with their families and
        parameter counts, ``seeds``, ``n_examples``, ``n_users``, ``examples_per_user`` (min,
        median, max; None without users), ``variables`` (dims, dtype, missing share in [0, 1],
        bytes in memory), ``metrics`` (those that its variables allow) and ``bytes``.

    Examples
    --------
    >>> reward = xr.DataArray(
    ...     [[[1.0, np.nan]]],
    ...     dims=("method", "example", "candidate"),
    ...     coords={"method": ["rm"], "candidate": ["chosen", "rejected"]},
    ... )
    >>> found = describe(reward.to_dataset(name="reward"))["results"]
    >>> found["variables"]["reward"]["missing"], found["metrics"]
    (0.5, ['rm_accuracy'])
    """
    return {name: _describe_dataset(ds) for name, ds in datasets(tree).items()}


def _describe_dataset(ds: xr.Dataset) -> dict[str, Any]:
    variables = {
        str(name): {
            "dims": [str(dim) for dim in ds[name].dims],
            "dtype": "str" if is_text(ds.variables[name]) else str(ds[name].dtype),
            "missing": _missing_share(ds[[name]]),
            "bytes": int(ds[name].nbytes),
        }
        for name in ds.data_vars
    }
    users = None
    if "user" in ds.variables:
        users = np.unique(ds["user"].values.astype(str), return_counts=True)[1]
    return {
        "dims": {str(dim): int(size) for dim, size in ds.sizes.items()},
        "methods": _labelled(ds, "method", "method_family", "family"),
        "models": _labelled(ds, "model", "parameters", "parameters"),
        "seeds": ds.indexes["seed"].tolist() if "seed" in ds.indexes else [],
        "n_examples": int(ds.sizes.get("example", 0)),
        "n_users": None if users is None else len(users),
        "examples_per_user": None if users is None else _spread(users),
        "variables": variables,
        "metrics": _metrics(ds),
        "bytes": sum(int(variable.nbytes) for variable in ds.data_vars.values()),
    }


def _spread(counts: npt.NDArray[np.intp]) -> dict[str, float]:
    return {
        "min": int(counts.min()),
        "median": float(np.median(counts)),
        "max": int(counts.max()),
    }


def _labelled(ds: xr.Dataset, dim: str, coordinate: str, key: str) -> list[dict[str, Any]]:
    if dim not in ds.indexes:
        return []
    labels = ds.indexes[dim].tolist()
    if coordinate not in ds.variables:
        return [{"name": label} for label in labels]
    values = ds[coordinate].values.tolist()
    return [{"name": label, key: value} for label, value in zip(labels, values, strict=True)]


def _metrics(ds: xr.Dataset) -> list[str]:
    held = set(map(str, ds.data_vars))
    needs = {
        "rm_accuracy": [{"reward"}],
        "policy_accuracy": [
            {"reward", "logprob"},
            {"reward_trace", "token_logprob"},
            {"policy_score"},
        ],
    }
    found = [name for name, ways in needs.items() if any(way <= held for way in ways)]
    if {"generation", "reference"} <= held:
        found += ["rouge1", "rouge2", "rougeL"]
    return list(dict.fromkeys([*found, *generation_metrics(ds), *method_metrics(ds)]))


def _missing_share(part: xr.Dataset) -> float:
    name = next(iter(part.data_vars))
    missing = total = 0
    blocks = example_blocks(part) if "example" in part[name].dims else [slice(None)]
    for block in blocks:
        values = load_block(part, block, names=[str(name)])[name].to_numpy()
        missing += int(np.sum(values == "" if values.dtype.kind in "OUST" else np.isnan(values)))
        total += values.size
    return missing / total if total else 0.0

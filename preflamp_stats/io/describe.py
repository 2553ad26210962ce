"""What is in a results file, in numbers that fit on a screen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from preflamp_stats.io.blocks import example_blocks, load_block
from preflamp_stats.io.schema import datasets
from preflamp_stats.io.variables import generation_metrics, is_missing, is_text, method_metrics

_PAIR = ("chosen", "rejected")


def coverage(data: xr.DataTree | xr.Dataset | Mapping[str, xr.Dataset]) -> pd.DataFrame:
    """Tell for each method what share of the examples has a reward, a pair, a generation.

    Parameters
    ----------
    data : DataTree, Dataset, or mapping of str to Dataset
        Results, lazily opened or in memory; read in blocks of examples.

    Returns
    -------
    pandas.DataFrame
        A row for each dataset, model and method: ``n_examples``; shares in [0, 1] of them with any
        ``reward``, with the rewards of a whole ``pair``, with a ``generation`` (the text "" is
        one), a ``metric`` (the mean over the file's generation metrics) and a ``reference``; counts
        of pairs with equal rewards (``ties``) and with the same two texts (``identical``). Shares
        are means over training seeds; ``ties`` is their sum. A column stands there only if some
        dataset has what it counts, and is missing for the others.

    Examples
    --------
    >>> reward = xr.DataArray(
    ...     [[[1.0, 0.0], [2.0, 2.0], [1.0, np.nan], [np.nan, np.nan]]],
    ...     dims=("method", "example", "candidate"),
    ...     coords={"method": ["rm"], "candidate": ["chosen", "rejected"]},
    ... )
    >>> coverage(reward.to_dataset(name="reward")).T[0].to_dict()
    {'dataset': 'results', 'method': 'rm', 'n_examples': 4, 'reward': 0.75, 'pair': 0.5, 'ties': 1}
    """
    groups = datasets(data) if isinstance(data, xr.DataTree | xr.Dataset) else data
    table = pd.concat([_covered(name, ds) for name, ds in groups.items()], ignore_index=True)
    order = ["dataset", "model", "method", "n_examples", *_SHARES, *_COUNTS]
    return table[[column for column in order if column in table]]


_SHARES = ("reward", "pair", "generation", "metric", "reference")
_COUNTS = ("ties", "identical")


def _covered(dataset: str, ds: xr.Dataset) -> pd.DataFrame:
    metrics = generation_metrics(ds)
    used = {"reward", "generation", "reference", "candidate_text", *metrics}
    part = ds[[name for name in ds.data_vars if name in used and "example" in ds[name].dims]]
    totals: dict[str, Any] = defaultdict(float)
    for block in example_blocks(part):
        for name, found in _counted(load_block(part, block), metrics).items():
            totals[name] = totals[name] + found.sum("example")
    n = int(ds.sizes.get("example", 0))
    by = [dim for dim in ("model", "method") if any(dim in part[name].dims for name in part)]
    columns: dict[str, Any] = {}
    for name, total in totals.items():
        others = [dim for dim in total.dims if dim not in by]
        columns[name] = total.sum(others) if name == "ties" else total.mean(others)
        columns[name] /= n if name in _SHARES else 1
    if not n:
        return pd.DataFrame({"dataset": [], "method": [], "n_examples": []})
    if not by:
        return pd.DataFrame({"dataset": [dataset], "n_examples": n, **columns})
    like = xr.Dataset(coords={dim: ds.get(dim, np.arange(ds.sizes[dim])) for dim in by})
    table = xr.broadcast(like, xr.Dataset(columns).reset_coords(drop=True))[1]
    frame = table.stack(row=by).to_dataframe()[list(columns)].reset_index()
    for name in set(_COUNTS) & set(columns):
        frame[name] = frame[name].astype(int)
    return frame.assign(dataset=dataset, n_examples=n)


def _counted(block: xr.Dataset, metrics: list[str]) -> dict[str, xr.DataArray]:
    found = {name: block[name].notnull() for name in ("generation", "reference") if name in block}
    if metrics:
        present = [block[name].notnull().astype(float) for name in metrics]
        found["metric"] = sum(present[1:], present[0]) / len(present)
    for name in [name for name in ("reward", "candidate_text") if name in block]:
        good, bad = (block[name].sel(candidate=each, drop=True) for each in _PAIR)
        if name == "reward":
            found["reward"] = good.notnull() | bad.notnull()
            found["pair"] = good.notnull() & bad.notnull()
            found["ties"] = good == bad
        else:
            found["identical"] = (good == bad) & good.notnull()
    return found


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
        bytes in memory), ``metrics`` (those that its variables allow), ``coverage`` (rows of
        :func:`coverage`) and ``bytes``.

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
    return {name: _describe_dataset(name, ds) for name, ds in datasets(tree).items()}


def _describe_dataset(name: str, ds: xr.Dataset) -> dict[str, Any]:
    variables = {
        str(each): {
            "dims": [str(dim) for dim in ds[each].dims],
            "dtype": "str" if is_text(ds.variables[each]) else str(ds[each].dtype),
            "missing": _missing_share(ds[[each]]),
            "bytes": int(ds[each].nbytes),
        }
        for each in ds.data_vars
    }
    users = spread = None
    if "user" in ds.variables:
        users = np.unique(ds["user"].values.astype(str), return_counts=True)[1]
        spread = {"min": int(users.min()), "median": float(np.median(users))}
        spread["max"] = int(users.max())
    return {
        "dims": {str(dim): int(size) for dim, size in ds.sizes.items()},
        "methods": _labelled(ds, "method", "method_family", "family"),
        "models": _labelled(ds, "model", "parameters", "parameters"),
        "seeds": ds.indexes["seed"].tolist() if "seed" in ds.indexes else [],
        "n_examples": int(ds.sizes.get("example", 0)),
        "n_users": None if users is None else len(users),
        "examples_per_user": spread,
        "variables": variables,
        "metrics": _metrics(ds),
        "coverage": coverage({name: ds}).to_dict("records"),
        "bytes": sum(int(variable.nbytes) for variable in ds.data_vars.values()),
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
    found = ["rm_accuracy"] if "reward" in held else []
    policies = ({"reward", "logprob"}, {"reward_trace", "token_logprob"}, {"policy_score"})
    found += ["policy_accuracy"] if any(needs <= held for needs in policies) else []
    found += ["rouge1", "rouge2", "rougeL"] if {"generation", "reference"} <= held else []
    return list(dict.fromkeys([*found, *generation_metrics(ds), *method_metrics(ds)]))


def _missing_share(part: xr.Dataset) -> float:
    (name,) = part.data_vars
    blocks = example_blocks(part) if "example" in part[name].dims else [slice(None)]
    missing = sum(int(is_missing(load_block(part, at)[name].to_numpy()).sum()) for at in blocks)
    return missing / part[name].size if part[name].size else 0.0

"""From shards to one results tree, each number put where its labels say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from preflamp_backend.compute import candidate_names
from preflamp_backend.data import Example
from preflamp_backend.shards import Shard
from preflamp_backend.sources import identify
from preflamp_backend.study import Study
from preflamp_stats.io.files import open_results

__all__ = ["assemble"]

_RAGGED = ("token", "generated_token")
_LABELLED = ("user", "reference")
"""Variables that a shard repeats from the examples."""


def assemble(
    study: Study, examples: Mapping[str, Sequence[Example]], shards: Sequence[Shard], folder: Path
) -> xr.DataTree:
    """Join the shards of a study.

    Parameters
    ----------
    study : Study
    examples : mapping of str to sequence of Example
        By dataset.
    shards : sequence of Shard
        All of them, each with its file in ``folder``.
    folder : Path

    Returns
    -------
    xarray.DataTree
        A group a dataset. Numbers of combinations that were not computed are NaN, texts None.
    """
    groups = {
        f"/{name}": _dataset(study, rows, [each for each in shards if each.dataset == name], folder)
        for name, rows in examples.items()
    }
    tree = xr.DataTree.from_dict(groups)
    tree.attrs["backend"] = json.dumps(_provenance(study), sort_keys=True)
    return tree


def _provenance(study: Study) -> dict[str, Any]:
    choices = asdict(study)
    choices.pop("file")
    sources = dict(study.models)
    for method in study.methods.values():
        for model in study.models:
            for seed in study.run.seeds:
                if source := study.reward_source(method, model, seed):
                    same = source == method.source
                    sources[method.name if same else f"{method.name}: {model}, {seed}"] = source
    choices["identities"] = {name: identify(source) for name, source in sources.items()}
    return choices


def _dataset(
    study: Study, rows: Sequence[Example], shards: Sequence[Shard], folder: Path
) -> xr.Dataset:
    sizes = dict.fromkeys(_RAGGED, 0)
    for shard in shards:
        with open_results(folder / shard.file_name) as tree:
            for dim in _RAGGED:
                sizes[dim] = max(sizes[dim], tree.sizes.get(dim, 0))
    labels: dict[str, list[Any]] = {
        "model": list(study.models),
        "method": list(study.methods),
        "seed": list(study.run.seeds),
        "weight": list(study.scoring.weights),
        "candidate": candidate_names(rows),
    }
    sizes |= {dim: len(values) for dim, values in labels.items()} | {"example": len(rows)}
    arrays: dict[str, xr.Variable] = {}
    devices: set[str] = set()
    for shard in shards:
        with open_results(folder / shard.file_name) as tree:
            devices.add(tree.attrs["device"])
            _place(tree.dataset.load(), shard, _seeds(study, shard), arrays, sizes, labels)
    ds = xr.Dataset(arrays, attrs={"computed_on": ", ".join(sorted(devices))})
    ds = ds.assign_coords({dim: labels[dim] for dim in ds.dims if dim in labels})
    ds = ds.assign_coords(example=[row.id for row in rows])
    if "method" in ds.dims:
        families = [study.methods[name].family for name in labels["method"]]
        ds = ds.assign_coords(method_family=("method", families))
    judges = [name for name, method in study.methods.items() if method.judge]
    if judges and "reward" in ds:
        ds["reward"].attrs |= {
            "pairwise": json.dumps(judges),
            "comment": "pairwise methods: half the log-odds that chosen is preferred to rejected, "
            "and its negative; only their difference means anything",
        }
    return ds.assign(_texts(rows, labels["candidate"]))


def _place(
    found: xr.Dataset,
    shard: Shard,
    seeds: Sequence[int],
    arrays: dict[str, xr.Variable],
    sizes: Mapping[str, int],
    labels: Mapping[str, list[Any]],
) -> None:
    """Put a shard's variables where they belong.

    Model, method and seed are the shard's, not the file's: one file may stand for several of them.
    """
    for name, variable in found.data_vars.items():
        if name in _LABELLED:
            continue
        if seeds:
            # A number that holds for several seeds stands under each.
            variable = variable.expand_dims(seed=len(seeds))
        if name not in arrays:
            shape = tuple(sizes[str(dim)] for dim in variable.dims)
            blank = _blank(variable.dtype, shape)
            arrays[str(name)] = xr.Variable(variable.dims, blank, variable.attrs)
        dims = tuple(map(str, arrays[str(name)].dims))
        values = variable.transpose(*dims).values
        methods = (
            [shard.method]
            if shard.method
            else list(found.get("method", xr.Variable("m", [])).values)
        )
        places: dict[str, Any] = {
            "model": [labels["model"].index(shard.model)],
            "method": [labels["method"].index(method) for method in methods],
            **({"seed": [labels["seed"].index(seed) for seed in seeds]} if seeds else {}),
            "example": range(shard.start, shard.stop),
        }
        index = [
            list(places.get(dim, range(size))) for dim, size in zip(dims, values.shape, strict=True)
        ]
        arrays[str(name)].values[np.ix_(*index)] = values


def _seeds(study: Study, shard: Shard) -> Sequence[int]:
    """Seeds under which a shard's numbers stand; none where its variables have none or their own.

    Base models have no seed, and the heads on them are scored under all seeds at once.
    """
    seeds = study.run.seeds
    if len(seeds) == 1 or not shard.method:
        return ()
    if shard.kind == "generate" or study.methods[shard.method].seeded:
        return (shard.seed,)
    return study.reward_seeds if len(study.reward_seeds) > 1 else ()


def _blank(dtype: np.dtype[Any], shape: tuple[int, ...]) -> Any:
    if dtype.kind == "f":
        return np.full(shape, np.nan, dtype)
    if dtype.kind in "OUST":
        return np.full(shape, None, object)
    return np.full(shape, False if dtype.kind == "b" else -1, dtype)


def _texts(rows: Sequence[Example], candidates: Sequence[str]) -> dict[str, Any]:
    texts: dict[str, Any] = {
        "user": ("example", np.array([row.user for row in rows], object)),
        "prompt": ("example", np.array([row.prompt for row in rows], object)),
        "reference": ("example", np.array([row.reference for row in rows], object)),
    }
    if rows[0].candidates:
        said = [[row.candidates.get(name, "") for name in candidates] for row in rows]
        texts["candidate_text"] = (("example", "candidate"), np.array(said, object))
    return texts

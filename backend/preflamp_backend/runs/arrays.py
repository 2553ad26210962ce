"""Scores and generations as labelled arrays, and those of all shards as one results tree."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preflamp_backend.data.examples import Example, candidate_names
from preflamp_backend.decoding.options import Generation, Request
from preflamp_backend.models.loading import identify
from preflamp_backend.models.sources import origin
from preflamp_backend.prompts.encoding import Encoding
from preflamp_backend.rewards.judge import Judgement
from preflamp_backend.runs.shards import Shard
from preflamp_backend.scoring.score import BaseScores, RewardScores
from preflamp_backend.study.study import Study
from preflamp_stats.io.files import open_results

_RAGGED = ("token", "generated_token")
_LABELLED = ("user", "reference")
"""Variables that a shard repeats from the examples."""


def base_arrays(
    rows: Sequence[Example],
    bases: Sequence[Sequence[BaseScores]],
    encodings: Sequence[Encoding],
    names: Sequence[str],
) -> xr.Dataset:
    """Arrange a base model's scores over model, example, candidate and token."""
    longest = max(len(base.token_logprob) for row in bases for base in row)
    shape = (1, len(rows), len(names))
    logprob, n_tokens = np.full(shape, np.nan), np.full(shape, np.nan)
    token_logprob = np.full((*shape, longest), np.nan, np.float32)
    beyond = np.full(shape, np.nan)
    for i, (row, found, encoding) in enumerate(zip(rows, bases, encodings, strict=True)):
        for name, base, ids in zip(row.candidates, found, encoding.continuations, strict=True):
            at = (0, i, names.index(name))
            if base.top_ids.size:
                beyond[at] = 1 - (base.top_ids == np.array(ids)[:, None]).any(1).mean()
            logprob[at], n_tokens[at] = base.logprob, len(base.token_logprob)
            token_logprob[at][: len(base.token_logprob)] = base.token_logprob
    dims = ("model", "example", "candidate")
    tail = {"policy_beyond_top": diagnostic(dims, beyond)} if np.isfinite(beyond).any() else {}
    return xr.Dataset(
        {
            **tail,
            "logprob": (dims, logprob),
            "n_tokens": (dims, n_tokens),
            "token_logprob": ((*dims, "token"), token_logprob),
            "prompt_overlong": diagnostic(dims[:2], [[each.overlong for each in encodings]]),
            "boundary_differs": diagnostic(dims[:2], [[e.boundary_differs for e in encodings]]),
        },
        {"candidate": list(names)},
    )


def reward_arrays(
    rows: Sequence[Example],
    rewards: Sequence[Sequence[RewardScores]],
    methods: Sequence[str],
    names: Sequence[str],
    *,
    weights: Sequence[float],
    trace: bool,
    scoring: str = "renormalised",
    columns: NDArray[np.int64] | None = None,
    seeds: Sequence[int] = (),
) -> xr.Dataset:
    """Arrange rewards over method, model, example and candidate, and over seeds where there are.

    ``weights`` are those of the policy scores that were computed, by ``scoring``; empty where there
    are none.
    ``columns``, (methods, seeds), says which of the scored heads serves a method under a seed; left
    out, there is one head a method.
    """
    heads = np.arange(len(methods))[:, None] if columns is None else columns
    longest = max(each.trace.shape[1] for row in rewards for each in row)
    shape = (*heads.shape, 1, len(rows), len(names))
    reward = np.full(shape, np.nan, np.float32)
    traces = np.full((*shape, longest), np.nan, np.float32)
    scores = np.full((len(weights), *shape), np.nan)
    for i, (row, found) in enumerate(zip(rows, rewards, strict=True)):
        for name, each in zip(row.candidates, found, strict=True):
            at = names.index(name)
            reward[:, :, 0, i, at] = each.reward[heads]
            traces[:, :, 0, i, at, : each.trace.shape[1]] = each.trace[heads]
            if weights:
                scores[:, :, :, 0, i, at] = each.policy[:, heads]
    dims = ("method", "seed", "model", "example", "candidate")
    ds = xr.Dataset({"reward": (dims, reward)}, {"candidate": list(names), "method": list(methods)})
    if trace:
        ds["reward_trace"] = ((*dims, "token"), traces)
    if weights:
        # Files from before the support was fixed do not name it: this is how they are told apart.
        support = {"support": "all tokens; the reward changes the top k"}
        made = {"scoring": scoring} | (support if scoring == "renormalised" else {})
        ds["policy_score"] = (("weight", *dims), scores, made)
        ds = ds.assign_coords(weight=list(weights))
    return ds.assign_coords(seed=list(seeds)) if seeds else ds.isel(seed=0)


def judge_arrays(
    found: Sequence[Judgement], personas: Sequence[str], method: str, names: Sequence[str]
) -> xr.Dataset:
    """Arrange a judge's preferences as rewards of chosen and rejected, ± half of each."""
    dims = ("method", "model", "example")
    preference = np.array([each.preference for each in found])
    reward = np.full((1, 1, len(found), len(names)), np.nan, np.float32)
    reward[..., names.index("chosen")] = preference / 2
    reward[..., names.index("rejected")] = -preference / 2
    return xr.Dataset(
        {
            "reward": ((*dims, "candidate"), reward),
            "judge_place_log_odds": (dims, [[[each.place for each in found]]], _DIAGNOSTIC),
            "judge_persona": (dims, _texts(personas)[None, None]),
            "reward_overlong": diagnostic(dims, [[[each.overlong for each in found]]]),
        },
        {"candidate": list(names), "method": [method]},
    )


def generation_arrays(
    found: Sequence[Generation],
    requests: Sequence[Request],
    shots: Sequence[int],
    rows: Sequence[Example],
    method: str,
) -> xr.Dataset:
    """Arrange generations over model, method and example."""
    ids = np.full((len(found), max(1, *(len(each.ids) for each in found), 1)), -1, np.int32)
    for i, each in enumerate(found):
        ids[i, : len(each.ids)] = each.ids
    cut = [
        each.prompt.overlong or (each.reward_prompt is not None and each.reward_prompt.overlong)
        for each in requests
    ]
    dims = ("model", "method", "example")
    return xr.Dataset(
        {
            "generation": (dims, _texts([each.text for each in found])[None, None]),
            "generation_stop": (dims, _texts([each.stop for each in found])[None, None]),
            "generation_reward": (dims, [[[each.reward for each in found]]], _DIAGNOSTIC),
            "generation_logprob": (dims, [[[each.logprob for each in found]]], _DIAGNOSTIC),
            "generation_overlong": diagnostic(dims, [[cut]]),
            "generation_shots": diagnostic(dims, [[shots]]),
            "generation_ids": ((*dims, "generated_token"), ids[None, None]),
            "reference": ("example", _texts([row.reference or None for row in rows])),
        },
        {"method": [method]},
    )


_DIAGNOSTIC = {"role": "diagnostic"}
"""Keeps a number over examples from being taken for a generation metric."""


def diagnostic(dims: Sequence[str], values: Any) -> tuple[Any, ...]:
    """Flags or small counts as floats, NaN where nothing was computed, and no metric."""
    return dims, np.array(values, np.float32), _DIAGNOSTIC


def _texts(texts: Sequence[str | None]) -> NDArray[np.object_]:
    """Texts, None where one is absent; a NUL byte, which would end one in the file, is replaced."""
    mark = "\N{REPLACEMENT CHARACTER}"
    return np.array([text if text is None else text.replace("\0", mark) for text in texts], object)


def assemble(
    study: Study, examples: Mapping[str, Sequence[Example]], shards: Sequence[Shard], folder: Path
) -> xr.DataTree:
    """Join the shards of a study, each number put where its labels say.

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
    made_from = {name: origin(source.path) for name, source in sources.items()}
    choices["made_from"] = {name: what for name, what in made_from.items() if what}
    return choices


def _dataset(
    study: Study, rows: Sequence[Example], shards: Sequence[Shard], folder: Path
) -> xr.Dataset:
    labels: dict[str, list[Any]] = {
        "model": list(study.models),
        "method": list(study.methods),
        "seed": list(study.run.seeds),
        "weight": list(study.scoring.weights),
        "candidate": candidate_names(rows),
    }
    sizes = {dim: len(values) for dim, values in labels.items()} | {"example": len(rows)}
    for shard in shards:
        with open_results(folder / shard.file_name) as tree:
            sizes |= {dim: max(sizes.get(dim, 0), tree.sizes.get(dim, 0)) for dim in _RAGGED}
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
        families = [method.family for method in study.methods.values()]
        ds = ds.assign_coords(method_family=("method", families))
    judges = [name for name, method in study.methods.items() if method.judge]
    if judges and "reward" in ds:
        ds["reward"].attrs |= {
            "pairwise": json.dumps(judges),
            "comment": "pairwise methods: half the log-odds that chosen is preferred to rejected, "
            "and its negative; only their difference means anything",
        }
    for name in ("user", "prompt", "reference"):
        ds[name] = ("example", np.array([getattr(row, name) or None for row in rows], object))
    if rows[0].candidates:
        said = [[row.candidates.get(name) for name in labels["candidate"]] for row in rows]
        ds["candidate_text"] = (("example", "candidate"), np.array(said, object))
    return ds


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
    own = found["method"].values if "method" in found else ()
    methods = [shard.method] if shard.method else list(own)
    places: dict[str, Any] = {
        "model": [labels["model"].index(shard.model)],
        "method": [labels["method"].index(method) for method in methods],
        "example": range(shard.start, shard.stop),
    }
    if seeds:
        places["seed"] = [labels["seed"].index(seed) for seed in seeds]
    for name, variable in found.data_vars.items():
        if name in _LABELLED:
            continue
        if seeds:
            # A number that holds for several seeds stands under each.
            variable = variable.expand_dims(seed=len(seeds))
        if name not in arrays:
            shape = tuple(sizes[str(dim)] for dim in variable.dims)
            arrays[str(name)] = xr.Variable(
                variable.dims, _blank(variable.dtype, shape), variable.attrs
            )
        dims = tuple(map(str, arrays[str(name)].dims))
        values = variable.transpose(*dims).values
        spans = zip(dims, values.shape, strict=True)
        index = [list(places.get(dim, range(size))) for dim, size in spans]
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
    """Array of what stands where nothing was computed."""
    if dtype.kind in "OUST":
        return np.full(shape, None, object)
    return np.full(shape, np.nan if dtype.kind == "f" else -1, dtype)

"""What a shard holds: scores of given responses, or responses that were written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import xarray as xr

from preflamp_backend.arrays import base_arrays, generation_arrays, reward_arrays
from preflamp_backend.data import Example
from preflamp_backend.decoding.decode import Request, decode
from preflamp_backend.loading import (
    context_length,
    load_heads,
    load_language_model,
    load_sequence_classifier,
)
from preflamp_backend.models import AutoregressiveReward, HeadReward, LanguageModel, RewardModel
from preflamp_backend.prompting import build_prompt
from preflamp_backend.rewards.p_rlhf import load_p_rlhf
from preflamp_backend.scoring import BaseScores, score, score_rewards
from preflamp_backend.shards import Shard
from preflamp_backend.sources import ModelSource, load_config, load_tokenizer
from preflamp_backend.study import Method, Study
from preflamp_backend.text import Encoding, encode, encode_prompt, suffix_ids
from preflamp_backend.vocabulary import same_vocabulary
from preflamp_stats.errors import InputError, Problem

__all__ = ["candidate_names", "compute_shard"]


def compute_shard(study: Study, shard: Shard, examples: Sequence[Example]) -> xr.Dataset:
    """Compute a shard.

    Parameters
    ----------
    study : Study
    shard : Shard
    examples : sequence of Example
        All examples of the shard's dataset.

    Returns
    -------
    xarray.Dataset
        Over the shard's own examples, with dims ``method`` and ``model`` of the shard's labels.
    """
    rows = examples[shard.start : shard.stop]
    if shard.kind == "generate":
        found = _generate(study, shard, rows)
    elif shard.method:
        found = _score_reward(study, shard, rows, candidate_names(examples))
    else:
        found = _score_base(study, shard, rows, candidate_names(examples))
    found = found.assign_coords(model=[shard.model])
    found["user"] = ("example", [row.user for row in rows])
    found.attrs["shard_key"] = shard.key
    found.attrs["device"] = _device_name(study.models[shard.model])
    return found


def candidate_names(examples: Sequence[Example]) -> list[str]:
    """Names of all candidates: chosen, rejected, then the others in order."""
    others = {name for row in examples for name in row.candidates} - {"chosen", "rejected"}
    return ["chosen", "rejected", *sorted(others)]


def _device_name(source: ModelSource) -> str:
    device = source.resolved_device()
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@lru_cache(maxsize=2)
def _language_model(source: ModelSource) -> LanguageModel:
    return load_language_model(source)


@lru_cache(maxsize=1)
def _classifier(source: ModelSource, name: str) -> HeadReward:
    return load_sequence_classifier(source, name)


@lru_cache(maxsize=1)
def _p_dpo(source: ModelSource, name: str) -> AutoregressiveReward:
    return load_p_rlhf(source, name)


def _heads(study: Study, model: str, methods: Sequence[Method], seeds: Sequence[int]) -> HeadReward:
    """Heads of some methods on a base model, those that were trained a seed once for each."""
    paths = {
        _label(method, seed): study.head_path(method, model, seed)
        for method in methods
        for seed in seeds
    }
    return load_heads(_language_model(study.models[model]).backbone, paths)


def _label(method: Method, seed: int) -> str:
    return f"{method.name} (seed {seed})" if method.seeded else method.name


def _reward_model(study: Study, model: str, method: Method, seed: int) -> RewardModel | None:
    if method.kind == "head":
        return _heads(study, model, [method], [seed])
    source = study.reward_source(method, model, seed)
    if source is None:
        return None
    if method.kind == "classifier":
        return _classifier(source, method.name)
    if method.kind == "p-dpo":
        return _p_dpo(source, method.name)
    return AutoregressiveReward(method.name, _language_model(source), relative=method.relative)


def _score_base(
    study: Study, shard: Shard, rows: Sequence[Example], names: Sequence[str]
) -> xr.Dataset:
    model = _language_model(study.models[shard.model])
    methods = [method for method in study.methods.values() if method.kind == "head"]
    seeds = study.reward_seeds
    heads = _heads(study, shard.model, methods, seeds) if methods else None
    suffix = suffix_ids(model.tokenizer, study.prompt) if heads else ()
    encodings = _encodings(model.tokenizer, model.backbone.context, study, rows, len(suffix))
    users = [row.user for row in rows]
    found = score(model, encodings, heads=heads, users=users, suffix=suffix, options=study.scoring)
    bases = [[base for base, _ in row] for row in found]
    ds = base_arrays(rows, bases, encodings, names)
    ds["parameters"] = ("model", [model.parameters])
    if heads is not None:
        rewards = [[each for _, each in row if each is not None] for row in found]
        labels = [[_label(method, seed) for seed in seeds] for method in methods]
        arrays = reward_arrays(
            rows,
            rewards,
            [method.name for method in methods],
            names,
            weights=study.scoring.weights,
            trace=study.scoring.trace,
            columns=np.array([[heads.methods.index(label) for label in row] for row in labels]),
            seeds=seeds if len(seeds) > 1 else (),
        )
        ds = ds.merge(arrays)
    return ds


def _score_reward(
    study: Study, shard: Shard, rows: Sequence[Example], names: Sequence[str]
) -> xr.Dataset:
    """Score by a reward model of its own backbone, over the base model's ids where it can."""
    method, source = study.methods[shard.method], study.models[shard.model]
    reward = _reward_model(study, shard.model, method, shard.seed)
    assert reward is not None
    tokenizer, backbone = load_tokenizer(source), reward.backbone
    suffix = suffix_ids(backbone.tokenizer, method.form) if isinstance(reward, HeadReward) else ()
    shared = same_vocabulary(tokenizer, backbone.tokenizer)
    texts = [_reward_text(method, row, backbone.tokenizer) for row in rows]
    base: list[list[BaseScores]] | None = None
    if not shared:
        theirs = []
        for row, text in zip(rows, texts, strict=True):
            with _naming(row):
                said = list(row.candidates.values())
                context = backbone.context
                theirs.append(
                    encode(
                        backbone.tokenizer,
                        text,
                        said,
                        method.form,
                        context=context,
                        room=len(suffix),
                    )
                )
    else:
        if study.prompt.boundary == "joint":
            raise InputError(
                Problem(
                    f"is joint, but {method.name!r} reads a prompt of its own",
                    "set boundary = 'split'",
                    variable="prompt.boundary",
                )
            )
        ours = _encodings(tokenizer, _context(study, shard), study, rows, 0)
        if study.scoring.weights or method.relative:
            found = score(_language_model(source), ours, options=study.scoring)
            base = [[each for each, _ in row] for row in found]
        theirs = []
        for row, text, encoding in zip(rows, texts, ours, strict=True):
            with _naming(row):
                room = max(map(len, encoding.continuations)) + len(suffix)
                prompt = _reward_prompt(reward, method, text, row, room)
            theirs.append(Encoding(prompt.prompt, encoding.continuations, prompt.overlong))
    users = [row.user for row in rows]
    rewards = score_rewards(
        reward, theirs, users=users, base=base, suffix=suffix, options=study.scoring
    )
    weights = study.scoring.weights if base is not None else ()
    trace = study.scoring.trace and shared
    ds = reward_arrays(rows, rewards, [method.name], names, weights=weights, trace=trace)
    ds["reward_overlong"] = (("method", "model", "example"), [[[e.overlong for e in theirs]]])
    return ds


def _context(study: Study, shard: Shard) -> int:
    """Tokens that the base model sees, by its configuration."""
    return context_length(load_config(study.models[shard.model]))


def _encodings(
    tokenizer: Any, context: int, study: Study, rows: Sequence[Example], room: int
) -> list[Encoding]:
    encodings = []
    for row in rows:
        with _naming(row):
            responses = list(row.candidates.values())
            form = study.prompt
            encodings.append(
                encode(tokenizer, row.prompt, responses, form, context=context, room=room)
            )
    return encodings


def _reward_text(method: Method, row: Example, tokenizer: Any) -> str:
    return build_prompt(row, method.prompt, count=_counter(tokenizer)).text


def _reward_prompt(
    reward: RewardModel, method: Method, text: str, row: Example, room: int
) -> Encoding:
    """Ids of a prompt as its reward model reads it, the user's soft tokens before all."""
    prefix = reward.prefix(row.user) if isinstance(reward, AutoregressiveReward) else ()
    backbone = reward.backbone
    prompt = encode_prompt(
        backbone.tokenizer, text, method.form, room=room + len(prefix), context=backbone.context
    )
    return replace(prompt, prompt=(*prefix, *prompt.prompt))


def _counter(tokenizer: Any) -> Any:
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False))


@contextmanager
def _naming(row: Example) -> Iterator[None]:
    """Name the example in whatever is wrong with it."""
    try:
        yield
    except InputError as error:
        raise InputError(
            [
                Problem(p.what, p.mend, p.file, p.group, f"example {row.id}")
                for p in error.problems
                if isinstance(p, Problem)
            ]
        ) from error


def _generate(study: Study, shard: Shard, rows: Sequence[Example]) -> xr.Dataset:
    method = study.methods[shard.method]
    model = _language_model(study.models[shard.model])
    reward = _reward_model(study, shard.model, method, shard.seed)
    requests, shots = [], []
    for row in rows:
        with _naming(row):
            request, count = _request(study, method, model, reward, row, shard.seed)
        requests.append(request)
        shots.append(count)
    form = method.form if method.source else study.prompt
    found = decode(
        model,
        requests,
        method.decoding_for(shard.model),
        seed=shard.seed,
        reward=reward,
        form=form,
        scoring=study.scoring,
    )
    return generation_arrays(found, requests, shots, rows, method.name)


def _request(
    study: Study,
    method: Method,
    model: LanguageModel,
    reward: RewardModel | None,
    row: Example,
    seed: int,
) -> tuple[Request, int]:
    """What to ask for an example, and how many shots the prompt shows."""
    room, context = method.decoding.max_new_tokens, model.backbone.context
    text, shots = row.prompt, 0
    if not method.rewarded:
        built = build_prompt(row, method.prompt, count=_counter(model.tokenizer), seed=seed)
        text, shots = built.text, built.shots
    prompt = encode_prompt(model.tokenizer, text, study.prompt, room=room, context=context)
    key = f"{row.id}\0{method.name}"
    if reward is None or method.source is None:
        return Request(key, prompt, row.user), shots
    backbone = reward.backbone
    theirs = _reward_text(method, row, backbone.tokenizer)
    suffix = suffix_ids(backbone.tokenizer, method.form) if isinstance(reward, HeadReward) else ()
    reward_prompt = _reward_prompt(reward, method, theirs, row, room + len(suffix))
    return Request(key, prompt, row.user, theirs, reward_prompt), shots

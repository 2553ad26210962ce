"""What a shard takes: a study's models, scores of given responses, and generations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import xarray as xr

from preflamp_backend.data.examples import Example, candidate_names, read_examples
from preflamp_backend.decoding.decode import decode
from preflamp_backend.decoding.options import Request
from preflamp_backend.engines import completions, guided
from preflamp_backend.engines.completions import Engine
from preflamp_backend.engines.source import EngineSource
from preflamp_backend.faults import fault, in_example
from preflamp_backend.models import loading
from preflamp_backend.models.model import (
    AutoregressiveReward,
    HeadReward,
    LanguageModel,
    RewardModel,
)
from preflamp_backend.prompts.encoding import (
    Encoding,
    PromptFormat,
    counter_of,
    encode,
    encode_prompt,
    fitting,
    suffix_ids,
)
from preflamp_backend.prompts.in_context import Prompt, build_prompt
from preflamp_backend.rewards.baselines import add_baselines
from preflamp_backend.rewards.judge import ask, evidence_of, judge, write_personas
from preflamp_backend.rewards.token_models import load_p_rlhf
from preflamp_backend.runs.arrays import (
    base_arrays,
    diagnostic,
    generation_arrays,
    judge_arrays,
    reward_arrays,
)
from preflamp_backend.runs.shards import Shard
from preflamp_backend.scoring.score import BaseScores, score, score_rewards
from preflamp_backend.study.study import BASELINES, Method, Study


@lru_cache(maxsize=2)
def language_model(source: loading.ModelSource) -> Any:
    """A language model or a served one by its source; the last two stay loaded."""
    if isinstance(source, EngineSource):
        return Engine(source)
    return loading.load_language_model(source)


_classifier = lru_cache(maxsize=1)(loading.load_sequence_classifier)
_p_dpo = lru_cache(maxsize=1)(load_p_rlhf)


def heads_of(
    study: Study, model: str, methods: Sequence[Method], seeds: Sequence[int]
) -> HeadReward:
    """Heads of some methods on a base model, those that were trained a seed once for each."""
    paths = {
        head_label(method, seed): study.head_path(method, model, seed)
        for method in methods
        for seed in seeds
    }
    return loading.load_heads(language_model(study.models[model]).backbone, paths)


def head_label(method: Method, seed: int) -> str:
    """Name of a method's head, with the seed where there is a head a seed."""
    return f"{method.name} (seed {seed})" if method.seeded else method.name


def reward_model(study: Study, model: str, method: Method, seed: int) -> RewardModel | None:
    """Reward model of a method under a base model; None where it has none."""
    if method.kind == "head":
        return heads_of(study, model, [method], [seed])
    source = study.reward_source(method, model, seed)
    if source is None:
        return None
    if method.kind == "classifier":
        return _classifier(source, method.name)
    if method.kind == "p-dpo":
        return _p_dpo(source, method.name)
    return AutoregressiveReward(method.name, language_model(source), relative=method.relative)


def encodings_of(
    tokenizer: Any,
    rows: Sequence[Example],
    form: PromptFormat,
    *,
    context: int,
    room: int,
    asks: Callable[[Example], Prompt] = lambda row: Prompt(row.prompt),
) -> list[Encoding]:
    """Ids of each example's prompt and candidates as a model reads them."""
    encodings = []
    for row in rows:
        with in_example(row.id):
            said, asked = list(row.candidates.values()), asks(row)
            found = encode(tokenizer, asked.text, said, form, context=context, room=room)
            encodings.append(_told(found, asked))
    return encodings


def _told(found: Encoding, asked: Prompt) -> Encoding:
    """Flag a prompt that lost whole shots as one that was cut."""
    return replace(found, overlong=True) if asked.left_out else found


def shown_prompt(
    method: Method,
    row: Example,
    tokenizer: Any,
    form: PromptFormat,
    responses: Sequence[str] = (),
    *,
    context: int,
    room: int,
    seed: int = 0,
) -> Prompt:
    """Text of a method's own prompt, with the shots that fit."""
    fits = fitting(tokenizer, form, responses, context=context, room=room)
    return build_prompt(row, method.prompt, count=counter_of(tokenizer), seed=seed, fits=fits)


def reward_prompt(
    reward: RewardModel, method: Method, row: Example, room: int, responses: Sequence[str] = ()
) -> tuple[str, Encoding]:
    """Text and ids of a prompt as its reward model reads it, the user's soft tokens before all.

    Given responses, it is cut where all of them agree on it (``boundary = "joint"``).
    """
    prefix = reward.prefix(row.user) if isinstance(reward, AutoregressiveReward) else ()
    tokenizer, form = reward.backbone.tokenizer, method.form
    limits = {"context": reward.backbone.context, "room": room + len(prefix)}
    asked = shown_prompt(method, row, tokenizer, form, responses, **limits)
    if responses:
        found = encode(tokenizer, asked.text, responses, form, **limits)
    else:
        found = encode_prompt(tokenizer, asked.text, form, **limits)
    return asked.text, replace(_told(found, asked), prompt=(*prefix, *found.prompt))


def score_base(
    study: Study, shard: Shard, rows: Sequence[Example], names: Sequence[str]
) -> xr.Dataset:
    """Score by the base model, and in the same pass by all reward heads on it."""
    model = language_model(study.models[shard.model])
    methods = [method for method in study.methods.values() if method.kind == "head"]
    seeds = study.reward_seeds
    heads = heads_of(study, shard.model, methods, seeds) if methods else None
    suffix = suffix_ids(model.tokenizer, study.prompt) if heads else ()
    context = model.backbone.context
    encodings = encodings_of(model.tokenizer, rows, study.prompt, context=context, room=len(suffix))
    users = [row.user for row in rows]
    if isinstance(model, Engine):
        found = completions.score(model, encodings, options=study.scoring)
    else:
        found = score(
            model, encodings, heads=heads, users=users, suffix=suffix, options=study.scoring
        )
    bases = [[base for base, _ in row] for row in found]
    ds = base_arrays(rows, bases, encodings, names)
    if np.isfinite(model.parameters):
        ds["parameters"] = ("model", [float(model.parameters)])
    if isinstance(model, Engine):
        unknown = [any(np.isnan(base.token_logprob).any() for base in row) for row in bases]
        ds["logprob_missing"] = diagnostic(("model", "example"), [unknown])
    baselines = [method for method in study.methods.values() if method.kind in BASELINES]
    if methods or baselines:
        kinds = [method.kind for method in baselines]
        rewards = [
            [
                add_baselines(kinds, base, ids, study.scoring, others) if kinds else others
                for (base, others), ids in zip(row, encoding.continuations, strict=True)
            ]
            for row, encoding in zip(found, encodings, strict=True)
        ]
        # Heads by name and seed, then baselines, which are the same for every seed.
        scored = list(heads.methods) if heads else []
        places = [[scored.index(head_label(each, seed)) for seed in seeds] for each in methods]
        places += [[len(scored) + place] * len(seeds) for place in range(len(baselines))]
        arrays = reward_arrays(
            rows,
            [[each for each in row if each is not None] for row in rewards],
            [method.name for method in (*methods, *baselines)],
            names,
            weights=study.scoring.weights,
            trace=study.scoring.trace,
            scoring=study.scoring.scoring,
            columns=np.array(places),
            seeds=seeds if len(seeds) > 1 else (),
        )
        ds = ds.merge(arrays)
    return ds


def score_reward(
    study: Study, shard: Shard, rows: Sequence[Example], names: Sequence[str]
) -> xr.Dataset:
    """Score by a reward model of its own backbone, over the base model's ids where it can."""
    method, source = study.methods[shard.method], study.models[shard.model]
    reward = reward_model(study, shard.model, method, shard.seed)
    assert reward is not None
    tokenizer, backbone = loading.load_tokenizer(source), reward.backbone
    suffix = suffix_ids(backbone.tokenizer, method.form) if isinstance(reward, HeadReward) else ()
    shared = loading.same_vocabulary(tokenizer, backbone.tokenizer)
    base: list[list[BaseScores]] | None = None
    if shared:
        ours = encodings_of(tokenizer, rows, study.prompt, context=source.limit, room=0)
        theirs = _over_same_tokens(study.prompt, method, reward, rows, ours, len(suffix))
        if study.scoring.weights or method.relative:
            asked = completions.score if isinstance(source, EngineSource) else score
            found = asked(language_model(source), ours, options=study.scoring)
            base = [[each for each, _ in row] for row in found]
    else:
        judges, context = backbone.tokenizer, backbone.context
        limits = {"context": context, "room": len(suffix)}

        def asks(row: Example) -> Prompt:
            said = list(row.candidates.values())
            return shown_prompt(method, row, judges, method.form, said, **limits)

        theirs = encodings_of(judges, rows, method.form, asks=asks, **limits)
    users = [row.user for row in rows]
    rewards = score_rewards(
        reward, theirs, users=users, base=base, suffix=suffix, options=study.scoring
    )
    weights = study.scoring.weights if base is not None else ()
    trace = study.scoring.trace and shared
    options = {"weights": weights, "trace": trace, "scoring": study.scoring.scoring}
    ds = reward_arrays(rows, rewards, [method.name], names, **options)
    cut = [[[each.overlong for each in theirs]]]
    ds["reward_overlong"] = diagnostic(("method", "model", "example"), cut)
    return ds


def _over_same_tokens(
    form: PromptFormat,
    method: Method,
    reward: RewardModel,
    rows: Sequence[Example],
    ours: Sequence[Encoding],
    suffix: int,
) -> list[Encoding]:
    """Ids for a reward model that shares the base model's tokenizer: the same continuations."""
    encodings = []
    for row, encoding in zip(rows, ours, strict=True):
        with in_example(row.id):
            joint = form.boundary == "joint"
            said = list(row.candidates.values()) if joint else []
            room = suffix + (0 if joint else max(map(len, encoding.continuations)))
            text, prompt = reward_prompt(reward, method, row, room, said)
            # Where a joint tokenisation cuts depends on the prompt, so it must be the same one.
            same = replace(method.form, suffix="none") == replace(form, suffix="none")
            if joint and not (same and text == row.prompt):
                what = f"is joint, but {method.name!r} reads a prompt of its own"
                mend = "set boundary = 'split', or give it the study's template"
                raise fault(what, mend, variable="prompt.boundary")
        encodings.append(Encoding(prompt.prompt, encoding.continuations, prompt.overlong))
    return encodings


def score_judge(
    study: Study, shard: Shard, rows: Sequence[Example], names: Sequence[str]
) -> xr.Dataset:
    """Let a judge compare chosen and rejected, told of each user by a persona."""
    method = study.methods[shard.method]
    source, options = study.reward_source(method, shard.model, shard.seed), method.judge
    assert source is not None
    assert options is not None
    model = language_model(source)
    pairs: dict[str, list[Example]] = {}
    for each in read_examples(study.located(options.pairs)) if options.pairs else ():
        pairs.setdefault(each.user, []).append(each)
    evidence = [evidence_of(model, row, pairs, options) for row in rows]
    personas = write_personas(model, evidence, options, method.form)
    told = [personas[each] for each in evidence]
    found = []
    for row, persona in zip(rows, told, strict=True):
        with in_example(row.id):
            found.append(ask(model, row, persona, options, method.form))
    judgements = judge(model, found, study.scoring)
    return judge_arrays(judgements, told, method.name, names)


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
    elif shard.method and study.methods[shard.method].judge:
        found = score_judge(study, shard, rows, candidate_names(examples))
    elif shard.method:
        found = score_reward(study, shard, rows, candidate_names(examples))
    else:
        found = score_base(study, shard, rows, candidate_names(examples))
    found = found.assign_coords(model=[shard.model])
    found["user"] = ("example", [row.user for row in rows])
    found.attrs["shard_key"] = shard.key
    found.attrs["device"] = _device_name(study.models[shard.model])
    return found


def _device_name(source: loading.ModelSource) -> str:
    if isinstance(source, EngineSource):
        return "a server"
    device = source.resolved_device()
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _generate(study: Study, shard: Shard, rows: Sequence[Example]) -> xr.Dataset:
    method = study.methods[shard.method]
    model = language_model(study.models[shard.model])
    reward = reward_model(study, shard.model, method, shard.seed)
    requests, shots = [], []
    for row in rows:
        with in_example(row.id):
            request, count = _request(study, method, model, reward, row, shard.seed)
        requests.append(request)
        shots.append(count)
    found = (guided.decode if isinstance(model, Engine) else decode)(
        model,
        requests,
        method.decoding_for(shard.model),
        seed=shard.seed,
        reward=reward,
        form=study.prompt,
        judged=method.form,
        scoring=study.scoring,
    )
    ds = generation_arrays(found, requests, shots, rows, method.name)
    if isinstance(model, Engine):
        unknown = [bool(each.text) and np.isnan(each.logprob) for each in found]
        ds["generation_unscored"] = diagnostic(("model", "method", "example"), [[unknown]])
    return ds


def _request(
    study: Study,
    method: Method,
    model: LanguageModel | Engine,
    reward: RewardModel | None,
    row: Example,
    seed: int,
) -> tuple[Request, int]:
    """What to ask for an example, and how many shots the prompt shows."""
    tokenizer, context = model.tokenizer, model.backbone.context
    prompt, shots = prompt_of(study, method, tokenizer, context, row, seed)
    key = f"{row.id}\0{method.name}"
    if reward is None or method.source is None:
        return Request(key, prompt, row.user), shots
    judges, room = reward.backbone.tokenizer, method.decoding.max_new_tokens
    suffix = suffix_ids(judges, method.form) if isinstance(reward, HeadReward) else ()
    theirs = reward_prompt(reward, method, row, room + len(suffix))
    return Request(key, prompt, row.user, *theirs), shots


def prompt_of(
    study: Study, method: Method, tokenizer: Any, context: int, row: Example, seed: int
) -> tuple[Encoding, int]:
    """Ids that a base model answers for a method, and how many shots they show."""
    limits = {"context": context, "room": method.decoding.max_new_tokens}
    asked = Prompt(row.prompt)
    if not method.rewarded:
        asked = shown_prompt(method, row, tokenizer, study.prompt, seed=seed, **limits)
    found = encode_prompt(tokenizer, asked.text, study.prompt, **limits)
    return _told(found, asked), asked.shots

"""What a shard holds: scores of given responses, or responses that were written."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import xarray as xr

from preflamp_backend.arrays import generation_arrays
from preflamp_backend.data import Example
from preflamp_backend.decoding.decode import Request, decode
from preflamp_backend.models import HeadReward, LanguageModel, RewardModel
from preflamp_backend.prompting import build_prompt
from preflamp_backend.shard_prompts import counter_of, naming, reward_prompt, reward_text
from preflamp_backend.shard_scores import score_base, score_judge, score_reward
from preflamp_backend.shards import Shard
from preflamp_backend.sources import ModelSource
from preflamp_backend.study import Method, Study
from preflamp_backend.study_models import language_model, reward_model
from preflamp_backend.text import encode_prompt, suffix_ids

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


def candidate_names(examples: Sequence[Example]) -> list[str]:
    """Names of all candidates: chosen, rejected, then the others in order."""
    others = {name for row in examples for name in row.candidates} - {"chosen", "rejected"}
    return ["chosen", "rejected", *sorted(others)]


def _device_name(source: ModelSource) -> str:
    device = source.resolved_device()
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _generate(study: Study, shard: Shard, rows: Sequence[Example]) -> xr.Dataset:
    method = study.methods[shard.method]
    model = language_model(study.models[shard.model])
    reward = reward_model(study, shard.model, method, shard.seed)
    requests, shots = [], []
    for row in rows:
        with naming(row):
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
        built = build_prompt(row, method.prompt, count=counter_of(model.tokenizer), seed=seed)
        text, shots = built.text, built.shots
    prompt = encode_prompt(model.tokenizer, text, study.prompt, room=room, context=context)
    key = f"{row.id}\0{method.name}"
    if reward is None or method.source is None:
        return Request(key, prompt, row.user), shots
    backbone = reward.backbone
    theirs = reward_text(method, row, backbone.tokenizer)
    suffix = suffix_ids(backbone.tokenizer, method.form) if isinstance(reward, HeadReward) else ()
    their_prompt = reward_prompt(reward, method, theirs, row, room + len(suffix))
    return Request(key, prompt, row.user, theirs, their_prompt), shots

"""The models of a study, loaded once for the shards that follow one another; what they read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from preflamp_backend.data import Example
from preflamp_backend.faults import in_example
from preflamp_backend.models.loading import (
    load_heads,
    load_language_model,
    load_sequence_classifier,
)
from preflamp_backend.models.model import (
    AutoregressiveReward,
    HeadReward,
    RewardModel,
)
from preflamp_backend.prompts.encoding import Encoding, PromptFormat, encode, encode_prompt
from preflamp_backend.prompts.in_context import build_prompt
from preflamp_backend.rewards.p_rlhf import load_p_rlhf
from preflamp_backend.study.methods import Method
from preflamp_backend.study.study import Study

language_model = lru_cache(maxsize=2)(load_language_model)
"""A language model by its source; the last two stay loaded."""
_classifier = lru_cache(maxsize=1)(load_sequence_classifier)
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
    return load_heads(language_model(study.models[model]).backbone, paths)


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
    tokenizer: Any, rows: Sequence[Example], form: PromptFormat, *, context: int, room: int
) -> list[Encoding]:
    """Ids of each example's prompt and candidates as a base model reads them."""
    encodings = []
    for row in rows:
        with in_example(row.id):
            said = list(row.candidates.values())
            encodings.append(encode(tokenizer, row.prompt, said, form, context=context, room=room))
    return encodings


def reward_text(method: Method, row: Example, tokenizer: Any) -> str:
    """Text of a prompt for a method's own reward model."""
    return build_prompt(row, method.prompt, count=counter_of(tokenizer)).text


def reward_prompt(
    reward: RewardModel, method: Method, text: str, row: Example, room: int
) -> Encoding:
    """Ids of a prompt as its reward model reads it, the user's soft tokens before all."""
    prefix, backbone = _prefix(reward, row), reward.backbone
    prompt = encode_prompt(
        backbone.tokenizer, text, method.form, room=room + len(prefix), context=backbone.context
    )
    return replace(prompt, prompt=(*prefix, *prompt.prompt))


def joint_prompt(
    reward: RewardModel, method: Method, row: Example, responses: Sequence[str], suffix: int
) -> Encoding:
    """As :func:`reward_prompt`, of the study's own prompt, cut where all responses agree on it."""
    prefix, backbone = _prefix(reward, row), reward.backbone
    found = encode(
        backbone.tokenizer,
        row.prompt,
        responses,
        method.form,
        context=backbone.context,
        room=suffix + len(prefix),
    )
    return replace(found, prompt=(*prefix, *found.prompt))


def _prefix(reward: RewardModel, row: Example) -> tuple[int, ...]:
    return reward.prefix(row.user) if isinstance(reward, AutoregressiveReward) else ()


def counter_of(tokenizer: Any) -> Callable[[str], int]:
    """Count tokens of a text."""
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False))

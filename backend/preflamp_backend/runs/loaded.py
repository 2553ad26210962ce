"""The models of a study, loaded once for the shards that follow one another."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from preflamp_backend.models.loading import (
    load_heads,
    load_language_model,
    load_sequence_classifier,
)
from preflamp_backend.models.model import (
    AutoregressiveReward,
    HeadReward,
    LanguageModel,
    RewardModel,
)
from preflamp_backend.models.sources import ModelSource
from preflamp_backend.rewards.p_rlhf import load_p_rlhf
from preflamp_backend.study.study import Method, Study


@lru_cache(maxsize=2)
def language_model(source: ModelSource) -> LanguageModel:
    """A language model; the last two stay loaded."""
    return load_language_model(source)


@lru_cache(maxsize=1)
def _classifier(source: ModelSource, name: str) -> HeadReward:
    return load_sequence_classifier(source, name)


@lru_cache(maxsize=1)
def _p_dpo(source: ModelSource, name: str) -> AutoregressiveReward:
    return load_p_rlhf(source, name)


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

"""Generations scored by the code, and so by the definition, that scores stored responses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from preflamp_backend.decoding.options import Generation, Request, Written
from preflamp_backend.models.model import HeadReward, LanguageModel, RewardModel
from preflamp_backend.models.sources import same_vocabulary
from preflamp_backend.prompts.encoding import Encoding, PromptFormat, encode
from preflamp_backend.scoring.score import BaseScores, ScoreOptions, score, score_rewards


def score_written(
    model: LanguageModel,
    requests: Sequence[Request],
    written: Sequence[Sequence[Written]],
    reward: RewardModel | None,
    form: PromptFormat,
    suffix: Sequence[int],
    options: ScoreOptions,
) -> list[Generation]:
    """Score what was written, and keep of each request's samples the one of the highest reward.

    Ids are scored as they were written: decoding and encoding them again would give others.
    """
    own_end = model.eos[:1] if form.count_eos else ()
    users = [request.user for request in requests]
    encodings = [
        Encoding(
            request.prompt.prompt,
            tuple((*each.ids, *(own_end if each.stop == "eos" else ())) for each in samples),
        )
        for request, samples in zip(requests, written, strict=True)
    ]
    shared = isinstance(reward, HeadReward) and reward.backbone is model.backbone
    heads = reward if shared and isinstance(reward, HeadReward) else None
    scored = score(model, encodings, heads=heads, users=users, suffix=suffix, options=options)
    rewards = [[float(r.reward[0]) if r else np.nan for _, r in row] for row in scored]
    if reward is not None and not shared:
        base = [[each for each, _ in row] for row in scored]
        rewards = _rewards_apart(model, requests, encodings, base, reward, form, suffix, options)
    generations = []
    for samples, row, gained in zip(written, scored, rewards, strict=True):
        # Best-of-n keeps the first of equals; an empty response, whose reward is NaN, comes last.
        best = int(np.argmax(np.nan_to_num(gained, nan=-np.inf)))
        ids, logprob = samples[best].ids, row[best][0].logprob
        text = _text(model, ids)
        generations.append(Generation(ids, text, samples[best].stop, logprob, gained[best]))
    return generations


def _text(model: LanguageModel, ids: Sequence[int]) -> str:
    return str(model.tokenizer.decode(list(ids), skip_special_tokens=True))


def _rewards_apart(
    model: LanguageModel,
    requests: Sequence[Request],
    encodings: Sequence[Encoding],
    base: Sequence[Sequence[BaseScores]],
    reward: RewardModel,
    form: PromptFormat,
    suffix: Sequence[int],
    options: ScoreOptions,
) -> list[list[float]]:
    """Rewards by a model with a backbone of its own, over the same ids where they mean the same."""
    users = [request.user for request in requests]
    tokenizer, context = reward.backbone.tokenizer, reward.backbone.context
    if same_vocabulary(model.tokenizer, tokenizer):
        theirs = [
            Encoding((request.reward_prompt or request.prompt).prompt, encoding.continuations)
            for request, encoding in zip(requests, encodings, strict=True)
        ]
        said = [["ids"] * len(each.continuations) for each in encodings]
        known: Sequence[Sequence[BaseScores]] | None = base
    else:
        said = [[_text(model, ids) for ids in row.continuations] for row in encodings]
        theirs = [
            encode(
                tokenizer,
                request.reward_text,
                [text or " " for text in row],
                form,
                context=context,
                room=len(suffix),
            )
            for request, row in zip(requests, said, strict=True)
        ]
        known = None
    found = score_rewards(reward, theirs, users=users, base=known, suffix=suffix, options=options)
    return [
        [float(each.reward[0]) if text else np.nan for each, text in zip(row, texts, strict=True)]
        for row, texts in zip(found, said, strict=True)
    ]

"""Responses to prompts by any strategy, each with ids, reward, log-probability and stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from preflamp_backend.batching import in_batches
from preflamp_backend.decoding.guided import Written, write
from preflamp_backend.decoding.options import DecodingOptions
from preflamp_backend.decoding.pick import uniforms
from preflamp_backend.models import HeadReward, LanguageModel, RewardModel
from preflamp_backend.scoring import BaseScores, ScoreOptions, score, score_rewards
from preflamp_backend.text import Encoding, PromptFormat, encode, suffix_ids
from preflamp_backend.vocabulary import same_vocabulary
from preflamp_stats.errors import InputError, Problem

__all__ = ["Generation", "Request", "decode"]


@dataclass(frozen=True)
class Request:
    """A prompt to answer.

    Parameters
    ----------
    key : str
        Names the example and the method; with the seed it fixes every random number.
    prompt : Encoding
        As the base model reads it.
    user : str
        Whose reward heads are meant.
    reward_text : str, optional
        The prompt as text for a reward model with a backbone of its own.
    reward_prompt : Encoding, optional
        The prompt as that reward model reads it.
    """

    key: str
    prompt: Encoding
    user: str = ""
    reward_text: str = ""
    reward_prompt: Encoding | None = None


@dataclass(frozen=True)
class Generation:
    """A response that was written.

    Attributes
    ----------
    ids : tuple of int
        Without the end-of-sequence token.
    text : str
    stop : {"eos", "length", "context"}
    logprob : float
        log π of the ids under the base model, nats: of what :func:`preflamp_backend.scoring.score`
        counts.
    reward : float
        NaN without a reward model and for an empty response.
    """

    ids: tuple[int, ...]
    text: str
    stop: str
    logprob: float
    reward: float


def decode(
    model: LanguageModel,
    requests: Sequence[Request],
    options: DecodingOptions,
    *,
    seed: int = 0,
    reward: RewardModel | None = None,
    form: PromptFormat | None = None,
    scoring: ScoreOptions | None = None,
) -> list[Generation]:
    """Answer prompts, in batches of similar length.

    Parameters
    ----------
    model : LanguageModel
    requests : sequence of Request
    options : DecodingOptions
    seed : int
        Of every draw, together with the requests' keys.
    reward : HeadReward or AutoregressiveReward, optional
        With one method. Guides the steps, chooses among n, or only scores a plain generation.
    form : PromptFormat, optional
        Says whether the end-of-sequence token counts, and what suffix reward models read.
    scoring : ScoreOptions, optional
        Batch size of scoring.

    Returns
    -------
    list of Generation
        One a request, in order.

    Raises
    ------
    InputError
        If the strategy needs a reward model and there is none, or as :func:`write` and
        :func:`score`.
    """
    form = form or PromptFormat()
    scoring = scoring or ScoreOptions(trace=False)
    if reward is None and options.strategy != "plain":
        raise InputError(
            Problem(f"{options.strategy} decoding needs a reward model", "name one for this method")
        )
    suffix = suffix_ids(reward.backbone.tokenizer, form) if isinstance(reward, HeadReward) else ()
    samples = options.n if options.strategy == "best-of-n" else 1
    guide = reward if options.strategy == "guided" else None

    def run(batch: list[Request]) -> list[list[Written]]:
        keys = [f"{request.key}\0{i}" for request in batch for i in range(samples)]
        written = write(
            model,
            [request.prompt.prompt for request in batch],
            options,
            uniforms(seed, keys, options.max_new_tokens),
            samples=samples,
            reward=guide,
            reward_prompts=[(request.reward_prompt or request.prompt).prompt for request in batch],
            users=[request.user for request in batch],
            suffix=suffix,
        )
        return [written[i : i + samples] for i in range(0, len(written), samples)]

    written = in_batches(
        requests,
        lambda request: len(request.prompt.prompt) + options.max_new_tokens,
        run,
        budget=options.batch_rows * model.backbone.context,
        most=max(1, options.batch_rows // samples),
    )
    return _scored(model, requests, written, reward, form, suffix, scoring)


def _scored(
    model: LanguageModel,
    requests: Sequence[Request],
    written: Sequence[Sequence[Written]],
    reward: RewardModel | None,
    form: PromptFormat,
    suffix: Sequence[int],
    options: ScoreOptions,
) -> list[Generation]:
    """Score generations by the code, and so by the definition, that scores stored responses.

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
    logprobs = [[base.logprob for base, _ in row] for row in scored]
    rewards = [[float(r.reward[0]) if r else np.nan for _, r in row] for row in scored]
    if reward is not None and not shared:
        base = [[each for each, _ in row] for row in scored]
        rewards = _rewards_apart(model, requests, encodings, base, reward, form, suffix, options)
    generations = []
    for samples, logprob, gained in zip(written, logprobs, rewards, strict=True):
        # Best-of-n keeps the first of equals; an empty response, whose reward is NaN, comes last.
        best = int(np.argmax(np.nan_to_num(gained, nan=-np.inf)))
        ids = samples[best].ids
        text = str(model.tokenizer.decode(list(ids), skip_special_tokens=True))
        generations.append(Generation(ids, text, samples[best].stop, logprob[best], gained[best]))
    return generations


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
    tokenizer = reward.backbone.tokenizer
    if same_vocabulary(model.tokenizer, tokenizer):
        theirs = [
            Encoding((request.reward_prompt or request.prompt).prompt, encoding.continuations)
            for request, encoding in zip(requests, encodings, strict=True)
        ]
        found = score_rewards(
            reward,
            theirs,
            users=users,
            base=base,
            suffix=suffix,
            options=options,
        )
        return [[float(each.reward[0]) for each in row] for row in found]
    texts = [
        [
            str(model.tokenizer.decode(list(ids), skip_special_tokens=True))
            for ids in row.continuations
        ]
        for row in encodings
    ]
    theirs = [
        encode(
            tokenizer,
            request.reward_text,
            [text or " " for text in row],
            form,
            context=reward.backbone.context,
            room=len(suffix),
        )
        for request, row in zip(requests, texts, strict=True)
    ]
    found = score_rewards(reward, theirs, users=users, suffix=suffix, options=options)
    return [
        [float(each.reward[0]) if text else np.nan for each, text in zip(row, said, strict=True)]
        for row, said in zip(found, texts, strict=True)
    ]

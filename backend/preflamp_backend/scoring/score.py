"""Log-probabilities, rewards, reward traces and the guided policy's score of given responses.

One forward a batch of prompts serves all their candidates, the trace of every prefix, and every
reward head on the same backbone. Only what a definition demands is run besides: an end-of-turn
suffix after each prefix, and the alternatives that the renormalised policy score compares.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from preflamp_backend.faults import fault
from preflamp_backend.models.model import (
    AutoregressiveReward,
    HeadReward,
    LanguageModel,
    RewardModel,
)
from preflamp_backend.prompts.encoding import Encoding
from preflamp_backend.scoring.batching import in_batches
from preflamp_backend.scoring.forward import Forward, chain_room
from preflamp_backend.scoring.scores import BaseScores, RewardScores, ScoreOptions
from preflamp_backend.scoring.token_scores import (
    FlatScores,
    autoregressive_scores,
    head_scores,
    token_logprobs,
)


@torch.inference_mode()
def score(
    model: LanguageModel,
    encodings: Sequence[Encoding],
    *,
    heads: HeadReward | None = None,
    users: Sequence[str] = (),
    suffix: Sequence[int] = (),
    options: ScoreOptions | None = None,
) -> list[list[tuple[BaseScores, RewardScores | None]]]:
    """Score every continuation under a language model and, in the same pass, heads on its backbone.

    Parameters
    ----------
    model : LanguageModel
    encodings : sequence of Encoding
    heads : HeadReward, optional
        Reward heads on ``model.backbone``.
    users : sequence of str
        Whose heads to take, one an encoding; needed with ``heads`` only.
    suffix : sequence of int
        Ids that the heads read after a response or prefix.
    options : ScoreOptions, optional

    Returns
    -------
    list of list of (BaseScores, RewardScores or None)
        A list an encoding, an entry a continuation.

    Raises
    ------
    InputError
        If a reward is not finite or a single example does not fit the memory.
    """
    options = options or ScoreOptions()

    def run(batch: list[int]) -> list[list[tuple[BaseScores, RewardScores | None]]]:
        chosen = [encodings[i] for i in batch]
        room = _room(suffix, options) if heads else 0
        forward = Forward(model.backbone, chosen, room=room)
        base = token_logprobs(model, forward, options.proposals)
        bases = [BaseScores(*each) for each in forward.split(*base)]
        if heads is None:
            return forward.nest([(each, None) for each in bases])
        of_batch = heads.for_users([users[i] for i in batch], forward.prompt)
        rewards = head_scores(forward, of_batch, suffix, base, options)
        return forward.nest(list(zip(bases, rewards, strict=True)))

    indices = list(range(len(encodings)))
    return in_batches(indices, lambda i: len(encodings[i]), run, budget=options.batch_tokens)


@torch.inference_mode()
def score_rewards(
    reward: RewardModel,
    encodings: Sequence[Encoding],
    *,
    users: Sequence[str] = (),
    base: Sequence[Sequence[BaseScores]] | None = None,
    suffix: Sequence[int] = (),
    options: ScoreOptions | None = None,
) -> list[list[RewardScores]]:
    """Score every continuation under a reward model that has a backbone of its own.

    Parameters
    ----------
    reward : HeadReward or AutoregressiveReward
    encodings : sequence of Encoding
        Of the reward model's own prompt. Where ``base`` is given the continuations must be the ids
        that ``base`` was computed for.
    users : sequence of str
        Whose heads to take; needed for a :class:`HeadReward` only.
    base : sequence of sequence of BaseScores, optional
        The base model's scores of the same ids; without them there is no policy score.
    suffix, options
        As for :func:`score`.

    Returns
    -------
    list of list of RewardScores

    Raises
    ------
    InputError
        If a reward is not finite, or a relative reward lacks the base model's scores.
    """
    options = options or ScoreOptions()
    if isinstance(reward, AutoregressiveReward) and reward.relative and base is None:
        raise fault(
            f"the reward of {reward.method!r} is relative to a model with another tokenizer",
            "take a reward model that shares the base model's tokenizer",
        )
    weighed = bool(options.weights) and base is not None

    def run(batch: list[int]) -> list[list[RewardScores]]:
        chosen = [encodings[i] for i in batch]
        chained = isinstance(reward, HeadReward) and (suffix or weighed)
        room = _room(suffix, options) if chained else 0
        forward = Forward(reward.backbone, chosen, room=room)
        known = None if base is None else _joined([base[i] for i in batch], reward.backbone.device)
        if isinstance(reward, HeadReward):
            heads = reward.for_users([users[i] for i in batch], forward.prompt)
            return forward.nest(head_scores(forward, heads, suffix, known, options))
        return forward.nest(autoregressive_scores(reward, forward, known, options))

    indices = list(range(len(encodings)))
    return in_batches(indices, lambda i: len(encodings[i]), run, budget=options.batch_tokens)


def _room(suffix: Sequence[int], options: ScoreOptions) -> int:
    """Cache slots for chains; none where no chain is hung."""
    if not suffix and not options.weights:
        return 0
    return chain_room(max(1, options.proposals), 1 + len(suffix))


def _joined(rows: Sequence[Sequence[BaseScores]], device: torch.device) -> FlatScores:
    """Flat tensors of base scores computed before."""
    every = [each for row in rows for each in row]
    columns = ("token_logprob", "top_ids", "top_logprob")
    joined = [
        torch.from_numpy(np.concatenate([getattr(each, name) for each in every])).to(device)
        for name in columns
    ]
    return joined[0], joined[1], joined[2]

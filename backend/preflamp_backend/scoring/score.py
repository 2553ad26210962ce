"""Log-probabilities, rewards, reward traces and the guided policy's score of given responses.

One forward a batch of prompts serves all their candidates, the trace of every prefix, and every
reward head on the same backbone. Only what a definition demands is run besides: an end-of-turn
suffix after each prefix, and the alternatives that the guided policy's score compares.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from preflamp_backend.faults import fault
from preflamp_backend.models.heads.head import BatchRewards
from preflamp_backend.models.model import (
    AutoregressiveReward,
    Backbone,
    HeadReward,
    LanguageModel,
    RewardModel,
)
from preflamp_backend.options import Options, at_least, option
from preflamp_backend.prompts.encoding import Encoding
from preflamp_backend.scoring.forward import Forward, chain_room, in_batches
from preflamp_stats.errors import InputError


def _are_weights(weights: tuple[float, ...]) -> bool:
    return all(0 <= weight < math.inf for weight in weights)


@dataclass(frozen=True)
class ScoreOptions(Options):
    """What is scored, and in batches of what size.

    Parameters
    ----------
    weights : tuple of float
        Weights w of the policy score; empty leaves it out.
    top_k : int
        Tokens whose probability the reward changes.
    scoring : {"renormalised", "renormalised_with_target"}
        Likelihood under the guided policy: over its top tokens π·exp(w·r), scaled to the
        probability that π gives to them together, and π itself beyond. Or, as before, π·exp(w·r)
        over the top tokens and y_t: the support then depends on the token, and it is no likelihood.
    trace : bool
        Keep the reward of every prefix.
    batch_tokens : int
        Tokens a batch, padding included; halved where memory runs out.
    """

    weights: tuple[float, ...] = option((), _are_weights, "take finite weights from 0")
    top_k: int = at_least(1, 10)
    scoring: Literal["renormalised", "renormalised_with_target"] = "renormalised"
    trace: bool = True
    batch_tokens: int = at_least(1, 8192)

    @property
    def proposals(self) -> int:
        """Alternatives needed at each position."""
        return self.top_k if self.weights else 0


@dataclass(frozen=True)
class BaseScores:
    """What the base model says of one response of n tokens.

    Attributes
    ----------
    token_logprob : (n,), float32
        log π(y_t given x, y_<t), nats.
    top_ids, top_logprob : (n, top_k)
        Most probable tokens at each position; top_k is 0 unless a policy score is asked for.
    """

    token_logprob: NDArray[np.float32]
    top_ids: NDArray[np.int64]
    top_logprob: NDArray[np.float32]

    @property
    def logprob(self) -> float:
        """Log-probability of the whole response, nats; NaN of an empty one, which has none."""
        return (
            float(self.token_logprob.sum(dtype=np.float64)) if len(self.token_logprob) else np.nan
        )


@dataclass(frozen=True)
class RewardScores:
    """What reward models say of one response of n tokens.

    Attributes
    ----------
    reward : (methods,), float32
        Reward of the whole response; NaN for an empty one.
    trace : (methods, n), float32
        Reward of each prefix; n is 0 where no trace was asked for.
    policy : (weights, methods), float64
        Σ_t log p̃(y_t), as the option ``scoring`` says.
    """

    reward: NDArray[np.float32]
    trace: NDArray[np.float32]
    policy: NDArray[np.float64]


def unsound_reward(method: str) -> InputError:
    """Make the error of a reward model that gives no number."""
    return fault(
        f"the reward model {method!r} gives a reward that is not a finite number",
        "check its weights, and prefer bfloat16 or float32 to float16",
        variable="reward",
    )


def unsound_model(model: LanguageModel) -> InputError:
    """Make the error of a language model that gives no number."""
    dtype = str(model.backbone.network.dtype).removeprefix("torch.")
    mend = "check its weights"
    if dtype == "float16":
        mend = "set dtype = 'bfloat16' or 'float32', which hold larger numbers"
    what = f"the model gives log-probabilities that are not finite numbers in {dtype}"
    return fault(what, mend, variable="dtype")


def check_room(backbone: Backbone, encodings: Sequence[Encoding], suffix: int = 0) -> None:
    """Refuse what a model cannot see whole: it would give wrong numbers without a word.

    Raises
    ------
    InputError
        For a prompt that is longer with its longest continuation, and ``suffix`` tokens behind it,
        than the context.
    """
    for each in encodings:
        length = len(each.prompt) + max(map(len, each.continuations), default=0) + suffix
        if length > backbone.context:
            what = f"a text of {length} tokens is longer than the model's context"
            mend = "encode it with this context, which cuts its prompt"
            raise fault(f"{what} of {backbone.context}", mend, variable="context")


_LOGITS_AT_ONCE = 1 << 24
"""Logits held at a time (64 MB in float32), whatever the vocabulary."""


FlatScores = tuple[Tensor, Tensor, Tensor]
"""token_logprob (tokens,), top_ids (tokens, k), top_logprob (tokens, k)"""


def token_logprobs(
    model: LanguageModel, forward: Forward, top: int, at: Tensor | None = None
) -> FlatScores:
    """Log-probabilities of the response tokens and of the top ones, or those ``at`` (tokens, k)."""
    packed = forward.packed
    hidden, targets = forward.hidden[packed.row, packed.predictor], packed.targets
    vocabulary = model.logits(hidden[:1]).shape[-1]
    own, ids, alternatives = [], [], []
    step = max(1, _LOGITS_AT_ONCE // vocabulary)
    for start in range(0, max(1, len(hidden)), step):
        part = slice(start, start + step)
        logits = model.logits(hidden[part])
        normaliser = logits.logsumexp(-1, keepdim=True)
        # Rounding may lift a certain token above probability 1.
        own.append((logits.gather(-1, targets[part, None]) - normaliser)[:, 0].clamp(max=0))
        if at is None:
            values, which = logits.topk(min(top, vocabulary), -1)
        else:
            which = at[part]
            values = logits.gather(-1, which)
        ids.append(which)
        alternatives.append(values - normaliser)
    return torch.cat(own), torch.cat(ids), torch.cat(alternatives)


def head_scores(
    forward: Forward,
    heads: BatchRewards,
    suffix: Sequence[int],
    base: FlatScores | None,
    options: ScoreOptions,
) -> list[RewardScores]:
    """Scores by reward heads, one a branch; the policy's where the base model's are given."""
    packed = forward.packed
    tail = torch.tensor(list(suffix), dtype=torch.int64, device=packed.ids.device)
    tokens = torch.arange(len(packed.row), device=packed.ids.device)
    if not suffix:
        trace = heads(forward.hidden)[packed.row, packed.slot]
    else:
        trace = torch.full((len(tokens), len(heads.methods)), math.nan, device=packed.ids.device)
        if not options.trace and not options.weights:
            ends = torch.tensor(forward.lengths, device=tokens.device)
            tokens = (ends.cumsum(0) - 1)[ends > 0]
        chains = tail.expand(len(tokens), 1, -1)
        trace[tokens] = forward.chains(tokens, chains, packed.slot[tokens], heads)[:, 0]
    policy = None
    if base is not None and options.weights:
        top_ids = base[1]
        chains = torch.cat([top_ids[..., None], tail.expand(*top_ids.shape, -1)], -1)
        everywhere = torch.arange(len(packed.row), device=packed.ids.device)
        leaves = forward.chains(everywhere, chains, packed.predictor, heads)
        policy = _policy_logprobs(packed.targets, base, trace, leaves, options)
    return _per_response(heads.methods, forward, trace, policy, options)


def autoregressive_scores(
    reward: AutoregressiveReward, forward: Forward, base: FlatScores | None, options: ScoreOptions
) -> list[RewardScores]:
    """Scores by a language model's own log-probabilities, as :func:`head_scores`."""
    at = base[1] if base is not None else None
    own, _, leaves = token_logprobs(reward.model, forward, 0, at)
    if reward.relative and base is not None:
        own, leaves = own - base[0], leaves - base[2]
    own, leaves = reward.scale * own, reward.scale * leaves
    policy = None
    if base is not None and options.weights:
        # The reward of the prefix is the same for every alternative and cancels.
        targets = forward.packed.targets
        policy = _policy_logprobs(targets, base, own[:, None], leaves[..., None], options)
    trace = torch.cat([part.double().cumsum(0) for part in own.split(forward.lengths)]).float()
    return _per_response(reward.methods, forward, trace[:, None], policy, options)


def _policy_logprobs(
    targets: Tensor, base: FlatScores, own: Tensor, leaves: Tensor, options: ScoreOptions
) -> Tensor:
    """Log p̃(y_t), (tokens, weights, methods).

    Parameters
    ----------
    targets : Tensor, (tokens,), int64
    base : token_logprob, top_ids, top_logprob
    own : Tensor, (tokens, methods)
        Reward with y_t as the next token.
    leaves : Tensor, (tokens, k, methods)
        Reward with each top token as the next.
    options : ScoreOptions
    """
    logprob, top_ids, top_logprob = (
        each.double()[..., None] if each.is_floating_point() else each[..., None] for each in base
    )
    chosen = top_ids == targets[:, None, None]
    own, leaves = own.double(), leaves.double()
    scores = []
    for weight in options.weights:
        every = top_logprob + weight * leaves
        if options.scoring == "renormalised":
            # What π gives to the top tokens together is shared out among them anew.
            scale = top_logprob.logsumexp(1) - every.logsumexp(1)
            mine = every.masked_fill(~chosen, -math.inf).logsumexp(1) + scale
            scores.append(torch.where(chosen.any(1), mine, logprob))
        else:
            mine = logprob + weight * own
            rivals = every.masked_fill(chosen, -math.inf)
            scores.append(mine - torch.cat([mine[:, None], rivals], 1).logsumexp(1))
    return torch.stack(scores, 1)


def _per_response(
    methods: Sequence[str],
    forward: Forward,
    trace: Tensor,
    policy: Tensor | None,
    options: ScoreOptions,
) -> list[RewardScores]:
    if policy is None:
        policy = trace.new_full((len(trace), len(options.weights), len(methods)), math.nan).double()
    scores = []
    for prefix_rewards, logprobs in forward.split(trace, policy):
        reward = (
            prefix_rewards[-1] if len(prefix_rewards) else np.full(len(methods), np.nan, np.float32)
        )
        if len(prefix_rewards) and not np.isfinite(reward).all():
            raise unsound_reward(methods[int(np.argmin(np.isfinite(reward)))])
        kept = prefix_rewards.T if options.trace else np.empty((len(methods), 0), np.float32)
        scores.append(RewardScores(reward, kept, logprobs.sum(0)))
    return scores


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
        If a log-probability or reward is not finite, a text is longer than the context, or a single
        example does not fit the memory.
    """
    options = options or ScoreOptions()
    check_room(model.backbone, encodings, len(suffix) if heads else 0)

    def run(batch: list[int]) -> list[list[tuple[BaseScores, RewardScores | None]]]:
        chosen = [encodings[i] for i in batch]
        room = _room(suffix, options) if heads else 0
        forward = Forward(model.backbone, chosen, room=room)
        base = token_logprobs(model, forward, options.proposals)
        if not bool(base[0].isfinite().all()):
            raise unsound_model(model)
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
        If a reward is not finite, a text is longer than the context, or a relative reward lacks
        the base model's scores.
    """
    options = options or ScoreOptions()
    check_room(reward.backbone, encodings, len(suffix))
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

"""From hidden states of a batch of trees to log-probabilities, rewards and the guided policy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from preflamp_backend.models.heads.head import BatchRewards
from preflamp_backend.models.model import AutoregressiveReward, LanguageModel
from preflamp_backend.scoring.forward import Forward
from preflamp_backend.scoring.scores import RewardScores, ScoreOptions, unsound_reward

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
        policy = _policy_logprobs(packed.targets, base, trace, leaves, options.weights)
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
        policy = _policy_logprobs(targets, base, own[:, None], leaves[..., None], options.weights)
    trace = torch.cat([part.double().cumsum(0) for part in own.split(forward.lengths)]).float()
    return _per_response(reward.methods, forward, trace[:, None], policy, options)


def _policy_logprobs(
    targets: Tensor, base: FlatScores, own: Tensor, leaves: Tensor, weights: Sequence[float]
) -> Tensor:
    """Log p̃(y_t), (tokens, weights, methods), p̃ over the top tokens and y_t.

    Parameters
    ----------
    targets : Tensor, (tokens,), int64
    base : token_logprob, top_ids, top_logprob
    own : Tensor, (tokens, methods)
        Reward with y_t as the next token.
    leaves : Tensor, (tokens, k, methods)
        Reward with each top token as the next.
    weights : sequence of float
    """
    logprob, top_ids, top_logprob = (
        each.double() if each.is_floating_point() else each for each in base
    )
    others = top_logprob.masked_fill(top_ids == targets[:, None], -math.inf)
    own, leaves = own.double(), leaves.double()
    scores = []
    for weight in weights:
        mine = logprob[:, None] + weight * own
        theirs = others[..., None] + weight * leaves
        scores.append(mine - torch.cat([mine[:, None], theirs], 1).logsumexp(1))
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

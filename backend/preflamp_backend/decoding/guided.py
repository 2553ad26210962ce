"""The decoding loop, and three ways of taking a step: plain, by reward heads, by reward logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from preflamp_backend.decoding.inference import Inference
from preflamp_backend.decoding.options import DecodingOptions
from preflamp_backend.decoding.pick import choose, propose
from preflamp_backend.models import (
    AutoregressiveReward,
    HeadReward,
    LanguageModel,
    RewardModel,
)
from preflamp_backend.rewards.batch import BatchRewards
from preflamp_backend.scores import unsound_reward
from preflamp_backend.vocabulary import other_tokenizer, same_vocabulary
from preflamp_stats.errors import InputError, Problem

__all__ = ["Written", "write"]

Ids = Sequence[int]


@dataclass(frozen=True)
class Written:
    """Ids of a generation without the end-of-sequence token, and why it stopped.

    ``stop`` is ``eos``, ``length`` (max_new_tokens) or ``context`` (the model can see no further).
    """

    ids: tuple[int, ...]
    stop: str


class Steps(Protocol):
    """A batch of sequences being written."""

    def next(self, uniform: Tensor) -> Tensor:
        """Append a token to every row: uniform (rows,) in, token ids (rows,) out."""

    def select(self, rows: Tensor) -> None:
        """Go on with these rows only."""


@torch.inference_mode()
def write(
    model: LanguageModel,
    prompts: Sequence[Ids],
    options: DecodingOptions,
    uniform: Tensor,
    *,
    samples: int = 1,
    reward: RewardModel | None = None,
    reward_prompts: Sequence[Ids] | None = None,
    users: Sequence[str] = (),
    suffix: Ids = (),
) -> list[Written]:
    """Write responses to one batch of prompts.

    Parameters
    ----------
    model : LanguageModel
    prompts : sequence of sequence of int
    options : DecodingOptions
    uniform : Tensor, (rows, max_new_tokens)
        Random numbers in [0, 1), a row for each sample of each prompt.
    samples : int
        Responses a prompt; the prompt is read once for all of them.
    reward : HeadReward or AutoregressiveReward, optional
        What guides the steps; None for plain decoding.
    reward_prompts : sequence of sequence of int, optional
        The prompts as the reward model reads them; the model's own where left out.
    users : sequence of str
        Whose heads guide, one a prompt.
    suffix : sequence of int
        Ids that reward heads read after a prefix.

    Returns
    -------
    list of Written
        Samples of a prompt stand together.

    Raises
    ------
    InputError
        If the reward model's tokenizer is another: then a token of one means nothing to the other.
    """
    if reward is not None and not same_vocabulary(model.tokenizer, reward.backbone.tokenizer):
        raise other_tokenizer(reward.methods[0])
    steps = _start(
        model, prompts, options, samples, reward, reward_prompts or prompts, users, suffix
    )
    space = [model.backbone.context - len(prompt) for prompt in prompts for _ in range(samples)]
    if reward is not None:
        theirs = reward.backbone.context - len(suffix)
        spaces = (
            theirs - len(prompt) for prompt in reward_prompts or prompts for _ in range(samples)
        )
        space = [min(pair) for pair in zip(space, spaces, strict=True)]
    return _run(
        steps, options.max_new_tokens, space, set(model.eos), uniform.to(model.backbone.device)
    )


def _run(
    steps: Steps, longest: int, space: Sequence[int], eos: set[int], uniform: Tensor
) -> list[Written]:
    """Take steps until every row has stopped; drop those that have once they are half."""
    ids: list[list[int]] = [[] for _ in space]
    stop = ["" if room > 0 else "context" for room in space]
    rows = list(range(len(space)))
    for step in range(longest):
        writing = [row for row in rows if not stop[row]]
        if not writing:
            break
        if 2 * len(writing) <= len(rows):
            places = [place for place, row in enumerate(rows) if not stop[row]]
            steps.select(torch.tensor(places, device=uniform.device))
            rows = writing
        draws = uniform[torch.tensor(rows, device=uniform.device), step]
        for row, token in zip(rows, steps.next(draws).tolist(), strict=True):
            if stop[row]:
                continue
            if token in eos:
                stop[row] = "eos"
                continue
            ids[row].append(token)
            if len(ids[row]) == min(longest, space[row]):
                stop[row] = "length" if len(ids[row]) == longest else "context"
    return [Written(tuple(each), why) for each, why in zip(ids, stop, strict=True)]


def _start(
    model: LanguageModel,
    prompts: Sequence[Ids],
    options: DecodingOptions,
    samples: int,
    reward: RewardModel | None,
    reward_prompts: Sequence[Ids],
    users: Sequence[str],
    suffix: Ids,
) -> Steps:
    longest = options.max_new_tokens
    if isinstance(reward, HeadReward):
        if options.top_k is None:
            raise InputError(
                Problem(
                    "is not set", "take 10: a reward is computed for each token", variable="top_k"
                )
            )
        room = longest + options.top_k * (1 + len(suffix))
        shared = reward.backbone is model.backbone
        inference = Inference(model.backbone, prompts, room=room if shared else longest)
        judge = inference if shared else Inference(reward.backbone, reward_prompts, room=room)
        heads = reward.for_users(users, judge.last)
        return _HeadSteps(model, inference, judge, heads, options, suffix)
    inference = Inference(model.backbone, prompts, room=longest)
    if samples > 1:
        every = torch.arange(len(prompts), device=model.backbone.device)
        inference.select(every.repeat_interleave(samples))
    if reward is None:
        return _PlainSteps(model, inference, options)
    judge = Inference(reward.backbone, reward_prompts, room=longest)
    return _LogitSteps(model, inference, reward, judge, options)


class _PlainSteps:
    """The model's own next token."""

    def __init__(
        self, model: LanguageModel, inference: Inference, options: DecodingOptions
    ) -> None:
        self.model, self.inference, self.options = model, inference, options
        self.hidden = inference.last
        self.written: Tensor | None = None

    def next(self, uniform: Tensor) -> Tensor:
        """Read the last token only now: the one before a stop never is."""
        if self.written is not None:
            self.hidden = self.inference.step(self.written)
        logits = self.model.logits(self.hidden)
        if self.options.top_k is None:
            self.written = choose(logits, self.options.temperature, uniform)
            return self.written
        ids, logprobs = propose(logits, self.options.top_k)
        at = choose(logprobs, self.options.temperature, uniform)
        self.written = ids.gather(1, at[:, None])[:, 0]
        return self.written

    def select(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        self.inference.select(rows)
        self.hidden = self.hidden[rows]
        self.written = None if self.written is None else self.written[rows]


class _HeadSteps:
    """ARGS: log π(v) + w·r([x, y_<t, v]) over the top tokens v, all of them read as one tree.

    With reward heads on the model's own backbone the tree has read the chosen token too: its
    hidden state gives the next logits, and a step is one forward.
    """

    def __init__(
        self,
        model: LanguageModel,
        inference: Inference,
        judge: Inference,
        heads: BatchRewards,
        options: DecodingOptions,
        suffix: Ids,
    ) -> None:
        self.model, self.inference, self.judge = model, inference, judge
        self.heads, self.options = heads, options
        self.suffix = torch.tensor(list(suffix), dtype=torch.int64, device=judge.backbone.device)
        self.hidden = inference.last

    def next(self, uniform: Tensor) -> Tensor:
        """One tree of the top tokens, each with the suffix behind it."""
        ids, logprobs = propose(self.model.logits(self.hidden), self.options.top_k)
        rows = torch.arange(len(ids), device=ids.device)
        chains = torch.cat([ids[..., None], self.suffix.expand(*ids.shape, -1)], -1)
        hidden = self.judge.branch(chains)
        rewards = self.heads(hidden[:, :, -1])[..., 0]
        _check_numbers(rewards, self.heads.methods[0])
        at = choose(logprobs + self.options.weight * rewards, self.options.temperature, uniform)
        written = ids[rows, at]
        self.judge.keep(at * chains.shape[-1])
        if self.judge is self.inference:
            self.hidden = hidden[rows, at, 0]
        else:
            self.hidden = self.inference.step(written)
        return written

    def select(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        self.inference.select(rows)
        if self.judge is not self.inference:
            self.judge.select(rows)
        self.hidden = self.hidden[rows]
        self.heads.select(rows)


class _LogitSteps:
    """GenARM: log π(v) + w·log π_r(v). PAD: log π(v) + w·[log π_r(v) − log π(v)]."""

    def __init__(
        self,
        model: LanguageModel,
        inference: Inference,
        reward: AutoregressiveReward,
        judge: Inference,
        options: DecodingOptions,
    ) -> None:
        self.model, self.inference, self.options = model, inference, options
        self.reward, self.judge = reward, judge
        self.hidden, self.judged = inference.last, judge.last
        self.written: Tensor | None = None

    def next(self, uniform: Tensor) -> Tensor:
        """One token through each of the two models."""
        if self.written is not None:
            self.hidden = self.inference.step(self.written)
            self.judged = self.judge.step(self.written)
        ids, logprobs = propose(self.model.logits(self.hidden), self.options.top_k)
        # Models with one tokenizer may pad their vocabularies to different sizes.
        guide = self.reward.model.logits(self.judged).log_softmax(-1)
        rewards = guide.gather(-1, ids.clamp(max=guide.shape[-1] - 1))
        if self.reward.relative:
            rewards = rewards - logprobs
        rewards = self.reward.scale * rewards
        _check_numbers(rewards, self.reward.method)
        at = choose(logprobs + self.options.weight * rewards, self.options.temperature, uniform)
        self.written = ids.gather(1, at[:, None])[:, 0]
        return self.written

    def select(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        self.inference.select(rows)
        self.judge.select(rows)
        self.hidden, self.judged = self.hidden[rows], self.judged[rows]
        self.written = None if self.written is None else self.written[rows]


def _check_numbers(rewards: Tensor, method: str) -> None:
    """Name the method whose rewards would decide nothing: NaN wins every comparison in argmax."""
    if bool(rewards.isnan().any()):
        raise unsound_reward(method)

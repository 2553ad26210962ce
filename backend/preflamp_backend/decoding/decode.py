"""Responses to prompts by any strategy, each with ids, reward, log-probability and stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from preflamp_backend.decoding.options import DecodingOptions
from preflamp_backend.decoding.pick import choose, propose, uniforms
from preflamp_backend.faults import fault
from preflamp_backend.models.heads.head import BatchRewards
from preflamp_backend.models.model import (
    AutoregressiveReward,
    Backbone,
    HeadReward,
    LanguageModel,
    RewardModel,
)
from preflamp_backend.models.sources import other_tokenizer, same_vocabulary
from preflamp_backend.models.trees import SlotCache, pack
from preflamp_backend.prompts.encoding import Encoding, PromptFormat, encode, suffix_ids
from preflamp_backend.scoring.batching import in_batches
from preflamp_backend.scoring.score import BaseScores, ScoreOptions, score, score_rewards
from preflamp_backend.scoring.scores import unsound_reward


class Inference:
    """Prompts read into a cache, ready to go on.

    Parameters
    ----------
    backbone : Backbone
    prompts : sequence of sequence of int
        Ids, a row each; their lengths may differ.
    room : int
        Slots for what follows: the new tokens and the widest tree.

    Attributes
    ----------
    last : Tensor, (rows, width)
        Hidden state of each prompt's last token.
    """

    def __init__(self, backbone: Backbone, prompts: Sequence[Sequence[int]], *, room: int) -> None:
        packed = pack([(prompt, ()) for prompt in prompts], device=backbone.device)
        width = packed.ids.shape[1]
        self.backbone = backbone
        self.cache = SlotCache(width + room)
        hidden = backbone.hidden(packed.ids, packed.positions, packed.mask, self.cache)
        self.cache.advance(width)
        self.last = hidden[torch.arange(len(prompts), device=backbone.device), packed.last]
        # Padding stands between a short prompt and what it goes on with, and is never seen.
        slots = torch.arange(width + room, device=backbone.device)
        self._seen = (slots <= packed.last[:, None]) | (slots >= width)
        self._position = packed.last + 1

    def branch(self, chains: Tensor) -> Tensor:
        """Hidden states of chains that each go on from the row's sequence.

        Parameters
        ----------
        chains : Tensor, (rows, chains, length), int64

        Returns
        -------
        Tensor, (rows, chains, length, width)
        """
        count = chains.shape[1]
        seen = self._seen[:, None, : self.cache.used].expand(-1, count, -1)
        start = self._position[:, None].expand(-1, count)
        return self.backbone.branch(self.cache, chains, seen, start)

    def keep(self, offset: Tensor) -> None:
        """Go on with a token that :meth:`branch` just read, the ``offset``-th, (rows,)."""
        self.cache.keep(offset)
        self._position = self._position + 1

    def step(self, tokens: Tensor) -> Tensor:
        """Append a token to each row, (rows,), and return its hidden state, (rows, width)."""
        hidden = self.branch(tokens[:, None, None])[:, 0, 0]
        self.cache.advance(1)
        self._position = self._position + 1
        return hidden

    def select(self, rows: Tensor) -> None:
        """Go on with these rows, (kept,), int64; a row may be named more than once."""
        self.cache.select(rows)
        self.last = self.last[rows]
        self._seen = self._seen[rows]
        self._position = self._position[rows]


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
            raise fault(
                "is not set", "take 10: a reward is computed for each token", variable="top_k"
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
        log π of the ids under the base model, nats, as
        :func:`preflamp_backend.scoring.score.score` counts them.
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
        raise fault(f"{options.strategy} decoding needs a reward model", "name one for this method")
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

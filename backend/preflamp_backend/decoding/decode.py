"""The way of every token that is written: requests in batches, steps, one forward each.

A step is taken in one of three ways: plain, by reward heads, by another model's logits.

What was written is scored by the code, and so by the definition, that scores stored responses.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from preflamp_backend.decoding.options import DecodingOptions, Generation, Ids, Request, Written
from preflamp_backend.decoding.stop_strings import StopStrings
from preflamp_backend.faults import fault
from preflamp_backend.models.heads.head import BatchRewards
from preflamp_backend.models.loading import other_tokenizer, same_vocabulary
from preflamp_backend.models.model import (
    AutoregressiveReward,
    HeadReward,
    LanguageModel,
    RewardModel,
)
from preflamp_backend.models.sequences import sequences
from preflamp_backend.prompts.encoding import (
    Encoding,
    PromptFormat,
    encode,
    suffix_ids,
    turn_end,
)
from preflamp_backend.scoring.forward import Batches
from preflamp_backend.scoring.score import (
    BaseScores,
    ScoreOptions,
    check_room,
    score,
    score_rewards,
    unsound_model,
    unsound_reward,
)


def propose(logits: Tensor, top_k: int | None) -> tuple[Tensor, Tensor]:
    """Log-probabilities of the tokens considered at a step.

    Parameters
    ----------
    logits : Tensor, (rows, vocabulary), float32
    top_k : int, optional
        How many; None for all.

    Returns
    -------
    ids : Tensor, (rows, k), int64
        In ascending order, so that of equal scores the lowest id wins, as in greedy decoding.
    logprobs : Tensor, (rows, k), float32
    """
    logprobs = logits.log_softmax(-1)
    if top_k is None or top_k >= logits.shape[-1]:
        ids = torch.arange(logits.shape[-1], device=logits.device).expand_as(logits)
        return ids, logprobs
    ids = logprobs.topk(top_k, -1).indices.sort(-1).values
    return ids, logprobs.gather(-1, ids)


def choose(scores: Tensor, temperature: float, uniform: Tensor) -> Tensor:
    """Pick one of k scores a row.

    Parameters
    ----------
    scores : Tensor, (rows, k)
    temperature : float
        0 for the best; otherwise softmax(scores / temperature) is sampled.
    uniform : Tensor, (rows,)
        A number in [0, 1) a row, which alone decides the draw; unused when greedy.

    Returns
    -------
    Tensor, (rows,), int64

    Examples
    --------
    >>> scores = torch.tensor([[0.0, 2.0], [0.0, 2.0]])
    >>> choose(scores, 0.0, torch.zeros(2)).tolist()
    [1, 1]
    >>> choose(scores, 1.0, torch.tensor([0.1, 0.2])).tolist()
    [0, 1]
    """
    if temperature == 0:
        return scores.argmax(-1)
    reached = (scores.double() / temperature).softmax(-1).cumsum(-1)
    goal = uniform.double()[:, None] * reached[:, -1:]
    return torch.searchsorted(reached, goal, right=True)[:, 0].clamp(max=scores.shape[-1] - 1)


def uniforms(seed: int, keys: Sequence[str], steps: int) -> Tensor:
    """Random numbers that depend on seed and key only, not on who else is in the batch.

    Parameters
    ----------
    seed : int
    keys : sequence of str
        One a row; name the example, the method and the sample.
    steps : int

    Returns
    -------
    Tensor, (rows, steps), float64
    """
    rows = []
    for key in keys:
        words = np.frombuffer(
            hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest(), np.uint32
        )
        entropy = np.random.SeedSequence([seed, *words.tolist()])
        rows.append(np.random.Generator(np.random.PCG64(entropy)).random(steps))
    return torch.from_numpy(np.stack(rows))


class Base:
    """A base model after prompts and what is written to them, and what it would say next."""

    share = 0.5
    """Rows that have stopped are dropped once this share is left."""

    def __init__(self, model: Any, prompts: Sequence[Ids], room: int) -> None:
        self.model = model
        self.inference: Any = sequences(model.backbone, prompts, room=room)
        self.hidden: Tensor = self.inference.last

    def propose(self, top_k: int | None) -> tuple[Tensor, Tensor]:
        """Return the tokens considered and their log-probabilities, as :func:`propose`."""
        ids, logprobs = propose(self.model.logits(self.hidden), top_k)
        _check_logits(logprobs, self.model)
        return ids, logprobs

    def select(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        self.inference.select(rows)
        self.hidden = self.hidden[rows]

    def said(self, row: int, ids: Ids) -> tuple[float, ...]:
        """Log-probabilities of what was written, where they are known already."""
        return ()


class Draft:
    """A response that is being written, until something ends it.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
    options : DecodingOptions
    ends : sequence of int
        Ids that end it.
    space : int
        Tokens that the model can still see.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, options: DecodingOptions, ends: Ids, space: int
    ) -> None:
        self.ends, self.longest, self.space = ends, options.max_new_tokens, space
        self.cut = StopStrings(tokenizer, options.stop or ())
        self.ids: list[int] = []
        self.end: tuple[int, ...] = ()
        self.stop = "" if space > 0 else "context"

    def add(self, token: int) -> None:
        """Append a token, unless it has ended."""
        if self.stop:
            return
        if token in self.ends:
            self.stop, self.end = "eos", (token,)
            return
        self.ids.append(token)
        if (kept := self.cut(self.ids)) is not None:
            self.ids, self.stop = kept, "stop"
        elif len(self.ids) == min(self.longest, self.space):
            self.stop = "length" if len(self.ids) == self.longest else "context"


def decode(
    model: Any,
    requests: Sequence[Request],
    options: DecodingOptions,
    *,
    seed: int = 0,
    reward: RewardModel | None = None,
    form: PromptFormat | None = None,
    judged: PromptFormat | None = None,
    scoring: ScoreOptions | None = None,
    begin: Callable[[Any, Sequence[Ids], int], Base] = Base,
    finish: Callable[..., list[Generation]] | None = None,
) -> list[Generation]:
    """Answer prompts, in batches of similar length.

    Parameters
    ----------
    model : LanguageModel
        Or a served one, with what begins and finishes in its place.
    requests : sequence of Request
    options : DecodingOptions
    seed : int
        Of every draw, together with the requests' keys.
    reward : HeadReward or AutoregressiveReward, optional
        With one method. Guides the steps, chooses among n, or only scores a plain generation.
    form : PromptFormat, optional
        Says whether a chat's end of turn ends a response too, and whether what ended it counts.
    judged : PromptFormat, optional
        Says what suffix the reward model reads; ``form`` where it is left out.
    scoring : ScoreOptions, optional
        Batch size of scoring.
    begin : callable
        As of :func:`write`.
    finish : callable, optional
        In place of :func:`score_written`.

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
    judged, scoring = judged or form, scoring or ScoreOptions(trace=False)
    suffix, ends = suffix_read(reward, options, judged), ends_of(model, form)
    guide = reward if options.strategy == "guided" else None
    samples = options.n if options.strategy == "best-of-n" else 1
    how: dict[str, Any] = {"samples": samples, "reward": guide, "suffix": suffix, "ends": ends}
    written: dict[int, list[Written]] = {}
    batches = Batches(
        [len(request.prompt.prompt) + options.max_new_tokens for request in requests],
        budget=options.batch_rows * model.backbone.context,
        most=max(1, options.batch_rows // samples),
    )
    for batch in batches:
        asked = [requests[i] for i in batch]
        keys = [f"{request.key}\0{i}" for request in asked for i in range(samples)]
        drawn = uniforms(seed, keys, options.max_new_tokens)
        with batches.memory():
            done = write(model, asked, options, drawn, begin=begin, **how)
            parts = range(0, len(done), samples)
            written |= {i: done[at : at + samples] for i, at in zip(batch, parts, strict=True)}
    every = [written[i] for i in range(len(requests))]
    counted, finish = form.count_eos, finish or score_written
    return finish(model, requests, every, reward, counted, judged, suffix, scoring)


def suffix_read(reward: RewardModel | None, options: DecodingOptions, judged: PromptFormat) -> Ids:
    """Ids that reward heads read after a prefix.

    Raises
    ------
    InputError
        If the strategy needs a reward model and there is none.
    """
    if reward is None and options.strategy != "plain":
        what = f"{options.strategy} decoding needs a reward model"
        raise fault(what, "name one for this method")
    return suffix_ids(reward.backbone.tokenizer, judged) if isinstance(reward, HeadReward) else ()


def ends_of(model: Any, form: PromptFormat) -> Ids:
    """Ids that end a response of a model: its own and, of a chat, the turn's."""
    end = turn_end(model.tokenizer) if form.chat else None
    ends: Ids = model.eos if end is None else (*model.eos, end)
    return ends


@torch.inference_mode()
def write(
    model: Any,
    requests: Sequence[Request],
    options: DecodingOptions,
    uniform: Tensor,
    *,
    samples: int = 1,
    reward: RewardModel | None = None,
    suffix: Ids = (),
    ends: Ids | None = None,
    begin: Callable[[Any, Sequence[Ids], int], Base] = Base,
) -> list[Written]:
    """Write responses to one batch of prompts.

    Parameters
    ----------
    model : LanguageModel
        Or a served one, of which ``begin`` makes a :class:`Base`.
    requests : sequence of Request
    options : DecodingOptions
    uniform : Tensor, (rows, max_new_tokens)
        Random numbers in [0, 1), a row for each sample of each prompt.
    samples : int
        Responses a prompt; the prompt is read once for all of them.
    reward : HeadReward or AutoregressiveReward, optional
        What guides the steps; None for plain decoding.
    suffix : sequence of int
        Ids that reward heads read after a prefix.
    ends : sequence of int, optional
        Ids that end a response; the model's own where left out.
    begin : callable
        Reads prompts, to go on from them: model, prompts and room to a :class:`Base`.

    Returns
    -------
    list of Written
        Samples of a prompt stand together.

    Raises
    ------
    InputError
        If the reward model's tokenizer is another: then a token of one means nothing to the other;
        for a prompt that the model cannot see whole, or numbers that are not finite.
    """
    ends = model.eos if ends is None else ends
    check_room(model.backbone, [each.prompt for each in requests])
    space = [model.backbone.context - len(each.prompt.prompt) for each in requests]
    if reward is not None:
        if not same_vocabulary(model.tokenizer, reward.backbone.tokenizer):
            raise other_tokenizer(reward.methods[0])
        theirs = reward.backbone.context - len(suffix)
        spaces = (theirs - len(each.judged) for each in requests)
        check_room(reward.backbone, [Encoding(tuple(each.judged)) for each in requests])
        space = [min(pair) for pair in zip(space, spaces, strict=True)]
    space = [room for room in space for _ in range(samples)]
    device, longest = (reward or model).backbone.device, options.max_new_tokens
    room, prompts = longest, [each.prompt.prompt for each in requests]
    if isinstance(reward, HeadReward) and reward.backbone is model.backbone:
        room += (options.top_k or 0) * (1 + len(suffix))
    base = begin(model, prompts, room)
    steps: _PlainSteps | _HeadSteps
    if reward is None:
        steps = _PlainSteps(base, options)
        if samples > 1:
            steps.select(torch.arange(len(prompts), device=device).repeat_interleave(samples))
    elif isinstance(reward, HeadReward):
        steps = _HeadSteps(base, options, requests, reward, suffix)
    else:
        steps = _LogitSteps(base, options, requests, reward)
    uniform = uniform.to(device)
    drafts = [Draft(model.tokenizer, options, ends, room) for room in space]
    rows = list(range(len(space)))
    for step in range(longest):
        writing = [row for row in rows if not drafts[row].stop]
        if not writing:
            break
        if len(writing) < len(rows) and len(writing) <= base.share * len(rows):
            places = [place for place, row in enumerate(rows) if not drafts[row].stop]
            steps.select(torch.tensor(places, device=device))
            rows = writing
        draws = uniform[torch.tensor(rows, device=device), step]
        for row, token in zip(rows, steps.next(draws).tolist(), strict=True):
            drafts[row].add(token)
    return [
        Written(tuple(each.ids), each.stop, each.end, base.said(row, (*each.ids, *each.end)))
        for row, each in enumerate(drafts)
    ]


class _PlainSteps:
    """The model's own next token."""

    def __init__(self, base: Base, options: DecodingOptions) -> None:
        self.base, self.options = base, options
        self.written: Tensor | None = None

    def next(self, uniform: Tensor) -> Tensor:
        """Append a token to every row: uniform (rows,) in, token ids (rows,) out.

        The last token is read only now: the one before a stop never is.
        """
        if self.written is not None:
            self.base.hidden = self.base.inference.go_on(self.written)
        if self.options.top_k is None:
            logits = self.base.model.logits(self.base.hidden)
            self.written = choose(logits, self.options.temperature, uniform)
            _check_logits(logits.gather(1, self.written[:, None]), self.base.model)
            return self.written
        return self.pick(*self.base.propose(self.options.top_k), uniform)

    def pick(self, ids: Tensor, scores: Tensor, uniform: Tensor) -> Tensor:
        """Append the token of the best or drawn score."""
        at = choose(scores, self.options.temperature, uniform)
        self.written = ids.gather(1, at[:, None])[:, 0]
        return self.written

    def select(self, rows: Tensor) -> None:
        """Go on with these rows only; one may be named more than once."""
        self.base.select(rows)
        self.written = None if self.written is None else self.written[rows]


class _LogitSteps(_PlainSteps):
    """GenARM: log π(v) + w·log π_r(v). PAD: log π(v) + w·[log π_r(v) − log π(v)]."""

    def __init__(
        self,
        base: Base,
        options: DecodingOptions,
        requests: Sequence[Request],
        reward: AutoregressiveReward,
    ) -> None:
        super().__init__(base, options)
        self.reward = reward
        judged = [each.judged for each in requests]
        self.judge = sequences(reward.backbone, judged, room=options.max_new_tokens)
        self.judged = self.judge.last

    def next(self, uniform: Tensor) -> Tensor:
        """One token through each of the two models."""
        if self.written is not None:
            self.base.hidden = self.base.inference.go_on(self.written)
            self.judged = self.judge.go_on(self.written)
        ids, logprobs = self.base.propose(self.options.top_k)
        # Models with one tokenizer may pad their vocabularies to different sizes.
        guide = self.reward.model.logits(self.judged).log_softmax(-1)
        rewards = guide.gather(-1, ids.clamp(max=guide.shape[-1] - 1))
        if self.reward.relative:
            rewards = rewards - logprobs
        rewards = self.reward.scale * rewards
        _check_numbers(rewards, self.reward.method)
        return self.pick(ids, logprobs + self.options.weight * rewards, uniform)

    def select(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        super().select(rows)
        self.judge.select(rows)
        self.judged = self.judged[rows]


class _HeadSteps:
    """ARGS: log π(v) + w·r([x, y_<t, v]) over the top tokens v, all of them read as one tree.

    With reward heads on the model's own backbone the tree has read the chosen token too: its
    hidden state gives the next logits, and a step is one forward.
    """

    def __init__(
        self,
        base: Base,
        options: DecodingOptions,
        requests: Sequence[Request],
        reward: HeadReward,
        suffix: Ids,
    ) -> None:
        if options.top_k is None:
            mend = "take 10: a reward is computed for each token"
            raise fault("is not set", mend, variable="top_k")
        self.base, self.options = base, options
        self.shared = reward.backbone is base.model.backbone
        if self.shared:
            self.judge = base.inference
        else:
            room = options.max_new_tokens + options.top_k * (1 + len(suffix))
            self.judge = sequences(reward.backbone, [each.judged for each in requests], room=room)
        users = [each.user for each in requests]
        self.heads: BatchRewards = reward.for_users(users, self.judge.last)
        self.suffix = torch.tensor(list(suffix), dtype=torch.int64, device=reward.backbone.device)

    def next(self, uniform: Tensor) -> Tensor:
        """One tree of the top tokens, each with the suffix behind it."""
        ids, logprobs = self.base.propose(self.options.top_k)
        rows = torch.arange(len(ids), device=ids.device)
        chains = torch.cat([ids[..., None], self.suffix.expand(*ids.shape, -1)], -1)
        hidden = self.judge.branch(chains)
        rewards = self.heads(hidden[:, :, -1])[..., 0]
        _check_numbers(rewards, self.heads.methods[0])
        at = choose(logprobs + self.options.weight * rewards, self.options.temperature, uniform)
        written = ids[rows, at]
        self.judge.keep(at * chains.shape[-1])
        if self.shared:
            self.base.hidden = hidden[rows, at, 0]
        else:
            self.base.hidden = self.base.inference.go_on(written)
        return written

    def select(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        self.base.select(rows)
        if not self.shared:
            self.judge.select(rows)
        self.heads.select(rows)


def _check_logits(found: Tensor, model: LanguageModel) -> None:
    """Stop at the first step that a model's overflow decides: argmax takes NaN and infinity."""
    if not bool((found < math.inf).all()):
        raise unsound_model(model)


def _check_numbers(rewards: Tensor, method: str) -> None:
    """Name the method whose rewards would decide nothing: NaN wins every comparison in argmax."""
    if bool(rewards.isnan().any()):
        raise unsound_reward(method)


def score_written(
    model: LanguageModel,
    requests: Sequence[Request],
    written: Sequence[Sequence[Written]],
    reward: RewardModel | None,
    counted: bool,
    judged: PromptFormat,
    suffix: Sequence[int],
    options: ScoreOptions,
) -> list[Generation]:
    """Score what was written, and keep of each request's samples the one of the highest reward.

    Ids are scored as they were written, with what ended them where that is ``counted``: decoding
    and encoding them again would give others.
    """
    users = [request.user for request in requests]
    encodings = [
        Encoding(request.prompt.prompt, tuple(each.counted(counted) for each in samples))
        for request, samples in zip(requests, written, strict=True)
    ]
    shared = isinstance(reward, HeadReward) and reward.backbone is model.backbone
    heads = reward if shared and isinstance(reward, HeadReward) else None
    scored = score(model, encodings, heads=heads, users=users, suffix=suffix, options=options)
    rewards = [[float(r.reward[0]) if r else np.nan for _, r in row] for row in scored]
    if reward is not None and not shared:
        ids = [each.continuations for each in encodings]
        base = [[each for each, _ in row] for row in scored]
        texts = [[text_of(model.tokenizer, each) for each in row] for row in ids]
        alike = same_vocabulary(model.tokenizer, reward.backbone.tokenizer)
        of_ids = {"ids": ids, "base": base} if alike else {}
        rewards = rewards_apart(requests, texts, reward, judged, suffix, options, **of_ids)
    generations = []
    for samples, row, gained in zip(written, scored, rewards, strict=True):
        at = best(gained)
        ids_, logprob = samples[at].ids, row[at][0].logprob
        text = text_of(model.tokenizer, ids_)
        generations.append(Generation(ids_, text, samples[at].stop, logprob, gained[at]))
    return generations


def best(gained: Sequence[float]) -> int:
    """Place of the highest reward: the first of equals; an empty response's, NaN, comes last."""
    return int(np.argmax(np.nan_to_num(gained, nan=-np.inf)))


def text_of(tokenizer: PreTrainedTokenizerBase, ids: Ids) -> str:
    """Text of a response."""
    return str(tokenizer.decode(list(ids), skip_special_tokens=True))


def rewards_apart(
    requests: Sequence[Request],
    texts: Sequence[Sequence[str]],
    reward: RewardModel,
    form: PromptFormat,
    suffix: Ids,
    options: ScoreOptions,
    ids: Sequence[Sequence[tuple[int, ...]]] | None = None,
    base: Sequence[Sequence[BaseScores]] | None = None,
) -> list[list[float]]:
    """Rewards by a model with a backbone of its own: of ids that mean the same to it, or texts.

    ``base`` is what the base model says of the ids. NaN for an empty response.
    """
    tokenizer, context = reward.backbone.tokenizer, reward.backbone.context
    if ids is not None:
        theirs = [
            Encoding(tuple(request.judged), tuple(row))
            for request, row in zip(requests, ids, strict=True)
        ]
    else:
        limits = {"context": context, "room": len(suffix)}
        theirs = [
            encode(tokenizer, request.reward_text, [text or " " for text in row], form, **limits)
            for request, row in zip(requests, texts, strict=True)
        ]
    users = [request.user for request in requests]
    found = score_rewards(reward, theirs, users=users, base=base, suffix=suffix, options=options)
    return [
        [float(each.reward[0]) if text or ids else np.nan for each, text in zip(*row, strict=True)]
        for row in zip(found, texts, strict=True)
    ]

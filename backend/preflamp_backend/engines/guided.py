"""What a served model writes: by itself, or token by token under a local reward model.

The server gives its most probable next tokens, the reward model here says which of them to take:
ARGS by a sequence classifier, GenARM and PAD by a language model. The prompt goes with every step;
servers keep what they have read of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from preflamp_backend.decoding.decode import Inference, choose, uniforms
from preflamp_backend.decoding.options import DecodingOptions, Generation, Request
from preflamp_backend.engines.completions import Answer, Engine, best, seed_of, whole
from preflamp_backend.faults import fault
from preflamp_backend.models.loading import other_tokenizer, same_vocabulary
from preflamp_backend.models.model import AutoregressiveReward, HeadReward, RewardModel
from preflamp_backend.prompts.encoding import Encoding, PromptFormat, encode, suffix_ids
from preflamp_backend.scoring.forward import Batches
from preflamp_backend.scoring.score import (
    BaseScores,
    ScoreOptions,
    score_rewards,
    unsound_reward,
)


@dataclass(frozen=True)
class _Written:
    """A response: its ids, None where the server tells none, with the end token apart."""

    ids: tuple[int, ...] | None
    end: tuple[int, ...]
    text: str
    stop: str
    logprobs: tuple[float, ...]


def decode(
    engine: Engine,
    requests: Sequence[Request],
    options: DecodingOptions,
    *,
    seed: int = 0,
    reward: RewardModel | None = None,
    form: PromptFormat | None = None,
    scoring: ScoreOptions | None = None,
) -> list[Generation]:
    """Answer prompts by a served model, as :func:`preflamp_backend.decoding.decode.decode`.

    Draws of guided decoding are made here and depend on seed and key only; others are the
    server's, under a seed made of both. A log-probability that the server does not give is NaN.

    Raises
    ------
    InputError
        If the strategy needs a reward model and there is none, the reward model has another
        tokenizer, or the server does not give what is needed.
    """
    form, scoring = form or PromptFormat(), scoring or ScoreOptions()
    if reward is None and options.strategy != "plain":
        what = f"{options.strategy} decoding needs a reward model"
        raise fault(what, "name one for this method")
    suffix = suffix_ids(reward.backbone.tokenizer, form) if isinstance(reward, HeadReward) else ()
    samples = options.n if options.strategy == "best-of-n" else 1
    if options.strategy == "guided" and reward is not None:
        written = [[each] for each in _guided(engine, requests, options, seed, reward, suffix)]
    else:
        asked = [(request, i) for request in requests for i in range(samples)]
        flat = engine.client.map(lambda each: _plain(engine, *each, options, seed), asked)
        written = [flat[at : at + samples] for at in range(0, len(flat), samples)]
    rewards = [[math.nan] * samples for _ in requests]
    if reward is not None:
        own = replace(scoring, weights=(), trace=False)
        rewards = _rewards(engine, requests, written, reward, form, suffix, own)
    found = []
    for row, gained in zip(written, rewards, strict=True):
        # Best-of-n keeps the first of equals; an empty response, whose reward is NaN, comes last.
        at = int(np.argmax(np.nan_to_num(gained, nan=-np.inf)))
        kept = row[at]
        logprob = _logprob(kept, form.count_eos)
        found.append(Generation(kept.ids or (), kept.text, kept.stop, logprob, gained[at]))
    return found


def _logprob(written: _Written, counted: bool) -> float:
    """Of all tokens, with the end token where it counts; NaN where one is not known."""
    numbers, ids = written.logprobs, written.ids
    if ids is None:
        known = bool(numbers) and not (counted and written.stop == "eos")
        return math.fsum(numbers) if known else math.nan
    length = len(ids) + (len(written.end) if counted else 0)
    return math.fsum(numbers[:length]) if 0 < length <= len(numbers) else math.nan


def _plain(
    engine: Engine, request: Request, sample: int, options: DecodingOptions, seed: int
) -> _Written:
    """One response as the server writes it."""
    prompt, longest = request.prompt.prompt, options.max_new_tokens
    space = engine.context - len(prompt)
    if space <= 0:
        return _Written((), (), "", "context", ())
    answer = engine.write(
        prompt,
        min(longest, space),
        temperature=options.temperature,
        seed=seed_of(seed, f"{request.key}\0{sample}"),
        top_k=options.top_k,
    )
    stop = "context" if answer.stop == "length" and space < longest else answer.stop
    ids = answer.ids
    end: tuple[int, ...] = ()
    if ids is not None:
        if stop == "eos" and ids and ids[-1] in engine.eos:
            ids, end = ids[:-1], ids[-1:]
        _check_text(engine, ids, answer)
    return _Written(ids, end, answer.text, stop, answer.logprobs)


def _check_text(engine: Engine, ids: Sequence[int], answer: Answer) -> None:
    """See that the ids are those of the text: else the server's tokenizer is another."""
    ours = engine.tokenizer.decode(list(ids), skip_special_tokens=True)
    if whole(str(ours)).strip() != whole(answer.text).strip():
        what = f"writes {answer.text[:40]!r} as ids that the named tokenizer reads as {ours[:40]!r}"
        raise fault(what, "name the tokenizer that it has", variable=engine.source.path)


@torch.inference_mode()
def _guided(
    engine: Engine,
    requests: Sequence[Request],
    options: DecodingOptions,
    seed: int,
    reward: RewardModel,
    suffix: Sequence[int],
) -> list[_Written]:
    """Responses whose every token the reward model has a say in."""
    if options.top_k is None:
        raise fault("is not set", "take 10: a server gives some tokens only", variable="top_k")
    if not same_vocabulary(engine.tokenizer, reward.backbone.tokenizer):
        raise other_tokenizer(reward.methods[0])
    found: dict[int, _Written] = {}
    batches = Batches(
        [len(each.judged) + options.max_new_tokens for each in requests],
        budget=options.batch_rows * reward.backbone.context,
        most=options.batch_rows,
    )
    for batch in batches:
        asked = [requests[i] for i in batch]
        drawn = uniforms(seed, [f"{each.key}\0{0}" for each in asked], options.max_new_tokens)
        with batches.memory():
            done = _guided_batch(engine, asked, options, drawn, reward, suffix)
            found |= dict(zip(batch, done, strict=True))
    return [found[i] for i in range(len(requests))]


def _guided_batch(
    engine: Engine,
    requests: Sequence[Request],
    options: DecodingOptions,
    uniform: Tensor,
    reward: RewardModel,
    suffix: Sequence[int],
) -> list[_Written]:
    top = min(options.top_k or 1, len(engine.tokenizer))
    judge = _Judge(requests, reward, suffix, options.max_new_tokens, top)
    theirs = reward.backbone.context - len(suffix)
    space = [
        min(engine.context - len(each.prompt.prompt), theirs - len(each.judged))
        for each in requests
    ]
    ids: list[list[int]] = [[] for _ in requests]
    logprobs: list[list[float]] = [[] for _ in requests]
    ends: list[tuple[int, ...]] = [()] * len(requests)
    stop = ["" if room > 0 else "context" for room in space]
    rows = [row for row, why in enumerate(stop) if not why]
    judge.select(rows)
    for step in range(options.max_new_tokens):
        if not rows:
            break

        def next_tokens(row: int) -> list[tuple[int, float]]:
            answer = engine.write([*requests[row].prompt.prompt, *ids[row]], 1, top=top)
            # In ascending order, so that of equal scores the lowest id wins, as in greedy decoding.
            return sorted(best(answer.tops[0] if answer.tops else {}, top, engine))

        given = torch.tensor(engine.client.map(next_tokens, rows), dtype=torch.float64)
        tokens, own = given[..., 0].long(), given[..., 1].float()
        scores = own + options.weight * judge.rewards(tokens, own).cpu()
        at = choose(scores, options.temperature, uniform[rows, step])
        judge.keep(tokens, at)
        for place, row in enumerate(rows):
            token = int(tokens[place, at[place]])
            logprobs[row].append(float(own[place, at[place]]))
            if token in engine.eos:
                stop[row] = "eos"
                ends[row] = (token,)
                continue
            ids[row].append(token)
            if len(ids[row]) == min(options.max_new_tokens, space[row]):
                full = len(ids[row]) == options.max_new_tokens
                stop[row] = "length" if full else "context"
        kept = [place for place, row in enumerate(rows) if not stop[row]]
        if len(kept) < len(rows):
            judge.select(kept)
            rows = [rows[place] for place in kept]
    texts = [str(engine.tokenizer.decode(each, skip_special_tokens=True)) for each in ids]
    columns = zip(map(tuple, ids), ends, texts, stop, map(tuple, logprobs), strict=True)
    return [_Written(*each) for each in columns]


class _Judge:
    """A local reward model that has read what is written, and is asked of the next tokens."""

    def __init__(
        self,
        requests: Sequence[Request],
        reward: RewardModel,
        suffix: Sequence[int],
        longest: int,
        top: int,
    ) -> None:
        self.reward = reward
        prompts = [each.judged for each in requests]
        room = longest + (top * (1 + len(suffix)) if isinstance(reward, HeadReward) else 0)
        self.inference = Inference(reward.backbone, prompts, room=room)
        self.hidden = self.inference.last
        if isinstance(reward, HeadReward):
            self.heads = reward.for_users([each.user for each in requests], self.hidden)
        self.suffix = torch.tensor(list(suffix), dtype=torch.int64)

    def rewards(self, tokens: Tensor, own: Tensor) -> Tensor:
        """Reward with each token as the next: tokens and their log π, (rows, k), to (rows, k)."""
        device = self.reward.backbone.device
        if isinstance(self.reward, AutoregressiveReward):
            guide = self.reward.model.logits(self.hidden).log_softmax(-1)
            found = guide.gather(-1, tokens.to(device).clamp(max=guide.shape[-1] - 1))
            found = self.reward.scale * (found - own.to(device) if self.reward.relative else found)
        else:
            tail = self.suffix.expand(*tokens.shape, -1)
            chains = torch.cat([tokens[..., None], tail], -1).to(device)
            found = self.heads(self.inference.branch(chains)[:, :, -1])[..., 0]
        if bool(found.isnan().any()):
            raise unsound_reward(self.reward.methods[0])
        return found

    def keep(self, tokens: Tensor, at: Tensor) -> None:
        """Go on with the chosen token of each row."""
        if isinstance(self.reward, AutoregressiveReward):
            written = tokens.gather(1, at[:, None])[:, 0]
            self.hidden = self.inference.go_on(written.to(self.reward.backbone.device))
        else:
            self.inference.keep((at * (1 + len(self.suffix))).to(self.reward.backbone.device))

    def select(self, rows: Sequence[int]) -> None:
        """Go on with these rows only."""
        kept = torch.tensor(list(rows), dtype=torch.int64, device=self.reward.backbone.device)
        self.inference.select(kept)
        self.hidden = self.hidden[kept]
        if isinstance(self.reward, HeadReward):
            self.heads.select(kept)


def _rewards(
    engine: Engine,
    requests: Sequence[Request],
    written: Sequence[Sequence[_Written]],
    reward: RewardModel,
    form: PromptFormat,
    suffix: Sequence[int],
    options: ScoreOptions,
) -> list[list[float]]:
    """Rewards of whole responses: over the ids where they are known and mean the same."""
    tokenizer, context = reward.backbone.tokenizer, reward.backbone.context
    known = all(each.ids is not None for row in written for each in row)
    base: list[list[BaseScores]] | None = None
    if known and same_vocabulary(engine.tokenizer, tokenizer):
        said = [
            [(*(each.ids or ()), *(each.end if form.count_eos else ())) for each in row]
            for row in written
        ]
        encodings = [
            Encoding(tuple(request.judged), tuple(row))
            for request, row in zip(requests, said, strict=True)
        ]
        if isinstance(reward, AutoregressiveReward) and reward.relative:
            base = [
                [_base(each, len(ids)) for each, ids in zip(row, of_row, strict=True)]
                for row, of_row in zip(written, said, strict=True)
            ]
    else:
        said = [[(1,) * len(each.text) for each in row] for row in written]
        limits = {"context": context, "room": len(suffix)}
        encodings = [
            encode(
                tokenizer, request.reward_text, [each.text or " " for each in row], form, **limits
            )
            for request, row in zip(requests, written, strict=True)
        ]
    users = [request.user for request in requests]
    found = score_rewards(reward, encodings, users=users, base=base, suffix=suffix, options=options)
    return [
        [float(each.reward[0]) if text else math.nan for each, text in zip(row, texts, strict=True)]
        for row, texts in zip(found, said, strict=True)
    ]


def _base(written: _Written, length: int) -> BaseScores:
    """The server's log-probabilities of what it wrote, without alternatives."""
    numbers = np.full(length, np.nan, np.float32)
    numbers[: len(written.logprobs)] = written.logprobs[:length]
    return BaseScores(numbers, np.empty((length, 0), np.int64), np.empty((length, 0), np.float32))

"""What a served model writes: by itself, or token by token under a local reward model.

The server gives its most probable next tokens, the reward model here says which of them to take:
ARGS by a sequence classifier, GenARM and PAD by a language model. The prompt goes with every step;
servers keep what they have read of it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from preflamp_backend.decoding import decode as here
from preflamp_backend.decoding.options import DecodingOptions, Generation, Ids, Request, Written
from preflamp_backend.engines.completions import Answer, Engine, best, whole
from preflamp_backend.faults import fault
from preflamp_backend.models.loading import same_vocabulary
from preflamp_backend.models.model import AutoregressiveReward, RewardModel
from preflamp_backend.prompts.encoding import PromptFormat
from preflamp_backend.scoring.score import BaseScores, ScoreOptions


def decode(
    engine: Engine,
    requests: Sequence[Request],
    options: DecodingOptions,
    *,
    seed: int = 0,
    reward: RewardModel | None = None,
    form: PromptFormat | None = None,
    judged: PromptFormat | None = None,
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
    form, size = form or PromptFormat(), (scoring or ScoreOptions()).batch_tokens
    judged, scoring = judged or form, ScoreOptions(trace=False, batch_tokens=size)
    suffix, ends = here.suffix_read(reward, options, judged), here.ends_of(engine, form)
    if options.strategy == "guided" and reward is not None:
        how: dict[str, Any] = {"seed": seed, "form": form, "judged": judged, "scoring": scoring}
        begin = partial(_Asked, device=reward.backbone.device)
        how |= {"reward": reward, "begin": begin, "finish": _finish}
        return here.decode(engine, requests, options, **how)
    samples = range(options.n if options.strategy == "best-of-n" else 1)
    asked = [(request, f"{seed}\0{request.key}\0{i}") for request in requests for i in samples]
    flat = engine.client.map(lambda each: _plain(engine, *each, options, ends), asked)
    written = [flat[at : at + len(samples)] for at in range(0, len(flat), len(samples))]
    return _finish(engine, requests, written, reward, form.count_eos, judged, suffix, scoring)


def _plain(
    engine: Engine, request: Request, key: str, options: DecodingOptions, ends: Ids
) -> Written:
    """One response as the server writes it."""
    prompt = request.prompt.prompt
    draft = here.Draft(engine.tokenizer, options, ends, engine.context - len(prompt))
    if draft.stop:
        return Written((), draft.stop)
    answer = engine.write(
        prompt,
        min(draft.longest, draft.space),
        temperature=options.temperature,
        seed=int(hashlib.sha256(key.encode()).hexdigest()[:7], 16),
        top_k=options.top_k,
        stop=options.stop or (),
        ends=ends,
    )
    for token in answer.ids or ():
        draft.add(token)
    text, cut = answer.text, draft.cut
    # A server says "stop" of an end token and of a stop string, whose tokens it may leave out.
    stop = "stop" if cut.stops and answer.stop == "eos" else answer.stop
    stop = draft.stop or ("context" if stop == "length" and draft.space < draft.longest else stop)
    if answer.ids is None:
        text, numbers = text[: at if (at := cut.first(text)) >= 0 else None], answer.logprobs
        if cut.stops:
            # What belongs to a stop string is not counted; half a token cannot be.
            ends_at = (i for i in range(len(numbers) + 1) if "".join(answer.texts[:i]) == text)
            numbers = numbers[: next(ends_at, 0)]
        return Written((), stop, (), numbers, text)
    if stop == "stop" and not draft.stop:
        draft.ids = cut.before(draft.ids, text)
    ids = (*draft.ids, *draft.end)
    _check_text(engine, draft.ids, answer, cut=len(ids) < len(answer.ids) or draft.stop == "stop")
    known = zip(ids, answer.ids, answer.logprobs, strict=False)
    numbers = tuple(number for one, other, number in known if one == other)
    return Written(tuple(draft.ids), stop, draft.end, numbers)


def _check_text(engine: Engine, ids: Ids, answer: Answer, *, cut: bool) -> None:
    """See that the ids are those of the text: else the server's tokenizer is another."""
    ours = here.text_of(engine.tokenizer, ids)
    one, other = whole(ours).strip(), whole(answer.text).strip()
    if not (other.startswith(one) if cut else other == one):
        what = f"writes {answer.text[:40]!r} as ids that the named tokenizer reads as {ours[:40]!r}"
        raise fault(what, "name the tokenizer that it has", variable=engine.source.path)


class _Asked(here.Base):
    """A served model after prompts: it is sent them with what is written, and asked for more."""

    # A row that has stopped would be asked for again, and paid.
    share = 1.0

    def __init__(
        self, model: Any, prompts: Sequence[Ids], room: int, *, device: torch.device
    ) -> None:
        self.model, self.inference, self.device = model, self, device
        self.texts = [list(prompt) for prompt in prompts]
        self.hidden = torch.arange(len(prompts))
        self.told: list[list[dict[int, float]]] = [[] for _ in prompts]

    def propose(self, top_k: int | None) -> tuple[Tensor, Tensor]:
        """Ask for each row's likeliest tokens."""
        if top_k is None:
            raise fault("is not set", "take 10: a server gives some tokens only", variable="top_k")
        engine, rows = self.model, self.hidden.tolist()

        def ask(row: int) -> list[tuple[int, float]]:
            tops = engine.write(self.texts[row], 1, top=min(top_k, len(engine.tokenizer))).tops
            return sorted(best(tops[0] if tops else {}, top_k, engine))

        found = engine.client.map(ask, rows)
        for row, each in zip(rows, found, strict=True):
            self.told[row].append(dict(each))
        given = torch.tensor(found, dtype=torch.float64, device=self.device)
        return given[..., 0].long(), given[..., 1].float()

    def go_on(self, written: Tensor) -> Tensor:
        """Append one token a row."""
        for row, token in zip(self.hidden.tolist(), written.tolist(), strict=True):
            self.texts[row].append(token)
        return self.hidden

    def select(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        self.hidden = self.hidden[rows.cpu()]

    def said(self, row: int, ids: Ids) -> tuple[float, ...]:
        """Return what the server gave of what was written, NaN where it gave nothing."""
        told = zip(self.told[row], ids, strict=False)
        return tuple(each.get(id, math.nan) for each, id in told)


def _finish(
    engine: Engine,
    requests: Sequence[Request],
    written: Sequence[Sequence[Written]],
    reward: RewardModel | None,
    counted: bool,
    judged: PromptFormat,
    suffix: Ids,
    options: ScoreOptions,
) -> list[Generation]:
    """Rewards, and the server's own numbers; of each request's samples the best one."""
    tokenizer, rewards = engine.tokenizer, [[math.nan] * len(row) for row in written]
    texts = [
        [here.text_of(tokenizer, each.ids) if each.text is None else each.text for each in row]
        for row in written
    ]
    if reward is not None:
        over: dict[str, Any] = {}
        known = all(each.text is None for row in written for each in row)
        if known and same_vocabulary(tokenizer, reward.backbone.tokenizer):
            relative = isinstance(reward, AutoregressiveReward) and reward.relative
            pairs = [[_over_ids(each, counted, relative) for each in row] for row in written]
            over["ids"] = [[ids for ids, _ in row] for row in pairs]
            over["base"] = [[base for _, base in row] for row in pairs] if relative else None
        rewards = here.rewards_apart(requests, texts, reward, judged, suffix, options, **over)
    found = []
    for row, said, gained in zip(written, texts, rewards, strict=True):
        at = here.best(gained)
        logprob = _logprob(row[at], counted)
        found.append(Generation(row[at].ids, said[at], row[at].stop, logprob, gained[at]))
    return found


def _over_ids(
    written: Written, counted: bool, relative: bool
) -> tuple[tuple[int, ...], BaseScores]:
    """Ids to be judged, and what the server says of them; none where a part of that is unknown."""
    ids = written.counted(counted)
    # A reward relative to what was not told would be no number.
    ids = () if relative and math.isnan(_logprob(written, counted)) else ids
    numbers, none = np.array(written.logprobs[: len(ids)], np.float32), np.empty((len(ids), 0))
    return ids, BaseScores(numbers, none.astype(np.int64), none.astype(np.float32))


def _logprob(written: Written, counted: bool) -> float:
    """Of all tokens, with the end token where it counts; NaN where one is not known."""
    numbers = written.logprobs
    if written.text is not None:
        unsaid = counted and written.stop in ("eos", "stop")
        return math.fsum(numbers) if numbers and not unsaid else math.nan
    length = len(written.counted(counted))
    return math.fsum(numbers[:length]) if 0 < length <= len(numbers) else math.nan

"""A served model: what it writes, and how likely it finds given responses.

Ids are ours. An answer is taken apart by ids, or by the text of each single token; where it cannot
be told which number belongs to which token, it is refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from preflamp_backend.engines.client import Client
from preflamp_backend.engines.source import EngineSource
from preflamp_backend.faults import fault
from preflamp_backend.models import loading
from preflamp_backend.prompts.encoding import Encoding
from preflamp_backend.scoring.score import BaseScores, RewardScores, ScoreOptions
from preflamp_stats.errors import InputError

Ids = Sequence[int]
Tops = list[dict[int, float]]

_NO_NUMBER = -9998.0
"""Servers write −9999 for minus infinity, which JSON does not have."""
_GAP = 0.25
"""Nats a token between writing and scoring, at most: of bfloat16, not of another token."""
_TRIALS = 16
"""Prompts on which a server is tried until what it writes can be told."""


@dataclass(frozen=True)
class Answer:
    """What a server wrote.

    Attributes
    ----------
    text : str
    stop : str
        ``eos``, ``length`` or the server's own word.
    ids : tuple of int, optional
        None where the server does not tell them.
    logprobs : tuple of float
        Of each token; empty where the server gives none.
    tops : list of dict of int to float
        The most probable tokens at each position, where they were asked for.
    texts : tuple of str
        Of each token, where the server names tokens by their texts.
    """

    text: str
    stop: str
    ids: tuple[int, ...] | None
    logprobs: tuple[float, ...]
    tops: Tops
    texts: tuple[str, ...] = ()


class Engine:
    """A model that a server runs.

    Parameters
    ----------
    source : EngineSource
    client : Client, optional

    Attributes
    ----------
    tokenizer : PreTrainedTokenizerBase
    context : int
        Tokens of a prompt and its answer.
    eos : tuple of int
        Ids that end a generation.
    """

    def __init__(self, source: EngineSource, client: Client | None = None) -> None:
        self.source, self.client = source, client or Client(source)
        self.tokenizer: PreTrainedTokenizerBase = loading.load_tokenizer(source)
        self.context = source.limit
        self.eos = source.ends
        self._tried = False
        self._scored: dict[tuple[Any, ...], BaseScores] = {}
        self.parameters = math.nan if source.parameters is None else source.parameters

    @property
    def backbone(self) -> Engine:
        """Itself: has a tokenizer and a context, as a backbone has."""
        return self

    @cached_property
    def name(self) -> str:
        """The model's name at the server.

        Raises
        ------
        InputError
            If the server has several and none is named, or lets a prompt have less than
            ``context`` tokens.
        """
        source = self.source
        if source.served and source.server != "vllm":
            return source.served
        rows = self.client.ask("/models").get("data")
        served = {str(row.get("id")): row for row in rows or () if isinstance(row, dict)}
        what = f"serves {len(served)} models: {', '.join(sorted(served)[:9])}"
        self._need(source.served or len(served) == 1, what, "name one as 'served'")
        name = source.served or next(iter(served))
        most = served.get(name, {}).get("max_model_len")
        enough = not isinstance(most, int) or most >= self.context
        self._need(enough, f"takes {most} tokens, not {self.context}", f"set context = {most}")
        return name

    def write(
        self,
        prompt: Ids,
        tokens: int,
        *,
        temperature: float = 0.0,
        seed: int = 0,
        top: int = 0,
        top_k: int | None = None,
        stop: Sequence[str] = (),
        ends: Ids = (),
    ) -> Answer:
        """Let the server go on after a prompt.

        Parameters
        ----------
        prompt : sequence of int
        tokens : int
            At most.
        temperature, seed, top_k
            Of the draw.
        top : int
            Alternatives to give at each position.
        stop : sequence of str
            Texts before which it ends.
        ends : sequence of int
            Ids that end it, where a server can be told of others than its own.
        """
        body: dict[str, Any] = {"max_tokens": tokens, "temperature": temperature, "top_p": 1}
        body |= {"seed": seed} if temperature else {}
        body |= {"stop": list(stop)} if stop else {}
        body["logprobs"] = max(1, top)
        # Servers have defaults of their own, or a model's, which would change what is written.
        if self.source.server == "vllm":
            body |= {"top_k": top_k or -1, "min_p": 0, "repetition_penalty": 1, "logprobs": top}
            body |= {"return_token_ids": True, "return_tokens_as_token_ids": True}
            body |= {"stop_token_ids": list(ends)} if ends else {}
        elif self.source.server == "llama.cpp":
            body |= {"top_k": top_k or 0, "min_p": 0, "repeat_penalty": 1}
        elif top_k is not None and temperature:
            mend = "leave top_k out, or name the server as vllm or llama.cpp"
            raise fault("cannot be sent by the published API", mend, variable="top_k")
        choice, read = self._ask(prompt, body)
        what = f"reads a prompt of {len(prompt)} tokens as {read}"
        self._need(read in (None, len(prompt)), what, "name the tokenizer that it has, or send ids")
        return self._answer(choice, top)

    def _answer(self, choice: dict[str, Any], top: int) -> Answer:
        text, found, ids = choice.get("text"), choice.get("logprobs"), choice.get("token_ids")
        self._need(isinstance(text, str), "answers without a text", "check 'server'")
        logprobs: list[float] = []
        tops: Tops = []
        texts: list[str] = []
        if isinstance(found, dict) and isinstance(found.get("content"), list):
            # llama.cpp's own server names every token by its id.
            rows = found["content"]
            ids = [row["id"] for row in rows]
            logprobs = [_number(row.get("logprob")) for row in rows]
            tops = [{e["id"]: _number(e["logprob"]) for e in r["top_logprobs"]} for r in rows]
        elif isinstance(found, dict):
            logprobs = [_number(each) for each in found.get("token_logprobs") or []]
            texts = [str(each) for each in found.get("tokens") or []] if ids is None else []
            tops = [self._by_id(each or {}) for each in found.get("top_logprobs") or [] if top]
        if ids is not None and logprobs:
            self._counted(logprobs, ids)
        stop = str(choice.get("finish_reason"))
        stop, ids = "eos" if stop == "stop" else stop, None if ids is None else tuple(ids)
        return Answer(str(text), stop, ids, tuple(logprobs), tops, tuple(texts))

    def score_one(self, prompt: Ids, response: Ids, top: int) -> BaseScores:
        """How likely the server finds a response's tokens; NaN where it does not say."""
        ids, key = [*prompt, *response], (tuple(prompt), tuple(response), top)
        if key in self._scored:
            return self._scored[key]
        what = f"takes {self.context} tokens with one to write, not {len(ids) + 1}"
        mend = "leave the example out, or serve it with a longer context"
        self._need(len(ids) < self.context, what, mend)
        body: dict[str, Any] = {"max_tokens": 1, "temperature": 0}
        vllm = self.source.server == "vllm"
        body |= {"prompt_logprobs": top} if vllm else {"echo": True, "logprobs": max(1, top)}
        choice, _ = self._ask(ids, body)
        own, tops = self._of_prompt(choice, ids) if vllm else self._of_echo(choice, ids, top)
        own, tops = own[len(prompt) :], tops[len(prompt) :]
        rows = [best(each, top, self) for each in tops] if top else [[]] * len(response)
        pairs = np.array(rows).reshape(len(rows), -1, 2)
        scores = BaseScores(
            np.array(own, np.float32), pairs[..., 0].astype(np.int64), pairs[..., 1].astype("f4")
        )
        # Reward models ask for the same again; a server would be paid again.
        self._scored[key] = scores
        return scores

    def _of_prompt(self, choice: dict[str, Any], ids: Ids) -> tuple[list[float], Tops]:
        """By ``prompt_logprobs``: a mapping of ids for each token of the prompt."""
        found = choice.get("prompt_logprobs")
        found = found if isinstance(found, list) else []
        what = f"gives log-probabilities of {len(found)} tokens, asked for {len(ids)}"
        self._need(len(found) == len(ids), what, "set server = 'vllm' only for vLLM")
        tops = [{int(k): _number(v["logprob"]) for k, v in (each or {}).items()} for each in found]
        return [each.get(id, math.nan) for id, each in zip(ids, tops, strict=True)], tops

    def _of_echo(self, choice: dict[str, Any], ids: Ids, top: int) -> tuple[list[float], Tops]:
        """By ``echo``: tokens as texts, the written one behind them."""
        found = choice.get("logprobs")
        mend = "serve it by vLLM and set server = 'vllm', or use it to write only"
        found = found if isinstance(found, dict) else {}
        tokens, own = found.get("tokens") or [], found.get("token_logprobs") or []
        self._need(tokens, "gives no log-probabilities of a prompt (echo)", mend)
        tops = found.get("top_logprobs") or [None] * len(tokens)
        self._counted(own, tokens)
        self._counted(tops, tokens)
        numbers, kept = [math.nan] * len(ids), Tops([{}] * len(ids))
        for at, place in enumerate(self._places(tokens, ids)):
            if place is not None:
                numbers[at] = _number(own[place])
                kept[at] = self._by_id(tops[place] or {}) if top else {}
        return numbers, kept

    def _places(self, tokens: Sequence[str], ids: Ids) -> list[int | None]:
        """Where each of our ids stands among the server's tokens.

        Servers leave out the beginning-of-sequence token: at the start or everywhere.
        """
        every = range(len(ids))
        begins = [i for i in every if ids[i] == self.tokenizer.bos_token_id]
        for left_out in ([], [0] if 0 in begins else [], begins):
            kept = [i for i in every if i not in left_out]
            pairs = zip(tokens, kept, strict=False)
            # One token at most was written behind the prompt.
            fits = 0 <= len(tokens) - len(kept) <= 1
            if fits and all(self._is(said, ids[i]) for said, i in pairs):
                where = {i: place for place, i in enumerate(kept)}
                return [where.get(i) for i in every]
        what = f"reads {len(ids)} tokens otherwise, as {len(tokens)}"
        mend = "set boundary = 'joint', and name the tokenizer that the server has"
        raise self._fault(what, mend)

    def _is(self, said: str, id: int) -> bool:
        if _is_id(said):
            return int(said[9:]) == id
        # Of a token with half a character some servers write the rest, some nothing.
        alike = whole(said) == whole(self._piece(id))
        return alike or (said == "" and id in self.tokenizer.all_special_ids)

    def _piece(self, id: int) -> str:
        """Text of a token within a sentence."""
        anchor = self._anchor
        text = self.tokenizer.decode([*anchor, id], clean_up_tokenization_spaces=False)
        start = self.tokenizer.decode(anchor, clean_up_tokenization_spaces=False)
        return str(text)[len(str(start)) :]

    @cached_property
    def _anchor(self) -> list[int]:
        return list(self.tokenizer.encode("a", add_special_tokens=False))

    @cached_property
    def _ids_of_text(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for id in range(len(self.tokenizer)):
            found.setdefault(whole(self._piece(id)), []).append(id)
        return found

    def _by_id(self, row: dict[str, Any]) -> dict[int, float]:
        """Alternatives by id; one whose text several tokens have cannot be told."""
        found = {}
        for said, value in row.items():
            ids = [int(said[9:])] if _is_id(said) else self._ids_of_text.get(said, [])
            what = f"names an alternative {said!r}, which {len(ids)} tokens have as their text"
            mend = "take a server that names tokens by their ids, as vLLM"
            self._need(len(ids) == 1, what, mend)
            found[ids[0]] = _number(value)
        return found

    def _ask(self, prompt: Ids, body: dict[str, Any]) -> tuple[dict[str, Any], int | None]:
        """First choice of an answer, and how many tokens the server read."""
        sent = list(prompt) if self.source.sends == "ids" else self._as_text(prompt)
        if sent is None:
            what = "cannot be sent as text: it would be read as other tokens"
            raise fault(what, "set boundary = 'joint', or sends = 'ids'", variable="prompt")
        answer = self.client.ask("/completions", {"model": self.name, "prompt": sent, **body})
        choices, usage = answer.get("choices"), answer.get("usage")
        one = isinstance(choices, list) and len(choices) == 1 and isinstance(choices[0], dict)
        self._need(one, "answers without one choice", "check 'path' and 'server'")
        choice: dict[str, Any] = choices[0]  # type: ignore[index]
        return choice, usage.get("prompt_tokens") if isinstance(usage, dict) else None

    def _as_text(self, ids: Ids) -> str | None:
        """Text that a server reads as these ids, if it puts a begin token where we do."""
        begin = self.tokenizer.bos_token_id
        adds = self.tokenizer.encode("a", add_special_tokens=True)[0] == begin
        rest = list(ids[1:] if adds and ids and ids[0] == begin else ids)
        text = str(self.tokenizer.decode(rest, clean_up_tokenization_spaces=False))
        same = self.tokenizer.encode(text, add_special_tokens=False) == rest
        return text if same else None

    def trial(self, prompts: Sequence[Ids]) -> None:
        """See, once, that scores of a text are those with which the server wrote it.

        Servers have shifted them by a token, scaled them by the temperature, or run another model.

        Raises
        ------
        InputError
            If they differ, or what is written can be matched with no ids.
        """
        for prompt in () if self._tried else prompts[:_TRIALS]:
            answer = self.write(prompt, min(4, self.context - len(prompt) - 1))
            mend = "take a server that does, or use it to write only"
            self._need(answer.logprobs, "gives no log-probability of what it writes", mend)
            if not (ids := self._surely(prompt, answer)):
                continue
            scored = self.score_one(prompt, ids, 0).token_logprob
            gap = float(np.abs(scored - np.array(answer.logprobs[: len(ids)])).max())
            what = f"scores a text otherwise than it wrote it, by {gap:.2g} nats a token"
            mend = "serve raw log-probabilities; llama-cpp-python gives right ones only of "
            self._need(gap <= _GAP, what, mend + "texts that begin with the begin token")
            self._tried = True
            break
        what = f"wrote to {len(prompts[:_TRIALS])} prompts what no ids can be told of"
        mend = "name the tokenizer that it has, or send ids"
        self._need(self._tried or not prompts, what, mend)

    def _surely(self, prompt: Ids, answer: Answer) -> tuple[int, ...]:
        """First ids of an answer, as far as they are told, or their texts leave no doubt."""
        if answer.ids is not None:
            return answer.ids
        ids = tuple(self.tokenizer.encode(answer.text, add_special_tokens=False))
        pairs = list(zip(ids, answer.texts, strict=False))
        sure = [bool(whole(said)) and self._is(said, id) for id, said in pairs]
        ids = ids[: sure.index(False) if False in sure else len(sure)]
        if self.source.sends == "text" and self._as_text([*prompt, *ids]) is None:
            return ()
        return ids

    def _fault(self, what: str, mend: str) -> InputError:
        return fault(what, mend, variable=self.source.path)

    def _need(self, good: object, what: str, mend: str) -> None:
        """Refuse an answer that is not good."""
        if not good:
            raise self._fault(what, mend)

    def _counted(self, numbers: Sequence[Any], tokens: Sequence[Any]) -> None:
        what = f"gives {len(numbers)} log-probabilities of {len(tokens)} tokens"
        self._need(len(numbers) == len(tokens), what, "report it to the server's makers")


def score(
    engine: Engine, encodings: Sequence[Encoding], *, options: ScoreOptions
) -> list[list[tuple[BaseScores, RewardScores | None]]]:
    """Score every continuation by a served model, as :func:`preflamp_backend.scoring.score.score`.

    Raises
    ------
    InputError
        For a server that refuses, or of whose numbers it cannot be told what they belong to.
    """
    engine.trial([each.prompt for each in encodings])
    pairs = [(each.prompt, ids) for each in encodings for ids in each.continuations]
    top = options.proposals
    found = iter(engine.client.map(lambda pair: engine.score_one(*pair, top), pairs))
    return [[(next(found), None) for _ in each.continuations] for each in encodings]


def best(row: dict[int, float], top: int, engine: Engine) -> list[tuple[int, float]]:
    """The top alternatives, the best first; all of them must be there."""
    sound = {id: value for id, value in row.items() if math.isfinite(value)}
    wanted = min(top, len(engine.tokenizer))
    if len(sound) < wanted:
        what = f"gives {len(sound)} of {wanted} alternatives of a token"
        mend = "lower top_k, or raise the server's limit (vLLM: --max-logprobs)"
        raise fault(what, mend, variable=engine.source.path)
    return sorted(sound.items(), key=lambda each: (-each[1], each[0]))[:wanted]


def _number(value: Any) -> float:
    """A log-probability; NaN where there is none."""
    sound = isinstance(value, int | float) and math.isfinite(value) and value > _NO_NUMBER
    return min(0.0, float(value)) if sound else math.nan


def _is_id(token: str) -> bool:
    return token.startswith("token_id:") and token[9:].isdecimal()


def whole(text: str) -> str:
    """Text without what stands for half a character."""
    return text.replace("\N{REPLACEMENT CHARACTER}", "")

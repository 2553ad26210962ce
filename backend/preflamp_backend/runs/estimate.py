"""What a study would take, from texts and configurations: no weights are loaded."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from preflamp_backend.data.examples import Example
from preflamp_backend.decoding.options import DecodingOptions
from preflamp_backend.engines.source import EngineSource
from preflamp_backend.faults import in_example
from preflamp_backend.models import loading
from preflamp_backend.prompts.encoding import encode, encode_prompt
from preflamp_backend.prompts.in_context import fill
from preflamp_backend.runs.compute import prompt_of, shown_prompt
from preflamp_backend.runs.run import Plan
from preflamp_backend.runs.shards import Shard, judge_of
from preflamp_backend.study.study import Method, Study


@dataclass(frozen=True)
class Estimate:
    """What one kind of shard takes.

    Attributes
    ----------
    dataset, model, method, kind : str
    shards, pending : int
        In all, and still to be computed.
    tokens : int
        Read (the prompt as it stands, with its shots and chat template) and, for generations,
        written at most, n times for best-of-n; by every model that reads them, over all shards.
        The alternatives whose reward is computed beside them are not counted.
    memory : int
        Bytes of weights and of the largest cache, here.
    price : float
        Of what is pending on a server, at most; NaN where none is asked or no price is named. What
        a server remembers of prompts counts in full.
    """

    dataset: str
    model: str
    method: str
    kind: str
    shards: int
    pending: int
    tokens: int
    memory: int
    price: float = math.nan


def estimate(planned: Plan) -> list[Estimate]:
    """Estimate every kind of shard of a plan.

    A reward model that is still to be trained is taken to be like its base model.

    Returns
    -------
    list of Estimate
        In the order in which they run.

    Raises
    ------
    InputError
        For a model without a usable configuration, or an example that does not fit it.
    """
    study = planned.study
    waiting = {shard.key for shard in planned.pending()}
    kinds: dict[tuple[str, str, str, str], list[Shard]] = {}
    for shard in planned.shards:
        key = (shard.dataset, shard.model, shard.method, shard.kind)
        kinds.setdefault(key, []).append(shard)
    found = []
    for (dataset, model, method, kind), shards in kinds.items():
        chosen = study.methods.get(method)
        seeds = {shard.seed for shard in shards}
        judge = judge_of(study, chosen, model, shards[0].seed) if chosen else None
        source, rows = study.models[model], planned.examples[dataset]
        served = isinstance(source, EngineSource)
        sources = [*([] if served else [source]), *([judge] if judge else [])]
        read = list(_lengths(study, model, chosen, kind, judge, rows, shards[0].seed))
        memory = sum(_weight_bytes(each) for each in sources)
        longest = max((prompt for who, prompt, _ in read if who in sources), default=0)
        memory += sum(_cache_bytes(each, study, chosen, kind, longest) for each in sources)
        pending = len({shard.key for shard in shards} & waiting)
        tokens = sum(asked + said for _, asked, said in read) * len(seeds)
        price = math.nan
        if isinstance(source, EngineSource):
            paid = np.array([rest for who, *rest in read if who is source]).reshape(-1, 2).sum(0)
            price = source.price(*paid.tolist()) * len(seeds) * pending / len(shards)
        of = (dataset, model, method, kind)
        found.append(Estimate(*of, len(shards), pending, tokens, memory, price))
    return found


def _lengths(
    study: Study,
    model: str,
    method: Method | None,
    kind: str,
    judge: loading.ModelSource | None,
    rows: Sequence[Example],
    seed: int,
) -> Iterator[tuple[loading.ModelSource, int, int]]:
    """Tokens of each prompt, and of what is said to it, for each model that reads them."""
    source = study.models[model]
    tokenizer, context = loading.load_tokenizer(source), source.limit
    served = isinstance(source, EngineSource)
    for row in rows:
        with in_example(row.id):
            if kind == "generate" and method:
                options = method.decoding
                new = options.max_new_tokens * (options.n if options.strategy == "best-of-n" else 1)
                prompt, _ = prompt_of(study, method, tokenizer, context, row, seed)
                sent = _sent(len(prompt.prompt), options) if served else (len(prompt.prompt), new)
                yield source, *sent
                if judge:
                    yield judge, _read(judge, method, row, [], options.max_new_tokens), new
                continue
            said = list(row.candidates.values())
            if method and method.judge and judge:
                # Asked in both orders; what its persona is written from is not counted.
                yield from [(judge, *_asked(judge, method, row))] * 2
                continue
            found = encode(tokenizer, row.prompt, said, study.prompt, context=context)
            spoken = sum(map(len, found.continuations))
            # With a reward model of its own the base model may be asked again; it is counted.
            if not served:
                yield source, len(found.prompt), spoken
            elif not method:
                # Asked once a run: each candidate with the prompt; a token is written.
                yield source, len(found.prompt) * len(said) + spoken, len(said)
            if judge and method:
                yield judge, _read(judge, method, row, said, 0), spoken


def _sent(prompt: int, options: DecodingOptions) -> tuple[int, int]:
    """Tokens that a server reads and, at most, writes of an example.

    Guided decoding sends the prompt, and what is written, with every token.
    """
    longest = options.max_new_tokens
    if options.strategy == "guided":
        return longest * prompt + longest * (longest - 1) // 2, longest
    samples = options.n if options.strategy == "best-of-n" else 1
    return samples * prompt, samples * longest


def _read(
    judge: loading.ModelSource, method: Method, row: Example, said: Sequence[str], room: int
) -> int:
    """Tokens of a prompt as a reward model of its own reads it."""
    tokenizer = loading.load_tokenizer(judge)
    limits = {"context": judge.limit, "room": room}
    asked = shown_prompt(method, row, tokenizer, method.form, said, **limits)
    if said:
        return len(encode(tokenizer, asked.text, said, method.form, **limits).prompt)
    return len(encode_prompt(tokenizer, asked.text, method.form, **limits).prompt)


def _asked(judge: loading.ModelSource, method: Method, row: Example) -> tuple[int, int]:
    options = method.judge
    assert options is not None
    pair = {"a": row.candidates["chosen"], "b": row.candidates["rejected"]}
    question = fill(options.question, persona="", prompt=row.prompt, **pair)
    tokenizer = loading.load_tokenizer(judge)
    found = encode(tokenizer, question, options.answers, method.form, context=judge.limit)
    return len(found.prompt) + options.persona_tokens, sum(map(len, found.continuations))


def _weight_bytes(source: loading.ModelSource) -> int:
    with loading.reading(source), torch.device("meta"):
        model = AutoModelForCausalLM.from_config(loading.load_config(source))
    return int(model.num_parameters()) * loading.DTYPES[source.dtype].itemsize


def _cache_bytes(
    source: loading.ModelSource, study: Study, method: Method | None, kind: str, longest: int
) -> int:
    config = loading.load_config(source).get_text_config()
    with loading.reading(source):
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        own = getattr(config, "head_dim", None)
        width = own or config.hidden_size // config.num_attention_heads
        numbers: int = 2 * config.num_hidden_layers * heads * width
        slot = numbers * loading.DTYPES[source.dtype].itemsize
    if kind == "score" or method is None:
        return study.scoring.batch_tokens * slot
    room = method.decoding.max_new_tokens + (method.decoding.top_k or 0)
    return method.decoding.batch_rows * (longest + room) * slot

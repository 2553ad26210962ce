"""What a run would take, before it runs: shards, tokens, memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import AutoModelForCausalLM

from preflamp_backend.data import Example
from preflamp_backend.models.sources import (
    DTYPES,
    ModelSource,
    load_config,
    load_tokenizer,
    reading,
)
from preflamp_backend.prompts.encoding import counter_of
from preflamp_backend.runs.run import Plan
from preflamp_backend.runs.shards import Shard
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
        Read and, for generations, written at most, over all shards.
    memory : int
        Bytes of weights and of the largest cache.
    """

    dataset: str
    model: str
    method: str
    kind: str
    shards: int
    pending: int
    tokens: int
    memory: int


def estimate(planned: Plan) -> list[Estimate]:
    """Estimate every kind of shard of a plan, without loading weights.

    Returns
    -------
    list of Estimate
        In the order in which they run.
    """
    study = planned.study
    waiting = {shard.key for shard in planned.pending()}
    kinds: dict[tuple[str, str, str, str], list[Shard]] = {}
    for shard in planned.shards:
        key = (shard.dataset, shard.model, shard.method, shard.kind)
        kinds.setdefault(key, []).append(shard)
    found = []
    for (dataset, model, method, kind), shards in kinds.items():
        source, rows = study.models[model], planned.examples[dataset]
        lengths = _lengths(source, rows)
        chosen = study.methods.get(method)
        longest_new = chosen.decoding.max_new_tokens if chosen else 0
        judge = study.reward_source(chosen, model, shards[0].seed) if chosen else None
        sources = [source, *([judge] if judge else [])]
        if kind == "generate":
            read = sum(prompt + longest_new for prompt, _ in lengths)
        else:
            read = sum(prompt + response for prompt, response in lengths)
        read *= len({shard.seed for shard in shards})
        memory = sum(_weight_bytes(each) for each in sources)
        memory += sum(_cache_bytes(each, study, chosen, kind, lengths) for each in sources)
        pending = len({shard.key for shard in shards} & waiting)
        tokens = read * len(sources)
        found.append(Estimate(dataset, model, method, kind, len(shards), pending, tokens, memory))
    return found


def _lengths(source: ModelSource, rows: Sequence[Example]) -> list[tuple[int, int]]:
    """Tokens of each prompt and of its candidates together."""
    count = counter_of(load_tokenizer(source))
    return [(count(row.prompt), sum(map(count, row.candidates.values()))) for row in rows]


def _weight_bytes(source: ModelSource) -> int:
    with reading(source), torch.device("meta"):
        model = AutoModelForCausalLM.from_config(load_config(source))
    return int(model.num_parameters()) * DTYPES[source.dtype].itemsize


def _cache_bytes(
    source: ModelSource,
    study: Study,
    method: Method | None,
    kind: str,
    lengths: Sequence[tuple[int, int]],
) -> int:
    config = load_config(source).get_text_config()
    with reading(source):
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        width = (
            getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        )
        slot: int = 2 * config.num_hidden_layers * heads * width * DTYPES[source.dtype].itemsize
    if kind == "score" or method is None:
        return study.scoring.batch_tokens * slot
    room = method.decoding.max_new_tokens + (method.decoding.top_k or 0)
    longest = max(prompt for prompt, _ in lengths)
    return method.decoding.batch_rows * (longest + room) * slot

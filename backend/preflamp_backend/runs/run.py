"""Running a study: what it would take, its shards here or on a cluster, then the results file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from preflamp_backend.data.examples import Example, read_examples
from preflamp_backend.engines.prices import price, sent
from preflamp_backend.engines.source import EngineSource
from preflamp_backend.faults import fault, in_example
from preflamp_backend.models import loading
from preflamp_backend.prompts.encoding import counter_of
from preflamp_backend.prompts.in_context import check_preference
from preflamp_backend.runs.arrays import assemble
from preflamp_backend.runs.cluster import Cluster, run_on_cluster
from preflamp_backend.runs.compute import compute_shard
from preflamp_backend.runs.shards import Shard, is_done, plan, write_manifest
from preflamp_backend.study.study import Method, Study
from preflamp_stats.io.files import write_results

Report = Callable[[Shard], None]


@dataclass(frozen=True)
class Plan:
    """A study with its examples and shards.

    Attributes
    ----------
    study : Study
    out : Path
        Results file to be written.
    examples : mapping of str to list of Example
    shards : list of Shard
    """

    study: Study
    out: Path
    examples: Mapping[str, list[Example]]
    shards: list[Shard]

    @property
    def folder(self) -> Path:
        """Where the shards' files are: beside the results."""
        return self.out.with_name(self.out.name + ".shards")

    def pending(self) -> list[Shard]:
        """Shards still to be computed, one for each key."""
        first_of = {shard.key: shard for shard in reversed(self.shards)}
        unique = [shard for shard in self.shards if first_of[shard.key] is shard]
        return [shard for shard in unique if not is_done(self.folder, shard)]


def prepare(study: Study, out: Path) -> Plan:
    """Read a study's data and cut it into shards.

    Raises
    ------
    InputError
        For data or models that cannot be used.
    """
    examples = {
        name: read_examples(study.located(dataset.path), dataset.limit)
        for name, dataset in study.data.items()
    }
    for method in study.methods.values():
        for row in (row for rows in examples.values() for row in rows):
            with in_example(row.id):
                check_preference(row, method.prompt)
    return Plan(study, out, examples, plan(study, examples))


def run_study(
    planned: Plan, *, cluster: Cluster | None = None, report: Report | None = None
) -> list[str]:
    """Compute what is pending and write the results file.

    Stopped at any moment, it goes on from the shards that are done, and the file is the same to
    the byte.

    Parameters
    ----------
    planned : Plan
    cluster : Cluster, optional
    report : callable, optional
        Told of each shard that is done.

    Returns
    -------
    list of str
        What a reader must mind: prompts cut, boundaries that differ.

    Raises
    ------
    InputError
        For input that cannot be scored, a full disk, or an example that does not fit the memory.
    """
    study, examples, folder = planned.study, planned.examples, planned.folder
    try:
        folder.mkdir(exist_ok=True)
        write_manifest(folder, study, planned.shards, examples)
    except OSError as error:
        mend = "free space or name another file"
        raise fault(f"cannot be written ({error})", mend, folder) from error
    report = report or (lambda shard: None)
    pending = planned.pending()
    if cluster and (cluster.workers or cluster.address):
        for shard in run_on_cluster(cluster, run_shard, study, pending, examples, folder):
            report(shard)
        pending = []
    for shard in pending:
        ds = compute_shard(study, shard, examples[shard.dataset])
        write_results(ds, folder / shard.file_name)
        report(shard)
    tree = assemble(study, examples, planned.shards, folder)
    write_results(tree, planned.out)
    return [note for group in tree.children.values() for note in _notes(group.name or "", group)]


def run_shard(study: Study, shard: Shard, examples: Sequence[Example], folder: Path) -> Shard:
    """Compute a shard and write its file, unless it is there: doing it twice does no harm."""
    if not is_done(folder, shard):
        write_results(compute_shard(study, shard, examples), folder / shard.file_name)
    return shard


def _notes(dataset: str, group: Any) -> Iterator[str]:
    """Say what was flagged in the file, in words and numbers."""
    said = {
        "prompt_overlong": "prompts were cut to fit the model's context",
        "generation_overlong": "prompts were cut to leave room for a generation",
        "reward_overlong": "prompts were cut to fit the reward model's context",
        "logprob_missing": "examples have tokens whose log-probability the server did not give",
        "generation_unscored": "generations have no log-probability, as the server gave none",
        "boundary_differs": "examples tokenise otherwise when prompt and response are one text",
    }
    for name, what in said.items():
        if name in group and (count := int(group[name].sum())):
            yield f"{dataset}: {count} of {int(group[name].count())} {what}"


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
    price : float
        Of what is pending on a server, at most; NaN where none is asked or no price is named.
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
        here = [] if isinstance(source, EngineSource) else [source]
        sources = [*here, *([judge] if judge else [])]
        read = sum(prompt + (said if kind == "score" else longest_new) for prompt, said in lengths)
        read *= len({shard.seed for shard in shards})
        memory = sum(_weight_bytes(each) for each in sources)
        memory += sum(_cache_bytes(each, study, chosen, kind, lengths) for each in sources)
        pending = len({shard.key for shard in shards} & waiting)
        tokens, cost = read * len(sources), math.nan
        if isinstance(source, EngineSource):
            taken = _asked(study, chosen, kind, rows, lengths)
            times = (
                len({shard.key for shard in shards})
                / len(shards)
                * len({shard.seed for shard in shards})
            )
            tokens += round(times * sum(taken))
            cost = price(source, *taken) * times * pending / len({shard.key for shard in shards})
        found.append(
            Estimate(dataset, model, method, kind, len(shards), pending, tokens, memory, cost)
        )
    return found


def _asked(
    study: Study,
    method: Method | None,
    kind: str,
    rows: Sequence[Example],
    lengths: Sequence[tuple[int, int]],
) -> tuple[int, int]:
    """Tokens that a server reads and writes for a seed of a kind of shard."""
    if kind == "generate" and method is not None:
        return sent(rows, lengths, method.decoding)
    # What the base model says of candidates is asked for once a run.
    return sent(rows, lengths, None) if method is None else (0, 0)


def _lengths(source: loading.ModelSource, rows: Sequence[Example]) -> list[tuple[int, int]]:
    """Tokens of each prompt and of its candidates together."""
    count = counter_of(loading.load_tokenizer(source))
    return [(count(row.prompt), sum(map(count, row.candidates.values()))) for row in rows]


def _weight_bytes(source: loading.ModelSource) -> int:
    with loading.reading(source), torch.device("meta"):
        model = AutoModelForCausalLM.from_config(loading.load_config(source))
    return int(model.num_parameters()) * loading.DTYPES[source.dtype].itemsize


def _cache_bytes(
    source: loading.ModelSource,
    study: Study,
    method: Method | None,
    kind: str,
    lengths: Sequence[tuple[int, int]],
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
    longest = max(prompt for prompt, _ in lengths)
    return method.decoding.batch_rows * (longest + room) * slot

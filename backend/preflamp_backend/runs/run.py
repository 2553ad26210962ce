"""Running a study: what it would take, its shards here or on a cluster, then the results file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from preflamp_backend.data.examples import Example, read_examples
from preflamp_backend.faults import fault, in_example
from preflamp_backend.models import loading
from preflamp_backend.prompts.in_context import check_preference
from preflamp_backend.runs.arrays import assemble
from preflamp_backend.runs.cluster import Cluster, run_on_cluster
from preflamp_backend.runs.compute import compute_shard
from preflamp_backend.runs.readings import check_readings
from preflamp_backend.runs.shards import Shard, is_done, plan, write_manifest
from preflamp_backend.study.study import Study
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
    notes : list of str
        What cannot be checked before it runs.
    """

    study: Study
    out: Path
    examples: Mapping[str, list[Example]]
    shards: list[Shard]
    notes: list[str] = field(default_factory=list)

    @property
    def untrained(self) -> list[str]:
        """Reward models that the study trains and that are not there yet, by method and model."""
        return [
            f"{name} under {model}"
            for name, method in self.study.methods.items()
            for model in self.study.models
            if any(self.study.untrained(method, model, seed) for seed in self.study.run.seeds)
        ]

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
        For data or models that cannot be used, and reward models that were trained to read other
        tokens or states than they would read here.
    """
    examples = {
        name: read_examples(study.located(dataset.path), dataset.limit)
        for name, dataset in study.data.items()
    }
    for method in study.methods.values():
        for row in (row for rows in examples.values() for row in rows):
            with in_example(row.id):
                check_preference(row, method.prompt)
    identity = cache(loading.identify)
    notes = check_readings(study, identity)
    return Plan(study, out, examples, plan(study, examples, identity), notes)


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
    return [note for name, group in tree.children.items() for note in _notes(study, name, group)]


def run_shard(study: Study, shard: Shard, examples: Sequence[Example], folder: Path) -> Shard:
    """Compute a shard and write its file, unless it is there: doing it twice does no harm."""
    if not is_done(folder, shard):
        write_results(compute_shard(study, shard, examples), folder / shard.file_name)
    return shard


_CUT = {
    "prompt_overlong": "prompts were cut to fit the model's context",
    "generation_overlong": "prompts were cut to leave room for a generation",
    "reward_overlong": "prompts were cut to fit the reward model's context",
    "logprob_missing": "examples have tokens whose log-probability the server did not give",
    "generation_unscored": "generations have no log-probability, as the server gave none",
    "boundary_differs": "examples tokenise otherwise when prompt and response are one text",
}


def _notes(study: Study, dataset: str, group: Any) -> Iterator[str]:
    """Say what was flagged in the file, in words and numbers, by method where it has methods."""
    for name, what in _CUT.items():
        for method, flags in _by_method(group, name):
            if not (count := int(flags.sum())):
                continue
            said = f"{dataset}: {f'{method}: ' if method else ''}{count} of {int(flags.count())}"
            shown, asked = "", study.methods[method].prompt.shots if method else 0
            if name == "generation_overlong" and asked and not study.methods[method].rewarded:
                shots = float(group["generation_shots"].sel({"method": method}).mean())
                shown = f"; {shots:.1f} of {asked} shots are shown on average"
            yield f"{said} {what}{shown}"


def _by_method(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    flags = group.get(name)
    if flags is None or "method" not in flags.dims:
        yield from [] if flags is None else [("", flags)]
        return
    for method in flags["method"].values:
        yield str(method), flags.sel({"method": method})

"""The unit of work: a slice of examples under one model, keyed by all that makes its numbers.

A shard is a results file of its own, written whole or not at all. Its name is its key, so what was
computed under other weights, options or code is never taken for it, and running again skips what
is there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from preflamp_backend.data.examples import Example, content_hash
from preflamp_backend.faults import fault
from preflamp_backend.files.text import code_hash, json_hash, write_text
from preflamp_backend.models import loading
from preflamp_backend.rewards.token_models import check_base
from preflamp_backend.study.study import BASELINES, Method, Study
from preflamp_stats.errors import InputError
from preflamp_stats.io.files import open_results


@dataclass(frozen=True)
class Shard:
    """A slice of a dataset's examples to score or to answer.

    Attributes
    ----------
    kind : {"score", "generate"}
    dataset, model : str
    method : str
        Empty for the base model's own scores, with all reward heads on its backbone.
    seed : int
        Of the draws, and of the reward model's training.
    start, stop : int
        Examples of the dataset.
    key : str
        SHA-256 of everything that makes the result.
    """

    kind: Literal["score", "generate"]
    dataset: str
    model: str
    method: str
    seed: int
    start: int
    stop: int
    key: str

    @property
    def file_name(self) -> str:
        """Name of its file."""
        return f"{self.key[:40]}.nc"


Identify = Callable[[loading.ModelSource], dict[str, str]]
"""What makes a model's numbers; hashing its weights takes a while, so it is asked once."""


def plan(
    study: Study, examples: Mapping[str, Sequence[Example]], identity: Identify
) -> list[Shard]:
    """Cut a study into shards; those that need the same models follow one another.

    Two shards may have one key where a choice makes no difference (a seed under greedy decoding,
    the base model under a reward model of its own); it is then computed once.

    Raises
    ------
    InputError
        If a model does not exist.
    """
    shards = []
    for model, source in study.models.items():
        for dataset, rows in examples.items():
            slices = range(0, len(rows), study.run.shard_size)
            texts = {at: content_hash(rows[at : at + study.run.shard_size]) for at in slices}
            paired = bool(rows[0].candidates)
            for kind, method, seed, made_by in _work(study, model, source, paired):
                models = [identity(each) for each in made_by.pop("models")]
                made_by |= {"kind": kind, "models": models, "code": code_hash()}
                for start, examples_hash in texts.items():
                    stop = min(start + study.run.shard_size, len(rows))
                    ingredients = {"examples": examples_hash, "versions": _versions(), **made_by}
                    key = json_hash(ingredients)
                    shards.append(Shard(kind, dataset, model, method, seed, start, stop, key))
    return shards


_Work = tuple[Literal["score", "generate"], str, int, dict[str, Any]]


def _work(study: Study, model: str, source: loading.ModelSource, paired: bool) -> Iterator[_Work]:
    """Kinds of shard that a slice needs under a model, with what makes their numbers."""
    shared = {"prompt": asdict(study.prompt), "scoring": asdict(study.scoring)}
    every, tokens = study.methods.values(), loading.load_tokenizer
    if paired:
        files = {
            each.name: [_file_hash(study, each, model, seed) for seed in study.reward_seeds]
            for each in every
            if each.kind == "head"
        }
        baselines = {each.name: each.kind for each in every if each.kind in BASELINES}
        own = {"heads": files, "baselines": baselines, "models": [source]}
        yield "score", "", 0, {**shared, **own}
    for method in every:
        own = {**shared, "method": _choices(method, model)}
        for seed in study.run.seeds if method.seeded else (0,):
            judge = judge_of(study, method, model, seed)
            if method.kind == "p-dpo" and judge not in (None, source):
                check_base(judge, source, method.name)
            if paired and judge:
                yield "score", method.name, seed, {**own, **_judged(study, method, source, judge)}
        drawn = method.decoding.temperature > 0 or method.prompt.order == "random"
        for seed in study.run.seeds if method.decode else ():
            judge = judge_of(study, method, model, seed)
            guided = judge and method.decoding.strategy == "guided"
            # Refused before anything runs, as decoding would refuse it later.
            if guided and not loading.same_vocabulary(tokens(source), tokens(judge)):
                raise loading.other_tokenizer(method.name)
            needed = {
                "head": _file_hash(study, method, model, seed),
                "seed": seed if drawn else 0,
                "models": [source, *([judge] if judge else [])],
            }
            yield "generate", method.name, seed, {**own, **needed}


def _judged(
    study: Study, method: Method, source: loading.ModelSource, judge: loading.ModelSource
) -> dict[str, Any]:
    """Say what the scores of a reward model with a backbone of its own depend on."""
    if method.judge:
        pairs = study.located(method.judge.pairs) if method.judge.pairs else None
        shown = sha256(Path(pairs).read_bytes()).hexdigest() if pairs else ""
        return {"pairs": shown, "models": [judge]}
    shared = loading.same_vocabulary(loading.load_tokenizer(source), loading.load_tokenizer(judge))
    needs_base = shared and (study.scoring.weights or method.relative)
    base = [source] if needs_base else []
    return {"decoding": None, "token_level": shared, "models": [judge, *base]}


def _choices(method: Method, model: str) -> dict[str, Any]:
    choices = asdict(replace(method, decoding=method.decoding_for(model)))
    # Names and places make no number, and what holds for other models neither.
    for part in ("name", "path", "source", "weights", "trains"):
        choices.pop(part)
    return choices


def judge_of(study: Study, method: Method, model: str, seed: int) -> loading.ModelSource | None:
    """Reward model of a method; where it is still to be trained, the base model it will be like.

    Only a plan that is not run, a dry run's, sees one of the latter.
    """
    if method.source and study.untrained(method, model, seed):
        return study.models[model]
    return study.reward_source(method, model, seed)


def _file_hash(study: Study, method: Method, model: str, seed: int) -> str:
    if method.kind != "head" or study.untrained(method, model, seed):
        return ""
    path = Path(study.head_path(method, model, seed))
    if not path.is_file():
        mend = "check it; {model} stands for the base model's name, {seed} for a seed"
        raise fault(f"names {path}, which is no file", mend, variable=f"methods.{method.name}.path")
    return sha256(path.read_bytes()).hexdigest()


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("torch", "transformers", "tokenizers")}


def is_done(folder: Path, shard: Shard) -> bool:
    """Whether a shard's file is there, opens, and carries its key."""
    path = folder / shard.file_name
    if not path.exists():
        return False
    try:
        with open_results(path) as tree:
            return bool(tree.attrs.get("shard_key") == shard.key)
    except InputError:
        return False


def write_manifest(
    folder: Path, study: Study, shards: Sequence[Shard], examples: Mapping[str, Sequence[Example]]
) -> None:
    """Write what a run consists of beside its shards: choices, example ids, keys."""
    manifest = {
        "study": str(study.file),
        "code": code_hash(),
        "versions": _versions(),
        "shards": [asdict(shard) for shard in shards],
        "examples": {name: [example.id for example in rows] for name, rows in examples.items()},
    }
    write_text(folder / "manifest.json", json.dumps(manifest, indent=1, sort_keys=True))

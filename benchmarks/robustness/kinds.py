"""Kinds of case: which input is spoilt, and which command reads it."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robustness.mutations import spoil_bytes, spoil_csv, spoil_json, spoil_jsonl, spoil_toml
from robustness.netcdf import spoil_netcdf

__all__ = ["KINDS", "Kind", "prepare"]

Spoil = Callable[[random.Random, bytes], bytes]
Run = tuple[Callable[[], Any], Sequence[str]]


@dataclass(frozen=True)
class Kind:
    """A kind of case.

    Attributes
    ----------
    share : int
        How many of a hundred cases or so are of this kind.
    make : callable
        Given a generator of random numbers, the folder of valid inputs and the folder of the
        case: write the inputs; return what to run and the outputs that it may write.
    backend : bool
        Whether it needs torch.
    """

    share: int
    make: Callable[[random.Random, Path, Path], Run]
    backend: bool = False


def prepare(kind: str, seed: int, inputs: Path) -> Callable[[Path], Run]:
    """Make a case, named by its kind and seed, ready for the sandbox."""
    rng = random.Random(f"{kind} {seed}")
    return lambda folder: KINDS[kind].make(rng, inputs, folder)


def _command(folder: Path, *arguments: object, promised: Sequence[str] = ()) -> Run:
    import os

    from preflamp_stats.cli import main

    os.chdir(folder)
    words = [str(each) for each in arguments]
    return lambda: main(words, prog_name="preflamp-stats"), promised


def _call(function: Callable[[], Any]) -> Run:
    """Run a function of the library as a command would: bad input is a message and status 2."""
    import sys

    import click

    from preflamp_stats.errors import InputError

    def run() -> None:
        try:
            function()
        except InputError as error:
            for problem in error.problems:
                click.echo(f"preflamp-stats: {problem}", err=True)
            sys.exit(2)

    return run, ()


def _spoilt(rng: random.Random, source: Path, target: Path, structure: Spoil | None) -> None:
    data = source.read_bytes()
    if structure and rng.random() < 0.75:
        data = structure(rng, data)
    if not structure or rng.random() < 0.4:
        others = sorted(path for path in source.parent.iterdir() if path.is_file())
        data = spoil_bytes(rng, data, rng.choice(others).read_bytes())
    target.write_bytes(data if rng.random() < 0.99 else b"")


def _results(rng: random.Random, inputs: Path, folder: Path, *names: str) -> Path:
    source = (
        inputs / "results" / f"{rng.choice(names or ('plain', 'seeds', 'traces', 'groups'))}.nc"
    )
    target = folder / "results.nc"
    if rng.random() < 0.5:
        _spoilt(rng, source, target, None)
    else:
        spoil_netcdf(rng, source, target)
        if rng.random() < 0.1:
            target.write_bytes(spoil_bytes(rng, target.read_bytes()))
    return target


def _validate(rng: random.Random, inputs: Path, folder: Path) -> Run:
    return _command(
        folder, "validate", _results(rng, inputs, folder), *rng.choice(([], ["--json"]))
    )


def _describe(rng: random.Random, inputs: Path, folder: Path) -> Run:
    return _command(
        folder, "describe", _results(rng, inputs, folder), *rng.choice(([], ["--json"]))
    )


def _merge(rng: random.Random, inputs: Path, folder: Path) -> Run:
    spoilt = _results(rng, inputs, folder, "first")
    shutil.copy(inputs / "results" / "second.nc", folder / "second.nc")
    shards = [spoilt, "second.nc"]
    rng.shuffle(shards)
    return _command(folder, "merge", *shards, "-o", "out.nc", promised=["out.nc"])


def _analyze(rng: random.Random, inputs: Path, folder: Path) -> Run:
    spoilt = _results(rng, inputs, folder)
    formats = rng.choice(("csv", "csv,md", "csv,tex"))
    return _command(
        folder, "analyze", spoilt, "--resamples", 40, "--format", formats, "--out", "out",
        promised=["out"],
    )  # fmt: skip


def _report(rng: random.Random, inputs: Path, folder: Path) -> Run:
    """Everything that an analysis can write, of structures only: figures take seconds."""
    target = folder / "results.nc"
    spoil_netcdf(rng, inputs / "results" / "plain.nc", target)
    return _command(folder, "analyze", target, "--resamples", 40, "--out", "out", promised=["out"])


def _convert(rng: random.Random, inputs: Path, folder: Path) -> Run:
    ending = rng.choice(("csv", "csv", "tsv", "jsonl", "jsonl", "parquet"))
    structure: dict[str, Spoil | None] = {
        "csv": spoil_csv,
        "tsv": lambda rng, data: spoil_csv(rng, data, "\t"),
        "jsonl": spoil_jsonl,
        "parquet": None,
    }
    target = folder / f"scores.{ending}"
    if ending == "parquet" and rng.random() < 0.4:
        _other_columns(rng, inputs / "tables" / "scores.parquet", target)
    else:
        _spoilt(rng, inputs / "tables" / f"scores.{ending}", target, structure[ending])
    return _command(folder, "convert", target, "-o", "out.nc", promised=["out.nc"])


def _other_columns(rng: random.Random, source: Path, target: Path) -> None:
    """Change the type of a column or two of a Parquet file."""
    import datetime
    import decimal

    import pyarrow as pa
    from pyarrow import parquet

    table = parquet.read_table(source)
    for _ in range(rng.choice((1, 2))):
        n, at = table.num_rows, rng.randrange(table.num_columns)
        values = rng.choice(
            (
                [None] * n,
                [b"\xff\x00"] * n,
                [[1]] * n,
                [{"a": 1}] * n,
                [True] * n,
                [datetime.date(2020, 1, 1)] * n,
                [datetime.datetime(2020, 1, 1)] * n,
                [datetime.timedelta(1)] * n,
                [decimal.Decimal("1.50")] * n,
                [2**63 - 1] * n,
                [float("nan")] * n,
                [float("inf")] * n,
                ["\0"] * n,
                pa.array(["a"] * n).dictionary_encode(),
                pa.array(["a"] * n, pa.large_string()),
                pa.array([1] * n, pa.uint64()),
                pa.array([1] * n, pa.float16()) if hasattr(pa, "float16") else [1] * n,
            )
        )
        name = rng.choice((table.column_names[at], table.column_names[0], "", "extra", "x" * 300))
        column = values if isinstance(values, pa.Array) else pa.array(values)
        if rng.random() < 0.8:
            table = table.set_column(at, name, column)
        else:
            table = table.append_column(name, column)
    parquet.write_table(table, target)


def _lamp(rng: random.Random, inputs: Path, folder: Path) -> Run:
    questions, outputs, given = "questions.json", "outputs.json", "given.jsonl"
    spoilt = rng.choice((questions, questions, outputs, given))
    rule = "given" if spoilt == given else rng.choice(("similar", "other"))
    for name in (questions, outputs, given):
        if name == spoilt:
            structure = spoil_jsonl if name == given else spoil_json
            _spoilt(rng, inputs / "data" / name, folder / name, structure)
        else:
            shutil.copy(inputs / "data" / name, folder / name)
    extra = ["--given", given] if rule == "given" else []
    return _build(rng, folder, "lamp", questions, outputs, "--rule", rule, *extra)


def _titles(rng: random.Random, inputs: Path, folder: Path) -> Run:
    import gzip

    _spoilt(rng, inputs / "data" / "papers.jsonl", folder / "papers.jsonl", spoil_jsonl)
    name = "papers.jsonl"
    if rng.random() < 0.2:
        packed = gzip.compress((folder / name).read_bytes())
        name = "papers.jsonl.gz"
        (folder / name).write_bytes(spoil_bytes(rng, packed) if rng.random() < 0.5 else packed)
    return _build(rng, folder, "titles", name)


def _people(rng: random.Random, inputs: Path, folder: Path) -> Run:
    command, name = rng.choice(
        (
            ("tldr", "comparisons.jsonl"),
            ("tldr", "comparisons.parquet"),
            ("prism", "conversations.jsonl"),
        )
    )
    structure = spoil_jsonl if name.endswith("jsonl") else None
    _spoilt(rng, inputs / "data" / name, folder / name, structure)
    return _build(rng, folder, command, name)


def _build(rng: random.Random, folder: Path, *arguments: str) -> Run:
    drop = rng.choice(([], ["--drop"]))
    mode = rng.choice(("later", "unseen"))
    return _command(
        folder, "data", "build", *arguments, *drop, "--mode", mode, "--out", "out",
        promised=["out"],
    )  # fmt: skip


def _card(rng: random.Random, inputs: Path, folder: Path) -> Run:
    name = "examples.jsonl"
    _spoilt(rng, inputs / "data" / name, folder / name, spoil_jsonl)
    shutil.copy(inputs / "data" / name, folder / "other.jsonl")
    return _command(folder, "data", "describe", name, "other.jsonl", *rng.choice(([], ["--json"])))


def _scores_of_others(rng: random.Random, inputs: Path, folder: Path) -> Run:
    from preflamp_backend.interop import read_lm_eval, read_reward_bench

    name = rng.choice(("rewardbench.jsonl", "lm_eval.jsonl"))
    _spoilt(rng, inputs / "tables" / name, folder / name, spoil_jsonl)
    if name == "rewardbench.jsonl":
        return _call(lambda: read_reward_bench(folder / name, method="rm"))
    return _call(lambda: read_lm_eval(folder / name, model="m"))


def _run(rng: random.Random, inputs: Path, folder: Path) -> Run:
    study = inputs / "study"
    _beside(study, folder)
    spoilt = "titles.jsonl" if rng.random() < 0.3 else "study.toml"
    (folder / spoilt).unlink()
    structure = spoil_jsonl if spoilt == "titles.jsonl" else spoil_toml
    _spoilt(rng, study / spoilt, folder / spoilt, structure)
    return _command(folder, "run", "study.toml", "--dry-run")


def _train(rng: random.Random, inputs: Path, folder: Path) -> Run:
    study = inputs / "study"
    _beside(study, folder)
    spoilt = "titles.jsonl" if rng.random() < 0.3 else "train.toml"
    (folder / spoilt).unlink()
    structure = spoil_jsonl if spoilt == "titles.jsonl" else spoil_toml
    _spoilt(rng, study / spoilt, folder / spoilt, structure)
    return _command(folder, "train", "train.toml", "--dry-run")


def _model(rng: random.Random, inputs: Path, folder: Path) -> Run:
    """A base model's folder: configuration, tokenizer, or weights."""
    study = inputs / "study"
    _beside(study, folder)
    (folder / "small").unlink()
    shutil.copytree(study / "small", folder / "small")
    name = rng.choice(("config.json", "tokenizer.json", "tokenizer_config.json"))
    _spoilt(rng, study / "small" / name, folder / "small" / name, spoil_json)
    return _command(folder, "run", "study.toml", "--dry-run")


def _weights(rng: random.Random, inputs: Path, folder: Path) -> Run:
    """Weights of a base model, loaded as a run loads them."""
    from preflamp_backend.models.loading import load_language_model
    from preflamp_backend.models.sources import ModelSource

    shutil.copytree(inputs / "study" / "small", folder / "small")
    name = rng.choice(("model.safetensors", "config.json"))
    structure = spoil_json if name == "config.json" else None
    _spoilt(rng, inputs / "study" / "small" / name, folder / "small" / name, structure)
    return _call(lambda: load_language_model(ModelSource(str(folder / "small"), device="cpu")))


def _head(rng: random.Random, inputs: Path, folder: Path) -> Run:
    import struct

    from preflamp_backend.models.heads.head import load_head

    name = rng.choice(("bt", "lore"))
    data = (inputs / "study" / "heads" / "small" / f"{name}.safetensors").read_bytes()
    if rng.random() < 0.6:
        size = struct.unpack("<Q", data[:8])[0]
        header = spoil_json(rng, data[8 : 8 + size])
        data = struct.pack("<Q", len(header)) + header + data[8 + size :]
    if rng.random() < 0.6:
        data = spoil_bytes(rng, data)
    (folder / "head.safetensors").write_bytes(data)
    return _call(lambda: load_head(folder / "head.safetensors"))


def _corpus(rng: random.Random, inputs: Path, folder: Path) -> Run:
    """What a language model is trained on."""
    import gzip

    from preflamp_backend.pretraining.documents import read_documents

    name = "texts.jsonl"
    _spoilt(rng, inputs / "data" / "papers.jsonl", folder / name, spoil_jsonl)
    if rng.random() < 0.3:
        data = gzip.compress((folder / name).read_bytes())
        name = "texts.jsonl.gz"
        (folder / name).write_bytes(spoil_bytes(rng, data))
    return _call(lambda: read_documents([folder / name], "abstract"))


def _beside(study: Path, folder: Path) -> None:
    for path in study.iterdir():
        (folder / path.name).symlink_to(path)


KINDS = {
    "validate": Kind(22, _validate),
    "describe": Kind(8, _describe),
    "merge": Kind(8, _merge),
    "analyze": Kind(3, _analyze),
    "report": Kind(1, _report),
    "convert": Kind(20, _convert),
    "lamp": Kind(6, _lamp),
    "titles": Kind(4, _titles),
    "people": Kind(5, _people),
    "card": Kind(5, _card),
    "interop": Kind(4, _scores_of_others),
    "run": Kind(6, _run, backend=True),
    "train": Kind(4, _train, backend=True),
    "model": Kind(3, _model, backend=True),
    "weights": Kind(2, _weights, backend=True),
    "head": Kind(5, _head, backend=True),
    "corpus": Kind(3, _corpus, backend=True),
}
"""Kinds of case by name."""

"""Kinds of case: which input is spoilt, and which command reads it."""

from __future__ import annotations

import gzip
import os
import random
import re
import shutil
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.mutations import spoil_bytes, spoil_text
from harness.netcdf import spoil_netcdf

Run = tuple[Callable[[], Any], Sequence[str]]


@dataclass(frozen=True)
class Kind:
    """A kind of case.

    Attributes
    ----------
    share : int
        How many of a hundred cases or so are of this kind.
    inputs : str
        Folder of valid inputs.
    spoilt : str
        Which of them may be spoilt; those that are named twice are so twice as often.
    does : str or callable
        A command, ``{}`` in place of the spoilt file and one of ``[a|b]`` drawn; or a function of
        the library, given its path.
    backend : bool
        Whether it needs torch.
    """

    share: int
    inputs: str
    spoilt: str
    does: str | Callable[[Path], object]
    backend: bool = False


def prepare(kind: str, seed: int, inputs: Path) -> Callable[[Path], Run]:
    """Make a case, named by its kind and seed, ready for the sandbox."""
    rng, of = random.Random(f"{kind} {seed}"), KINDS[kind]

    def make(folder: Path) -> Run:
        name = rng.choice(of.spoilt.split())
        for path in (inputs / of.inputs).rglob("*"):
            beside = folder / path.relative_to(inputs / of.inputs)
            beside.parent.mkdir(parents=True, exist_ok=True)
            if path.is_file() and beside != folder / name:
                beside.symlink_to(path.resolve())
        _spoil(rng, inputs / of.inputs / name, folder / name)
        os.chdir(folder)
        if not isinstance(of.does, str):
            return _call(of.does, folder / name), ()
        drawn = re.sub(r"\[(.*?)\]", lambda found: rng.choice(found[1].split("|")), of.does)
        words = drawn.format(name).split()
        promised = [words[at + 1] for at, word in enumerate(words) if word in ("-o", "--out")]
        from preflamp_stats.cli import main

        return lambda: main(words, prog_name="preflamp-stats"), promised

    return make


def _call(function: Callable[[Path], object], path: Path) -> Callable[[], None]:
    """Run a function of the library as a command would: bad input is a message and status 2."""
    import click

    from preflamp_stats.errors import InputError

    def run() -> None:
        try:
            function(path)
        except InputError as error:
            for problem in error.problems:
                click.echo(f"preflamp-stats: {problem}", err=True)
            sys.exit(2)

    return run


def _spoil(rng: random.Random, source: Path, target: Path) -> None:
    """Spoil the structure of a file, its bytes, or both; one in a hundred is empty."""
    structure = rng.random() < 0.7
    if structure:
        _STRUCTURES.get(source.suffix, _text)(rng, source, target)
    else:
        shutil.copy(source, target)
    if not structure or rng.random() < 0.15:
        others = sorted(path for path in source.parent.iterdir() if path.is_file())
        data = spoil_bytes(rng, target.read_bytes(), rng.choice(others).read_bytes())
        target.write_bytes(data if rng.random() < 0.96 else b"")


def _text(rng: random.Random, source: Path, target: Path) -> None:
    target.write_bytes(spoil_text(rng, source.read_bytes()))


def _packed(rng: random.Random, source: Path, target: Path) -> None:
    target.write_bytes(gzip.compress(spoil_text(rng, gzip.decompress(source.read_bytes()))))


def _tensors(rng: random.Random, source: Path, target: Path) -> None:
    """Spoil the JSON at the head of a file of tensors."""
    data = source.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = spoil_text(rng, data[8 : 8 + size])
    target.write_bytes(struct.pack("<Q", len(header)) + header + data[8 + size :])


def _columns(rng: random.Random, source: Path, target: Path) -> None:
    """Change the type of a column or two of a Parquet file."""
    import datetime
    import decimal

    import pyarrow as pa
    from pyarrow import parquet

    table = parquet.read_table(source)
    values = [None, b"\xff\x00", [1], {"a": 1}, True, datetime.date(2020, 1, 1), 2**63 - 1, "\0"]
    values += [datetime.datetime(2020, 1, 1), datetime.timedelta(1), decimal.Decimal("1.50")]
    values += [float("nan"), float("inf"), pa.scalar("a", pa.large_string())]
    values += [pa.scalar(1, pa.uint64()), pa.scalar(1, pa.float16())]
    for _ in range(rng.choice((1, 2))):
        at = rng.randrange(table.num_columns)
        name = rng.choice((table.column_names[at], table.column_names[0], "", "extra", "x" * 300))
        column = pa.repeat(rng.choice(values), table.num_rows)
        if rng.random() < 0.1:
            column = pa.array(["a"] * table.num_rows).dictionary_encode()
        if rng.random() < 0.8:
            table = table.set_column(at, name, column)
        else:
            table = table.append_column(name, column)
    parquet.write_table(table, target)


_STRUCTURES: dict[str, Callable[[random.Random, Path, Path], None]] = {
    ".nc": spoil_netcdf,
    ".parquet": _columns,
    ".gz": _packed,
    ".safetensors": _tensors,
}
"""By the ending of a file's name; what is not named is text."""


def _scores_of_others(path: Path) -> object:
    from preflamp_stats import import_files

    return import_files([path], "rewardbench" if path.stem == "rewardbench" else "lm-eval")


def _weights(path: Path) -> object:
    """Load a base model as a run loads it."""
    from preflamp_backend.models.loading import ModelSource, load_language_model

    return load_language_model(ModelSource(str(path.parent), device="cpu"))


def _head(path: Path) -> object:
    from preflamp_backend.models.heads.head import load_head

    return load_head(path)


def _corpus(path: Path) -> object:
    """Read what a language model is trained on."""
    from preflamp_backend.pretraining.documents import read_documents

    return read_documents([path], "abstract")


_FILES = "plain.nc seeds.nc traces.nc groups.nc"
_TABLES = "scores.csv scores.csv scores.tsv scores.jsonl scores.jsonl scores.parquet"
_BUILD = "[|--drop] --mode [later|unseen] --out out"
_LAMP = (
    "data build lamp questions.json outputs.json --rule [similar|other|given --given given.jsonl] "
)
_ANALYZE, _PAIRS = "analyze {} --resamples 40", "comparisons.jsonl comparisons.parquet"
_ASKED, _STUDY, _TRAIN = (
    f"{each} {each}" for each in ("questions.json", "study.toml", "train.toml")
)
_HEADS = "heads/small/bt.safetensors heads/small/lore.safetensors"
_MODEL = "small/config.json small/tokenizer.json small/tokenizer_config.json"
KINDS = {
    "validate": Kind(22, "results", _FILES, "validate {} [|--json]"),
    "describe": Kind(8, "results", _FILES, "describe {} [|--json]"),
    "merge": Kind(8, "results", "first.nc", "merge [{} second.nc|second.nc {}] -o out.nc"),
    "analyze": Kind(3, "results", _FILES, f"{_ANALYZE} --format [csv|csv,md|csv,tex] --out out"),
    # Everything that an analysis can write; figures take seconds.
    "report": Kind(1, "results", "plain.nc", f"{_ANALYZE} --out out"),
    "convert": Kind(20, "tables", _TABLES, "convert {} -o out.nc"),
    "lamp": Kind(6, "data", f"{_ASKED} outputs.json given.jsonl", _LAMP + _BUILD),
    "titles": Kind(4, "data", "papers.jsonl papers.jsonl.gz", "data build titles {} " + _BUILD),
    "tldr": Kind(3, "data", _PAIRS, "data build tldr {} " + _BUILD),
    "prism": Kind(2, "data", "conversations.jsonl", "data build prism {} " + _BUILD),
    "card": Kind(5, "data", "examples.jsonl", "data describe {} other.jsonl [|--json]"),
    "interop": Kind(4, "tables", "rewardbench.jsonl lm_eval.jsonl", _scores_of_others),
    "run": Kind(6, "study", f"{_STUDY} titles.jsonl", "run study.toml --dry-run", True),
    "train": Kind(4, "study", f"{_TRAIN} titles.jsonl", "train train.toml --dry-run", True),
    "model": Kind(3, "study", _MODEL, "run study.toml --dry-run", True),
    "weights": Kind(2, "study", "small/model.safetensors small/config.json", _weights, True),
    "head": Kind(5, "study", _HEADS, _head, True),
    "corpus": Kind(3, "data", "papers.jsonl papers.jsonl.gz", _corpus, True),
}
"""Kinds of case by name."""

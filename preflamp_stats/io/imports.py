"""From files of other tools to results: which tools there are, and the one road that they share.

A new tool is a function in ``formats/`` that makes rows of a file, and a line in ``KINDS``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.io.columns import VALUE_COLUMNS, Known
from preflamp_stats.io.formats.inspect_logs import inspect_log, is_inspect
from preflamp_stats.io.formats.lm_eval import is_lm_eval, lm_eval
from preflamp_stats.io.formats.rewards import (
    is_judgebench,
    is_rewardbench,
    is_rewardbench2,
    is_rm_bench,
    judgebench,
    rewardbench,
    rewardbench2,
    rm_bench,
)
from preflamp_stats.io.formats.source import Asked, Found, Source
from preflamp_stats.io.formats.tables import (
    alpaca_eval,
    is_alpaca_eval,
    is_mt_metrics,
    is_preference,
    mt_metrics_eval,
    preference,
)
from preflamp_stats.io.from_tables import convert, say_to_stderr
from preflamp_stats.io.row_arrays import LABEL_COLUMNS
from preflamp_stats.io.tables import Table
from preflamp_stats.io.variables import VariableSpec

__all__ = [
    "KINDS",
    "import_files",
    "read_alpaca_eval",
    "read_inspect",
    "read_judgebench",
    "read_lm_eval",
    "read_mt_metrics_eval",
    "read_preference",
    "read_rewardbench",
    "read_rewardbench2",
    "read_rm_bench",
]


@dataclass(frozen=True)
class Kind:
    """Files of one tool.

    Parameters
    ----------
    fits : callable
        Whether a file is one, by its content or name.
    read : callable
        Makes rows of it, or a table whose columns are yet to be understood.
    """

    fits: Callable[[Source], bool]
    read: Callable[[Source, Asked], Found | Table]


KINDS: dict[str, Kind] = {
    "rewardbench": Kind(is_rewardbench, rewardbench),
    "rewardbench2": Kind(is_rewardbench2, rewardbench2),
    "rm-bench": Kind(is_rm_bench, rm_bench),
    "judgebench": Kind(is_judgebench, judgebench),
    "alpaca-eval": Kind(is_alpaca_eval, alpaca_eval),
    "lm-eval": Kind(is_lm_eval, lm_eval),
    "inspect": Kind(is_inspect, inspect_log),
    "mt-metrics-eval": Kind(is_mt_metrics, mt_metrics_eval),
    "preference": Kind(is_preference, preference),
}
"""Tools whose files are read, by the name of their kind."""


def import_files(
    files: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    kind: str = "",
    *,
    lower_is_better: Sequence[str] = (),
    higher_is_better: Sequence[str] = (),
    say: Callable[[str], None] = say_to_stderr,
    **asked: Any,
) -> xr.DataTree:
    """Read files that another tool wrote.

    Parameters
    ----------
    files : path, or iterable of paths
        Files of one tool, or folders of them: several models, tasks or metrics make one tree.
    kind : str
        A key of ``KINDS``; found from what the files hold where it is not given.
    lower_is_better, higher_is_better : sequence of str
        Direction of metrics of which the tool does not tell it.
    say : callable
        Told what was found, assumed and left out; prints on standard error by default.
    **asked
        ``method``, ``dataset``: their names, where the files do not tell them or others are wanted.
        ``user``, ``subset``: field of a record that names them. ``filter``: of
        lm-evaluation-harness. ``texts``: read generations too where they are scored. ``mapping``,
        ``ignore``: of :func:`preflamp_stats.convert`, for preference sets.

    Returns
    -------
    xarray.DataTree
        As :func:`preflamp_stats.convert` makes it; what every metric and test takes.

    Raises
    ------
    InputError, SchemaError
        For files of no kind, of several, or that cannot be read as one, each with its reason.

    Examples
    --------
    >>> import tempfile
    >>> import preflamp_stats as pls
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "rm_all.jsonl")
    ...     _ = file.write_text('{"chosen": 1.5, "rejected": [0.5]}')
    ...     tree = import_files(file, say=lambda line: None)
    >>> pls.rm_accuracy(tree).sel({"method": "rm"}).item()
    1.0
    """
    if kind and kind not in KINDS:
        raise InputError(Problem(f"{kind!r} is no kind", f"choose one of {', '.join(KINDS)}"))
    sources, reader = _sources(
        [files] if isinstance(files, str | os.PathLike) else files, kind, say
    )
    notes: dict[str, list[Path]] = {}
    wishes = Asked(lambda path, note: notes.setdefault(note, []).append(path), **asked)
    parts = [reader.read(source, wishes) for source in sources]
    for note, paths in notes.items():
        say(f"{_listed(paths)}: {note}")
    tables = [
        _known(each, source) if isinstance(each, Found) else each
        for each, source in zip(parts, sources, strict=True)
    ]
    found = [each for each in parts if isinstance(each, Found)]
    told = {*lower_is_better, *higher_is_better}
    lower = {n for each in found for n in each.lower} - told
    higher = {n for each in found for n in each.higher} - told - lower
    there = {name for each in tables if isinstance(each, Known) for name in each.metrics}
    tree = convert(
        tables,
        lower_is_better=[*lower_is_better, *sorted(lower & there)],
        higher_is_better=[*higher_is_better, *sorted(higher & there)],
        mapping=wishes.mapping,
        ignore=wishes.ignore,
        say=say,
    )
    if pairwise := sorted({name for each in found for name in each.pairwise}):
        for node in tree.subtree:
            if "reward" in node.data_vars:
                node["reward"].attrs["pairwise"] = json.dumps(pairwise)
    return tree


_ENDINGS = (".json", ".jsonl", ".eval", ".score", ".parquet", ".csv")


def _sources(
    files: Iterable[str | os.PathLike[str]], kind: str, say: Callable[[str], None]
) -> tuple[list[Source], Kind]:
    """Files, those of folders too, and their one kind."""
    found: list[tuple[Source, list[str]]] = []
    for path in map(Path, files):
        inside = sorted(each for each in path.rglob("*") if each.suffix in _ENDINGS)
        here = [Source(each) for each in (inside if path.is_dir() else [path])]
        fits = [
            (each, [n for n in ([kind] if kind else KINDS) if KINDS[n].fits(each)]) for each in here
        ]
        if path.is_dir():
            fits = [(each, names) for each, names in fits if names]
            if not fits:
                _refuse(path, "holds no file that is read", kind)
        for each, names in fits:
            if not each.path.is_file():
                each.refuse("no such file", "check the path")
            if not names and not kind:
                _refuse(each.path, "is of no kind that is known", kind)
        found += fits
    if not found:
        raise InputError(Problem("no file is named", "name one, or a folder of them"))
    kinds = {name for _, each in found for name in each}
    if not kind and len(kinds) > 1:
        shown = "; ".join(f"{each.path} as {' or '.join(of)}" for each, of in found[:4])
        mend = "name the kind, or read the files of each by themselves"
        raise InputError(Problem(f"more than one kind fits: {shown}", mend))
    if not kind:
        kind = kinds.pop()
        say(f"{_listed([each.path for each, _ in found])}: read as {kind}")
    return [each for each, _ in found], KINDS[kind]


def _listed(paths: Sequence[Path]) -> str:
    return f"{paths[0]}" + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")


def _refuse(path: Path, what: str, kind: str) -> None:
    mend = f"name files of {kind}" if kind else f"give its kind, one of {', '.join(KINDS)}"
    mend += "; a results file needs no import, and any other table is read by convert"
    raise InputError(Problem(what, mend, str(path)))


def _known(found: Found, source: Source) -> Known:
    """Rows of a file as a table whose columns are understood."""
    if not found.rows:
        source.refuse("holds no example", "check the file")
    cells = pd.DataFrame(found.rows)
    cells.index = pd.RangeIndex(1, len(cells) + 1)
    own = [name for name in cells if name not in (*LABEL_COLUMNS, *VALUE_COLUMNS)]
    metrics = {str(name): _spec(str(name), "example" in cells) for name in own}
    return Known(Table(str(source.path), cells, "row"), metrics, [], [])


def _spec(name: str, of_examples: bool) -> VariableSpec:
    return VariableSpec(
        name=name,
        dims=("method", "example") if of_examples else ("method",),
        optional=("seed", "model"),
        kind="float",
        meaning=name.replace("_", " "),
        role="generation_metric" if of_examples else "method_metric",
    )


def _reader(kind: str, of: str) -> Callable[..., xr.DataTree]:
    name = f"read_{kind.replace('-', '_')}"

    def read(files: Any, **options: Any) -> xr.DataTree:
        return import_files(files, kind, **options)

    read.__name__ = read.__qualname__ = name
    read.__doc__ = f"""Read {of}.

    Parameters
    ----------
    files : path, or iterable of paths
        Files, or folders of them.
    **options
        As of :func:`import_files`.

    Returns
    -------
    xarray.DataTree

    Raises
    ------
    InputError, SchemaError
        As :func:`import_files`.

    Examples
    --------
    >>> import preflamp_stats as pls
    >>> pls.{name}("nowhere.json")
    Traceback (most recent call last):
    ...
    preflamp_stats.errors.InputError: nowhere.json: no such file; check the path
    """
    return read


read_rewardbench = _reader("rewardbench", "rewards of rewardbench")
read_rewardbench2 = _reader("rewardbench2", "rewards of RewardBench 2")
read_rm_bench = _reader("rm-bench", "rewards of RM-Bench")
read_judgebench = _reader("judgebench", "judgments of JudgeBench")
read_alpaca_eval = _reader("alpaca-eval", "annotations or leaderboards of alpaca_eval")
read_lm_eval = _reader("lm-eval", "samples of lm-evaluation-harness")
read_inspect = _reader("inspect", "logs of inspect_ai")
read_mt_metrics_eval = _reader("mt-metrics-eval", "score files of mt-metrics-eval")
read_preference = _reader("preference", "a preference set that has scores")

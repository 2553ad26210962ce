"""``preflamp-stats validate``, ``describe``, ``convert`` and ``merge``: work on results files."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click

from preflamp_stats.cli.options import column_options, names, results_option
from preflamp_stats.errors import InputError

# Whether a file exists is checked by its reader, whose message says how to mend it.
_PATH = click.Path(path_type=Path)
_Command = TypeVar("_Command", bound=Callable[..., Any])


def _direction(which: str) -> Callable[[_Command], _Command]:
    told = f"Metrics whose {which} values are better."
    how: Any = {"multiple": True, "callback": names, "metavar": "NAME,...", "help": told}
    return click.option(f"--{which}-is-better", **how)


@click.command("validate")
@click.argument("results", type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of lines.")
def validate_command(results: Path, as_json: bool) -> None:
    """Check RESULTS against the schema and list every problem.

    Prints one line a problem on standard error and exits with 2 if there is any. Warnings name
    what is allowed but may not be meant. With --json both are on standard output.
    """
    from preflamp_stats.cli.console import print_json, say
    from preflamp_stats.io.files import open_results
    from preflamp_stats.io.schema import datasets, validate
    from preflamp_stats.io.variables import SCHEMA_VERSION

    try:
        with open_results(results) as tree:
            warnings = validate(tree, file=str(results))
            names = list(datasets(tree))
    except InputError as error:
        if not as_json:
            raise
        # One that is only a text stands under "what".
        problems = [{"what": p} if isinstance(p, str) else asdict(p) for p in error.problems]
        print_json({"file": str(results), "valid": False, "problems": problems})
        raise SystemExit(2) from None
    if as_json:
        about = {"file": str(results), "valid": True, "schema": SCHEMA_VERSION, "datasets": names}
        print_json(about | {"warnings": [str(warning) for warning in warnings]})
        return
    for warning in warnings:
        say(f"warning: {warning}", err=True)
    say(f"{results}: follows schema {SCHEMA_VERSION}; datasets: {', '.join(names)}")


@click.command("describe")
@click.argument("results", type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def describe_command(results: Path, as_json: bool) -> None:
    """Say what is in RESULTS: dims, methods, users, missing shares, coverage by method."""
    from preflamp_stats.cli.console import print_json
    from preflamp_stats.io.describe import describe
    from preflamp_stats.io.files import open_results
    from preflamp_stats.io.schema import validate

    with open_results(results) as tree:
        validate(tree, file=str(results), values=False)
        found = describe(tree)
    if as_json:
        print_json(found)
    else:
        for name, dataset in found.items():
            _print_dataset(name, dataset)


@click.command("convert")
@click.argument("scores", nargs=-1, required=True, type=_PATH)
@results_option
@column_options
@_direction("lower")
@_direction("higher")
def convert_command(scores: tuple[Path, ...], out: Path, **options: Any) -> None:
    """Make a results file from SCORES in CSV, TSV, JSON, JSONL or Parquet.

    Columns: dataset, model, method, method_family, seed, user, example, candidate, and any of
    reward, logprob, n_tokens, policy_score (a row a candidate; or a row a pair, as chosen and
    rejected) or generation, reference, rouge1 and other numbers (a row an example). Common other
    names are understood; how, is said on standard error. Several files are taken as one table.
    """
    from preflamp_stats.io.files import write_results
    from preflamp_stats.io.from_tables import convert

    tree = convert(scores, **options)
    write_results(tree, out)
    _say_written(tree, out)


_OF_FILES = {
    "method": "Name of what was evaluated.",
    "dataset": "Name of the benchmark dataset.",
    "user": "Field of a record that names the user, such as doc.person.",
    "subset": "Field of a record that names the subset.",
    "filter": "Filter of lm-evaluation-harness whose responses are read.",
}


def _import_options(command: _Command) -> _Command:
    for name, told in reversed(_OF_FILES.items()):
        command = click.option(f"--{name}", default="", help=told)(command)
    return command


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=_PATH, metavar="[KIND] FILES...")
@results_option
@_import_options
@click.option("--texts", is_flag=True, help="Read generations too where the tool scored them.")
@column_options
@_direction("lower")
@_direction("higher")
def import_command(files: tuple[Path, ...], out: Path, **options: Any) -> None:
    """Make a results file from FILES that another tool wrote, or folders of them.

    KIND is rewardbench, rewardbench2, rm-bench, judgebench, alpaca-eval, lm-eval, inspect,
    mt-metrics-eval or preference; left out, it is found from what the files hold. How they were
    read is said on standard error. --map and --ignore are for preference sets.
    """
    from preflamp_stats.cli.console import say
    from preflamp_stats.io.files import write_results
    from preflamp_stats.io.imports import KINDS, import_files
    from preflamp_stats.io.schema import datasets
    from preflamp_stats.io.variables import generation_metrics

    kind = str(files[0]) if len(files) > 1 and str(files[0]) in KINDS else ""
    tree = import_files(files[1:] if kind else files, kind, **options)
    write_results(tree, out)
    _say_written(tree, out)
    own = [name for ds in datasets(tree).values() for name in generation_metrics(ds)]
    told = f" --downstream {','.join(dict.fromkeys(own))}" if own else ""
    say(f"next: preflamp-stats analyze {shlex.quote(str(out))}{told}", err=True)


@click.command("merge")
@click.argument("shards", nargs=-1, required=True, type=_PATH)
@results_option
def merge_command(shards: tuple[Path, ...], out: Path) -> None:
    """Join SHARDS of one study, which differ in examples, seeds, methods or models.

    Shards that overlap or contradict each other are refused, with what they have in common. With
    the extra "dask" they are joined block by block, whatever their size.
    """
    import importlib.util
    from contextlib import ExitStack

    from preflamp_stats.io.files import open_results, write_results
    from preflamp_stats.io.merge import merge

    chunks: dict[str, int] | None = {} if importlib.util.find_spec("dask") else None
    with ExitStack() as stack:
        trees = [stack.enter_context(open_results(shard, chunks=chunks)) for shard in shards]
        tree = merge(trees, names=[str(shard) for shard in shards])
        write_results(tree, out)
        _say_written(tree, out)


def _say_written(tree: Any, out: Path) -> None:
    from preflamp_stats.cli.console import say
    from preflamp_stats.io.schema import datasets

    parts = [
        f"{name} ({', '.join(f'{size} {dim}' for dim, size in ds.sizes.items())})"
        for name, ds in datasets(tree).items()
    ]
    say(f"{out}: {'; '.join(parts)}")


def _print_dataset(name: str, found: dict[str, Any]) -> None:
    from rich.table import Table

    from preflamp_stats.cli.console import cell, console, print_records

    out = console()
    out.print(cell(name, "bold"))
    about = Table.grid(padding=(0, 2))
    about.add_column()
    about.add_column(overflow="fold")
    lines = {
        "dims": ", ".join(f"{dim} {size:,}" for dim, size in found["dims"].items()),
        "methods": _grouped(found["methods"], "family"),
        "models": ", ".join(_with_note(item, "parameters") for item in found["models"]),
        "seeds": ", ".join(map(str, found["seeds"])),
        "users": _users(found),
        "metrics": ", ".join(found["metrics"]),
        "in memory": f"{found['bytes'] / 1e6:.1f} MB",
    }
    for key, line in lines.items():
        if line:
            about.add_row(cell(f"  {key}", "dim"), cell(line))
    out.print(about)
    variables = [
        {"variable": each, "dims": ", ".join(entry["dims"]), "type": entry["dtype"],
         "missing": entry["missing"] or "none"}
        for each, entry in found["variables"].items()
    ]  # fmt: skip
    left_out = ("dataset", "n_examples")
    rows = [{k: v for k, v in row.items() if k not in left_out} for row in found["coverage"]]
    for part in (variables, rows):
        out.print()
        print_records(part, _share, left=("variable", "dims", "type", "model", "method"))
    out.print()


def _share(name: str, value: object) -> str:
    return f"{100 * value:.1f} %" if isinstance(value, float) else str(value)


def _grouped(items: list[dict[str, Any]], key: str) -> str:
    """Names by what they have in common, in the order of first appearance."""
    groups: dict[str, list[str]] = {}
    for item in items:
        groups.setdefault(str(item.get(key) or ""), []).append(str(item["name"]))
    parts = [", ".join(names) + (f" ({note})" if note else "") for note, names in groups.items()]
    return "; ".join(parts)


def _with_note(item: dict[str, Any], key: str) -> str:
    note = item.get(key)
    if isinstance(note, int | float):
        note = f"{_short(note)} parameters"
    return f"{item['name']} ({note})" if note else str(item["name"])


def _short(count: float) -> str:
    """A large number as people say it: 500M, 1.5B."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if count >= size:
            return f"{count / size:.3g}{letter}"
    return f"{count:g}"


def _users(found: dict[str, Any]) -> str:
    spread = found["examples_per_user"]
    if spread is None:
        return "none named; each example is its own unit" if found["n_examples"] else ""
    if spread["min"] == spread["max"]:
        return f"{found['n_users']:,}, with {spread['min']:,} examples each"
    return (
        f"{found['n_users']:,}, with {spread['min']:,} to {spread['max']:,} examples each "
        f"(median {spread['median']:g})"
    )

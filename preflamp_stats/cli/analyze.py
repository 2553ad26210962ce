"""``preflamp-stats analyze``: from results files to tables, figures and a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from preflamp_stats.cli.options import add_options, column_options, directory_option
from preflamp_stats.errors import InputError, Problem
from preflamp_stats.settings import OUTPUTS, Settings

if TYPE_CHECKING:
    import xarray as xr
    from rich.console import Console

    from preflamp_stats.results import Analysis


@click.command("analyze", context_settings={"show_default": True})
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@directory_option("preflamp-analysis")
@click.option("--by-subset", is_flag=True, help="Take each subset of examples for a dataset.")
@click.option("--signature", default="", help="Take all options from the signature of a report.")
@click.option("--json", "as_json", is_flag=True, help="Print analysis.json instead of the answers.")
@column_options
@add_options(Settings)
def analyze_command(
    results: tuple[Path, ...],
    out: Path,
    by_subset: bool,
    signature: str,
    as_json: bool,
    mapping: dict[str, str],
    ignore: tuple[str, ...],
    **settings: Any,
) -> None:
    """Estimate, test, and write tables, figures and a report.

    RESULTS are results files (NetCDF-4), or tables of scores (CSV, TSV, JSON, JSONL, Parquet) as
    convert reads them; each benchmark dataset in them is analysed.
    """
    columns: dict[str, Any] = {"mapping": mapping, "ignore": ignore}
    columns |= {"by_subset": by_subset, "as_json": as_json, "signature": signature}
    if signature:
        outputs = {name: settings[name] for name in OUTPUTS if name in settings}
        ctx, given = click.get_current_context(), click.core.ParameterSource.COMMANDLINE
        if any(ctx.get_parameter_source(name) is given for name in settings.keys() - outputs):
            raise InputError("--signature names all options: give none beside it")
        run_analysis(results, out, Settings.from_signature(signature, **outputs), **columns)
    else:
        run_analysis(results, out, Settings(**settings), **columns)


def run_analysis(
    paths: tuple[Path, ...],
    out: Path,
    settings: Settings,
    *,
    by_subset: bool = False,
    as_json: bool = False,
    signature: str = "",
    **columns: Any,
) -> None:
    """Analyse files, write the directory, print the answers; ``columns`` as open_any."""
    from contextlib import ExitStack

    from preflamp_stats.analysis.run import analyze
    from preflamp_stats.cli.console import console, stage_progress
    from preflamp_stats.io.select import by_subset as split
    from preflamp_stats.io.select import open_any
    from preflamp_stats.io.tables import format_of
    from preflamp_stats.outputs.write import write_analysis

    with ExitStack() as stack:
        tables = [path for path in paths if format_of(path)]
        if not tables and any(columns.values()):
            raise InputError("--map and --ignore are about tables, and none is named")
        if len(tables) == len(paths):  # then its metrics are known, and their directions told
            columns["lower_is_better"] = settings.lower_is_better
            columns["higher_is_better"] = settings.higher_is_better
        trees = open_any(paths, **columns)
        for tree in trees.values():
            stack.callback(tree.close)
        progress = stack.enter_context(stage_progress())
        found = split(_joined(trees)) if by_subset else _joined(trees)
        analysis = analyze(found, settings, inputs=paths, progress=progress)
        if signature and signature.strip() != analysis.signature:
            what = f"is of other data or another version: this is {analysis.signature}"
            raise InputError(Problem(what, "take those that it names", variable="--signature"))
        written = write_analysis(analysis, out, progress=progress)
    if as_json:
        click.echo((out / "analysis.json").read_text(encoding="utf-8"), nl=False)
        return
    print_summary(analysis, written, console())


def _joined(trees: dict[str, xr.DataTree]) -> dict[str, xr.Dataset]:
    """Datasets of all files by name; two of one name are refused."""
    from preflamp_stats.io.schema import datasets

    found: dict[str, xr.Dataset] = {}
    origin: dict[str, str] = {}
    for path, tree in trees.items():
        for name, ds in datasets(tree).items():
            if name in found:
                what = f"holds dataset {name!r}, as does {origin[name]}"
                mend = "join the files with preflamp-stats merge, or rename a group"
                raise InputError(Problem(what, mend, path))
            found[name], origin[name] = ds, path
    return found


def print_summary(analysis: Analysis, written: Sequence[Path], console: Console) -> None:
    """Print every question with its answer, the notes, and the file to open next.

    Parameters
    ----------
    analysis : Analysis
    written : sequence of Path
        Files that were written of it, as :func:`~preflamp_stats.outputs.write.write_analysis` gives
        them.
    console : rich.console.Console
        Bold and colours only where it is a terminal; plain text when piped.
    """
    from rich.padding import Padding
    from rich.text import Text

    from preflamp_stats.outputs.formatting import one_line

    for question in analysis.questions:
        if question.answer:
            console.print(Text(question.title, style="bold"))
            console.print(Padding(Text(one_line(question.answer)), (0, 0, 0, 2), expand=False))
    for note in analysis.notes:
        console.print(Text(f"Note: {one_line(note)}", style="yellow"))
    report = [path for path in written if path.name == "report.html"]
    where = [f"Report: {report[0]}" if report else f"Record: {written[0]}"] if written else []
    for line in where:
        # A path is printed whole, so that it can be copied.
        console.print(Text(line), soft_wrap=True)

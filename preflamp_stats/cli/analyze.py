"""``preflamp-stats analyze``: from results files to tables, figures and a report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from preflamp_stats.choices import Average, Resample, Scoring, Ties, TokenizerName, Variant

if TYPE_CHECKING:
    import xarray as xr

    from preflamp_stats.settings import Settings

__all__ = ["analyze_command", "run_analysis", "settings_options"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _names(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


def settings_options(command: _Command) -> _Command:
    """Add the options that make up the settings of an analysis."""
    options = [
        click.option("--resamples", default=10_000, help="Bootstrap resamples."),
        click.option("--seed", default=0, help="Seed of every random number."),
        click.option("--level", default=0.95, help="Confidence level."),
        click.option(
            "--resample",
            type=click.Choice(get_args(Resample)),
            default="users",
            help="What is drawn with replacement.",
        ),
        click.option(
            "--scoring",
            type=click.Choice(get_args(Scoring)),
            default="sequence",
            help="Score of the guided policy.",
        ),
        click.option("--weight", default=1.0, help="Reward weight w; inf is the reward alone."),
        click.option(
            "--length-normalise", is_flag=True, help="Divide the policy's score by its tokens."
        ),
        click.option(
            "--ties",
            type=click.Choice(get_args(Ties)),
            default="half",
            help="Credit of equal scores.",
        ),
        click.option(
            "--average",
            type=click.Choice(get_args(Average)),
            default="micro",
            help="Mean over examples, or of the users' means.",
        ),
        click.option(
            "--tokenizer",
            type=click.Choice(get_args(TokenizerName)),
            default="rouge-score",
            help="How texts are split for ROUGE; unicode for other languages than English.",
        ),
        click.option(
            "--variant",
            type=click.Choice(get_args(Variant)),
            default="b",
            help="Kendall's tau.",
        ),
        click.option(
            "--interval", default=None, help="Interval of tau; by default the calibrated one."
        ),
        click.option(
            "--margin", default=0.01, help="Equivalence margin of generation quality (F1)."
        ),
        click.option(
            "--discrimination-margin",
            default=0.05,
            help="Least difference in accuracy that counts.",
        ),
        click.option(
            "--upstream",
            default="rm_accuracy",
            callback=_names,
            help="Metrics that are asked to predict, by comma.",
        ),
        click.option(
            "--downstream",
            default="policy_accuracy,rouge1",
            callback=_names,
            help="Metrics to be predicted, by comma.",
        ),
        click.option(
            "--format",
            "formats",
            default="tex,md,csv,html",
            callback=_names,
            help="What to write, by comma; CSV is written always.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command("analyze", context_settings={"show_default": True})
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("preflamp-analysis"),
    help="Directory to write.",
)
@click.option("--json", "as_json", is_flag=True, help="Print analysis.json instead of the summary.")
@settings_options
def analyze_command(results: tuple[Path, ...], out: Path, as_json: bool, **choices: Any) -> None:
    """Estimate, test, and write tables, figures and a report.

    RESULTS are results files (NetCDF-4), or tables of scores (CSV, TSV, JSON, JSONL, Parquet) as
    convert reads them; each benchmark dataset in them is analysed.
    """
    from preflamp_stats.settings import Settings

    run_analysis(results, out, Settings(**choices), as_json=as_json)


def run_analysis(
    paths: tuple[Path, ...], out: Path, settings: Settings, *, as_json: bool = False
) -> None:
    """Analyse files, print the summary, write the directory."""
    from contextlib import ExitStack

    from preflamp_stats.analysis import analyze
    from preflamp_stats.cli.console import console
    from preflamp_stats.cli.progress import reading_progress
    from preflamp_stats.io.open_any import open_any
    from preflamp_stats.outputs.summary import print_summary

    with ExitStack() as stack:
        trees = open_any(paths)
        for tree in trees.values():
            stack.callback(tree.close)
        progress = stack.enter_context(reading_progress())
        analysis = analyze(_joined(trees), settings, inputs=paths, progress=progress)
    written = analysis.write(out)
    if as_json:
        click.echo((out / "analysis.json").read_text(encoding="utf-8"), nl=False)
        return
    screen = console()
    print_summary(analysis, screen)
    screen.print(f"{len(written)} files written to {out}", soft_wrap=True)


def _joined(trees: dict[str, xr.DataTree]) -> dict[str, xr.Dataset]:
    """Datasets of all files by name; two of one name are refused."""
    from preflamp_stats.errors import InputError, Problem
    from preflamp_stats.schema import datasets

    found: dict[str, xr.Dataset] = {}
    origin: dict[str, str] = {}
    for path, tree in trees.items():
        for name, ds in datasets(tree).items():
            if name in found:
                raise InputError(
                    Problem(
                        f"holds dataset {name!r}, as does {origin[name]}",
                        "join the files with preflamp-stats merge, or rename a group",
                        path,
                    )
                )
            found[name], origin[name] = ds, path
    return found

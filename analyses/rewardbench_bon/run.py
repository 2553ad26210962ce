"""RewardBench from data to tables: does accuracy on RewardBench predict best-of-16 wins?"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import pandas as pd
from best_of_n import (
    compare_with_published,
    missing_judgements,
    read_study,
    tau_under_published_errors,
)

from preflamp_stats import InputError, Settings, analyze, datasets, open_results, write_results
from preflamp_stats.choices import Resample

BESIDE_THE_REPOSITORY = Path(__file__).resolve().parents[3] / "shared" / "data"
DOWNSTREAM = ("win_rate", "length_controlled_win_rate", "gold_preference", "picked_length")
WAYS: tuple[Resample, ...] = ("examples", "methods")


@click.command(context_settings={"show_default": True})
@click.option(
    "--data",
    envvar="PREFLAMP_DATA",
    show_envvar=True,
    type=click.Path(path_type=Path),
    default=BESIDE_THE_REPOSITORY,
    help="Folder that holds the folder rb1_bon/.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("out/rewardbench_bon"),
    help="Directory to write.",
)
@click.option("--resamples", default=10_000, help="Bootstrap resamples.")
@click.option("--seed", default=0, help="Seed of every random number.")
def main(data: Path, out: Path, resamples: int, seed: int) -> None:
    """Write results.nc, check what is published, and analyse it by prompts and by reward models."""
    try:
        settings = [
            Settings(
                upstream=("rewardbench_average",),
                downstream=DOWNSTREAM,
                resample=way,
                resamples=resamples,
                seed=seed,
            )
            for way in WAYS
        ]
        _study(data / "rb1_bon", out, settings)
    except InputError as error:
        for problem in error.problems:
            click.echo(f"rewardbench_bon: {problem}", err=True)
        sys.exit(2)


def _study(folder: Path, out: Path, settings: list[Settings]) -> None:
    study = read_study(folder)
    out.mkdir(parents=True, exist_ok=True)
    results = out / "results.nc"
    write_results(study, results)
    with open_results(results) as tree:
        ds = datasets(tree)["rewardbench_bon"].load()

    first = settings[0]
    shaken = tau_under_published_errors(
        ds, resamples=first.resamples, seed=first.seed, level=first.level
    )
    published = compare_with_published(ds, folder)
    _write_table(published, out / "published.csv")
    _write_table(missing_judgements(ds), out / "missing_judgements.csv")
    _write_table(shaken, out / "published_errors.csv")
    for quantity, rows in published.groupby("quantity"):
        worst = rows["difference"].max()
        click.echo(
            f"{len(rows)} published {quantity} computed anew; largest difference {worst:.1e}"
        )

    for choice in settings:
        analysis = analyze(ds, choice, inputs=[results])
        directory = out / choice.resample
        written = analysis.write(directory)
        click.echo(f"{len(written)} files written to {directory}")


def _write_table(frame: pd.DataFrame, path: Path) -> None:
    beside = path.with_name(f".{path.name}.partial")
    frame.to_csv(beside, index=False)
    os.replace(beside, path)


if __name__ == "__main__":
    main()

"""HANNA from data to tables: do automatic metrics rank story writers as people do?"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import get_args

import click
from hanna_benchmark import CRITERIA, automatic_systems, read_scores, reproduce, variable_name

from preflamp_stats import InputError, Settings, analyze, datasets, open_results, write_results
from preflamp_stats.choices import Resample
from preflamp_stats.metrics.values import metric_info

BESIDE_THE_REPOSITORY = Path(__file__).resolve().parents[3] / "shared" / "data"
METRICS = (
    "bleu",
    "rouge_l_f_score",
    "chrf",
    "bertscore_f1",
    "moverscore",
    "bartscore_sh",
    "supert_ps",
    "text_length",
)
"""One or two well-known metrics of each kind, and the length of the text as a baseline."""


@click.command(context_settings={"show_default": True})
@click.option(
    "--data",
    envvar="PREFLAMP_DATA",
    show_envvar=True,
    type=click.Path(path_type=Path),
    default=BESIDE_THE_REPOSITORY,
    help="Folder that holds the folder hanna/.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("out/hanna"),
    help="Directory to write.",
)
@click.option("--upstream", default=",".join(METRICS), help="Automatic metrics, by comma.")
@click.option("--resample", type=click.Choice(get_args(Resample)), default="users")
@click.option("--resamples", default=10_000, help="Bootstrap resamples.")
@click.option("--seed", default=0, help="Seed of every random number.")
def main(
    data: Path, out: Path, upstream: str, resample: Resample, resamples: int, seed: int
) -> None:
    """Write results.nc, check the published correlations, and analyse a choice of metrics."""
    try:
        settings = Settings(
            upstream=tuple(upstream.split(",")),
            downstream=tuple(variable_name(name) for name in CRITERIA),
            resample=resample,
            resamples=resamples,
            seed=seed,
        )
        _study(data / "hanna", out, settings)
    except InputError as error:
        for problem in error.problems:
            click.echo(f"hanna: {problem}", err=True)
        sys.exit(2)


def _study(folder: Path, out: Path, settings: Settings) -> None:
    scores = read_scores(folder)
    # Only what is asked for: tables and figures of all 78 metrics would be long.
    asked = [metric_info(scores, name).name for name in (*settings.upstream, *settings.downstream)]
    out.mkdir(parents=True, exist_ok=True)
    results = out / "results.nc"
    write_results(scores, results)
    with open_results(results) as tree:
        ds = datasets(tree)["hanna"].load()

    cells = reproduce(ds, folder)
    beside = out / ".reproduced.csv"
    cells.to_csv(beside, index=False)
    os.replace(beside, out / "reproduced.csv")
    click.echo(
        f"{(cells['difference'] < 1e-9).sum()} of {len(cells)} published correlations "
        f"reproduced; largest difference {cells['difference'].max():.1e}"
    )

    analysis = analyze(automatic_systems(ds)[asked], settings, inputs=[results])
    written = analysis.write(out / "analysis")
    click.echo(f"{len(written)} files written to {out / 'analysis'}")


if __name__ == "__main__":
    main()

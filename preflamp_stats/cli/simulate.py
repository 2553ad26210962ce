"""``preflamp-stats simulate``: a results file with known truth."""

from __future__ import annotations

from pathlib import Path

import click

from preflamp_stats.cli.options import add_options, directory_option, names, results_option
from preflamp_stats.simulation.design import StudyDesign


def _examples(ctx: click.Context, param: click.Parameter, value: str) -> object:
    numbers = value.split("-")
    if value == "unequal":
        return value
    if len(numbers) > 2 or not all(number.isdecimal() for number in numbers):
        raise click.BadParameter(f"{value!r} is not a number, a range such as 5-40, or 'unequal'")
    return int(value) if len(numbers) == 1 else (int(numbers[0]), int(numbers[1]))


def _missing(ctx: click.Context, param: click.Parameter, value: float) -> float:
    if value >= 1 and not value.is_integer():
        raise click.BadParameter(f"{value} is neither a whole number nor a share below 1")
    return int(value) if value.is_integer() else value


def _models(ctx: click.Context, param: click.Parameter, value: str) -> object:
    return int(value) if value.isdecimal() else names(ctx, param, value)


_READ = {
    "models": {"default": "1", "callback": _models, "metavar": "N|LABEL,…"},
    "n_examples": {"default": "20", "callback": _examples, "metavar": "N|LOW-HIGH|unequal"},
    "missing": {"default": 0.0, "callback": _missing, "metavar": "N|SHARE"},
}


@click.command("simulate", context_settings={"show_default": True})
@results_option
@click.option(
    "--datasets", default="", callback=names, metavar="NAME,…", help="Benchmark datasets."
)
@add_options(StudyDesign, _READ)
@click.option("--seed", default=0, type=click.IntRange(min=0), help="Random seed.")
def simulate_command(out: Path, **options: object) -> None:
    """Write a study with known truth to RESULTS.

    The truth is in the variables true_*: each method's RM accuracy, policy accuracy and mean
    ROUGE-1, and Kendall's tau between them.
    """
    # Imported when called, so that --help stays quick.
    from preflamp_stats.io.files import write_results
    from preflamp_stats.simulation.study import simulate

    write_results(simulate(**options), out)  # type: ignore[arg-type]
    click.echo(f"wrote {out}")


@click.command("demo", context_settings={"show_default": True})
@directory_option("preflamp-demo")
@click.option("--seed", default=0, help="Seed of the study and of the analysis.")
def demo_command(out: Path, seed: int) -> None:
    """Simulate a study, write it as a results file, and analyse it.

    Two benchmark datasets, three base models, eight reward-guided methods and in-context learning.
    RM accuracy is planted to be nearly unrelated to generation quality, and in-context learning to
    overtake the guided methods as models grow.
    """
    from preflamp_stats.cli.analyze import run_analysis
    from preflamp_stats.io.files import write_results
    from preflamp_stats.settings import Settings
    from preflamp_stats.simulation.study import simulate

    study = simulate(
        datasets=["reviews", "titles"], models=3, n_methods=8, n_icl=1, n_users=120, n_examples=15,
        tokens=24, icl_advantage=0.9, icl_crossover=1e9, correlation=0.6,
        generation_correlation=0.1, seed=seed,
    )  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    results = out / "results.nc"
    write_results(study, results)
    click.echo(f"simulated study written to {results}")
    run_analysis((results,), out / "analysis", Settings(seed=seed))

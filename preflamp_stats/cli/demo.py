"""``preflamp-stats demo``: the whole way on a simulated study."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["demo_command"]


@click.command("demo", context_settings={"show_default": True})
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("preflamp-demo"),
    help="Directory to write.",
)
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
        datasets=["reviews", "titles"],
        models=3,
        n_methods=8,
        n_icl=1,
        n_users=120,
        n_examples=15,
        tokens=24,
        icl_advantage=0.9,
        icl_crossover=1e9,
        correlation=0.6,
        generation_correlation=0.1,
        seed=seed,
    )
    out.mkdir(parents=True, exist_ok=True)
    results = out / "results.nc"
    write_results(study, results)
    click.echo(f"simulated study written to {results}")
    run_analysis((results,), out / "analysis", Settings(seed=seed))

"""``preflamp-stats train``: the reward models of a study."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from preflamp_backend.cli.shared import bar, needed
from preflamp_stats.cli.console import cell, say, stop


@click.command("train")
@click.argument("study", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would be trained, and on what.")
def train_command(study: Path, dry_run: bool) -> None:
    """Train the reward models of STUDY (a TOML file) and write them where it says.

    Stop it when you like: run again, it goes on where it was.
    """
    with needed():
        from preflamp_backend.training_study.train_study import Trainer, read_training
    trainer = Trainer(read_training(study))
    for note in trainer.work.notes:
        say(f"note: {note}", err=True)
    if dry_run:
        _print_jobs(trainer)
        return
    left = sum(not job.done for job in trainer.jobs)
    if left < len(trainer.jobs):
        click.echo(f"{len(trainer.jobs) - left} of {len(trainer.jobs)} are trained", err=True)
    try:
        with _progress() as report:
            trained = trainer.run(report)
    except KeyboardInterrupt:
        stop("stopped; run again to go on")
    for job in trained:
        reached, where = job.held_out, f"{job.model}: {job.method}, seed {job.seed}"
        say(
            f"{where}: held-out log-loss {reached['loss']:.4f}, accuracy "
            f"{100 * reached['accuracy']:.1f} % of {reached['pairs']} pairs; written to {job.path}"
        )


@contextmanager
def _progress() -> Iterator[Callable[[Any], None]]:
    """Show each part of the work, how far it is, and the loss on held-out pairs."""
    from rich.progress import BarColumn, MofNCompleteColumn

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), "{task.fields[loss]}")
    with bar(*columns) as shown:
        tasks: dict[str, Any] = {}

        def report(progress: Any) -> None:
            if progress.what not in tasks:
                tasks[progress.what] = shown.add_task(progress.what, total=progress.total, loss="")
            loss = "" if progress.loss is None else f"held-out loss {progress.loss:.4f}"
            shown.update(tasks[progress.what], completed=progress.done, loss=loss)

        yield report


def _print_jobs(trainer: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("model", "method", "seed", "trains", "state", "file")
    for job in trainer.jobs:
        trains = trainer.plan.trainings[job.method].model
        state = "done" if job.done else "to train"
        names = (job.model, job.method, str(job.seed), trains, state, str(job.path))
        table.add_row(*map(cell, names))
    console = Console()
    console.print(table)
    work = trainer.work
    console.print(
        f"{len(work.train)} pairs of {len({each.user for each in work.train})} users, "
        f"{len(work.held_out)} held out, {len(work.adapt)} of "
        f"{len({each.user for each in work.adapt})} new users",
        highlight=False,
    )

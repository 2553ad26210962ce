"""``preflamp-stats run``: from a study's data and models to a results file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from preflamp_backend.cli.shared import bar, needed
from preflamp_stats.cli.console import cell, console, rate_column, say, stop


@click.command("run", context_settings={"show_default": True})
@click.argument("study", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "-o",
    "--out",
    metavar="RESULTS",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("results.nc"),
    help="Results file to write; its shards stand beside it.",
)
@click.option("--dry-run", is_flag=True, help="Say what would run: shards, tokens, memory, price.")
@click.option(
    "--workers", default=0, metavar="N", help="Run on N processes (one a GPU); 0 runs in this one."
)
@click.option("--scheduler", default="", metavar="ADDRESS", help="Run on this dask cluster.")
def run_command(study: Path, out: Path, dry_run: bool, workers: int, scheduler: str) -> None:
    """Score responses and write generations as STUDY (a TOML file) says.

    Stop it when you like: run again, it goes on where it was.
    """
    with needed("backend,dask"):
        from preflamp_backend.runs.cluster import Cluster
        from preflamp_backend.runs.run import prepare, run_study
        from preflamp_backend.study.study import read_study
    planned = prepare(read_study(study, trained=not dry_run), out)
    for note in planned.notes:
        say(f"note: {note}", err=True)
    if dry_run:
        _print_estimates(planned)
        return
    pending = planned.pending()
    total, left = len({shard.key for shard in planned.shards}), len(pending)
    if left < total:
        click.echo(f"{total - left} of {total} shards are done already", err=True)
    try:
        with _progress(sum(shard.stop - shard.start for shard in pending)) as advance:
            notes = run_study(
                planned,
                cluster=Cluster(workers, scheduler),
                report=lambda shard: advance(shard.stop - shard.start),
            )
    except KeyboardInterrupt:
        done = total - len(planned.pending())
        stop(f"stopped with {done} of {total} shards done; run again to go on")
    for note in notes:
        say(f"note: {note}", err=True)
    say(f"written to {out}")


@contextmanager
def _progress(examples: int) -> Iterator[Callable[[int], None]]:
    """Show how many examples are done, how fast, and how long the rest takes."""
    from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn

    rate, left = rate_column("/s"), TimeRemainingColumn()
    columns = ("running", BarColumn(), MofNCompleteColumn(), "examples", rate, left)
    # Shards are long: a rate over the last minutes would often be over none of them.
    with bar(*columns, speed_estimate_period=3600) as shown:
        task = shown.add_task("", total=examples)
        yield lambda count: shown.advance(task, count)


def _print_estimates(planned: Any) -> None:
    from rich.table import Table

    from preflamp_backend.runs.estimate import estimate

    rows = estimate(planned)
    table = Table("dataset", "model", "method", "work", box=None, padding=(0, 2, 0, 0))
    for name in ("shards", "pending", "tokens", "memory"):
        table.add_column(name, justify="right")
    paid = [row.price for row in rows if row.price == row.price]
    if paid:
        table.add_column("price", justify="right")
    for row in rows:
        names = (row.dataset, row.model, row.method or "(base model and heads)", row.kind)
        sizes = (f"{row.shards}", f"{row.pending}", f"{row.tokens:,}", f"{row.memory / 1e9:.3f} GB")
        if paid:
            sizes = (*sizes, "" if row.price != row.price else f"{row.price:,.2f}")
        table.add_row(*map(cell, names), *sizes)
    out = console()
    out.print(table)
    keys = {shard.key for shard in planned.shards}
    out.print(
        f"{len(keys)} shards, {len(planned.pending())} pending, "
        f"{sum(row.tokens for row in rows):,} tokens, at most "
        f"{max(row.memory for row in rows) / 1e9:.3f} GB at once"
        + (f", at most {sum(paid):,.2f} to pay" if paid else "")
    )
    if planned.untrained:
        say(
            f"not trained yet: {', '.join(planned.untrained)}; "
            f"train first: preflamp-stats train {planned.study.file}"
        )

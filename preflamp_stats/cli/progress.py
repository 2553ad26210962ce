"""A progress bar when a person watches, nothing when piped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

__all__ = ["rate_column", "reading_progress"]


@contextmanager
def reading_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show how far the reading of each dataset has come and how fast, on standard error.

    What follows the last example, resampling and tests, is shown as time that goes by.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("examples"),
        rate_column("/s"),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        tasks: dict[str, int] = {}

        def report(dataset: str, done: int, total: int) -> None:
            if dataset not in tasks:
                tasks[dataset] = bar.add_task(f"reading {dataset}", total=total)
            place = bar.task_ids[tasks[dataset]]
            said = f"reading {dataset}" if done < total else f"{dataset}: read, now estimating"
            bar.update(place, completed=done, description=said)

        yield report


def rate_column(unit: str) -> ProgressColumn:
    """Column of a progress bar that shows how many are done a second, as measured so far."""
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:,.1f}{unit}")

    return Rate()

"""A progress bar when a person watches, nothing when piped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from preflamp_stats.errors import printable

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

__all__ = ["rate_column", "stage_progress"]


@contextmanager
def stage_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show on standard error what is being done and how far it has come, one line for all stages.

    Yields
    ------
    callable
        Told a stage, how much of it is done, and how much there is.
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
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("opening", total=None)

        def report(stage: str, done: int, total: int) -> None:
            bar.update(task, description=printable(stage), completed=done, total=total)

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

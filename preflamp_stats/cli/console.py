"""Where commands print: tables that a terminal fits and that a pipe gets whole."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import click

from preflamp_stats.errors import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


_WHOLE = 10_000
"""Columns of a pipe: wide enough that nothing is folded or cut."""


def console() -> Console:
    """Console on standard output, as wide as the terminal; lines are whole where it is none."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else _WHOLE)


def say(line: object, *, err: bool = False) -> None:
    """Print one line, whatever the labels in it: a file may hold what would steer a terminal."""
    click.echo(printable(line), err=err)


def stop(what: str = "stopped") -> NoReturn:
    """Say in one line that the user has interrupted a command, and exit as shells expect it."""
    say(f"preflamp-stats: {what}", err=True)
    sys.exit(130)


def cell(text: object, style: str = "") -> Text:
    """Text for rich, which otherwise takes brackets in a label for markup; steers no terminal."""
    from rich.text import Text

    return Text(printable(text), style=style)


def print_records(
    rows: Sequence[Mapping[str, Any]], text: Callable[[str, Any], str], left: Sequence[str] = ()
) -> None:
    """Print a table, a line a record; its columns are those of any, numbers to the right.

    Parameters
    ----------
    rows : sequence of dict
        Nothing is printed of none.
    text : callable
        Makes text of the name of a column and a value; None where a record lacks it.
    left : sequence of str
        Columns of words.
    """
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 2), header_style="dim")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    for name in columns:
        table.add_column(name, justify="left" if name in left else "right")
    for row in rows:
        table.add_row(*(cell(text(name, row.get(name))) for name in columns))
    if rows:
        console().print(table)


def print_json(found: Any) -> None:
    """Print JSON for a script: indented, in the order of the keys, texts as they are."""
    text = json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False)
    # JSON escapes what is below the blank itself; terminals also obey some of what is above.
    click.echo(re.sub("[\x7f-\x9f]", lambda found: f"\\u{ord(found[0]):04x}", text))


if TYPE_CHECKING:
    from rich.progress import ProgressColumn


@contextmanager
def stage_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show on standard error what is being done and how far it has come, one line for all stages.

    Yields
    ------
    callable
        Told a stage, how much of it is done, and how much there is.
    """
    from rich import progress
    from rich.console import Console

    console = Console(stderr=True)
    columns = (
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
    )
    hidden = not console.is_terminal
    with progress.Progress(*columns, console=console, transient=True, disable=hidden) as bar:
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

"""Where commands print: tables that a terminal fits and that a pipe gets whole."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = ["cell", "console", "print_json", "say", "stop"]

_WHOLE = 10_000
"""Columns of a pipe: wide enough that nothing is folded or cut."""


def console() -> Console:
    """Console on standard output, as wide as the terminal; lines are whole where it is none."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else _WHOLE)


def say(line: object, *, err: bool = False) -> None:
    """Print one line, whatever the labels in it: a file may hold what would steer a terminal."""
    import click

    from preflamp_stats.errors import printable

    click.echo(printable(line), err=err)


def stop(what: str = "stopped") -> NoReturn:
    """Say in one line that the user has interrupted a command, and exit as shells expect it."""
    say(f"preflamp-stats: {what}", err=True)
    sys.exit(130)


def cell(text: object, style: str = "") -> Text:
    """Text for rich, which otherwise takes brackets in a label for markup; steers no terminal."""
    from rich.text import Text

    from preflamp_stats.errors import printable

    return Text(printable(text), style=style)


def print_json(found: Any) -> None:
    """Print JSON for a script: indented, in the order of the keys, texts as they are."""
    import click

    text = json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False)
    # JSON escapes what is below the blank itself; terminals also obey some of what is above.
    click.echo(re.sub("[\x7f-\x9f]", lambda found: f"\\u{ord(found[0]):04x}", text))

"""Where commands print: tables that a terminal fits and that a pipe gets whole."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["console", "print_json"]

_WHOLE = 10_000
"""Columns of a pipe: wide enough that nothing is folded or cut."""


def console() -> Console:
    """Console on standard output, as wide as the terminal; lines are whole where it is none."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else _WHOLE)


def print_json(found: Any) -> None:
    """Print JSON for a script: indented, in the order of the keys, texts as they are."""
    import click

    click.echo(json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False))

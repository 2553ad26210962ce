"""What the backend's commands have in common: a missing torch said at once, a bar of progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from preflamp_backend.faults import fault

if TYPE_CHECKING:
    from rich.progress import Progress


def out_folder(what: str) -> Callable[[Any], Any]:
    """The option ``--out`` of a command that writes a folder."""
    folder = click.Path(file_okay=False, path_type=Path)
    return click.option("--out", required=True, type=folder, help=what)


@contextmanager
def needed(extra: str = "backend") -> Iterator[None]:
    """Import what an extra brings, or say how to install it.

    Raises
    ------
    InputError
        Naming what is not there.
    """
    try:
        yield
    except ImportError as error:
        mend = f"pip install 'preflamp-stats[{extra}]', in a checkout pip install -e '.[{extra}]'"
        mend += "; all commands but run, train and train-lm work without"
        raise fault(f"the backend is not installed ({error})", mend) from error


@contextmanager
def bar(*columns: Any, **options: Any) -> Iterator[Progress]:
    """Bar of progress on standard error; silent where nobody watches."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal, **options) as shown:
        yield shown

"""Options that say what the columns of a table are, for every command that reads one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["column_options", "split_names"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


def column_options(command: _Command) -> _Command:
    """Add ``--map`` and ``--ignore``."""
    command = click.option(
        "--map",
        "mapping",
        multiple=True,
        callback=_pairs,
        metavar="THEIRS=OURS",
        help="Say what a column of a table is, such as judge_no=user; may be repeated.",
    )(command)
    return click.option(
        "--ignore",
        multiple=True,
        metavar="COLUMN",
        help="Leave a column of a table out; may be repeated.",
    )(command)


def split_names(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    """Names by comma, or by giving the option again."""
    names = (name.strip() for value in values for name in value.split(","))
    return tuple(dict.fromkeys(name for name in names if name))


def _pairs(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    from preflamp_stats.errors import InputError

    pairs = [value.partition("=")[::2] for value in values]
    if bad := [theirs for theirs, ours in pairs if not theirs or not ours]:
        raise InputError(f"--map {bad[0]}: write it as THEIRS=OURS, such as judge_no=user")
    for theirs, ours in pairs:
        if dict(pairs)[theirs] != ours:
            raise InputError(f"--map {theirs}={ours}: it is mapped to {dict(pairs)[theirs]} too")
    return dict(pairs)

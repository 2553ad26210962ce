"""Options of commands: those that a dataclass declares, and those that say what columns are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from preflamp_stats.choices import Option, declared_options
from preflamp_stats.errors import InputError

_Command = TypeVar("_Command", bound=Callable[..., Any])

results_option = click.option(
    "-o", "--out", metavar="RESULTS", required=True, type=click.Path(path_type=Path),
    help="Results file to write.",
)  # fmt: skip


def directory_option(default: str) -> Callable[[_Command], _Command]:
    """Add ``--out``, a directory."""
    kind, told = click.Path(file_okay=False, path_type=Path), "Directory to write."
    return click.option("--out", type=kind, default=Path(default), help=told)


_SPELT = {"formats": "--format", "include_seeds": "--include-seeds/--fixed-seeds"}


def add_options(
    cls: Any, read: Mapping[str, Mapping[str, Any]] | None = None
) -> Callable[[_Command], _Command]:
    """Add an option for each that a dataclass declares.

    Parameters
    ----------
    cls : type
        Whose fields are options, see :mod:`preflamp_stats.choices`.
    read : mapping, optional
        By name: how click reads an option that is more than a number, a choice or names.
    """

    def add(command: _Command) -> _Command:
        for option in reversed(declared_options(cls)):
            flag = _SPELT.get(option.name, f"--{option.name.removeprefix('n_').replace('_', '-')}")
            how = (read or {}).get(option.name) or _read(option)
            told = {"default": option.default, "help": option.help} | dict(how)
            command = click.option(flag, option.name, **told)(command)
        return command

    return add


def _read(option: Option) -> dict[str, Any]:
    if option.several:
        return {"multiple": True, "callback": names, "metavar": "NAME,..."}
    if option.kind is bool:
        return {"is_flag": True}
    return {"type": click.Choice(option.allowed) if option.allowed else option.kind}


def names(
    ctx: click.Context, param: click.Parameter, value: str | tuple[str, ...]
) -> tuple[str, ...]:
    """Names by comma, or by giving the option again."""
    parts = [value] if isinstance(value, str) else value
    found = (name.strip() for part in parts for name in part.split(","))
    return tuple(dict.fromkeys(name for name in found if name))


def column_options(command: _Command) -> _Command:
    """Add ``--map`` and ``--ignore``."""
    told = "Say what a column of a table is, such as judge_no=user; may be repeated."
    pairs: Any = {"multiple": True, "callback": _pairs, "metavar": "THEIRS=OURS", "help": told}
    left = "Leave a column of a table out; may be repeated."
    command = click.option("--map", "mapping", **pairs)(command)
    return click.option("--ignore", multiple=True, metavar="COLUMN", help=left)(command)


def _pairs(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=")[::2] for value in values]
    # Nothing before = stands for the column that has no name.
    if bad := [theirs for theirs, ours in pairs if not ours]:
        raise InputError(f"--map {bad[0]}: write it as THEIRS=OURS, such as judge_no=user")
    for theirs, ours in pairs:
        if dict(pairs)[theirs] != ours:
            raise InputError(f"--map {theirs}={ours}: it is mapped to {dict(pairs)[theirs]} too")
    return dict(pairs)

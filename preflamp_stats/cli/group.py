"""The group of commands: imports each when it is called, turns bad input into exit status 2."""

from __future__ import annotations

import difflib
import importlib
import sys
from typing import Any

import click

from preflamp_stats import __version__
from preflamp_stats.cli.console import say, stop
from preflamp_stats.errors import InputError

_COMMANDS = {
    "analyze": "analyze", "demo": "simulate", "describe": "data", "validate": "data",
    "convert": "data", "import": "data", "merge": "data", "simulate": "simulate", "power": "power",
}  # fmt: skip
"""Module below ``preflamp_stats.cli`` of each command, in the order of the help."""

COMMANDS = "preflamp_stats.commands"
"""Group of entry points by which other packages, such as the backend, bring commands."""


def _installed() -> Any:
    """Entry points of other packages' commands."""
    # A twentieth of a second, which our own commands need not wait for.
    from importlib.metadata import entry_points

    return entry_points(group=COMMANDS)


class _Group(click.Group):
    """Commands by name, ours and installed ones; an unknown one is answered with the nearest."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        installed = {each.name for each in _installed()}
        return [*_COMMANDS, *sorted(installed.union(self.commands) - set(_COMMANDS))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _COMMANDS:
            module = importlib.import_module(f"preflamp_stats.cli.{_COMMANDS[cmd_name]}")
            command: click.Command = getattr(module, f"{cmd_name}_command")
            return command
        installed = [each.load() for each in _installed() if each.name == cmd_name]
        return installed[0] if installed else super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        # Ours are known without looking through what is installed.
        known = [] if not args or args[0] in _COMMANDS else self.list_commands(ctx)
        if known and args[0] not in known and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"choose among {', '.join(known)}"
            raise click.UsageError(f"no command {args[0]!r}; {hint}", ctx)
        name, command, rest = super().resolve_command(ctx, args)
        _refuse_repeated(ctx, command, rest)
        return name, command, rest

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        try:
            return super().make_context(*args, **extra)
        except KeyboardInterrupt:
            stop()

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        # What click raises where it was interrupted itself, at a prompt or in its own cleaning up.
        except (KeyboardInterrupt, click.Abort):
            stop()
        except InputError as error:
            for problem in error.problems:
                say(f"preflamp-stats: {problem}", err=True)
            sys.exit(2)
        except MemoryError as error:
            what = f"needs more memory than there is ({error})"
            say(f"preflamp-stats: {what}; give less data, or run it elsewhere", err=True)
            sys.exit(2)


def _refuse_repeated(parent: click.Context, command: click.Command | None, args: list[str]) -> None:
    """Refuse an option of a single value that is given twice: click would keep the last alone."""
    while command is not None:
        ctx = click.Context(command, parent, command.name, resilient_parsing=True)
        values, rest, order = command.make_parser(ctx).parse_args(list(args))
        options = [one for one in order if isinstance(one, click.Option)]
        for one in [one for one in options if not (one.multiple or one.is_flag or one.count)]:
            if (times := options.count(one)) > 1:
                raise click.UsageError(f"{one.opts[-1]} is given {times} times; give it once", ctx)
        if not isinstance(command, click.Group) or not rest or values.get("help"):
            return
        parent, command, args = ctx, command.get_command(ctx, rest[0]), rest[1:]


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="preflamp-stats")
def main() -> None:
    """Ask whether a better personalised reward model makes a better personalised assistant.

    Start with: preflamp-stats demo
    """

"""Errors that a user can mend, made and passed on in one line each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

from preflamp_stats.errors import InputError, Problem


def fault(
    what: str, mend: str, file: object = "", group: str = "", variable: str = ""
) -> InputError:
    """Make the error of one :class:`preflamp_stats.errors.Problem`."""
    return InputError(Problem(what, mend, str(file), group, variable))


@contextmanager
def naming(named: Callable[[Problem], Problem]) -> Iterator[None]:
    """Say in whatever goes wrong meanwhile where it did: ``named`` makes each problem anew."""
    try:
        yield
    except InputError as error:
        found = [named(each) if isinstance(each, Problem) else each for each in error.problems]
        raise InputError(found) from error


def in_example(id: str) -> AbstractContextManager[None]:
    """Name the example in whatever goes wrong meanwhile."""
    return naming(lambda problem: replace(problem, variable=f"example {id}"))

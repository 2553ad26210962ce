"""Options: dataclasses that check themselves, and tables of a TOML file read into them.

What an option may be is said where it is declared. Values of a ``Literal`` need nothing more.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, field, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from preflamp_stats.errors import InputError, Problem

T = TypeVar("T")

Check = tuple[str, bool, str]
"""Name of an option, whether it is good, and what would be."""


class Options:
    """What dataclasses of options have in common: every fault is named when one is made."""

    def __post_init__(self) -> None:
        literals = _literals(type(self))  # type: ignore[arg-type]
        problems = []
        for name, good, mend in (*self.declared(), *self.checks()):
            if not good:
                problems.append(Problem(f"is {getattr(self, name)!r}", mend, variable=name))
        for name, choices in literals.items():
            if getattr(self, name) not in choices:
                mend = f"choose one of {', '.join(choices)}"
                problems.append(Problem(f"is {getattr(self, name)!r}", mend, variable=name))
        if problems:
            raise InputError(problems)

    def declared(self) -> list[Check]:
        """Check each option by what was declared of it."""
        return [
            (each.name, each.metadata["good"](getattr(self, each.name)), each.metadata["mend"])
            for each in fields(self)  # type: ignore[arg-type]
            if "good" in each.metadata
        ]

    def checks(self) -> tuple[Check, ...]:
        """Further checks, such as of one option by another."""
        return ()


@cache
def _literals(cls: type) -> dict[str, tuple[str, ...]]:
    hints = get_type_hints(cls)
    return {name: get_args(hint) for name, hint in hints.items() if get_origin(hint) is Literal}


def option(default: Any, good: Callable[[Any], bool], mend: str) -> Any:
    """Declare an option and what it may be."""
    return field(default=default, metadata={"good": good, "mend": mend})


def at_least(low: float, default: Any) -> Any:
    """Declare a finite number from ``low``; None, where it is the default, stays."""
    good = lambda value: value is None or low <= value < math.inf  # noqa: E731
    return option(default, good, f"take at least {low}")


def above_zero(default: Any) -> Any:
    """Declare a finite number above 0; None, where it is the default, stays."""
    good = lambda value: value is None or 0 < value < math.inf  # noqa: E731
    return option(default, good, "take a number above 0")


def holding(default: str, *parts: str) -> Any:
    """Declare a template and what must stand in it."""
    mend = f"put {' and '.join(parts)} where they go"
    return option(default, lambda value: all(part in value for part in parts), mend)


def distinct(numbers: Sequence[int]) -> bool:
    """Whether whole numbers from 0 are each named once."""
    return len(set(numbers)) == len(numbers) and min(numbers, default=0) >= 0


class OptionReader:
    """Turns tables into dataclasses, collecting problems instead of stopping at the first.

    Parameters
    ----------
    file : Path
        Named in every problem.

    Attributes
    ----------
    problems : list of Problem
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def build(self, cls: type[T], table: Any, where: str) -> T | None:
        """Build options from a table; None where it has faults."""
        if not isinstance(table, dict):
            self.fault("is not a table", f"write [{where}]", where)
            return None
        known = {each.name: each for each in fields(cls)}  # type: ignore[arg-type]
        before = len(self.problems)
        self.unknown(table, tuple(known), where)
        values = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in table.items()
            if key in known
        }
        for key, value in values.items():
            if wanted := _mismatch(known[key], value):
                self.fault(f"is {value!r}", f"give {wanted}", f"{where}.{key}")
        for key, each in known.items():
            if each.default is each.default_factory is MISSING and key not in table:
                self.fault("is missing", "give it", f"{where}.{key}")
        if len(self.problems) > before:
            return None
        try:
            return cls(**values)
        except InputError as error:
            for problem in error.problems:
                if isinstance(problem, Problem):
                    self.fault(problem.what, problem.mend, f"{where}.{problem.variable}")
            return None

    def unknown(self, table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
        """Note keys that are not known, with the nearest one that is."""
        for key in table:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                mend = f"did you mean {near[0]}?" if near else f"use {', '.join(sorted(known))}"
                self.fault("is not known here", mend, f"{where}.{key}" if where else key)

    def fault(self, what: str, mend: str, variable: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(what, mend, str(self.file), variable=variable))


_NAMES: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "float": (int, float),
    "bool": bool,
}
_LARGEST = 2**53
"""Whole numbers up to here are floats too."""


def _mismatch(option: Field[Any], value: Any) -> str:
    """What kind of value an option wants, if this is not it."""
    kind = str(option.type).removesuffix(" | None")
    if kind.startswith("tuple["):
        inner = kind.removeprefix("tuple[").removesuffix(", ...]")
        if not isinstance(value, tuple):
            return f"a list of {inner}"
        return next((f"a list of {inner}{_within(v)}" for v in value if not _is(v, inner)), "")
    return "" if kind not in _NAMES or _is(value, kind) else f"a {kind}{_within(value)}"


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool) or not isinstance(value, _NAMES[kind]):
        return kind == "bool" and isinstance(value, bool)
    return not _within(value)


def _within(value: Any) -> str:
    """What to add to the kind of an option where the value is a whole number beyond sense."""
    beyond = isinstance(value, int) and abs(value) > _LARGEST
    return " of at most 2**53" if beyond else ""

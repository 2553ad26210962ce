"""Tables of a TOML file as dataclasses of options, with every fault named at once."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, TypeVar

from preflamp_stats.errors import InputError, Problem

__all__ = ["OptionReader", "check_options"]


def check_options(options: object, checks: dict[str, tuple[bool, str]]) -> None:
    """Raise an InputError naming every option that is not good."""
    problems = [
        Problem(f"is {getattr(options, name)!r}", f"take {wanted}", variable=name)
        for name, (good, wanted) in checks.items()
        if not good
    ]
    if problems:
        raise InputError(problems)


_Options = TypeVar("_Options")


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

    def build(self, cls: type[_Options], table: Any, where: str) -> _Options | None:
        """Build options from a table; None where it has faults."""
        if not isinstance(table, dict):
            self.fault("is not a table", f"write [{where}]", where)
            return None
        known = {each.name: each for each in fields(cls)}  # type: ignore[arg-type]
        before = len(self.problems)
        self.unknown(table, tuple(known), where)
        values = {}
        for key, value in table.items():
            if key in known:
                values[key] = tuple(value) if isinstance(value, list) else value
                if wanted := _mismatch(known[key], values[key]):
                    self.fault(f"is {value!r}", f"give {wanted}", f"{where}.{key}")
        for key, each in known.items():
            required = each.default is MISSING and each.default_factory is MISSING
            if required and key not in table:
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

"""Options: the closed sets of choices that layers share, and how an option is declared and checked.

An option is a field of a frozen dataclass. Its type tells what it may be (a ``Literal`` its
choices), its default stands there and nowhere else, its metadata the range of a number, and the
first sentence of its entry in the class's docstring is its help on the command line.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from functools import cache
from numbers import Real
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from preflamp_stats.errors import InputError, Problem

__all__ = [
    "STORED",
    "Agreement",
    "Average",
    "Figures",
    "Format",
    "Interval",
    "Option",
    "Resample",
    "Scoring",
    "Ties",
    "TokenizerName",
    "Values",
    "Variant",
    "check_choice",
    "check_options",
    "declared_options",
    "number_option",
    "option_problems",
]

Agreement = Literal["tau", "soft-pairwise", "pairwise-tie"]
Average = Literal["micro", "macro"]
Figures = Literal["auto", "pdf", "png", "none"]
Format = Literal["csv", "md", "tex", "html"]
Interval = Literal["model", "guaranteed", "percentile"]
Resample = Literal["users", "examples", "methods", "both"]
Values = Literal["credit", "share", "free"]
"""Values of a metric: multiples of a half in [0, 1], any number in [0, 1], or any number."""
Scoring = Literal["sequence", "accumulated", "renormalised", "renormalised_with_target", "stored"]
STORED: tuple[Scoring, ...] = ("renormalised", "renormalised_with_target", "stored")
"""Scores that are read from the file."""
Ties = Literal["half", "strict", "drop"]
TokenizerName = Literal["rouge-score", "unicode"]
Variant = Literal["a", "b", "c", "weighted"]


def check_choice(name: str, value: object, kind: Any) -> None:
    """Refuse an option that is none of the choices of its ``Literal``.

    Examples
    --------
    >>> check_choice("ties", "third", Ties)
    Traceback (most recent call last):
    ...
    preflamp_stats.errors.InputError: variable ties: is 'third'; choose one of half, strict, drop
    """
    if value not in get_args(kind):
        raise InputError(_no_choice(name, value, get_args(kind)))


@dataclass(frozen=True)
class Option:
    """An option, as declared.

    Parameters
    ----------
    name : str
    default : object
    kind : type
        Of its value, or of each of its values where it takes several.
    allowed : tuple of str
        Its choices; empty where it is open.
    several : bool
        Whether it takes any number of values.
    help : str
        What it is, in a sentence.
    """

    name: str
    default: Any
    kind: type
    allowed: tuple[str, ...]
    several: bool
    help: str


def number_option(default: Any, good: Callable[[Any], bool], mend: str, kind: type = Real) -> Any:
    """Declare an option that is a number, by its range and by what to take instead."""
    return field(default=default, metadata={"kind": kind, "good": good, "mend": mend})


@cache
def declared_options(cls: Any) -> tuple[Option, ...]:
    """Options of a dataclass, in its order."""
    hints, text = get_type_hints(cls), _docs(cls)
    found = []
    for one in fields(cls):
        hint = hints[one.name]
        several = get_origin(hint) is tuple
        inner = get_args(hint)[0] if several else hint
        united = get_args(inner) if get_origin(inner) in (Union, UnionType) else (inner,)
        choices = next((t for t in united if get_origin(t) is Literal), None)
        kind = str if choices else united[0]
        told = text.get(one.name, "")
        found.append(Option(one.name, one.default, kind, get_args(choices), several, told))
    return tuple(found)


def check_options(options: Any) -> None:
    """Refuse options out of range, all of them at once."""
    if problems := list(option_problems(options)):
        raise InputError(problems)


def option_problems(options: Any) -> Iterator[Problem]:
    """Everything that is out of range in a dataclass of options."""
    ranges = {one.name: one.metadata for one in fields(options)}
    for option in declared_options(options.__class__):
        name, value, told = option.name, getattr(options, option.name), ranges[option.name]
        if value is None and option.default is None:
            continue
        if option.several:
            yield from _problems_of_several(option, value)
        elif told:
            number = isinstance(value, told["kind"]) and not isinstance(value, bool)
            if not number or not told["good"](value):
                yield Problem(f"is {value!r}", told["mend"], variable=name)
        elif option.allowed and value not in option.allowed:
            yield _no_choice(name, value, option.allowed)


def _problems_of_several(option: Option, values: Any) -> Iterator[Problem]:
    if isinstance(values, str):
        mend = f"write ({values!r},)"
        yield Problem(f"is the single text {values!r}", mend, variable=option.name)
    elif not values and option.default:
        yield Problem("is empty", "name at least one metric", variable=option.name)
    else:
        for value in values:
            if option.allowed and value not in option.allowed:
                mend = f"choose among {', '.join(option.allowed)}"
                yield Problem(f"has {value!r}", mend, variable=option.name)


def _no_choice(name: str, value: object, allowed: tuple[str, ...]) -> Problem:
    return Problem(f"is {value!r}", f"choose one of {', '.join(allowed)}", variable=name)


def _docs(cls: type) -> dict[str, str]:
    """First sentence of each parameter's entry, over the docstrings of a class and its bases."""
    found: dict[str, str] = {}
    for part in reversed(cls.__mro__):
        text = inspect.cleandoc(part.__doc__ or "")
        entries = re.findall(r"^(\w+(?:, \w+)*) : .*\n((?:    .*\n?)+)", text, re.MULTILINE)
        for names, entry in entries:
            words = " ".join(entry.replace("``", "").split())
            found |= dict.fromkeys(names.split(", "), re.split(r"(?<=\.)\s", words)[0])
    return found

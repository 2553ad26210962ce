"""Errors that a user can mend, as opposed to faults of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["InputError", "Problem", "SchemaError", "printable"]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an input, where it is, and how to mend it.

    Parameters
    ----------
    what : str
        What is wrong, as a clause without a full stop.
    mend : str
        How to mend it.
    file : str, optional
        File in which it was found.
    group : str, optional
        Benchmark dataset (group of the file).
    variable : str, optional
        Variable, column or option.

    Examples
    --------
    >>> print(Problem("has NaN in 3 of 10 rows", "name every user", "r.nc", "/prism", "user"))
    r.nc: group /prism: variable user: has NaN in 3 of 10 rows; name every user
    """

    what: str
    mend: str
    file: str = ""
    group: str = ""
    variable: str = ""

    def __str__(self) -> str:
        where = [self.file]
        if self.group:
            where.append(f"group {self.group}")
        if self.variable:
            where.append(f"variable {self.variable}")
        text = ": ".join([*(part for part in where if part), self.what])
        return f"{text}; {self.mend}" if self.mend else text


def printable(text: object) -> str:
    r"""Text in one line that steers no terminal: control characters are written as escapes.

    Parameters
    ----------
    text : object
        Anything with a ``str``.

    Examples
    --------
    >>> printable("a\x1b[31m\nb")
    'a\\x1b[31m\\nb'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


class InputError(ValueError):
    """Input that cannot be used; carries every problem found, one a line.

    Parameters
    ----------
    problems : Problem or str or sequence of them
        What was found. The command line prints one line for each and exits with 2.
    """

    def __init__(self, problems: Problem | str | Sequence[Problem | str]) -> None:
        if isinstance(problems, Problem | str):
            problems = [problems]
        self.problems: tuple[Problem | str, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class SchemaError(InputError):
    """A results file (or an opened tree) that does not follow the schema."""

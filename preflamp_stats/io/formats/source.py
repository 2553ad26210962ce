"""What a reader of another tool's file is given, what it is asked, and what it gives back."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.io.columns import meaning
from preflamp_stats.io.parquet import read_parquet

Row = dict[str, Any]
_SHOWN = 12


@dataclass(frozen=True)
class Asked:
    """What the user says of files of another tool; "" leaves it to the reader.

    Parameters
    ----------
    method, dataset : str
        Name of what was evaluated, and of the benchmark dataset.
    user, subset : str
        Field of a record (``doc.person`` for one within another) that names them.
    filter : str
        Filter of lm-evaluation-harness whose responses are read.
    texts : bool
        Read generations and references too where the tool has scored them.
    mapping, ignore
        As of :func:`preflamp_stats.convert`, for preference sets.
    say : callable
        Told of a file what was assumed or left out.
    """

    say: Callable[[Path, str], None]
    method: str = ""
    dataset: str = ""
    user: str = ""
    subset: str = ""
    filter: str = ""
    texts: bool = False
    mapping: dict[str, str] = field(default_factory=dict)
    ignore: Sequence[str] = ()


@dataclass
class Found:
    """What a reader found in a file.

    Parameters
    ----------
    rows : list of dict
        Rows of our table: labels, and values or metrics of any name.
    higher, lower : set of str
        Metrics whose direction the tool tells.
    pairwise : set of str
        Methods whose rewards mean something as a difference only.
    """

    rows: list[Row] = field(default_factory=list)
    higher: set[str] = field(default_factory=set)
    lower: set[str] = field(default_factory=set)
    pairwise: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Source:
    """A file of another tool.

    Parameters
    ----------
    path : Path
    """

    path: Path

    def refuse(self, what: str, mend: str, where: str = "", variable: str = "") -> NoReturn:
        """Raise an InputError about this file."""
        raise InputError(Problem(what, mend, str(self.path), where, variable))

    @cached_property
    def text(self) -> str:
        """The whole file as text."""
        try:
            return self.path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            self.refuse(f"cannot be read ({error})", "check the path")

    @cached_property
    def records(self) -> list[Row]:
        """Objects of a JSON file (one, or a list), of a JSONL or of a Parquet file."""
        if self.path.suffix == ".parquet":
            rows: list[Row] = read_parquet(self.path).to_pylist()
            return rows
        whole = _parsed(self.text)
        found: Iterable[Any]
        if isinstance(whole, dict | list):
            found = whole if isinstance(whole, list) else [whole]
        else:
            found = (_parsed(line) for line in self.text.split("\n") if line.strip())
        records = list(found)
        for number, record in enumerate(records, 1):
            if not isinstance(record, dict):
                self.refuse("is not a JSON object", "name a JSON or JSONL file", f"line {number}")
        return records

    @property
    def first(self) -> Row:
        """The first record; empty where there is none or the file is of another kind."""
        if self.path.suffix not in (".json", ".jsonl", ".parquet"):
            return {}
        try:
            return self.records[0] if self.records else {}
        except InputError:
            return {}

    def number(self, value: Any, where: str, variable: str) -> float:
        """Read a score, which may stand in a list (a batch of one) or be text; NaN where missing.

        Raises
        ------
        InputError
            For what is no number, or several.
        """
        while isinstance(value, list) and len(value) == 1:
            value = value[0]
        if value is None:
            return math.nan
        if isinstance(value, list) and value:
            what = f"holds {len(value)} numbers for one response"
            self.refuse(what, "give one reward a response", where, variable)
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            self.refuse(f"is {str(value)[:40]!r}", "give a number", where, variable)

    def labels(self, records: Sequence[Row], asked: Asked) -> Callable[[Row], Row]:
        """Make a function that reads user and subset off a record.

        Where the user names no field, one whose name says it is taken (``user_id``, ``category``),
        and said.

        Raises
        ------
        InputError
            For a field that the records do not have; it names those that they have.
        """
        fields: dict[str, str] = {}
        for label in ("user", "subset"):
            name = getattr(asked, label)
            here = [_look(record, name) for record in records] if name else []
            if name and not any(value is not None for value in here):
                there = ", ".join([*(records[0] if records else {})][:_SHOWN])
                mend = f"name one of {there}" if there else "there is none"
                self.refuse(f"has no field {name!r} to read the {label} from", mend)
            like = [
                key
                for key in ([] if name or not records else records[0])
                if meaning(key) == label
                and all(_names(record.get(key)) for record in records)
                and len({str(record[key]) for record in records}) > 1
            ]
            if name or len(like) == 1:
                fields[label] = name or like[0]
            if not name and len(like) > 1:
                mend = f"--{label} names one"
                asked.say(self.path, f"{', '.join(like)} may each be the {label}: {mend}")
            elif not name and like:
                asked.say(self.path, f"{like[0]} read as {label}")

        def read(record: Row) -> Row:
            found = {label: _look(record, name) for label, name in fields.items()}
            return {label: str(value) for label, value in found.items() if value is not None}

        return read


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _names(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""


def _look(record: Any, name: str) -> Any:
    """Value of a field; ``doc.person`` is person within doc, unless a field is called that."""
    if isinstance(record, dict) and name in record:
        return record[name]
    head, _, rest = name.partition(".")
    return (
        _look(record[head], rest) if rest and isinstance(record, dict) and head in record else None
    )


def plain_text(value: Any) -> str | None:
    """Text of a prompt or response, which may be a list of messages; of the last one, if several.

    Examples
    --------
    >>> plain_text([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}])
    'Ho'
    """
    if isinstance(value, list) and value and isinstance(value[-1], dict):
        value = value[-1].get("content")
    return value if isinstance(value, str) else None

"""Preference examples: a JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from preflamp_backend.files.text import json_hash, json_lines, write_text
from preflamp_stats.errors import InputError, Problem

_TEXTS = ("user", "prompt", "chosen", "rejected", "reference", "preference", "id")
_KEYS = (*_TEXTS, "candidates", "history")
_MOST_PROBLEMS = 20


@dataclass(frozen=True)
class HistoryItem:
    """Something that the user wrote before: what was asked, what they wrote, and when."""

    input: str
    output: str
    date: str = ""


@dataclass(frozen=True)
class Example:
    """One example of a benchmark dataset.

    Attributes
    ----------
    id : str
        Unique; the line number where the file gives none.
    user, prompt : str
    candidates : mapping of str to str
        ``chosen`` and ``rejected``, and any more, by name; empty where only generation is asked
        for.
    reference : str
        What the user wrote in truth; empty where unknown.
    preference : str
        The user's preference in words, for prompts that state it.
    history : tuple of HistoryItem
    """

    id: str
    user: str
    prompt: str
    candidates: Mapping[str, str]
    reference: str = ""
    preference: str = ""
    history: tuple[HistoryItem, ...] = ()

    @property
    def said(self) -> tuple[str, str, str, str]:
        """User, prompt, chosen and rejected response of a pair: all that training sees of it."""
        return self.user, self.prompt, self.candidates["chosen"], self.candidates["rejected"]


def read_examples(path: str | Path, limit: int | None = None) -> list[Example]:
    """Read examples from JSONL.

    A line holds ``user``, ``prompt``, and any of ``id``, ``chosen`` and ``rejected``,
    ``candidates`` (name to text), ``reference``, ``preference``, ``history`` (a list of ``{input,
    output, date}``).

    Parameters
    ----------
    path : path
    limit : int, optional
        Read the first few only.

    Returns
    -------
    list of Example

    Raises
    ------
    InputError
        Naming every line (up to 20) that cannot be used, and why.
    """
    problems: list[Problem] = []
    examples: list[Example] = []
    seen: set[str] = set()
    for number, record in json_lines(path, "name a JSONL file in UTF-8"):
        if limit is not None and len(examples) + len(problems) >= limit:
            break
        where = f"line {number}"
        found = [Problem("is not a JSON object", "write one object a line", str(path), where)]
        if isinstance(record, dict):
            found = list(_faults(record, where, str(path)))
        if not found:
            example = _example(record, number)
            if example.id in seen:
                mend = "name each example once"
                found = [Problem("is there twice", mend, str(path), where, "id")]
            seen.add(example.id)
            examples.append(example)
        problems += found
        if len(problems) >= _MOST_PROBLEMS:
            break
    names = [set(example.candidates) & {"chosen", "rejected"} for example in examples]
    if not problems and any(each != names[0] for each in names):
        what = "has chosen and rejected in some lines only"
        problems.append(Problem(what, "give both in every line", str(path)))
    if not problems and not examples:
        problems.append(Problem("holds no example", "give one JSON object a line", str(path)))
    if problems:
        raise InputError(problems)
    return examples


def write_examples(examples: Sequence[Example], path: str | Path) -> None:
    """Write examples as :func:`read_examples` reads them.

    Parameters
    ----------
    examples : sequence of Example
    path : path

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    write_text(path, "".join(_line(example) + "\n" for example in examples))


def content_hash(examples: Sequence[Example]) -> str:
    """SHA-256 of all that examples say."""
    return json_hash([asdict(example) for example in examples])


def _line(example: Example) -> str:
    pair = {name: example.candidates.get(name) for name in ("chosen", "rejected")}
    record = {
        **{key: getattr(example, key) for key in ("id", "user", "prompt")},
        **pair,
        "candidates": {k: text for k, text in example.candidates.items() if k not in pair},
        **{key: getattr(example, key) for key in ("reference", "preference")},
        "history": [
            {key: text for key, text in asdict(item).items() if text or key != "date"}
            for item in example.history
        ],
    }
    said = {key: value for key, value in record.items() if value}
    return json.dumps(said, ensure_ascii=False)


def _faults(record: dict[str, Any], where: str, file: str) -> Iterator[Problem]:
    def problem(what: str, mend: str, key: str) -> Problem:
        return Problem(what, mend, file, where, key)

    for key in sorted(set(record) - set(_KEYS)):
        yield problem("is not known", f"use {', '.join(_KEYS)}", key)
    for key in ("user", "prompt"):
        if record.get(key, "") == "":
            yield problem("is missing", "give a text", key)
    for key in _TEXTS:
        value = record.get(key, "")
        if not isinstance(value, str) and not (key in ("id", "user") and isinstance(value, int)):
            yield problem(f"is {type(value).__name__}", "give a text", key)
        elif isinstance(value, str) and "\0" in value:
            yield problem("has a NUL character", "remove it", key)
    if ("chosen" in record) != ("rejected" in record):
        yield problem("comes without the other", "give chosen and rejected", "chosen")
    for key in ("chosen", "rejected"):
        if key in record and record[key] == "":
            yield problem("is empty", "leave the example out or give its text", key)
    candidates = record.get("candidates", {})
    if not isinstance(candidates, dict) or not all(
        isinstance(text, str) and text for text in candidates.values()
    ):
        yield problem("is not a mapping of names to texts", 'write {"name": "text"}', "candidates")
    history = record.get("history", [])
    if not isinstance(history, list) or not all(_is_item(item) for item in history):
        mend = 'write [{"input": "…", "output": "…", "date": "2024-05-01"}]; date may be left out'
        yield problem("is not a list of what the user wrote before", mend, "history")


def _is_item(item: Any) -> bool:
    return (
        isinstance(item, dict)
        and {"input", "output"} <= set(item) <= {"input", "output", "date"}
        and all(isinstance(value, str) for value in item.values())
    )


def _example(record: dict[str, Any], number: int) -> Example:
    pair: dict[str, str] = {name: record[name] for name in ("chosen", "rejected") if name in record}
    return Example(
        id=str(record.get("id", number)),
        user=str(record["user"]),
        prompt=record["prompt"],
        candidates={**pair, **record.get("candidates", {})},
        reference=record.get("reference", ""),
        preference=record.get("preference", ""),
        history=tuple(HistoryItem(**item) for item in record.get("history", [])),
    )


def candidate_names(examples: Sequence[Example]) -> list[str]:
    """Names of all candidates: chosen, rejected, then the others in order."""
    others = {name for row in examples for name in row.candidates} - {"chosen", "rejected"}
    return ["chosen", "rejected", *sorted(others)]

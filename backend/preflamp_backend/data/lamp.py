"""LaMP's files: questions with the user's profile, and the users' own outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from preflamp_backend.data.examples import HistoryItem
from preflamp_backend.faults import fault
from preflamp_backend.files.text import read_json
from preflamp_stats.errors import InputError, Problem

_MOST_PROBLEMS = 20


@dataclass(frozen=True)
class Task:
    """A generation task of LaMP.

    Attributes
    ----------
    instruction : str
        What stands before the input in a question.
    input, output : str
        Keys of a profile's item; an empty input means that the profile holds outputs only.
    """

    instruction: str
    input: str
    output: str


TASKS = {
    "LaMP_4": Task("Generate a headline for the following article: ", "text", "title"),
    "LaMP_5": Task("Generate a title for the following abstract of a paper: ", "abstract", "title"),
    "LaMP_6": Task("Generate a subject for the following email: ", "text", "title"),
    "LaMP_7": Task(
        "Paraphrase the following tweet without any explanation before or after it: ", "", "text"
    ),
}
"""Generation tasks by the name that an outputs file gives. The others ask for a class."""


@dataclass(frozen=True)
class Question:
    """What a user was asked, what they wrote, and what they had written before.

    Attributes
    ----------
    id, user : str
    instruction, input : str
        Together the prompt.
    output : str
    date : str
        Empty where unknown.
    history : tuple of HistoryItem
        In order of time where dates are known.
    """

    id: str
    user: str
    instruction: str
    input: str
    output: str
    date: str = ""
    history: tuple[HistoryItem, ...] = ()

    @property
    def prompt(self) -> str:
        """Instruction and input."""
        return self.instruction + self.input


def read_lamp(questions: str | Path, outputs: str | Path) -> list[Question]:
    """Read a generation task of LaMP.

    Parameters
    ----------
    questions : path
        JSON list of ``{id, input, profile: [{id, …, date?}]}``, with ``user_id`` where one user has
        several questions.
    outputs : path
        ``{"task": "LaMP_5", "golds": [{"id", "output"}]}``.

    Returns
    -------
    list of Question
        In the order of the questions.

    Raises
    ------
    InputError
        For files that are not of this form, or whose ids differ.
    """
    asked, gold = (read_json(each, "give LaMP's own file") for each in (questions, outputs))
    if not isinstance(asked, list):
        raise fault("is not a JSON list", "give LaMP's questions file", questions)
    if not isinstance(gold, dict) or not isinstance(gold.get("golds"), list):
        mend = 'give {"task": "LaMP_5", "golds": [{"id": …, "output": …}]}'
        raise fault("has no list named golds", mend, outputs)
    if not isinstance(gold.get("task"), str) or gold["task"] not in TASKS:
        what = f"names task {gold.get('task')!r}"
        raise fault(what, f"take a generation task: {', '.join(TASKS)}", outputs)
    task = TASKS[gold["task"]]
    problems = [*_faults(asked, questions, task), *_gold_faults(gold["golds"], outputs)]
    if problems:
        raise InputError(problems[:_MOST_PROBLEMS])
    output_of = {str(each["id"]): each["output"] for each in gold["golds"]}
    _same_ids([str(each["id"]) for each in asked], output_of, questions, outputs)
    return [_question(each, output_of[str(each["id"])], task) for each in asked]


def expand(questions: Sequence[Question]) -> list[Question]:
    """Make a question of each item of the history too, with the items before it as its history.

    Returns
    -------
    list of Question
        A user's in order of time; an item that is in several histories of a user comes once.
    """
    found: dict[tuple[str, str, str], Question] = {}
    for question in questions:
        past = [item for item in question.history if item.input and item.output]
        for at, item in enumerate(past):
            own = {"input": item.input, "output": item.output, "date": item.date}
            made = replace(question, id=f"{question.id}/{at}", history=tuple(past[:at]), **own)
            found.setdefault((question.user, item.input, item.output), made)
        found.setdefault((question.user, question.input, question.output), question)
    return list(found.values())


def _question(record: dict[str, Any], output: str, task: Task) -> Question:
    text = record["input"]
    instruction = task.instruction if text.startswith(task.instruction) else ""
    history = [
        HistoryItem(item[task.input] if task.input else "", item[task.output], _date(item))
        for item in record["profile"]
    ]
    if all(item.date for item in history):
        history.sort(key=lambda item: item.date)
    return Question(
        id=str(record["id"]),
        user=str(record.get("user_id", record["id"])),
        instruction=instruction,
        input=text.removeprefix(instruction),
        output=output,
        date=_date(record),
        history=tuple(history),
    )


def _date(record: dict[str, Any]) -> str:
    return str(record.get("date") or "")


def _faults(asked: list[Any], path: str | Path, task: Task) -> Iterator[Problem]:
    keys = [key for key in (task.input, task.output) if key]
    for at, record in enumerate(asked):
        where = f"question {at}"
        if not isinstance(record, dict) or "id" not in record:
            mend = "write {id, input, profile}"
            yield Problem("is not an object with an id", mend, str(path), where)
            continue
        where = f"question {record['id']}"
        if not isinstance(record.get("input"), str) or not record["input"].strip():
            yield Problem("has no input", "give a text", str(path), where)
        profile = record.get("profile")
        if not isinstance(profile, list) or not all(
            isinstance(item, dict) and all(isinstance(item.get(key), str) for key in keys)
            for item in profile
        ):
            mend = f"give a list of objects with {' and '.join(keys)}"
            yield Problem("has a profile of another form", mend, str(path), where)


def _gold_faults(golds: list[Any], path: str | Path) -> Iterator[Problem]:
    for at, record in enumerate(golds):
        if not isinstance(record, dict) or not {"id", "output"} <= set(record):
            yield Problem("is not {id, output}", "give both", str(path), f"gold {at}")
        elif not isinstance(record["output"], str) or not record["output"].strip():
            yield Problem("has an empty output", "give a text", str(path), f"gold {record['id']}")


def _same_ids(
    asked: Sequence[str], output_of: dict[str, str], questions: str | Path, outputs: str | Path
) -> None:
    if len(set(asked)) < len(asked):
        twice = next(each for each in asked if asked.count(each) > 1)
        raise fault(f"has id {twice!r} more than once", "name each question once", questions)
    without, beyond = sorted(set(asked) - set(output_of)), sorted(set(output_of) - set(asked))
    if without or beyond:
        some = ", ".join((without + beyond)[:5])
        what = (
            f"has other ids than {questions}: {len(without)} questions have no output, "
            f"{len(beyond)} outputs no question ({some})"
        )
        raise fault(what, "give the two files of one split", outputs)

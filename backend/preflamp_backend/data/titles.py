"""Abstracts and titles of papers, by author: LaMP-5's task on open text."""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preflamp_backend.data.examples import HistoryItem
from preflamp_backend.data.lamp import TASKS, Question
from preflamp_backend.faults import fault
from preflamp_backend.files.text import json_lines
from preflamp_stats.errors import InputError, Problem

_MONTHS = {
    name.lower(): number
    for names in (calendar.month_name, calendar.month_abbr, map(str, range(13)))
    for number, name in enumerate(names)
    if number
} | {"sept": 9}
"""Months by their names, the names' first three letters, and their numbers."""
_MEND = "write {id, year, month, title, authors, abstract}; a month is July, Jul, 7 or left out"
_MOST_PROBLEMS = 20


@dataclass(frozen=True)
class Paper:
    """A paper with its authors.

    Attributes
    ----------
    id, title, abstract : str
    authors : tuple of str
    date : str
        Such as ``2017-08``; a paper of an unknown month counts as of its year's end.
    """

    id: str
    title: str
    abstract: str
    authors: tuple[str, ...]
    date: str


def read_papers(path: str | Path, *, words: int | None = None) -> list[Paper]:
    """Read papers from JSONL, gzip-compressed or not.

    A line holds ``id, year, month, title, authors, abstract``; the month is a name (July, Jul) or
    a number, and the first counts where two are given.

    Parameters
    ----------
    path : path
    words : int, optional
        Keep the first words of each abstract only.

    Returns
    -------
    list of Paper
        By date, then id.

    Raises
    ------
    InputError
        Naming every line (up to 20) that cannot be used.
    """
    problems: list[Problem] = []
    papers: dict[str, Paper] = {}
    for number, record in json_lines(path, "name a JSONL file of papers"):
        found = _paper(record, words) if isinstance(record, dict) else "is not a JSON object"
        if isinstance(found, Paper) and found.id in papers:
            found = f"repeats id {found.id}"
        if isinstance(found, str):
            problems.append(Problem(found, _MEND, str(path), f"line {number}"))
            if len(problems) >= _MOST_PROBLEMS:
                break
        else:
            papers[found.id] = found
    if not problems and not papers:
        problems.append(Problem("holds no paper", "give one JSON object a line", str(path)))
    if problems:
        raise InputError(problems)
    return sorted(papers.values(), key=lambda paper: (paper.date, paper.id))


def author_questions(papers: Sequence[Paper], *, min_papers: int = 5) -> list[Question]:
    """Ask each author for the title of their last paper; the earlier ones are their history.

    :func:`preflamp_backend.data.lamp.expand` makes questions of the earlier ones too.

    Parameters
    ----------
    papers : sequence of Paper
        By date.
    min_papers : int
        Authors of fewer papers are left out.

    Returns
    -------
    list of Question
        By author. A user is an author's name as it is printed.

    Raises
    ------
    InputError
        If no author has enough papers.
    """
    written: dict[str, list[Paper]] = {}
    for paper in papers:
        for author in dict.fromkeys(paper.authors):
            written.setdefault(author, []).append(paper)
    questions = []
    for author, mine in sorted(written.items()):
        if len(mine) < max(1, min_papers):
            continue
        history = tuple(HistoryItem(each.abstract, each.title, each.date) for each in mine[:-1])
        last = mine[-1]
        questions.append(
            Question(
                id=f"{last.id} {author}",
                user=author,
                instruction=TASKS["LaMP_5"].instruction,
                input=last.abstract,
                output=last.title,
                date=last.date,
                history=history,
            )
        )
    if not questions:
        most = max(map(len, written.values()), default=0)
        raise fault(
            f"no author has {min_papers} papers (at most {most})",
            "ask for fewer, or give more papers",
            variable="min_papers",
        )
    return questions


def _paper(record: dict[str, Any], words: int | None) -> Paper | str:
    """The paper of a line, or what is wrong with it."""
    for key in ("id", "title", "abstract"):
        if not isinstance(record.get(key), str) or not record[key].strip():
            return f"has no {key}"
    authors = record.get("authors")
    if not isinstance(authors, list) or not all(isinstance(each, str) for each in authors):
        return "has no list of authors"
    if not isinstance(record.get("year"), int):
        return "has no year as a number"
    words_of_month = re.findall(r"\w+", str(record.get("month") or "december").lower())
    month = _MONTHS.get(words_of_month[0].lstrip("0")) if words_of_month else None
    if month is None:
        return f"has month {record['month']!r}"
    abstract = " ".join(record["abstract"].split()[:words])
    date = f"{record['year']}-{month:02d}"
    return Paper(record["id"], " ".join(record["title"].split()), abstract, tuple(authors), date)

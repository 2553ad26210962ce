"""Pref-LaMP: preference pairs out of questions that users answered themselves.

The user's own output is the chosen response; the rejected one is plausible and not theirs.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import scipy.sparse as sp

from preflamp_backend.data.checks import normalise
from preflamp_backend.data.examples import Example
from preflamp_backend.data.lamp import Question
from preflamp_backend.faults import fault
from preflamp_stats.errors import InputError, Problem

Rule = Literal["similar", "other", "given"]

RULES: Mapping[str, str] = {
    "similar": "another user's output for the nearest input by TF-IDF",
    "other": "another user's output, drawn at random",
    "given": "a generic model's output for the same input",
}
"""What each rule takes for the rejected response, in words."""

_BLOCK = 512


def preference_examples(
    questions: Sequence[Question],
    *,
    rule: Rule = "similar",
    given: Mapping[str, str] | None = None,
    seed: int = 0,
) -> list[Example]:
    """Make a preference example of each question.

    Rejected responses come from these questions only: to keep the sides of a split apart, call it
    once a side.

    Parameters
    ----------
    questions : sequence of Question
    rule : {"similar", "other", "given"}
        Where the rejected response comes from: see :data:`RULES`.
    given : mapping of question id to text, optional
        The responses of rule ``given``.
    seed : int
        Of rule ``other``.

    Returns
    -------
    list of Example
        ``reference`` is the user's own output.

    Raises
    ------
    InputError
        For questions without a response of somebody else, or whose given response is missing or is
        the user's own.
    """
    if rule == "given":
        rejected = _given(questions, given or {})
    else:
        takes = nearest_others(questions) if rule == "similar" else _drawn(questions, seed)
        rejected = [questions[at].output for at in takes]
    return [
        Example(
            id=question.id,
            user=question.user,
            prompt=question.prompt,
            candidates={"chosen": question.output, "rejected": other},
            reference=question.output,
            history=question.history,
        )
        for question, other in zip(questions, rejected, strict=True)
    ]


def nearest_others(questions: Sequence[Question]) -> list[int]:
    """Position of the question of the nearest input that another user answered otherwise.

    Cosine similarity of TF-IDF vectors, (1 + ln count) · ln(1 + N / holding), over lower-case
    words; in scripts written without spaces, over pairs of letters too. Of equally near ones the
    first is taken. An output that the user wrote anywhere is never taken.

    Raises
    ------
    InputError
        If somebody has no such question.
    """
    vectors = _tf_idf([question.input for question in questions])
    allowed = _Allowed(questions)
    found: list[int] = []
    for start in range(0, len(questions), _BLOCK):
        near = (vectors[start : start + _BLOCK] @ vectors.T).toarray()
        for row, scores in enumerate(near, start):
            order = np.argsort(-scores, kind="stable")
            found.append(allowed.first(row, order.tolist()))
    return found


def read_outputs(path: str | Path) -> dict[str, str]:
    """Read a model's outputs: LaMP's outputs file, or JSONL of ``{id, output}``.

    Raises
    ------
    InputError
        For a file of another form, or one that names an id twice.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        try:
            whole = json.loads(text)
        except (ValueError, RecursionError):
            whole = [json.loads(line) for line in text.splitlines() if line.strip()]
        records = whole["golds"] if isinstance(whole, dict) and "golds" in whole else whole
        records = [records] if isinstance(records, dict) else records
        pairs = [(str(each["id"]), str(each["output"])) for each in records]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise fault(
            f"cannot be read as outputs ({error})",
            'give JSONL of {"id": …, "output": …}, or LaMP\'s outputs file',
            str(path),
        ) from error
    outputs = dict(pairs)
    if len(outputs) < len(pairs):
        raise fault("names an id twice", "name each once", str(path))
    return outputs


class _Allowed:
    """Whose outputs may stand as rejected beside whose."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self.questions = questions
        self.outputs = [normalise(question.output) for question in questions]
        self.own: dict[str, set[str]] = {}
        for question, output in zip(questions, self.outputs, strict=True):
            mine = self.own.setdefault(question.user, set())
            mine.add(output)
            mine.update(normalise(item.output) for item in question.history)

    def first(self, row: int, order: Sequence[int]) -> int:
        mine = self.own[self.questions[row].user]
        for at in order:
            other = self.questions[at].user != self.questions[row].user
            if other and self.outputs[at] not in mine:
                return at
        raise fault(
            "has no output of another user to reject",
            "give questions of several users, or a file of a model's outputs",
            variable=f"question {self.questions[row].id}",
        )


def _drawn(questions: Sequence[Question], seed: int) -> list[int]:
    rng, allowed = np.random.default_rng(seed), _Allowed(questions)
    return [
        allowed.first(row, rng.permutation(len(questions)).tolist())
        for row in range(len(questions))
    ]


def _given(questions: Sequence[Question], given: Mapping[str, str]) -> list[str]:
    missing = [question.id for question in questions if not given.get(question.id, "").strip()]
    own = [
        question.id
        for question in questions
        if normalise(given.get(question.id, "")) == normalise(question.output)
    ]
    problems = []
    if missing:
        what = f"have no output for {len(missing)} questions ({', '.join(missing[:5])})"
        problems.append(Problem(what, "give one for each id", variable="given outputs"))
    if own:
        what = f"equal the user's own for {len(own)} questions ({', '.join(own[:5])})"
        problems.append(Problem(what, "leave these questions out", variable="given outputs"))
    if problems:
        raise InputError(problems)
    return [given[question.id] for question in questions]


def _tf_idf(texts: Sequence[str]) -> sp.csr_matrix:
    """Rows of unit length, a column a term."""
    column_of: dict[str, int] = {}
    counts = [
        Counter(column_of.setdefault(term, len(column_of)) for term in _terms(text))
        for text in texts
    ]
    shape = (len(texts), max(1, len(column_of)))
    rows = np.repeat(np.arange(len(texts)), [len(each) for each in counts])
    columns = np.array([column for each in counts for column in each], np.int64)
    values = 1 + np.log(np.array([count for each in counts for count in each.values()], float))
    matrix = sp.csr_matrix((values, (rows, columns)), shape)
    holding = np.bincount(columns, minlength=shape[1])
    matrix = matrix @ sp.diags(np.log1p(len(texts) / np.maximum(1, holding)))
    norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return sp.csr_matrix(sp.diags(1 / np.where(norms > 0, norms, 1.0)) @ matrix)


def _terms(text: str) -> list[str]:
    words = re.findall(r"\w+", text.lower())
    # Chinese, Japanese, Thai and others write no spaces: a "word" is then a sentence.
    pairs = [
        word[at : at + 2]
        for word in words
        if not word.isascii()
        for at in range(max(1, len(word) - 1))
    ]
    return words + pairs

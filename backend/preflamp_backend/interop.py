"""Scores that other tools wrote, as tidy tables for ``preflamp-stats convert``.

Needs neither torch nor the tools themselves, only their output files.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from preflamp_stats.errors import InputError, Problem

__all__ = ["read_lm_eval", "read_reward_bench"]


def read_reward_bench(path: str | Path, *, method: str, dataset: str = "") -> pd.DataFrame:
    """Read the rewards that reward-bench wrote, an example at a time.

    Parameters
    ----------
    path : path
        ``MODEL_all.jsonl`` of ``rewardbench --save_all`` (``chosen`` and ``rejected`` a line), or
        a JSON file of ``eval-set-scores`` (columns ``scores_chosen``, ``scores_rejected``, with
        ``id`` and ``subset``).
    method : str
        Name of the reward model.
    dataset : str
        Name of the benchmark dataset; none by default.

    Returns
    -------
    pandas.DataFrame
        Columns ``example, method, candidate, reward``, and ``dataset``, ``candidate_text`` and
        ``subset`` where known; two rows an example.

    Raises
    ------
    InputError
        For a file of another layout, or a score that is no number.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "rm_all.jsonl")
    ...     _ = file.write_text('{"chosen": 1.5, "rejected": [0.5]}')
    ...     frame = read_reward_bench(file, method="rm")
    >>> frame[["candidate", "reward"]].values.tolist()
    [['chosen', 1.5], ['rejected', 0.5]]
    """
    file = Path(path)
    records = list(_json_lines(file))
    if len(records) == 1 and "scores_chosen" in records[0][1]:
        columns = records[0][1]
        names = [key for key in ("id", "subset", "text_chosen", "text_rejected") if key in columns]
        scores = zip(columns["scores_chosen"], columns["scores_rejected"], strict=True)
        pairs = [{"chosen": good, "rejected": bad} for good, bad in scores]
        for name in names:
            for pair, value in zip(pairs, columns[name], strict=True):
                pair[name] = value
    else:
        pairs = [record for _, record in records]
    ids = [pair.get("id", number) for number, pair in enumerate(pairs)]
    if len(set(map(str, ids))) < len(ids):
        ids = list(range(len(ids)))
    rows = []
    for number, (example, pair) in enumerate(zip(ids, pairs, strict=True), 1):
        for candidate in ("chosen", "rejected"):
            row: dict[str, Any] = {"example": str(example), "method": method}
            row["candidate"] = candidate
            row["reward"] = _number(pair.get(candidate), file, f"example {number}", candidate)
            text = pair.get(f"text_{candidate}")
            if isinstance(text, str):
                row["candidate_text"] = text
            if "subset" in pair:
                row["subset"] = pair["subset"]
            rows.append(row)
    return _frame(rows, file, dataset)


def read_lm_eval(
    path: str | Path, *, model: str, method: str = "zero-shot", dataset: str = ""
) -> pd.DataFrame:
    """Read samples that lm-evaluation-harness logged (``--log_samples``).

    Parameters
    ----------
    path : path
        ``samples_TASK_*.jsonl``. Of a multiple-choice task the gold choice is ``chosen``, the first
        other one ``rejected``, and further ones keep their number; of a generation task the
        filtered response is the generation and the target its reference.
    model : str
        Name of the base model.
    method : str
        Name of the method under which generations are filed.
    dataset : str
        Name of the benchmark dataset; none by default.

    Returns
    -------
    pandas.DataFrame
        ``example, model, candidate, logprob, candidate_text, prompt`` or ``example, model, method,
        generation, reference, prompt``.

    Raises
    ------
    InputError
        For a file of another layout, several filters in one file, or a choice task without gold
        choice.
    """
    file = Path(path)
    rows: list[dict[str, Any]] = []
    for number, record in _json_lines(file):
        where = f"line {number}"
        responses = record.get("filtered_resps")
        if "doc_id" not in record or not isinstance(responses, list) or not responses:
            raise InputError(
                Problem(
                    "has no doc_id and filtered_resps",
                    "name a samples_*.jsonl file",
                    str(file),
                    where,
                )
            )
        asked = _arguments(record.get("arguments"), file, where)
        base = {"example": str(record["doc_id"]), "model": model}
        if asked:
            base["prompt"] = str(asked[0][0])
        if isinstance(responses[0], str):
            target = record.get("target", "")
            rows.append({**base, "method": method, "generation": responses[0], "reference": target})
            continue
        gold = _gold(record.get("target"), len(responses), file, where)
        names = _choice_names(gold, len(responses))
        for i, (name, response) in enumerate(zip(names, responses, strict=True)):
            row = {**base, "candidate": name, "logprob": _number(response, file, where, name)}
            if i < len(asked) and len(asked[i]) > 1:
                row["candidate_text"] = str(asked[i][1])
            rows.append(row)
    frame = _frame(rows, file, dataset)
    keys = ["example", "candidate"] if "candidate" in frame else ["example"]
    if frame.duplicated(keys).any():
        raise InputError(
            Problem(
                "has an example more than once, as with several filters",
                "keep the lines of one filter",
                str(file),
                variable="doc_id",
            )
        )
    return frame


def _json_lines(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Objects of a JSON or JSONL file, with their line numbers."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            Problem(f"cannot be read ({error})", "check the path", str(file))
        ) from error
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        whole = None
    if isinstance(whole, dict):
        yield 1, whole
        return
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            raise InputError(
                Problem("is not a JSON object", "name a JSONL file", str(file), f"line {number}")
            )
        yield number, record


def _number(value: Any, file: Path, where: str, variable: str) -> float:
    """Read a score, which may stand in a list (a batch of one) and be written as text."""
    while isinstance(value, list) and value:
        value = value[0]
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if math.isnan(number):
        raise InputError(Problem(f"is {value!r}", "give a number", str(file), where, variable))
    return number


def _arguments(arguments: Any, file: Path, where: str) -> list[list[Any]]:
    """Prompt and continuation of each request, in either layout of the harness."""
    try:
        if isinstance(arguments, dict):
            return [list(each.values()) for each in arguments.values()]
        return [list(each) for each in arguments or []]
    except (TypeError, AttributeError):
        what, mend = f"is {str(arguments)[:80]!r}", "give each request's arguments as a list"
        raise InputError(Problem(what, mend, str(file), where, "arguments")) from None


def _gold(target: Any, count: int, file: Path, where: str) -> int:
    try:
        gold = int(target)
    except (TypeError, ValueError, OverflowError):
        gold = -1
    if not 0 <= gold < count:
        raise InputError(
            Problem(
                f"is {target!r}, which numbers no choice",
                "log a task whose target is the number of the gold choice",
                str(file),
                where,
                "target",
            )
        )
    return gold


def _choice_names(gold: int, count: int) -> list[str]:
    names = [f"choice{i}" for i in range(count)]
    others = [i for i in range(count) if i != gold]
    names[gold] = "chosen"
    if others:
        names[others[0]] = "rejected"
    return names


def _frame(rows: list[dict[str, Any]], file: Path, dataset: str) -> pd.DataFrame:
    if not rows:
        raise InputError(Problem("holds no example", "check the file", str(file)))
    frame = pd.DataFrame(rows)
    if dataset:
        frame.insert(0, "dataset", dataset)
    return frame

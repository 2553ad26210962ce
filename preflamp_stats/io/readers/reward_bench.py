"""Rewards that reward-bench, RewardBench 2 and RM-Bench wrote."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.io.from_tables import say_to_stderr
from preflamp_stats.io.readers.records import framed, json_records, number

__all__ = ["read_reward_bench"]

_CHOSEN = ("chosen", "scores_chosen", "score_chosen")
_REJECTED = ("rejected", "scores_rejected", "score_rejected")
_HARDER = {-1: "hard", 0: "normal", 1: "easy"}
"""RM-Bench: the chosen response in a plainer style than the rejected one, the same, a richer."""


def read_reward_bench(
    path: str | Path,
    *,
    method: str,
    dataset: str = "",
    say: Callable[[str], None] = say_to_stderr,
) -> pd.DataFrame:
    """Read the rewards that a reward benchmark wrote, an example at a time.

    Parameters
    ----------
    path : path
        JSON or JSONL, told by what it holds: ``MODEL_outputs.jsonl`` or ``MODEL_all.jsonl`` of
        rewardbench (``scores_chosen`` and ``scores_rejected``, or ``chosen`` and ``rejected``, a
        line), a file of ``eval-set-scores`` (the same as columns), RewardBench 2 (``scores``, the
        chosen one first), or RM-Bench (``score_chosen`` and ``score_rejected``, one for each of
        three styles).
    method : str
        Name of the reward model.
    dataset : str
        Name of the benchmark dataset; none by default.
    say : callable
        Told what is left out: lines of RewardBench 2 with more than one right response, whose score
        is another.

    Returns
    -------
    pandas.DataFrame
        Columns ``example, method, candidate, reward``, and ``dataset``, ``subset``, ``prompt`` and
        ``candidate_text`` where known; a row a candidate. A score that is missing is NaN. RM-Bench
        gives nine pairs a prompt, whose ``user`` is the prompt, so that they are resampled
        together, and whose ``subset`` says how hard they are.

    Raises
    ------
    InputError
        For a file of another layout, columns of unequal length, a score that is no number, or
        several numbers for one response.

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
    records = _by_row([record for _, record in json_records(file)], file)
    ids = [record.get("id", record.get("example_id")) for record in records]
    if None in ids or len(set(map(str, ids))) < len(ids):
        ids = list(range(len(ids)))
    listed = _lists_all(records)
    rows: list[dict[str, Any]] = []
    several = 0
    for place, (example, record) in enumerate(zip(ids, records, strict=True)):
        where = f"example {place + 1}"
        base = {"example": str(example), "method": method}
        base |= {
            key: record[key] for key in ("subset", "prompt") if isinstance(record.get(key), str)
        }
        if record.get("num_correct", 1) != 1:
            several += 1
        elif "scores" in record:
            rows += _best_of(record["scores"], base, file, where)
        elif _is_styles(record):
            rows += _of_styles(record, base, file, where)
        else:
            rows += _pair(record, base, place if listed else None, file, where)
    if several:
        say(f"{file}: {several} lines with more than one right response left out")
    return framed(rows, file, dataset)


def _by_row(records: list[dict[str, Any]], file: Path) -> list[dict[str, Any]]:
    """Columns of a file that is one object, as rows."""
    score = next((k for k in ("scores_chosen", "scores") if k in records[0]), "") if records else ""
    if len(records) != 1 or not isinstance(records[0].get(score), list):
        return records
    columns = {name: each for name, each in records[0].items() if isinstance(each, list)}
    n = len(columns[score])
    if n == 1 or (score == "scores" and not isinstance(columns[score][0], list)):
        return records
    if uneven := {name: len(each) for name, each in columns.items() if len(each) != n}:
        what = f"has {n} {score}, but {', '.join(f'{k} {name}' for name, k in uneven.items())}"
        raise InputError(Problem(what, "give each column a value an example", str(file)))
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _lists_all(records: list[dict[str, Any]]) -> bool:
    """Whether every line holds the scores of all lines, as older versions wrote them."""
    first = records[0] if records else {}
    lists = [name for name in (*_CHOSEN, *_REJECTED) if isinstance(first.get(name), list)]
    return (
        len(records) > 1
        and bool(lists)
        and all(
            len(first[name]) == len(records) and record.get(name) == first[name]
            for name in lists
            for record in records
        )
    )


def _pair(
    record: dict[str, Any], base: dict[str, Any], place: int | None, file: Path, where: str
) -> Iterator[dict[str, Any]]:
    for candidate, names in (("chosen", _CHOSEN), ("rejected", _REJECTED)):
        name = next((each for each in names if each in record), None)
        if name is None:
            mend = "name a file of rewardbench, RewardBench 2 or RM-Bench"
            raise InputError(Problem("is missing", mend, str(file), where, candidate))
        value = record[name]
        if place is not None and isinstance(value, list):
            value = value[place]
        row = {**base, "candidate": candidate, "reward": number(value, file, where, name)}
        if isinstance(text := record.get(f"text_{candidate}"), str):
            row["candidate_text"] = text
        yield row


def _best_of(scores: Any, base: dict[str, Any], file: Path, where: str) -> Iterator[dict[str, Any]]:
    if not isinstance(scores, list) or len(scores) < 2:
        what = f"is {str(scores)[:40]!r}"
        raise InputError(
            Problem(what, "give the scores of all responses", str(file), where, "scores")
        )
    for i, value in enumerate(scores):
        name = ("chosen", "rejected")[i] if i < 2 else f"rejected{i}"
        yield {**base, "candidate": name, "reward": number(value, file, where, "scores")}


def _is_styles(record: dict[str, Any]) -> bool:
    sides = [record.get("score_chosen"), record.get("score_rejected")]
    return all(isinstance(side, list) and len(side) > 1 for side in sides)


def _of_styles(
    record: dict[str, Any], base: dict[str, Any], file: Path, where: str
) -> Iterator[dict[str, Any]]:
    chosen, rejected = record["score_chosen"], record["score_rejected"]
    kind = str(record.get("domain", base.pop("subset", "")))
    for (i, good), (j, bad) in itertools.product(enumerate(chosen), enumerate(rejected)):
        harder = _HARDER[int(math.copysign(i != j, i - j))]
        pair = {
            **base,
            "example": f"{base['example']}/{i}-{j}",
            "user": base["example"],
            "subset": f"{kind} {harder}".strip(),
        }
        for name, value in (("chosen", good), ("rejected", bad)):
            yield {**pair, "candidate": name, "reward": number(value, file, where, f"score_{name}")}

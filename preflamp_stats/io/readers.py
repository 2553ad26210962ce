"""What other tools wrote: rewards of reward benchmarks, samples of lm-evaluation-harness."""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.io.from_tables import say_to_stderr


def _refused(what: str, mend: str, file: Path, where: str = "", variable: str = "") -> InputError:
    return InputError(Problem(what, mend, str(file), where, variable))


def json_records(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Objects of a JSON file (one, or a list) or of a JSONL file, with their line numbers."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _refused(f"cannot be read ({error})", "check the path", file) from error
    whole = _parsed(text)
    parsed = isinstance(whole, dict | list)
    found = (whole if isinstance(whole, list) else [whole]) if parsed else text.split("\n")
    for line, item in enumerate(found, 1):
        record = item if parsed else item.strip() and _parsed(item)
        if isinstance(record, dict):
            yield line, record
        elif record != "":
            raise _refused("is not a JSON object", "name a JSONL file", file, f"line {line}")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def number(value: Any, file: Path, where: str, variable: str) -> float:
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
        what, mend = f"holds {len(value)} numbers for one response", "give one reward a response"
        raise _refused(what, mend, file, where, variable)
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        what = f"is {str(value)[:40]!r}"
        raise _refused(what, "give a number", file, where, variable) from None


def framed(rows: list[dict[str, Any]], file: Path, dataset: str) -> pd.DataFrame:
    """Put rows into a frame, with the name of the dataset where there is one."""
    if not rows:
        raise _refused("holds no example", "check the file", file)
    frame = pd.DataFrame(rows)
    if dataset:
        frame.insert(0, "dataset", dataset)
    return frame


_CHOSEN = ("chosen", "scores_chosen", "score_chosen")
_REJECTED = ("rejected", "scores_rejected", "score_rejected")
_HARDER = {-1: "hard", 0: "normal", 1: "easy"}
"""RM-Bench: the chosen response in a plainer style than the rejected one, the same, a richer."""


def read_reward_bench(
    path: str | Path, *, method: str, dataset: str = "", say: Callable[[str], None] = say_to_stderr
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
        raise _refused(what, "give each column a value an example", file)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _lists_all(records: list[dict[str, Any]]) -> bool:
    """Whether every line holds the scores of all lines, as older versions wrote them."""
    first = records[0] if records else {}
    lists = [name for name in (*_CHOSEN, *_REJECTED) if isinstance(first.get(name), list)]
    same = all(record.get(name) == first[name] for name in lists for record in records)
    whole = all(len(first[name]) == len(records) for name in lists)
    return len(records) > 1 and bool(lists) and whole and same


def _pair(
    record: dict[str, Any], base: dict[str, Any], place: int | None, file: Path, where: str
) -> Iterator[dict[str, Any]]:
    for candidate, names in (("chosen", _CHOSEN), ("rejected", _REJECTED)):
        name = next((each for each in names if each in record), None)
        if name is None:
            mend = "name a file of rewardbench, RewardBench 2 or RM-Bench"
            raise _refused("is missing", mend, file, where, candidate)
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
        raise _refused(what, "give the scores of all responses", file, where, "scores")
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
    for line, record in json_records(file):
        where = f"line {line}"
        responses = record.get("filtered_resps")
        if "doc_id" not in record or not isinstance(responses, list) or not responses:
            mend = "name a samples_*.jsonl file"
            raise _refused("has no doc_id and filtered_resps", mend, file, where)
        asked = _arguments(record.get("arguments"), file, where)
        base = {"example": str(record["doc_id"]), "model": model}
        # Of a task such as Winogrande the choices differ in the context, not in what follows it.
        contexts = {str(each[0]) for each in asked if each}
        shared = os.path.commonprefix(list(contexts))  # noqa: RUF071 - of letters
        if len(contexts) > 1:
            shared = shared[: shared.rfind(" ") + 1]
        if asked:
            base["prompt"] = shared
        if isinstance(responses[0], str):
            if (asked and len(asked[0]) == 1) or {"word_perplexity", "bits_per_byte"} & set(record):
                what = "holds the likelihood of a whole text, neither choices nor a generation"
                mend = "log a task of choices or of generation"
                raise _refused(what, mend, file, where, "filtered_resps")
            target = record.get("target")
            rows.append({**base, "method": method, "generation": responses[0], "reference": target})
            continue
        # A response is the log-probability and whether it is the greedy one.
        logprobs = [
            number(each[0] if isinstance(each, list) and each else each, file, where, f"choice {i}")
            for i, each in enumerate(responses)
        ]
        gold = _gold(record, asked, logprobs, file, where)
        for i, name in enumerate(_choice_names(gold, len(responses))):
            row = {**base, "candidate": name, "logprob": logprobs[i]}
            if i < len(asked) and len(asked[i]) > 1:
                row["candidate_text"] = str(asked[i][0])[len(shared) :] + str(asked[i][1])
            rows.append(row)
    frame = framed(rows, file, dataset)
    keys = ["example", "candidate"] if "candidate" in frame else ["example"]
    if frame.duplicated(keys).any():
        what = "has an example more than once, as with several filters"
        raise _refused(what, "keep the lines of one filter", file, variable="doc_id")
    return frame


def _arguments(arguments: Any, file: Path, where: str) -> list[list[Any]]:
    """Prompt and continuation of each request, in either layout of the harness."""
    try:
        if isinstance(arguments, dict):
            return [list(each.values()) for each in arguments.values()]
        return [list(each) for each in arguments or []]
    except (TypeError, AttributeError):
        what, mend = f"is {str(arguments)[:80]!r}", "give each request's arguments as a list"
        raise _refused(what, mend, file, where, "arguments") from None


def _gold(
    record: dict[str, Any], asked: list[list[Any]], logprobs: list[float], file: Path, where: str
) -> int:
    target: Any = record.get("target")
    count = len(logprobs)
    texts = [str(each[1]).strip() for each in asked if len(each) > 1]
    try:
        gold = int(target)
    except (TypeError, ValueError, OverflowError):
        told = str(target).strip()
        gold = texts.index(told) if texts.count(told) == 1 else -1
        if gold < 0 and count == 2 and record.get("acc") in (0, 1) and len({*logprobs}) == 2:
            # The text follows both contexts; which one is right shows in what was counted right.
            gold = logprobs.index((max if record["acc"] else min)(logprobs))
    if not 0 <= gold < count:
        mend = "log a task whose target is the number or the text of the gold choice"
        raise _refused(f"is {target!r}, which numbers no choice", mend, file, where, "target")
    return gold


def _choice_names(gold: int, count: int) -> list[str]:
    others = [i for i in range(count) if i != gold]
    named = {gold: "chosen", **dict.fromkeys(others[:1], "rejected")}
    return [named.get(i, f"choice{i}") for i in range(count)]

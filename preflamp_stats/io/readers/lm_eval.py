"""Samples that lm-evaluation-harness logged."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pandas as pd

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.io.readers.records import framed, json_records, number

__all__ = ["read_lm_eval"]


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
        # Of a task such as Winogrande the choices differ in the context, not in what follows it.
        contexts = {str(each[0]) for each in asked if each}
        alike = itertools.takewhile(
            lambda letters: len(set(letters)) == 1, zip(*contexts, strict=False)
        )
        shared = "".join(letters[0] for letters in alike)
        if len(contexts) > 1:
            shared = shared[: shared.rfind(" ") + 1]
        if asked:
            base["prompt"] = shared
        if isinstance(responses[0], str):
            if (asked and len(asked[0]) == 1) or {"word_perplexity", "bits_per_byte"} & set(record):
                what = "holds the likelihood of a whole text, neither choices nor a generation"
                mend = "log a task of choices or of generation"
                raise InputError(Problem(what, mend, str(file), where, "filtered_resps"))
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
        raise InputError(
            Problem(
                "has an example more than once, as with several filters",
                "keep the lines of one filter",
                str(file),
                variable="doc_id",
            )
        )
    return frame


def _arguments(arguments: Any, file: Path, where: str) -> list[list[Any]]:
    """Prompt and continuation of each request, in either layout of the harness."""
    try:
        if isinstance(arguments, dict):
            return [list(each.values()) for each in arguments.values()]
        return [list(each) for each in arguments or []]
    except (TypeError, AttributeError):
        what, mend = f"is {str(arguments)[:80]!r}", "give each request's arguments as a list"
        raise InputError(Problem(what, mend, str(file), where, "arguments")) from None


def _gold(
    record: dict[str, Any],
    asked: list[list[Any]],
    logprobs: list[float],
    file: Path,
    where: str,
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
        raise InputError(
            Problem(
                f"is {target!r}, which numbers no choice",
                "log a task whose target is the number or the text of the gold choice",
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

"""Logs of inspect_ai, ``.eval`` and JSON, as its own scorers and reducers left them."""

from __future__ import annotations

import json
import math
from typing import Any

from preflamp_stats.io.formats.source import Asked, Found, Row, Source, plain_text

_LETTERS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
"""Grades of inspect_ai as numbers, by its ``value_to_float``."""


def is_inspect(source: Source) -> bool:
    """Whether a file is a log: by the ending of its name, or a JSON object with an evaluation."""
    return source.path.suffix == ".eval" or {"eval", "plan"} <= source.first.keys()


def inspect_log(source: Source, asked: Asked) -> Found:
    """Read the scores of every scorer, a sample an example.

    The model is the method, and the task the dataset. Several epochs count as inspect_ai reduced
    them. ``C`` and ``I`` are 1 and 0; what a scorer could not score is missing.
    """
    log = _log(source)
    about = log["eval"]
    if log.get("status") != "success":
        what = f"is a log of an evaluation that ended with {log.get('status')!r}"
        source.refuse(what, "run it to its end: inspect eval-retry")
    samples = {str(sample["id"]): sample for sample in log.get("samples") or []}
    metadata = {name: sample.get("metadata") or {} for name, sample in samples.items()}
    labels = source.labels(list(metadata.values()), asked)
    shared = {"dataset": asked.dataset or str(about["task"]).replace("/", "_")}
    rows: dict[str, Row] = {
        name: {**shared, "example": name, **labels(metadata[name])} for name in samples
    }
    found, left = Found(rows=list(rows.values())), set[str]()
    for row in rows.values():
        row["method"] = asked.method or str(about["model"])
    reductions = log.get("reductions") or []
    if not reductions:
        mend = "score it with inspect score, without --no-log-samples"
        source.refuse("has no scores of its samples", mend)
    scorers = [str(each["scorer"]) for each in reductions]
    for each in reductions:
        name = str(each["scorer"])
        name += f"_{each.get('reducer')}" * (scorers.count(name) > 1)
        for sample in each["samples"]:
            values = sample["value"]
            parts = values if isinstance(values, dict) else {"": values}
            for part, value in parts.items():
                metric = f"{name}_{part}".strip("_").replace("/", "_")
                if (number := _number(value)) is None:
                    left.add(metric)
                else:
                    rows[str(sample["sample_id"])][metric] = number
    told = {m for s in _scores(log) if "accuracy" in s.get("metrics", {}) for m in _names(s)}
    found.higher = {name for row in found.rows for name in row if name in told}
    if left:
        asked.say(source.path, f"{', '.join(sorted(left))} left out, whose values are no numbers")
    _read_texts(found.rows, samples, source, asked)
    return found


def _log(source: Source) -> Row:
    if source.path.suffix != ".eval":
        return source.first
    try:
        from inspect_ai.log import read_eval_log
    except ImportError:
        mend = "pip install 'preflamp-stats[inspect]', or inspect log convert --to json"
        source.refuse("needs inspect_ai to be read", mend)
    try:
        log: Row = json.loads(read_eval_log(str(source.path.resolve())).model_dump_json())
    except Exception as error:  # of zip, zstd, pydantic: whatever a damaged file raises
        source.refuse(f"cannot be read by inspect_ai ({str(error)[:80]})", "check the file")
    return log


def _scores(log: Row) -> list[Row]:
    return (log.get("results") or {}).get("scores") or []


def _names(score: Row) -> set[str]:
    """Names that a score's metric may have here: a part of a scorer has the scorer's before it."""
    name, scorer = str(score["name"]), str(score.get("scorer"))
    reducer = score.get("reducer")
    return {n for n in (name, f"{scorer}_{name}") for n in (n, f"{n}_{reducer}")}


def _number(value: Any) -> float | None:
    """A score as a number; NaN where nothing was scored, None for what is no number."""
    if value is None:
        return math.nan
    if isinstance(value, str) and value in _LETTERS:
        return _LETTERS[value]
    return float(value) if isinstance(value, int | float) else None


def _read_texts(rows: list[Row], samples: dict[str, Row], source: Source, asked: Asked) -> None:
    """Add what the model wrote, and the target where it is one text to compare with."""
    if not asked.texts:
        asked.say(source.path, "texts are left out: --texts reads them, for ROUGE")
        return
    several = 0
    for row in rows:
        sample = samples[row["example"]]
        row["generation"] = (sample.get("output") or {}).get("completion")
        row["prompt"] = plain_text(sample.get("input"))
        if isinstance(sample.get("target"), str):
            row["reference"] = sample["target"]
        else:
            several += 1
    if several:
        asked.say(source.path, f"{several} samples have several targets: no reference, no ROUGE")

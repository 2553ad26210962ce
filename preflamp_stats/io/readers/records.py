"""Objects and numbers in JSON that other tools wrote."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from preflamp_stats.errors import InputError, Problem

__all__ = ["framed", "json_records", "number"]


def json_records(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Objects of a JSON file (one, or a list) or of a JSONL file, with their line numbers."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            Problem(f"cannot be read ({error})", "check the path", str(file))
        ) from error
    found: list[tuple[int, Any]] = list(enumerate(text.split("\n"), 1))
    whole = _parsed(text)
    if isinstance(whole, dict | list):
        found = list(enumerate(whole if isinstance(whole, list) else [whole], 1))
    for line, item in found:
        record = item if isinstance(whole, dict | list) else item.strip() and _parsed(item)
        if isinstance(record, dict):
            yield line, record
        elif record != "":
            what, mend = "is not a JSON object", "name a JSONL file"
            raise InputError(Problem(what, mend, str(file), f"line {line}"))


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
        raise InputError(Problem(what, mend, str(file), where, variable))
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        what = f"is {str(value)[:40]!r}"
        raise InputError(Problem(what, "give a number", str(file), where, variable)) from None


def framed(rows: list[dict[str, Any]], file: Path, dataset: str) -> pd.DataFrame:
    """Put rows into a frame, with the name of the dataset where there is one."""
    if not rows:
        raise InputError(Problem("holds no example", "check the file", str(file)))
    frame = pd.DataFrame(rows)
    if dataset:
        frame.insert(0, "dataset", dataset)
    return frame

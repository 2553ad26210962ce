"""Reading tables of scores from CSV, JSONL and Parquet, every cell as it was written."""

from __future__ import annotations

import csv
import itertools
import json
import math
import re
from collections import Counter
from pathlib import Path

import pandas as pd

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.io.parquet import read_parquet

__all__ = ["SUFFIXES", "as_text", "read_table"]

SUFFIXES = {
    ".csv": "CSV",
    ".tsv": "TSV",
    ".jsonl": "JSONL",
    ".ndjson": "JSONL",
    ".parquet": "Parquet",
}
"""Formats by the ending of the file's name."""

_BATCH = 50_000
_SURROGATE = re.compile("[\ud800-\udfff]")
_RECORD = 'write one object a line, such as {"example": "e1", "reward": 0.5}'


def read_table(path: Path) -> pd.DataFrame:
    """Read a table as text.

    Parameters
    ----------
    path : Path
        CSV or TSV with a header, JSONL (an object a line) or Parquet; told by its ending. UTF-8.

    Returns
    -------
    pandas.DataFrame
        Every cell as ``str``, "" where there is none; whole numbers without a decimal point. The
        index is the line in the file (Parquet: the row), from 1.

    Raises
    ------
    InputError
        If the file is absent, empty, of another format, not UTF-8, or its rows do not fit its
        header; or if Parquet is asked for and pyarrow is not installed.
    """
    _check(path)
    kind = SUFFIXES[path.suffix.lower()]
    try:
        if kind == "Parquet":
            frame = _read_parquet(path)
        elif kind == "JSONL":
            frame = _read_jsonl(path)
        else:
            frame = _read_csv(path, "," if kind == "CSV" else "\t")
    except UnicodeDecodeError as error:
        what = f"is not UTF-8: byte {error.object[error.start]:#04x} cannot be read"
        raise InputError(Problem(what, "save it as UTF-8", str(path))) from error
    frame = frame[(frame != "").any(axis=1)]
    if frame.empty:
        raise InputError(Problem("has no rows", "write a header and a row a score", str(path)))
    return frame


def _check(path: Path) -> None:
    file = str(path)
    if path.suffix.lower() not in SUFFIXES:
        mend = f"name it by its format: {', '.join(SUFFIXES)}"
        raise InputError(Problem(f"ends in {path.suffix!r}", mend, file))
    if not path.is_file():
        what = "is not a file" if path.exists() else "no such file"
        raise InputError(Problem(what, "check the path", file))
    if path.stat().st_size == 0:
        raise InputError(Problem("is empty", "write a header and a row a score", file))


def _read_csv(path: Path, separator: str) -> pd.DataFrame:
    lines = _line_numbers(path, separator)
    try:
        frame = pd.read_csv(
            path,
            sep=separator,
            dtype=str,
            keep_default_na=False,
            na_values=[],
            encoding="utf-8-sig",
            skip_blank_lines=False,
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise _unquoted(path) from error
    if len(frame) != len(lines):
        raise _unquoted(path)
    frame.index = pd.Index(lines)
    return frame


def _line_numbers(path: Path, separator: str) -> list[int]:
    """Line at which each row starts; pandas neither tells it nor minds rows that are too short."""
    limit = csv.field_size_limit(2**31 - 1)
    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            rows = csv.reader(text, delimiter=separator)
            header = next(rows, [])
            _check_header(header, path)
            starts, uneven, start = [], [], rows.line_num + 1
            for row in rows:
                starts.append(start)
                if row and len(row) != len(header):
                    uneven.append(start)
                start = rows.line_num + 1
    except csv.Error as error:
        raise _unquoted(path) from error
    finally:
        csv.field_size_limit(limit)
    if uneven:
        shown = ", ".join(map(str, uneven[:5])) + (", …" if len(uneven) > 5 else "")
        what = f"has {len(uneven)} rows with more or fewer cells than the header, in line {shown}"
        mend = "give every row as many cells as the header; quote cells with separators in them"
        raise InputError(Problem(what, mend, str(path)))
    return starts


def _unquoted(path: Path) -> InputError:
    mend = "close every quote, double those inside a quoted cell"
    return InputError(Problem("cannot be cut into rows", mend, str(path)))


def _read_jsonl(path: Path) -> pd.DataFrame:
    frames: list[pd.DataFrame] = []
    names: list[str] = []
    start = 1
    with path.open(encoding="utf-8-sig") as lines:
        while batch := list(itertools.islice(lines, _BATCH)):
            frames.append(_parse_lines(batch, start, path))
            names += frames[-1].columns.difference(names, sort=False).tolist()
            start += len(batch)
    _check_header(names, path)
    return pd.concat(frames).fillna("")


def _parse_lines(lines: list[str], start: int, path: Path) -> pd.DataFrame:
    records = []
    for number, line in enumerate(lines, start):
        try:
            record = json.loads(line) if line.strip() else {}
        except (ValueError, RecursionError) as error:
            what = f"line {number} is not JSON: {error}"
            raise InputError(Problem(what, _RECORD, str(path))) from error
        if not isinstance(record, dict):
            raise InputError(Problem(f"line {number} is not an object", _RECORD, str(path)))
        records.append(record)
    index = range(start, start + len(lines))
    columns: dict[str, list[str]] = {}
    for name in dict.fromkeys(itertools.chain.from_iterable(records)):
        cells = [record.get(name) for record in records]
        if wrong := {dict, list, bool} & set(map(type, cells)):
            number = next(n for n, cell in zip(index, cells, strict=True) if type(cell) in wrong)
            what, mend = f"line {number} holds no text or number", "write text or a number"
            raise InputError(Problem(what, mend, str(path), variable=name))
        texts = [cell if type(cell) is str else as_text(cell) for cell in cells]
        for number, text in zip(index, texts, strict=True):
            if not _SURROGATE.search(name + text):
                continue
            what, mend = f"line {number} holds half of a character", "write it as UTF-8"
            raise InputError(Problem(what, mend, str(path), variable=name))
        columns[name] = texts
    return pd.DataFrame(columns, index=index, dtype=str)


def _read_parquet(path: Path) -> pd.DataFrame:
    table = read_parquet(path)
    import pyarrow
    from pyarrow import compute

    # What pandas adds for the index of a frame that was filtered or reordered is no column.
    names = [name for name in table.column_names if not name.startswith("__index_level_")]
    _check_header(names, path)
    columns = {}
    for name in names:
        column = table[name]
        if pyarrow.types.is_nested(column.type):
            what, mend = f"holds {column.type}", "write text or a number"
            raise InputError(Problem(what, mend, str(path), variable=name))
        if pyarrow.types.is_floating(column.type):
            column = compute.if_else(compute.is_nan(column), None, column)
        try:
            columns[name] = column.cast(pyarrow.string()).fill_null("").to_pandas()
        except (pyarrow.ArrowInvalid, UnicodeDecodeError) as error:
            what, mend = f"holds text that is not UTF-8 ({error})", "write text in UTF-8"
            raise InputError(Problem(what, mend, str(path), variable=name)) from error
    frame = pd.DataFrame(columns)
    frame.index = pd.RangeIndex(1, len(frame) + 1)
    return frame


def _check_header(header: list[str], path: Path) -> None:
    problems = [
        Problem("column stands twice", "keep one", str(path), variable=name)
        for name, count in Counter(header).items()
        if count > 1
    ]
    if "" in header:
        problems.append(Problem("a column has no name", "name every column", str(path)))
    if problems:
        raise InputError(problems)


def as_text(value: object) -> str:
    """Text of a label or number, whole numbers without a decimal point, "" for None and NaN.

    A table with gaps turns whole numbers into floats; 3.0 and 3 are the same label.

    Examples
    --------
    >>> [as_text(value) for value in (3.0, 0.5, "a", None)]
    ['3', '0.5', 'a', '']
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)

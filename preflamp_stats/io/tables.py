"""Reading tables of scores from files and data frames, every cell as it was written."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.io.parquet import most_unpacked, read_parquet

SUFFIXES = {
    ".csv": "CSV", ".tsv": "CSV", ".tab": "CSV", ".jsonl": "JSONL", ".ndjson": "JSONL",
    ".json": "JSON", ".parquet": "Parquet",
}  # fmt: skip
"""Formats by the ending of the file's name; all but Parquet may be packed, as in ``.csv.gz``."""

_BATCH = 50_000
_SURROGATE = re.compile("[\ud800-\udfff]")
_RECORD = 'write one object a line, such as {"example": "e1", "reward": 0.5}'
_THOUSANDS = r"[+-]?[1-9]\d{0,2}(,\d{3})+"
_DECIMAL_COMMA = r"[+-]?(\d+|\d*,\d+)([eE][+-]?\d+)?"


@dataclass
class Table:
    """A table as read.

    Parameters
    ----------
    file : str
        Its name in messages.
    cells : pandas.DataFrame
        Columns of text, NaN where there is none, or of numbers where the source has types. The
        index is the line in the file, or the row, from 1.
    row : str
        What the index counts: "line" or "row".
    unreadable : dict of str to str
        Columns that hold neither text nor numbers, and what they hold.
    notes : list of str
        What was done to it that its user may not expect.
    empty_is_missing : bool
        The format does not tell the text "" from a text that is missing.
    """

    file: str
    cells: pd.DataFrame
    row: str = "line"
    unreadable: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    empty_is_missing: bool = False


def read_table(path: Path) -> Table:
    """Read a table.

    Parameters
    ----------
    path : Path
        CSV or TSV with a header (``;``, tab and ``|`` are seen in it), JSONL (an object a line),
        JSON (a list of objects, or an object of columns) or Parquet; told by its ending. UTF-8.

    Returns
    -------
    Table

    Raises
    ------
    InputError
        If the file is absent, empty, of another format, not UTF-8, or its rows do not fit its
        header; or if Parquet is asked for and pyarrow is not installed.
    """
    kind, file = _kind(path), str(path)
    try:
        if kind == "Parquet":
            table = frame_table(read_parquet(path), file)
        elif kind == "CSV":
            table = _read_csv(path, _content(path))
        else:
            table = _read_json(path, _content(path), lines=kind == "JSONL")
    except UnicodeDecodeError as error:
        what = f"is not UTF-8: byte {error.object[error.start]:#04x} cannot be read"
        raise InputError(Problem(what, "save it as UTF-8", file)) from error
    table.cells = table.cells[table.cells.notna().any(axis=1)]
    return _filled(table)


def _filled(table: Table) -> Table:
    if table.cells.empty and not table.unreadable:
        raise InputError(Problem("has no rows", "give a header and a row a score", table.file))
    return table


def format_of(path: Path) -> str | None:
    """Format by the ending of a name; None for that of no table.

    Examples
    --------
    >>> format_of(Path("scores.csv.gz")), format_of(Path("results.nc"))
    ('CSV', None)
    """
    inner, last = ["", "", *map(str.lower, path.suffixes)][-2:]
    return SUFFIXES.get(inner if last == ".gz" else last)


def _kind(path: Path) -> str:
    file, kind = str(path), format_of(path)
    packed = path.suffix.lower() == ".gz"
    if kind is None or (packed and kind == "Parquet"):
        mend = f"name it by its format: {', '.join(SUFFIXES)}, .csv.gz"
        ending = "".join(path.suffixes[-1 - packed :]).lower()
        raise InputError(Problem(f"ends in {ending!r}", mend, file))
    if not path.is_file():
        what = "is not a file" if path.exists() else "no such file"
        raise InputError(Problem(what, "check the path", file))
    if path.stat().st_size == 0:
        raise InputError(Problem("is empty", "write a header and a row a score", file))
    return kind


def _content(path: Path) -> bytes:
    if path.suffix.lower() != ".gz":
        return path.read_bytes()
    most = most_unpacked(path)
    try:
        with gzip.open(path) as file:
            content = file.read(most + 1)
    except (OSError, EOFError, ValueError) as error:
        raise InputError(Problem("is not a whole gzip file", "pack it again", str(path))) from error
    if len(content) > most:
        what = f"unpacks to more than {most:,} bytes, more than a file of its size should hold"
        raise InputError(Problem(what, "unpack it yourself if you trust it", str(path)))
    return content


def _read_csv(path: Path, content: bytes) -> Table:
    bare = re.sub('"[^"]*"', "", content[: 2**16].partition(b"\n")[0].decode(errors="replace"))
    separator = max(",;\t|", key=bare.count)
    # Where the header has a space after every separator, so have the rows.
    spaced = separator in bare and all(cell[:1] == " " for cell in bare.split(separator)[1:])
    header, lines = _line_numbers(path, content, separator, spaced)
    try:
        cells = pd.read_csv(
            io.BytesIO(content), sep=separator, names=header, header=0, index_col=False, dtype=str,
            keep_default_na=False, na_values=[""], encoding="utf-8-sig", skip_blank_lines=False,
            skipinitialspace=spaced,
        )  # fmt: skip
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise _unquoted(path) from error
    if len(cells) != len(lines):
        raise _unquoted(path)
    cells.index = pd.Index(lines)
    table = Table(str(path), cells, empty_is_missing=True)
    _mend_decimal_commas(table, between=separator == ",")
    return table


def _mend_decimal_commas(table: Table, *, between: bool) -> None:
    """Read 0,5 as 0.5; in a file with commas between cells 1,234 may be a thousand, and stays."""
    mended = []
    for name in table.cells:
        given = table.cells[name].dropna()
        commas = given[given.str.contains(",")]
        if not len(commas) or not given.str.fullmatch(_DECIMAL_COMMA).all():
            continue
        if not between or not commas.str.fullmatch(_THOUSANDS).all():
            table.cells[name] = table.cells[name].str.replace(",", ".")
            mended.append(str(name))
    if mended:
        table.notes.append(f"decimal commas in {', '.join(mended)} read as points")


def _line_numbers(
    path: Path, content: bytes, separator: str, spaced: bool
) -> tuple[list[str], list[int]]:
    """Header, and the line at which each row starts; pandas neither tells nor minds short rows."""
    limit = csv.field_size_limit(2**31 - 1)
    try:
        text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")
        rows = csv.reader(text, delimiter=separator, skipinitialspace=spaced)
        header = list(map(_header, next(rows, [])))
        _check_header(header, str(path))
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
    if uneven and (len(header) == 1 or header[0].startswith(("#", "sep="))):
        what = f"has {header[0][:40]!r} for a header"
        raise InputError(Problem(what, "begin with the line of column names", str(path)))
    if uneven:
        shown = ", ".join(map(str, uneven[:5])) + (", …" if len(uneven) > 5 else "")
        what = f"has {len(uneven)} rows with more or fewer cells than the header, in line {shown}"
        mend = "give every row as many cells as the header; quote cells with separators in them"
        raise InputError(Problem(what, mend, str(path)))
    return header, starts


def _unquoted(path: Path) -> InputError:
    mend = "close every quote, double those inside a quoted cell"
    return InputError(Problem("cannot be cut into rows", mend, str(path)))


def _read_json(path: Path, content: bytes, *, lines: bool) -> Table:
    file, row = str(path), "line" if lines else "row"
    text = content.decode("utf-8-sig")
    records = _records_of_lines(text, file) if lines else _records_of_whole(text, file)
    parts: list[pd.DataFrame] = []
    unreadable: dict[str, str] = {}
    start = 1
    while batch := list(itertools.islice(records, _BATCH)):
        index = range(start, start + len(batch))
        columns = {}
        for name in dict.fromkeys(itertools.chain.from_iterable(batch)):
            if _SURROGATE.search(name):
                raise _half(f"{row} {start}", file, name)
            column = _cells([record.get(name) for record in batch], index, row, file, name)
            if isinstance(column, str):
                unreadable.setdefault(name, column)
            else:
                columns[name] = column
        parts.append(pd.DataFrame(columns, index=index, dtype="str"))
        start += len(batch)
    cells = pd.concat(parts) if parts else pd.DataFrame()
    cells = cells.drop(columns=[name for name in unreadable if name in cells])
    return Table(file, cells, row, unreadable)


def _records_of_lines(text: str, file: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        try:
            record = json.loads(line) if line.strip() else {}
        except (ValueError, RecursionError) as error:
            what = f"line {number} is not JSON: {error}"
            raise InputError(Problem(what, _RECORD, file)) from error
        if not isinstance(record, dict):
            raise InputError(Problem(f"line {number} is not an object", _RECORD, file))
        yield record


def _records_of_whole(text: str, file: str) -> Iterator[dict[str, Any]]:
    mend = "write a list of objects, or an object a line in a file that ends in .jsonl"
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(Problem(f"is not JSON: {error}", mend, file)) from error
    if isinstance(found, dict) and all(isinstance(each, list) for each in found.values()):
        lengths = {name: len(each) for name, each in found.items()}
        if len(set(lengths.values())) > 1:
            what = f"has columns of unequal length: {str(lengths)[:80]}"
            raise InputError(Problem(what, "give each column a value a row", file))
        found = [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise InputError(Problem("is no list of objects", mend, file))
    yield from found


def _cells(
    values: list[Any], index: Iterable[int], row: str, file: str, name: str
) -> list[str | None] | str:
    """Cells as text, None where missing; or what they hold, where that is no text or number."""
    texts: list[str | None] = []
    for number, value in zip(index, values, strict=True):
        if isinstance(value, str):
            if _SURROGATE.search(value):
                raise _half(f"{row} {number}", file, name)
            texts.append(value)
        elif value is None or isinstance(value, bool | int | float):
            texts.append(as_text(value) or None)
        elif pd.api.types.is_scalar(value) and pd.isna(value):
            texts.append(None)
        elif hasattr(value, "__float__") and not hasattr(value, "timestamp"):
            texts.append(str(value))
        else:
            return f"{type(value).__name__} in {row} {number}"
    return texts


def _half(where: str, file: str, name: str) -> InputError:
    what = f"{where} holds half of a character"
    return InputError(Problem(what, "write it as UTF-8", file, variable=name))


def frame_table(frame: Any, file: str = "table") -> Table:
    """Take a data frame for a table.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, pyarrow.Table, or any that narwhals knows
        Labels in the index of pandas are columns too if they have names.
    file : str
        Its name in messages.

    Raises
    ------
    InputError
        If it is no data frame, or one that is not computed yet, or a text is not UTF-8.
    """
    import narwhals.stable.v2 as nw

    if isinstance(frame, pd.DataFrame):
        if any(name is not None for name in frame.index.names):
            frame = frame.reset_index()
        frame = frame.set_axis([_header(name) for name in frame.columns], axis=1)
        _check_header(frame.columns.tolist(), file)
    elif hasattr(frame, "column_names"):
        _check_header(frame.column_names, file)
    try:
        found = nw.from_native(frame, eager_only=True)
    except TypeError as error:
        what = f"is of type {type(frame).__name__}, which is no data frame in memory"
        mend = "pass a frame of pandas, polars (collected) or arrow, or write it to a file"
        raise InputError(Problem(what, mend, file)) from error
    columns: dict[str, Any] = {}
    unreadable = {}
    index = pd.RangeIndex(1, len(found) + 1)
    for name in found.columns:
        # What pandas adds for the index of a frame that was filtered or reordered is no column.
        if name.startswith("__index_level_"):
            continue
        column = found[name]
        whole = column.dtype.is_integer() and len(column) and not column.null_count()
        # Labels of more digits than a float has stay exact as text.
        short = whole and max(abs(int(column.min())), abs(int(column.max()))) < 2**53
        if short or column.dtype in (nw.Float32, nw.Float64):
            columns[name] = column.to_numpy()
            continue
        if column.dtype.is_temporal() or column.dtype.is_nested():
            unreadable[name] = str(column.dtype)
            continue
        try:
            values = column.to_list()
            plain = column.dtype == nw.String
            cells = values if plain else _cells(values, index, "row", file, name)
        except UnicodeDecodeError as error:
            what, mend = f"holds text that is not UTF-8 ({error})", "write text in UTF-8"
            raise InputError(Problem(what, mend, file, variable=name)) from error
        if isinstance(cells, str):
            unreadable[name] = cells
        else:
            columns[name] = pd.array(cells, dtype="str")
    return _filled(Table(file, pd.DataFrame(columns, index=index), "row", unreadable))


def _header(name: object) -> str:
    """Name of a column as text; names of several levels, as of a pivoted frame, are joined."""
    levels = name if isinstance(name, tuple) else (name,)
    return "_".join(str(level).strip() for level in levels if str(level).strip())


def _check_header(header: list[str], file: str) -> None:
    if twice := [name for name, count in Counter(header).items() if count > 1]:
        what, mend = "column stands twice", "keep one"
        raise InputError([Problem(what, mend, file, variable=name) for name in twice])


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

"""From tables of scores to results: a row a candidate, an example, or a pair."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from preflamp_stats.errors import InputError, Problem, SchemaError, printable
from preflamp_stats.io.columns import (
    ABSENT_NUMBERS,
    VALUE_COLUMNS,
    Known,
    is_number,
    recognise,
    without_slash,
)
from preflamp_stats.io.row_arrays import LABEL_COLUMNS, Rows, Texts, dataset_from_rows
from preflamp_stats.io.schema import find_problems
from preflamp_stats.io.tables import Table, as_text, frame_table, read_table
from preflamp_stats.io.variables import SCHEMA_VERSION, VariableSpec, annotated

_SHOWN = 2


def say_to_stderr(line: str) -> None:
    """Print a line on standard error as the command line does; control characters are escaped."""
    print(f"preflamp-stats: {printable(line)}", file=sys.stderr)


def convert(
    tables: Any,
    *,
    ignore: Sequence[str] = (),
    mapping: Mapping[str, str] | None = None,
    lower_is_better: Sequence[str] = (),
    higher_is_better: Sequence[str] = (),
    say: Callable[[str], None] = say_to_stderr,
) -> xr.DataTree:
    r"""Make results from tables in CSV, JSON, JSONL or Parquet, or from data frames.

    Parameters
    ----------
    tables : path or data frame, or iterable of them
        Tables with the columns ``dataset, model, method, method_family, seed, user, example,
        candidate`` as far as they apply and any of ``reward, logprob, n_tokens, policy_score,
        candidate_text`` (a row a candidate; or a row a pair, in columns such as ``chosen`` and
        ``rejected``) or ``generation, reference, prompt, rouge1, …`` (a row an example). Other
        columns of numbers are generation metrics, or numbers of whole methods where no column
        names the example. Common other names of columns are understood. Several tables are taken
        as one.
    ignore : sequence of str
        Columns to leave out.
    mapping : mapping of str to str
        What columns are: ``{"judge_no": "user"}``.
    lower_is_better, higher_is_better : sequence of str
        Metrics whose direction is thereby told; it is unknown for others that are not ours.
    say : callable
        Told, a line a table, how columns were understood; prints on standard error by default.

    Returns
    -------
    xarray.DataTree
        A group for each dataset; the root group where there is no column ``dataset``. What no row
        gives is missing: NaN, or None for texts. A value that belongs to fewer dims than a row
        names (the base model's ``logprob`` in a row of a method) may be repeated; it must then be
        the same.

    Raises
    ------
    InputError
        For a table that cannot be read, a column that cannot be understood, a value without the
        label it needs, or two rows that contradict each other; each with its rows.
    SchemaError
        If what the tables hold does not follow the schema.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = Path(folder, "scores.csv")
    ...     _ = table.write_text("method,user,example,chosen,rejected\nrm,ann,1,0.9,0.2\n")
    ...     tree = convert(table, say=print)  # doctest: +ELLIPSIS
    /...scores.csv: chosen, rejected read as the reward of chosen and rejected
    >>> tree["reward"].sel({"method": "rm", "candidate": "chosen"}).item()
    0.9
    """
    several = isinstance(tables, list | tuple | set | Iterator)
    sources: list[Any] = list(tables) if several else [tables]
    rows, specs = _read(sources, ignore, mapping or {}, say)
    directions = _directions(specs, lower_is_better, higher_is_better)
    if open_ := [n for n in specs if n not in VALUE_COLUMNS and n not in directions]:
        shown = ", ".join(open_[:6]) + (", …" if len(open_) > 6 else "")
        say(f"which way is better is not told for {shown}: --lower-is-better, --higher-is-better")
    problems: list[Problem] = []
    nodes = {}
    of = Texts.of(rows.cells["dataset"])
    if len(nameless := np.flatnonzero(of.codes < 0)) not in (0, len(of.codes)):
        what = f"is empty in {rows.place(nameless)}, while other rows have one"
        problems.append(Problem(what, "name the dataset there", variable="dataset"))
    for code, name in enumerate(of.names) if len(of.names) else [(-1, "")]:
        if "/" in name:
            mend = "groups of the file are named by it; use another character"
            problems.append(Problem(f"{name!r} has a slash", mend, variable="dataset"))
            continue
        ds, found = dataset_from_rows(rows.at(of.codes == code), specs)
        ds = annotated(ds)
        for metric in set(directions) & set(ds):
            ds[metric].attrs["direction"] = directions[metric]
        nodes[f"/{name}"] = ds
        problems += [
            Problem(each.what, each.mend, each.file, name, each.variable) for each in found
        ]
    if problems:
        raise InputError(_alike_once(problems))
    nodes.setdefault("/", xr.Dataset())
    nodes["/"].attrs["preflamp_schema"] = SCHEMA_VERSION
    tree = xr.DataTree.from_dict(nodes)
    if faults := find_problems(tree, file=", ".join(rows.files)):
        raise SchemaError(faults)
    return tree


def from_frame(frame: Any, **options: Any) -> xr.DataTree:
    """Make results from a data frame.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, pyarrow.Table, or any that narwhals knows
        Its columns as in :func:`convert`.
    **options
        ``ignore``, ``mapping``, ``lower_is_better``, ``higher_is_better`` and ``say`` of
        :func:`convert`.

    Returns
    -------
    xarray.DataTree
        What every metric and test takes; a group for each dataset.

    Raises
    ------
    InputError, SchemaError
        As :func:`convert`.

    Examples
    --------
    >>> import preflamp_stats as pls
    >>> table = pd.DataFrame(
    ...     {"method": "rm", "user": ["a", "b"], "example": [1, 2], "chosen": [1.0, 0.5],
    ...      "rejected": [0.0, 0.75]}
    ... )
    >>> pls.rm_accuracy(pls.from_frame(table, say=lambda line: None)).values
    array([0.5])
    """
    return convert([frame], **options)


def _read(
    sources: Sequence[Any],
    ignore: Sequence[str],
    mapping: Mapping[str, str],
    say: Callable[[str], None],
) -> tuple[Rows, dict[str, VariableSpec]]:
    problems: list[Problem | str] = []
    tables: list[Table] = []
    specs = dict(VALUE_COLUMNS)
    there: set[str] = set()
    for source in sources:
        if isinstance(source, Known):  # a reader of another tool's files knows its columns
            specs |= source.metrics
            tables.append(source.table)
            continue
        try:
            if isinstance(source, str | os.PathLike):
                table = read_table(Path(source))
            elif isinstance(source, Table):
                table = source
            else:
                name = "table" if len(sources) == 1 else f"table {len(tables) + 1}"
                table = frame_table(source, name)
        except InputError as error:
            problems += error.problems
            continue
        there |= {*map(str, table.cells), *table.unreadable}
        known = recognise(table, ignore, mapping)
        for note in [*known.notes, *_unsaid(known.table)] if not known.problems else ():
            say(f"{table.file}: {note}")
        specs |= known.metrics
        problems += known.problems
        tables.append(known.table)
    for name in sorted({*mapping, *ignore} - there) if tables else ():
        done = "mapped" if name in mapping else "left out"
        mend = f"name one of {', '.join(sorted(there))}"
        problems.append(Problem(f"is no column, and cannot be {done}", mend, variable=name))
    if problems:
        raise InputError(problems)
    cells = pd.concat([table.cells for table in tables])
    number = np.repeat(np.arange(len(tables)), [len(table.cells) for table in tables])
    files, units = tuple(table.file for table in tables), tuple(table.row for table in tables)
    rows = Rows(cells, files, units, number)
    columns: dict[str, Any] = {name: _labels(cells, name) for name in LABEL_COLUMNS}
    for name, spec in specs.items():
        if name in cells and spec.kind == "str":
            columns[name] = _texts(cells[name], spec, columns["candidate"])
        elif name in cells:
            columns[name], faults = _numbers(cells[name], name, rows)
            problems += faults
    if problems:
        raise InputError(problems)
    return replace(rows, cells=pd.DataFrame(columns, index=cells.index)), specs


def _unsaid(table: Table) -> list[str]:
    """Say how often a cell for a text was empty, where that may mean either of two things."""
    cells = table.cells
    if not table.empty_is_missing or "generation" not in cells or "method" not in cells:
        return []
    rows = cells["candidate"].isna() if "candidate" in cells else True
    empty = int((cells["generation"].isna() & rows).sum())
    meant = 'taken as missing; say "" in JSONL where the model wrote nothing'
    return [f"generation is empty in {empty} rows: {meant}"] * bool(empty)


def _directions(
    specs: Mapping[str, VariableSpec], lower: Sequence[str], higher: Sequence[str]
) -> dict[str, str]:
    own = [name for name in specs if name not in VALUE_COLUMNS]
    lower, higher = ([n if n in own else without_slash(n) for n in ns] for ns in (lower, higher))
    problems = []
    for name in dict.fromkeys([*lower, *higher]):
        if name in lower and name in higher:
            problems.append(Problem("is told to be better both ways", "tell one", variable=name))
        elif name not in own:
            what = "is no metric of these tables whose direction is open"
            mend = f"choose one of {', '.join(own)}" if own else "they hold no metric of their own"
            problems.append(Problem(what, mend, variable=name))
    if problems:
        raise InputError(problems)
    return dict.fromkeys(lower, "lower") | dict.fromkeys(higher, "higher")


def _alike_once(problems: Sequence[Problem]) -> list[Problem]:
    """One problem for what is wrong alike with several variables or datasets."""
    alike: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        kind = problem.what.partition(" in ")[0]
        alike.setdefault((kind, problem.mend), []).append(problem)
    found = []
    for first, *others in alike.values():
        names = list(dict.fromkeys(each.variable for each in (first, *others)))
        groups = {each.group for each in (first, *others)}
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        what = first.what + (f"; so in {len(groups)} datasets" if len(groups) > 1 else "")
        shown = ", ".join(names[:_SHOWN]) + more
        found.append(Problem(what, first.mend, first.file, first.group, shown))
    return found


def _labels(cells: pd.DataFrame, name: str) -> pd.Series[Any]:
    if name not in cells:
        return pd.Series(np.nan, index=cells.index, dtype=object)
    return _trimmed(cells[name], _number_label if name in ("seed", "weight") else str)


def _trimmed(column: pd.Series[Any], spelt: Callable[[str], str] = str) -> pd.Series[Any]:
    """Labels without spaces around them, which nobody sees and which made two of one."""
    column = _as_texts(column)
    column = column.map({text: spelt(text.strip()) for text in column.dropna().unique()})
    return column.where(column != "")


def _texts(column: pd.Series[Any], spec: VariableSpec, candidate: pd.Series[Any]) -> pd.Series[Any]:
    """Texts of a column. "" is one only in rows that are about what the column belongs to."""
    if spec.role != "text":
        return _trimmed(column)
    texts = _as_texts(column)
    about = candidate.notna().to_numpy() == ("candidate" in spec.dims)
    return texts.where((texts != "") | about)


def _as_texts(column: pd.Series[Any]) -> pd.Series[Any]:
    if column.dtype.kind not in "iufb" and not pd.api.types.is_object_dtype(column):
        return column
    values: Any = column.unique()
    texts = {v: as_text(v.item() if isinstance(v, np.generic) else v) for v in values}
    return column.map(texts).replace("", np.nan)


def _number_label(text: str) -> str:
    """One spelling for one number: 1, 1.0 and 1e0 are the same seed and the same weight."""
    try:
        return str(int(text)) if text.isdigit() else as_text(float(text))
    except ValueError:
        return text


def _numbers(
    column: pd.Series[Any], name: str, rows: Rows
) -> tuple[npt.NDArray[np.float64], list[Problem]]:
    if column.dtype.kind in "iufb":
        return column.to_numpy(dtype=np.float64), []
    values = np.full(len(column), np.nan)
    given = np.flatnonzero(column.notna() & ~column.isin(ABSENT_NUMBERS))
    cells = column.to_numpy(dtype=object)[given]
    truth = {"true": 1.0, "false": 0.0}
    try:
        # Python's float rounds correctly, whatever the version of pandas.
        values[given] = cells.astype(float)
    except ValueError:
        lowered = [str(text).lower() for text in cells]
        if set(lowered) <= set(truth):
            values[given] = [truth[text] for text in lowered]
            return values, []
        bad = [i for i, text in enumerate(cells) if not is_number(text)]
        what = f"is {cells[bad[0]]!r}, not a number, in {rows.place(given[bad])}"
        comma = ", with a point and nothing between thousands" * ("," in str(cells[bad[0]]))
        mend = f"write a number{comma} or leave it empty"
        return values, [Problem(what, mend, variable=name)]
    return values, []

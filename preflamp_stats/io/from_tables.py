"""From tidy tables of scores to results: a row a candidate, or a row an example."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from preflamp_stats.errors import InputError, Problem, SchemaError
from preflamp_stats.io.row_arrays import Rows, Texts, dataset_from_rows
from preflamp_stats.io.tables import as_text, read_table
from preflamp_stats.io.variables import SCHEMA_VERSION, SPECS, VariableSpec, annotated
from preflamp_stats.schema import find_problems

__all__ = ["LABEL_COLUMNS", "VALUE_COLUMNS", "convert"]

LABEL_COLUMNS = ("dataset", "model", "method", "seed", "weight", "example", "candidate")
"""Columns that say which value a row holds."""

VALUE_COLUMNS = {
    name: spec
    for name, spec in SPECS.items()
    if "token" not in spec.dims and name not in LABEL_COLUMNS
}
"""Columns that hold values, with their place in the results file."""

_ABSENT = ("", "nan", "NaN", "NA", "null")


def convert(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], *, ignore: Sequence[str] = ()
) -> xr.DataTree:
    r"""Make results from tidy tables in CSV, JSONL or Parquet.

    Parameters
    ----------
    paths : path or iterable of paths
        Tables with the columns ``dataset, model, method, method_family, seed, user, example,
        candidate`` as far as they apply and any of ``reward, logprob, n_tokens, policy_score,
        candidate_text`` (a row a candidate) or ``generation, reference, prompt, rouge1, …`` (a row
        an example, ``candidate`` empty). Other columns of numbers are generation metrics. Several
        tables are taken as one.
    ignore : sequence of str
        Columns to leave out.

    Returns
    -------
    xarray.DataTree
        A group for each dataset; the root group where there is no column ``dataset``. What no row
        gives is NaN, or "" for texts. A value that belongs to fewer dims than a row names (the
        base model's ``logprob`` in a row of a method) may be repeated; it must then be the same.

    Raises
    ------
    InputError
        For a table that cannot be read, an unknown column, a value without the label it needs, or
        two rows that contradict each other; each with its rows.
    SchemaError
        If what the tables hold does not follow the schema.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = Path(folder, "scores.csv")
    ...     _ = table.write_text(
    ...         "method,user,example,candidate,reward\n"
    ...         "rm,ann,1,chosen,0.9\n"
    ...         "rm,ann,1,rejected,0.2\n"
    ...     )
    ...     tree = convert(table)
    >>> tree["reward"].sel({"method": "rm", "candidate": "chosen"}).item()
    0.9
    """
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    files = [Path(path) for path in paths]
    rows, specs = _read(files, ignore)
    problems: list[Problem] = []
    nodes = {}
    of = rows.labels["dataset"]
    if len(nameless := np.flatnonzero(of.codes < 0)) not in (0, len(of.codes)):
        what = f"is empty in {rows.place(nameless)}, while other rows have one"
        problems.append(Problem(what, "name the dataset there", variable="dataset"))
    for code, name in enumerate(of.names) if len(of.names) else [(-1, "")]:
        if "/" in name:
            mend = "groups of the file are named by it; use another character"
            problems.append(Problem(f"{name!r} has a slash", mend, variable="dataset"))
            continue
        ds, found = dataset_from_rows(rows.at(of.codes == code), specs)
        nodes[f"/{name}"] = annotated(ds)
        problems += [replace(problem, group=name) for problem in found]
    if problems:
        raise InputError(problems)
    nodes.setdefault("/", xr.Dataset())
    nodes["/"].attrs["preflamp_schema"] = SCHEMA_VERSION
    tree = xr.DataTree.from_dict(nodes)
    if faults := find_problems(tree, file=", ".join(map(str, files))):
        raise SchemaError(faults)
    return tree


def _read(files: Sequence[Path], ignore: Sequence[str]) -> tuple[Rows, dict[str, VariableSpec]]:
    problems: list[Problem | str] = []
    frames: list[pd.DataFrame] = []
    metrics: dict[str, VariableSpec] = {}
    for file in files:
        try:
            frame = read_table(file)
        except InputError as error:
            problems += error.problems
            continue
        frame = frame.drop(columns=[name for name in ignore if name in frame])
        found, faults = _metrics(frame, str(file))
        metrics |= found
        problems += faults
        frames.append(frame)
    if problems:
        raise InputError(problems)
    specs = {**VALUE_COLUMNS, **metrics}
    table = pd.concat(frames).fillna("")
    number = np.repeat(np.arange(len(files)), [len(frame) for frame in frames])
    labels = {name: _labels(table, name) for name in LABEL_COLUMNS}
    values: dict[str, Texts | npt.NDArray[np.float64]] = {}
    rows = Rows(labels, values, tuple(map(str, files)), number, table.index.to_numpy())
    for name, spec in specs.items():
        if name in table and spec.kind == "str":
            values[name] = Texts.of(table[name])
        elif name in table:
            values[name], faults = _numbers(table[name], name, rows)
            problems += faults
    if problems:
        raise InputError(problems)
    return rows, specs


def _metrics(frame: pd.DataFrame, file: str) -> tuple[dict[str, VariableSpec], list[Problem]]:
    known = [*LABEL_COLUMNS, *VALUE_COLUMNS]
    absent = [name for name in known if name not in frame]
    found, problems = {}, []
    if "example" in absent and not difflib.get_close_matches("example", frame.columns, 1, 0.75):
        mend = "name the example of every row"
        problems.append(Problem("column is missing", mend, file, variable="example"))
    of_candidate = frame["candidate"] != "" if "candidate" in frame else False
    for name in map(str, frame.columns.difference(known, sort=False)):
        given = ~frame[name].isin(_ABSENT)
        if close := difflib.get_close_matches(name, absent, n=1, cutoff=0.75):
            mend = f"rename it to {close[0]!r}, or leave it out with --ignore {name}"
            problems.append(Problem("is not a known column", mend, file, variable=name))
        elif not frame.loc[given, name].map(_is_number).all():
            what = "is not a known column and holds text, so it is no generation metric"
            mend = f"leave it out with --ignore {name}"
            problems.append(Problem(what, mend, file, variable=name))
        elif (of_candidate & given).any():
            what = "is not a known column of candidates"
            mend = f"leave candidate empty if it rates the generation, or --ignore {name}"
            problems.append(Problem(what, mend, file, variable=name))
        else:
            rouge = SPECS["rouge1"]
            found[name] = VariableSpec(
                name=name,
                dims=rouge.dims,
                optional=rouge.optional,
                kind="float",
                meaning=name.replace("_", " "),
                role="generation_metric",
            )
    return found, problems


def _labels(table: pd.DataFrame, name: str) -> Texts:
    if name not in table:
        return Texts(np.full(len(table), -1), np.empty(0, dtype=object))
    column = table[name]
    if name in ("seed", "weight"):
        column = column.map({text: _number_label(text) for text in column.unique()})
    return Texts.of(column)


def _number_label(text: str) -> str:
    """One spelling for one number: 1, 1.0 and 1e0 are the same seed and the same weight."""
    try:
        return str(int(text)) if text.isdigit() else as_text(float(text))
    except ValueError:
        return text


def _numbers(
    column: pd.Series[str], name: str, rows: Rows
) -> tuple[npt.NDArray[np.float64], list[Problem]]:
    values = np.full(len(column), np.nan)
    given = np.flatnonzero(~column.isin(_ABSENT))
    cells = column.to_numpy(dtype=object)[given]
    try:
        # Python's float rounds correctly, whatever the version of pandas.
        values[given] = cells.astype(float)
    except ValueError:
        bad = [i for i, text in enumerate(cells) if not _is_number(text)]
        what = f"is {cells[bad[0]]!r}, not a number, in {rows.place(given[bad])}"
        return values, [Problem(what, "write a number or leave it empty", variable=name)]
    return values, []


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

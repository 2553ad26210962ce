"""The one dataset that a metric or a test is asked about, whatever the user holds it in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
import xarray as xr

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.io.files import open_results
from preflamp_stats.io.from_tables import convert, from_frame, say_to_stderr
from preflamp_stats.io.schema import datasets, validate
from preflamp_stats.io.tables import format_of

if TYPE_CHECKING:
    from narwhals.stable.v2.typing import IntoDataFrame


Results: TypeAlias = "xr.Dataset | xr.DataTree | IntoDataFrame"
"""What metrics and tests take: the results of one benchmark dataset."""


def one_dataset(data: Results) -> xr.Dataset:
    """Take the benchmark dataset out of what a user may hold it in.

    Parameters
    ----------
    data : Dataset, DataTree, or data frame of pandas, polars or arrow
        A tree must hold one dataset. A data frame is converted as :func:`from_frame` does it.

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        If a tree holds several datasets, which are named; or for anything else.

    Examples
    --------
    >>> reward = xr.DataArray([[[1.0, 0.5]]], dims=("method", "example", "candidate"))
    >>> tree = xr.DataTree.from_dict({"/tldr": xr.Dataset({"reward": reward})})
    >>> one_dataset(tree).sizes["example"]
    1
    """
    if isinstance(data, xr.Dataset):
        return data
    if isinstance(data, xr.DataTree):
        found = datasets(data)
        if len(found) == 1:
            return next(iter(found.values()))
        if not found:
            raise InputError(Problem("holds no data", "pass what open_results or convert gave"))
        first = next(iter(found))
        what = f"holds {len(found)} datasets: {', '.join(found)}"
        raise InputError(Problem(what, f"choose one, such as tree[{first!r}]"))
    return one_dataset(from_frame(data))


def open_any(
    paths: Iterable[str | os.PathLike[str]],
    *,
    say: Callable[[str], None] = say_to_stderr,
    **columns: Any,
) -> dict[str, xr.DataTree]:
    """Open results files and tables, and check them.

    Parameters
    ----------
    paths : iterable of path
        Tables are taken as one, as :func:`preflamp_stats.convert` does.
    say : callable
        Told how the columns of tables were understood.
    **columns
        ``ignore``, ``mapping``, ``lower_is_better`` and ``higher_is_better`` of
        :func:`preflamp_stats.convert`, for tables; results files have no need of them.

    Returns
    -------
    dict of str to DataTree
        A tree for each results file, by its path, and one for all tables, by the path of the
        first. Files stay open: close the trees.

    Raises
    ------
    InputError, SchemaError
        As :func:`preflamp_stats.open_results` and :func:`preflamp_stats.convert`.
    """
    names = list(map(str, paths))
    tables = [path for path in names if format_of(Path(path))]
    trees: dict[str, xr.DataTree] = {}
    try:
        for path in names:
            if path not in tables:
                trees[path] = open_results(path)
                validate(trees[path], file=path)
        if tables:
            trees[tables[0]] = convert(tables, say=say, **columns)
    except BaseException:
        for tree in trees.values():
            tree.close()
        raise
    return trees


def by_subset(found: Mapping[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    """Take every subset of a dataset for a dataset of its own.

    Parameters
    ----------
    found : mapping of str to Dataset
        Benchmark datasets by name; one without variable ``subset`` stays whole.

    Returns
    -------
    dict of str to Dataset
        ``"NAME: SUBSET"``, or the subset alone where there is one dataset. Examples without a
        subset are ``(no subset)``.

    Raises
    ------
    InputError
        If no dataset has subsets.

    Examples
    --------
    >>> credit = xr.Dataset({"acc": (("method", "example"), [[1.0, 0.0, 1.0]])})
    >>> parts = by_subset({"mmlu": credit.assign(subset=("example", ["law", "law", "art"]))})
    >>> {name: part["acc"].values.tolist() for name, part in parts.items()}
    {'law': [[1.0, 0.0]], 'art': [[1.0]]}
    """
    parts: dict[str, xr.Dataset] = {}
    for name, ds in found.items():
        if "subset" not in ds.variables:
            parts[name] = ds
            continue
        labels = pd.Series(ds["subset"].values).fillna("(no subset)").astype(str)
        for label in labels.unique():
            part = label if len(found) == 1 else f"{name}: {label}"
            at = np.flatnonzero(labels == label)
            parts[part] = ds.isel(example=at).drop_vars("subset").assign_attrs(dataset=part)
    if parts.keys() == found.keys():
        mend = "name the subset when the files are read: --subset FIELD, or a column subset"
        raise InputError(Problem("no dataset has subsets", mend, variable="subset"))
    return parts

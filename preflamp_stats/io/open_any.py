"""Opening whatever a user names: results files, and tables that are converted in passing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import xarray as xr

from preflamp_stats.io.files import open_results
from preflamp_stats.io.from_tables import convert, say_to_stderr
from preflamp_stats.io.schema import validate
from preflamp_stats.io.tables import SUFFIXES

__all__ = ["is_table", "open_any"]


def is_table(path: str | os.PathLike[str]) -> bool:
    """Whether the ending of a name is that of a table.

    Examples
    --------
    >>> is_table("scores.csv.gz"), is_table("results.nc")
    (True, False)
    """
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    return bool(
        {*suffixes[-1:], *(suffixes[-2:-1] if suffixes[-1:] == [".gz"] else ())} & {*SUFFIXES}
    )


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
    tables = [path for path in names if is_table(path)]
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

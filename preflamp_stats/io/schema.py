"""What a results file must be: its variables, its datasets, and every departure from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import xarray as xr

from preflamp_stats.errors import Problem, SchemaError
from preflamp_stats.io.checks import structure_problems, structure_warnings, value_problems
from preflamp_stats.io.variables import (
    SCHEMA_VERSION,
    SPECS,
)

UNNAMED_DATASET = "results"
"""Name of the dataset in a file that does not name it."""


def datasets(tree: xr.DataTree | xr.Dataset) -> dict[str, xr.Dataset]:
    """Benchmark datasets of a results file, by name.

    Parameters
    ----------
    tree : xarray.DataTree or xarray.Dataset
        Opened or made results.

    Returns
    -------
    dict of str to xarray.Dataset
        One for each group with data, in the order of the file. A group's name is its path without
        the leading slash; data in the root group go by the root's attribute ``dataset``, or
        "results" where there is none. Each bears its name as attribute ``dataset``.

    Examples
    --------
    >>> reward = xr.DataArray([[[1.0, 0.5]]], dims=("method", "example", "candidate"))
    >>> list(datasets(xr.Dataset({"reward": reward}, attrs={"dataset": "prism"})))
    ['prism']
    """
    found = {}
    for node in _data_nodes(_as_tree(tree)):
        ds = node.to_dataset()
        name = node.path.strip("/") or dataset_name(ds)
        found[name] = ds.assign_attrs(dataset=name)
    return found


def dataset_name(ds: xr.Dataset) -> str:
    """Name of a benchmark dataset: its attribute ``dataset``, or "results" where it has none."""
    return str(ds.attrs.get("dataset", UNNAMED_DATASET))


def validate(
    tree: xr.DataTree | xr.Dataset, *, file: str = "", values: bool = True
) -> list[Problem]:
    """Check results against the schema.

    Parameters
    ----------
    tree : xarray.DataTree or xarray.Dataset
        Opened or made results.
    file : str
        File to name in each problem.
    values : bool
        Check values as well as structure. They are read block by block, never all at once.

    Returns
    -------
    list of Problem
        Warnings: what is allowed but may not be meant.

    Raises
    ------
    SchemaError
        With every problem found, not just the first.

    Examples
    --------
    >>> validate(xr.Dataset(attrs={"preflamp_schema": 1}))
    Traceback (most recent call last):
    ...
    preflamp_stats.errors.SchemaError: holds no data; store scores over the dims method and example
    """
    if problems := find_problems(tree, file=file, values=values):
        raise SchemaError(problems)
    return find_warnings(tree, file=file)


def find_problems(
    tree: xr.DataTree | xr.Dataset, *, file: str = "", values: bool = True
) -> list[Problem]:
    """List everything in which results depart from the schema; see :func:`validate`."""
    tree = _as_tree(tree)
    nodes = list(_data_nodes(tree))
    found = list(_version_problems(tree))
    if not nodes:
        found.append(Problem("holds no data", "store scores over the dims method and example"))
    names = Counter(node.path.strip("/") or dataset_name(tree.to_dataset()) for node in nodes)
    found += [
        Problem(f"two groups go by the name {name!r}", "rename one of them", variable="dataset")
        for name, count in names.items()
        if count > 1
    ]
    for node in nodes:
        ds = node.to_dataset()
        structural = list(structure_problems(ds))
        bad = {problem.variable for problem in structural}
        sound = {
            name: spec for name, spec in SPECS.items() if name in ds.variables and name not in bad
        }
        checked = list(value_problems(ds, sound)) if values else []
        found += [_located(problem, "", node.path) for problem in (*structural, *checked)]
    return [_located(problem, file, problem.group) for problem in found]


def find_warnings(tree: xr.DataTree | xr.Dataset, *, file: str = "") -> list[Problem]:
    """List what is allowed but may not be meant; see :func:`validate`."""
    return [
        _located(problem, file, node.path)
        for node in _data_nodes(_as_tree(tree))
        for problem in structure_warnings(node.to_dataset())
    ]


def _as_tree(tree: xr.DataTree | xr.Dataset) -> xr.DataTree:
    return tree if isinstance(tree, xr.DataTree) else xr.DataTree(tree)


def _data_nodes(tree: xr.DataTree) -> Iterator[xr.DataTree]:
    for node in tree.subtree:
        own = node.to_dataset(inherit=False)
        if any({"method", "example"} & set(var.dims) for var in own.data_vars.values()):
            yield node


def _located(problem: Problem, file: str, group: str) -> Problem:
    return Problem(problem.what, problem.mend, file, group, problem.variable)


def _version_problems(tree: xr.DataTree) -> Iterator[Problem]:
    version = tree.attrs.get("preflamp_schema")
    if version is None:
        mend = f"set it to {SCHEMA_VERSION} if the file follows this schema"
        yield Problem("root attribute is missing", mend, variable="preflamp_schema")
    elif np.ndim(version) or version != SCHEMA_VERSION:
        mend = f"this version reads {SCHEMA_VERSION}; convert the file or upgrade preflamp-stats"
        yield Problem(f"root attribute is {version}", mend, variable="preflamp_schema")

"""What a results file must be: its variables, its datasets, and every departure from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import xarray as xr

from preflamp_stats.errors import Problem, SchemaError
from preflamp_stats.io.checks import (
    Fault,
    located,
    structure_faults,
    structure_warnings,
    value_faults,
)
from preflamp_stats.io.variables import SCHEMA_VERSION, SPECS

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
    faults = list(_version_faults(tree))
    if not nodes:
        faults.append(("", "holds no data", "store scores over the dims method and example"))
    names = Counter(node.path.strip("/") or dataset_name(tree.to_dataset()) for node in nodes)
    for name in [name for name, count in names.items() if count > 1]:
        faults.append(("dataset", f"two groups go by the name {name!r}", "rename one of them"))
    found = located(faults, file)
    for node in nodes:
        ds = node.to_dataset()
        faults = list(structure_faults(ds))
        bad = {variable for variable, _, _ in faults}
        sound = {name: each for name, each in SPECS.items() if name in {*ds.variables} - bad}
        found += located([*faults, *(value_faults(ds, sound) if values else ())], file, node.path)
    return found


def find_warnings(tree: xr.DataTree | xr.Dataset, *, file: str = "") -> list[Problem]:
    """List what is allowed but may not be meant; see :func:`validate`."""
    nodes = _data_nodes(_as_tree(tree))
    found = (located(structure_warnings(node.to_dataset()), file, node.path) for node in nodes)
    return [problem for problems in found for problem in problems]


def _as_tree(tree: xr.DataTree | xr.Dataset) -> xr.DataTree:
    return tree if isinstance(tree, xr.DataTree) else xr.DataTree(tree)


def _data_nodes(tree: xr.DataTree) -> Iterator[xr.DataTree]:
    for node in tree.subtree:
        own = node.to_dataset(inherit=False)
        if any({"method", "example"} & set(var.dims) for var in own.data_vars.values()):
            yield node


def _version_faults(tree: xr.DataTree) -> Iterator[Fault]:
    version = tree.attrs.get("preflamp_schema")
    if version is None:
        mend = f"set it to {SCHEMA_VERSION} if the file follows this schema"
        yield "preflamp_schema", "root attribute is missing", mend
    elif np.ndim(version) or version != SCHEMA_VERSION:
        mend = f"this version reads {SCHEMA_VERSION}; convert the file or upgrade preflamp-stats"
        yield "preflamp_schema", f"root attribute is {version}", mend

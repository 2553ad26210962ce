"""Writing a tree to a NetCDF-4 file in blocks, and comparing the file with the tree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import xarray as xr

from preflamp_stats.errors import Problem
from preflamp_stats.io.blocks import DEFAULT_BLOCK_BYTES, example_blocks
from preflamp_stats.io.encoding import (
    MISSING_TEXT,
    attribute_problems,
    chunk_sizes,
    encode_text,
    is_text,
    text_width,
)
from preflamp_stats.io.guards import unreadable
from preflamp_stats.io.variables import SPECS

__all__ = ["check_written", "storage_problems", "write_file"]

MISSING_INTEGER = -1
"""Stored where a whole number is missing; no count of the schema can be negative."""

_STORED_KINDS = "OUSTfiub"
_RESERVED = ("_FillValue", "_Encoding", "missing_text")


def storage_problems(tree: xr.DataTree, *, file: str = "") -> list[Problem]:
    """List what NetCDF cannot hold, in every variable and attribute of a tree.

    Parameters
    ----------
    tree : xarray.DataTree
        Results to be written.
    file : str
        File to name in each problem.

    Returns
    -------
    list of Problem
        Texts that would be cut, arrays of objects or complex numbers, attributes of other types.
    """
    found = []
    for node in tree.subtree:
        ds = node.to_dataset(inherit=False)
        problems = list(attribute_problems(ds.attrs))
        for name, variable in ds.variables.items():
            problems += attribute_problems(variable.attrs, str(name))
            if is_text(variable):
                may_miss = name not in ds.indexes
                faults = _measure_text(str(name), variable, may_miss=may_miss)[1]
                problems += [Problem(what, mend, variable=str(name)) for what, mend in faults]
            elif variable.dtype.kind not in _STORED_KINDS:
                what = f"holds {variable.dtype}"
                problems.append(Problem(what, "store numbers or text", variable=str(name)))
        found += [Problem(p.what, p.mend, file, node.path, p.variable) for p in problems]
    return found


def write_file(tree: xr.DataTree, path: Path) -> None:
    """Write a tree to a new file; see :func:`preflamp_stats.write_results` for the safe way.

    Parameters
    ----------
    tree : xarray.DataTree
        Without :func:`storage_problems`.
    path : Path
        File to make.

    Raises
    ------
    OSError, RuntimeError
        If the system or the NetCDF library cannot write.
    """
    with netCDF4.Dataset(path, "w", format="NETCDF4", clobber=False) as file:
        for node in tree.subtree:
            group = file if node.path == "/" else file.createGroup(node.path)
            _write_group(group, node.to_dataset(inherit=False))


def check_written(tree: xr.DataTree, written: xr.DataTree) -> None:
    """Compare a file with the tree that it was written from.

    Groups, dims and names are compared in full, values at the first, middle and last example.

    Parameters
    ----------
    tree, written : xarray.DataTree
        What was to be written, and the file opened again.

    Raises
    ------
    OSError
        If they differ: the medium or the library lost something.
    """
    pairs = xr.group_subtrees(tree, written)
    if len(list(tree.subtree)) != len(list(written.subtree)):
        raise OSError("groups are missing from the file that was written")
    for _, nodes in pairs:
        path = nodes[0].path
        wanted, found = (node.to_dataset(inherit=False) for node in nodes)
        if wanted.sizes != found.sizes or set(wanted.variables) != set(found.variables):
            raise OSError(f"group {path} lost dims or variables when written")
        if n := wanted.sizes.get("example"):
            picks = {"example": sorted({0, n // 2, n - 1})}
            wanted, found = wanted.isel(picks), found.isel(picks)
        for name in wanted.variables:
            if not wanted[name].astype(found[name].dtype).equals(found[name]):
                raise OSError(f"variable {name} of group {path} changed when written")


def _write_group(group: Any, ds: xr.Dataset) -> None:
    # Sorted, so that the order in which a dataset was put together does not change the file.
    for dim in sorted(map(str, ds.sizes)):
        group.createDimension(dim, ds.sizes[dim])
    variables, attributes = xr.conventions.encode_dataset_coordinates(ds)
    _set_attributes(group, attributes)
    for name in sorted(map(str, variables), key=_rank):
        if is_text(variables[name]):
            _write_text(group, name, variables[name], may_miss=name not in ds.indexes)
        else:
            _write_numbers(group, name, variables[name])


def _rank(name: str) -> tuple[int, str]:
    """Sort key of a variable: the order of the schema, then the alphabet."""
    names = list(SPECS)
    return (names.index(name), "") if name in SPECS else (len(names), name)


def _write_text(group: Any, name: str, variable: xr.Variable, *, may_miss: bool) -> None:
    width, _, longest_mark = _measure_text(name, variable, may_miss=may_miss)
    mark = MISSING_TEXT * (1 + longest_mark) if may_miss else ""
    width = max(width, len(mark))
    dim = f"string{width}"
    if dim not in group.dimensions:
        group.createDimension(dim, width)
    dims, shape = (*variable.dims, dim), (*variable.shape, width)
    target = group.createVariable(
        name, "S1", dims, zlib=True, complevel=1, chunksizes=chunk_sizes(dims, shape, 1)
    )
    target.set_auto_chartostring(False)
    told = {"missing_text": mark} if may_miss else {}
    _set_attributes(target, {**variable.attrs, **told, "_Encoding": "utf-8"})
    # One long text makes every cell as wide: fewer of them at a time.
    for key, block in _blocks(variable, DEFAULT_BLOCK_BYTES * 64 // (64 + width)):
        target[key] = encode_text(_values(block, name), width, mark)


def _write_numbers(group: Any, name: str, variable: xr.Variable) -> None:
    attributes = {key: value for key, value in variable.attrs.items() if key not in _RESERVED}
    dtype, fill = _stored_dtype(name, variable)
    if variable.dtype.kind == "b":
        attributes["dtype"] = "bool"  # xarray's own convention: it reads int8 back as bool
    target = group.createVariable(
        name,
        dtype,
        variable.dims,
        zlib=True,
        complevel=1,
        shuffle=True,
        fill_value=fill,
        chunksizes=chunk_sizes(variable.dims, variable.shape, dtype.itemsize),
    )
    target.set_auto_maskandscale(False)
    _set_attributes(target, attributes)
    for key, block in _blocks(variable):
        values = _values(block, name)
        if fill == MISSING_INTEGER:
            values = np.where(np.isnan(values), MISSING_INTEGER, values)
        target[key] = values.astype(dtype)


def _stored_dtype(name: str, variable: xr.Variable) -> tuple[np.dtype[Any], Any]:
    kind = variable.dtype.kind
    if kind == "b":
        return np.dtype("i1"), None
    if kind != "f":
        return variable.dtype.newbyteorder("="), None
    if name in SPECS and SPECS[name].kind == "int":
        return np.dtype("i8"), MISSING_INTEGER
    return np.dtype("f8" if variable.dtype.itemsize > 4 else "f4"), np.nan


def _measure_text(
    name: str, variable: xr.Variable, *, may_miss: bool
) -> tuple[int, list[tuple[str, str]], int]:
    width, faults, longest_mark = 1, dict[str, str](), 0
    for _, block in _blocks(variable):
        block_width, block_faults, block_mark = text_width(_values(block, name), may_miss=may_miss)
        width, longest_mark = max(width, block_width), max(longest_mark, block_mark)
        faults = {**dict(block_faults), **faults}
    return width, list(faults.items())[:3], longest_mark


def _blocks(
    variable: xr.Variable, max_bytes: int = DEFAULT_BLOCK_BYTES
) -> Iterator[tuple[Any, xr.Variable]]:
    if "example" not in variable.dims:
        yield ..., variable
        return
    axis = variable.dims.index("example")
    for block in example_blocks(xr.Dataset({"block": variable}), max_bytes=max_bytes):
        key = tuple(block if i == axis else slice(None) for i in range(variable.ndim))
        yield key, variable[key]


def _values(block: xr.Variable, name: str) -> Any:
    """Read a block; what cannot be read is not blamed on the file that is written."""
    try:
        return block.values
    except (OSError, RuntimeError, UnicodeError) as error:
        raise unreadable(error, variable=name) from error


def _set_attributes(target: Any, attributes: Any) -> None:
    for name, value in attributes.items():
        target.setncattr(str(name), value)

"""Writing a tree to a NetCDF-4 file in blocks, and comparing the file with the tree."""

from __future__ import annotations

import math
import numbers
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import numpy.typing as npt
import xarray as xr

from preflamp_stats.errors import Problem
from preflamp_stats.io.blocks import DEFAULT_BLOCK_BYTES, example_blocks, unreadable
from preflamp_stats.io.schema import Fault, located
from preflamp_stats.io.variables import SPECS, is_missing, is_text

CHUNK_BYTES = 2**20
"""Bytes of a storage chunk before compression, at most, where more than one example fits."""

MISSING_TEXT = "\x1a"
"""Stored where a text is missing, and named by the attribute ``missing_text``: "" is a text.

It is written as often as it takes to be none of the texts.
"""

MISSING_INTEGER = -1
"""Stored where a whole number is missing; no count of the schema can be negative."""

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
        faults = list(_attribute_faults(ds.attrs))
        for name, variable in ds.variables.items():
            faults += _attribute_faults(variable.attrs, str(name))
            if is_text(variable):
                measured = _measure_text(str(name), variable, may_miss=name not in ds.indexes)[1]
                faults += [(str(name), *fault) for fault in measured]
            elif variable.dtype.kind not in "OUSTfiub":
                faults.append((str(name), f"holds {variable.dtype}", "store numbers or text"))
        found += located(faults, file, node.path)
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
    group.setncatts({str(name): value for name, value in attributes.items()})
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
    told = {"missing_text": mark} if may_miss else {}
    attributes = {**variable.attrs, **told, "_Encoding": "utf-8"}
    dims, shape = (*variable.dims, dim), (*variable.shape, width)
    target = _created(group, name, np.dtype("S1"), dims, shape, attributes)
    # One long text makes every cell as wide: fewer of them at a time.
    for key, block in _blocks(name, variable, DEFAULT_BLOCK_BYTES * 64 // (64 + width)):
        target[key] = encode_text(block, width, mark)


def _write_numbers(group: Any, name: str, variable: xr.Variable) -> None:
    attributes = {key: value for key, value in variable.attrs.items() if key not in _RESERVED}
    dtype, fill = _stored_dtype(name, variable)
    if variable.dtype.kind == "b":
        attributes["dtype"] = "bool"  # xarray's own convention: it reads int8 back as bool
    target = _created(group, name, dtype, variable.dims, variable.shape, attributes, fill)
    for key, block in _blocks(name, variable):
        if fill == MISSING_INTEGER:
            block = np.where(np.isnan(block), MISSING_INTEGER, block)
        target[key] = block.astype(dtype)


def _created(
    group: Any, name: str, dtype: Any, dims: Any, shape: Any, attributes: Any, fill: Any = None
) -> Any:
    """Compressed variable, whose values are taken as they are."""
    sizes = chunk_sizes(dims, shape, dtype.itemsize)
    how = {"zlib": True, "complevel": 1, "chunksizes": sizes, "fill_value": fill}
    target = group.createVariable(name, dtype, dims, **how)
    target.set_auto_chartostring(False)
    target.set_auto_maskandscale(False)
    target.setncatts({str(key): value for key, value in attributes.items()})
    return target


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
    for _, block in _blocks(name, variable):
        block_width, block_faults, block_mark = text_width(block, may_miss=may_miss)
        width, longest_mark = max(width, block_width), max(longest_mark, block_mark)
        faults = {**dict(block_faults), **faults}
    return width, list(faults.items())[:3], longest_mark


def _blocks(
    name: str, variable: xr.Variable, max_bytes: int = DEFAULT_BLOCK_BYTES
) -> Iterator[tuple[Any, Any]]:
    """Places and values; what cannot be read is not blamed on the file that is written."""
    keys: list[Any] = [...]
    if "example" in variable.dims:
        before = (slice(None),) * variable.dims.index("example")
        blocks = example_blocks(xr.Dataset({"block": variable}), max_bytes=max_bytes)
        keys = [(*before, block, ...) for block in blocks]
    for key in keys:
        try:
            values = variable[key].values
        except (OSError, RuntimeError, UnicodeError) as error:
            raise unreadable(error, variable=name) from error
        yield key, values


def text_width(
    values: npt.ArrayLike, *, may_miss: bool = False
) -> tuple[int, list[tuple[str, str]], int]:
    """Bytes that the longest text takes in UTF-8, and what cannot be stored.

    Parameters
    ----------
    values : array_like of str
        Texts of any shape.
    may_miss : bool
        None and NaN stand for missing texts, as they may where the text is no label.

    Returns
    -------
    width : int
        At least 1, as a dim of the file cannot be empty.
    faults : list of (str, str)
        What is wrong and how to mend it, once for each kind of fault.
    longest_mark : int
        Length of the longest text that looks like the mark of a missing one; 0 as a rule.

    Examples
    --------
    >>> text_width(["naïve", ""])
    (6, [], 0)
    >>> text_width([None])[1]
    [('holds NoneType at position 0', 'store text')]
    """
    width, longest_mark = 1, 0
    faults: dict[str, tuple[str, str]] = {}
    texts = np.asarray(values, dtype=object).ravel()
    missing = is_missing(texts) if may_miss else np.zeros(len(texts), dtype=bool)
    for position, text in enumerate(texts):
        if missing[position]:
            continue
        if not isinstance(text, str):
            what = f"holds {type(text).__name__} at position {position}"
            mend = "store text, None where it is missing" if may_miss else "store text"
            faults.setdefault("type", (what, mend))
            continue
        try:
            width = max(width, len(text.encode()))
        except UnicodeEncodeError:
            what = f"has a lone surrogate at position {position}, which is not text"
            faults.setdefault("surrogate", (what, "decode the source as UTF-8 before storing it"))
        if "\0" in text:
            what = f"has a NUL character at position {position}, at which text would be cut"
            faults.setdefault("nul", (what, "remove it"))
        if text.startswith(MISSING_TEXT) and not text.strip(MISSING_TEXT):
            longest_mark = max(longest_mark, len(text))
    return width, list(faults.values()), longest_mark


def encode_text(
    values: npt.ArrayLike, width: int, mark: str = MISSING_TEXT
) -> npt.NDArray[np.bytes_]:
    r"""Encode texts as single bytes along a new last axis of a fixed width.

    Parameters
    ----------
    values : array_like of str, shape (...)
        Texts without NUL characters or lone surrogates; None or NaN where missing.
    width : int
        Bytes for each, at least that of the longest.
    mark : str
        What is written where a text is missing.

    Returns
    -------
    ndarray of S1, shape (..., width)
        UTF-8, padded with NUL.

    Examples
    --------
    >>> encode_text(["é", "a"], 2).tolist()
    [[b'\xc3', b'\xa9'], [b'a', b'']]
    """
    texts = np.asarray(values, dtype=object)
    filled = np.where(is_missing(texts), mark, texts).ravel()
    encoded = np.array([text.encode() for text in filled], dtype=f"S{width}")
    return encoded.view("S1").reshape(*texts.shape, width)


def chunk_sizes(dims: Sequence[Hashable], shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """Storage chunks that hold a block of examples over every other dim.

    The number of examples is a power of two, so that the chunks of all variables share borders.

    Parameters
    ----------
    dims : sequence of str
        Dims of the variable.
    shape : sequence of int
        Its size along each.
    itemsize : int
        Bytes of a value.

    Returns
    -------
    tuple of int
        The size of a chunk along each dim.

    Examples
    --------
    >>> chunk_sizes(("method", "example", "candidate"), (12, 100_000, 2), 8)
    (12, 4096, 2)
    """
    others = math.prod(size for dim, size in zip(dims, shape, strict=True) if dim != "example")
    examples = 2 ** int(math.log2(max(1, CHUNK_BYTES // (others * itemsize))))
    return tuple(
        min(size, examples) if dim == "example" else size
        for dim, size in zip(dims, shape, strict=True)
    )


def _attribute_faults(attributes: Mapping[Any, Any], variable: str = "") -> Iterator[Fault]:
    """Find attributes that NetCDF cannot hold: it has text, numbers and lists of either."""
    for name, value in attributes.items():
        where = f"attribute {name!r}"
        if isinstance(value, str):
            yield from (
                (variable, f"{where} {what}", mend) for what, mend in text_width([value])[1]
            )
        elif not _is_storable(value):
            yield variable, f"{where} holds {type(value).__name__}", "store it as JSON text"


def _is_storable(value: Any) -> bool:
    if isinstance(value, bool | np.bool_):
        return False
    if isinstance(value, numbers.Real | np.number):
        return True
    if isinstance(value, list | tuple | np.ndarray):
        array = np.asarray(value)
        if array.dtype.kind == "U":
            return array.ndim == 1 and not text_width(array)[1]
        return array.ndim <= 1 and array.dtype.kind in "iuf" and array.size > 0
    return False

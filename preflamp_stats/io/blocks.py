"""Reading from files that may be damaged or made to harm, and in blocks that memory can hold."""

from __future__ import annotations

import atexit
import math
import os
import sys
import threading
import time
import warnings
from collections.abc import Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import netCDF4
import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from preflamp_stats.errors import InputError, Problem

Chunks = int | Literal["auto"] | Mapping[Any, Any] | None

_PACKED = 2000
"""Values a byte of the file may stand for: twice what deflate, the usual filter, can reach."""

_SMALL = 2**24
"""Bytes that a variable may declare whatever the size of the file."""

_AT_ONCE = 2**26
"""Bytes of stored text that are decoded at a time."""

_FEW = 100_000
"""Chunks of storage that a variable may declare whatever the size of the file."""

_PATIENCE = 5.0
"""Processor seconds that the library may take over what a file declares; it takes milliseconds."""


def check_declared(path: Path) -> None:
    """Refuse a file that declares more than it can hold, before anything is allocated.

    Damaged links between the parts of a file can lead in a circle, which the library that reads
    them follows without end; it is given up after 5 s of processor time, and the process ends with
    status 2 when it ends.

    Parameters
    ----------
    path : Path
        NetCDF-4 file.

    Raises
    ------
    InputError
        If a variable would be larger than 2,000 times the file, and than 16 MiB; is cut into more
        pieces than the file has bytes, and than 100,000; or is over one dim twice. If the NetCDF
        library does not come to an end.
    OSError, RuntimeError
        If the NetCDF library cannot open it.
    """
    raised: list[BaseException] = []

    def check() -> None:
        try:
            _check_declared(path)
        except BaseException as error:
            raised.append(error)

    # A daemon, so that the process can end before it.
    thread = threading.Thread(target=check, daemon=True, name=f"open {path.name}")
    thread.start()
    while thread.is_alive():
        thread.join(0.2)
        if thread.is_alive() and _processor_seconds(thread) > _PATIENCE:
            atexit.register(_end_at_once)
            what = "cannot be read: the NetCDF library never finishes reading it"
            raise InputError(Problem(what, "copy it again, or write it again", str(path)))
    if raised:
        raise raised[0]


def _end_at_once() -> None:
    """End with the status of bad input: the library crashes at its own ending meanwhile."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(2)


def _processor_seconds(thread: threading.Thread) -> float:
    """Processor time of a thread, s; 0 where the system does not say."""
    clock = getattr(time, "pthread_getcpuclockid", None)
    return time.clock_gettime(clock(thread.ident)) if clock else 0.0


def _check_declared(path: Path) -> None:
    size = path.stat().st_size
    most = max(_SMALL, size * _PACKED)
    problems = []
    with netCDF4.Dataset(path) as file:
        for group, name, variable in _variables(file):
            # Bytes of a value in memory; a text takes at least its pointer.
            of_value = int(getattr(variable.dtype, "itemsize", 8))
            declared, what = math.prod(map(int, variable.shape)) * of_value, ""
            if declared > most:
                what = f"declares {declared:,} bytes, more than a file of {size:,} can hold"
            elif (pieces := _pieces(variable)) > max(_FEW, size):
                what = f"declares {pieces:,} pieces, more than a file of {size:,} bytes can hold"
            mend = "write it again with write_results; do not trust it if it came from others"
            told = [(what, mend)] if what else []
            if len(set(variable.dimensions)) < len(variable.dimensions):
                told.append(("is over one dim twice", "store it over different dims"))
            problems += [Problem(*each, str(path), group, name) for each in told]
    if problems:
        raise InputError(problems)


def _variables(group: Any) -> Iterator[tuple[str, str, Any]]:
    yield from ((group.path, name, each) for name, each in group.variables.items())
    for inner in group.groups.values():
        yield from _variables(inner)


def _pieces(variable: Any) -> int:
    """Chunks of storage; each that is there takes several bytes, and each takes time."""
    sizes = variable.chunking()
    if not isinstance(sizes, list | tuple):
        return 1
    return math.prod(-(-int(n) // int(each)) for n, each in zip(variable.shape, sizes, strict=True))


def decoded(
    ds: xr.Dataset, *, file: str = "", group: str = "", chunks: Chunks = None, token: str = ""
) -> xr.Dataset:
    """Decode texts, missing values and truth values, such that what cannot be read is named.

    Parameters
    ----------
    ds : xarray.Dataset
        A group opened without decoding.
    file, group : str
        To name in a problem.
    chunks : int, "auto" or mapping of str to int, optional
        Back the arrays by dask, in chunks of these sizes (``{}``: those of storage).
    token : str
        Names the file and its state in dask's graph.

    Returns
    -------
    xarray.Dataset
        Reading one of its arrays raises InputError where the file is damaged.

    Raises
    ------
    InputError
        If attributes or labels cannot be decoded.
    """
    marks = {}
    for name, variable in ds.variables.items():
        if variable.dtype == "S1":
            # Without it xarray leaves characters as bytes.
            variable.attrs.setdefault("_Encoding", "utf-8")
        # Files that name no mark are older than it, and have "" where there is no text.
        marks[name] = str(variable.attrs.pop("missing_text", ""))
    try:
        found = _decode(ds)
        arrays = {
            name: _Guarded(each, marks[name], (file, group, str(name))).lazy()
            for name, each in found.variables.items()
            if name not in found.indexes
        }
        for name, each in arrays.items() if chunks is not None else ():
            arrays[name] = _chunked(each, chunks, f"{name}-{token}{group}")
    except Exception as error:
        raise unreadable(error, file, group, _culprit(ds)) from error
    return found.assign(arrays).set_coords(list(found.coords))


def unreadable(error: Exception, file: str = "", group: str = "", variable: str = "") -> InputError:
    """Make the error of an array that cannot be read.

    Parameters
    ----------
    error : Exception
        What the library said.
    file, group, variable : str
        Where.
    """
    reason = " ".join(str(error).split("\n")[0].split()) or type(error).__name__
    if isinstance(error, MemoryError):
        what, mend = f"does not fit the memory ({reason})", "read it where there is more"
    elif isinstance(error, UnicodeError):
        what, mend = f"holds text that is not UTF-8 ({reason})", "write the text anew as UTF-8"
    elif "chunk manager" in reason:
        what, mend = "chunks need dask", "pip install 'preflamp-stats[dask]', or leave them out"
    else:
        what, mend = f"cannot be read ({reason})", "it is damaged: copy it again or write it anew"
    return InputError(Problem(what, mend, file, group, variable))


def _decode(ds: xr.Dataset) -> xr.Dataset:
    with warnings.catch_warnings():
        # Attributes that make no sense are let be, as the library does, but not printed.
        warnings.simplefilter("ignore", xr.SerializationWarning)
        # Times stay numbers: with decoding, a latency in "seconds" would become durations.
        return xr.decode_cf(ds, decode_times=False)


def _culprit(ds: xr.Dataset) -> str:
    """Name of the variable that cannot be decoded alone; empty where it takes several."""
    for name, variable in ds.variables.items():
        try:
            _decode(xr.Dataset({name: variable}))
        except Exception:
            return str(name)
    return ""


def _chunked(variable: xr.Variable, chunks: Chunks, name: str) -> xr.Variable:
    sizes: Any = chunks
    if isinstance(chunks, Mapping):
        stored = variable.encoding.get("preferred_chunks") or {}
        sizes = {dim: size for dim, size in {**stored, **chunks}.items() if dim in variable.dims}
    # The sizes are part of the name: one array in other chunks is another array of dask's.
    return variable.chunk(sizes, name=f"{name}-{sizes}")


class _Guarded(BackendArray):
    """A lazy variable whose faults in reading are problems of the file."""

    def __init__(self, variable: xr.Variable, mark: str, where: tuple[str, str, str]) -> None:
        self.variable, self.mark, self.where = variable, mark, where
        self.shape, self.dtype = variable.shape, np.dtype(variable.dtype)

    def lazy(self) -> xr.Variable:
        of = self.variable
        return xr.Variable(of.dims, indexing.LazilyIndexedArray(self), of.attrs, of.encoding)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._read
        )

    def _read(self, key: tuple[Any, ...]) -> Any:
        # Whatever a library makes of bytes that are not what they say, it is the file's fault.
        try:
            # What a scale factor makes infinite is reported as such; numpy need not warn of it too.
            with np.errstate(over="ignore", invalid="ignore"):
                picked = self.variable[key]
                if picked.dtype.kind not in "OUST":
                    return picked.values
                values = _texts(picked)
                return np.where(values == self.mark, None, values)
        except Exception as error:
            raise unreadable(error, *self.where) from error


def _texts(variable: xr.Variable) -> Any:
    """Texts of a variable; a long one makes all as wide in the file, so they come in parts."""
    stored = variable.encoding.get("original_shape") or (1,)
    parts = math.ceil(variable.size * int(stored[-1]) / _AT_ONCE)
    if parts < 2 or not variable.ndim:
        return variable.values.astype(object)
    dim = max(variable.dims, key=lambda each: variable.sizes[each])
    step = math.ceil(variable.sizes[dim] / parts)
    starts = range(0, variable.sizes[dim], step)
    found = [variable.isel({dim: slice(at, at + step)}).values.astype(object) for at in starts]
    return np.concatenate(found, axis=variable.dims.index(dim))


DEFAULT_BLOCK_BYTES = 64 * 2**20
"""Memory that one block may take, in bytes."""

_TEXT_BYTES = 64
"""Size in memory of a short Python str with its pointer."""


def example_blocks(ds: xr.Dataset, *, max_bytes: int = DEFAULT_BLOCK_BYTES) -> Iterator[slice]:
    """Cut the examples of a dataset into consecutive slices, each within a budget of memory.

    Parameters
    ----------
    ds : xarray.Dataset
        Holds the variables to be read together; choose them first: ``ds[["reward", "logprob"]]``.
    max_bytes : int
        Bytes that a block of all its variables may take. A block has at least one example.

    Yields
    ------
    slice
        Positions along ``example``; cut at the borders of storage chunks where the budget
        allows, so that no chunk is decompressed twice. None for a dataset without ``example``.

    Examples
    --------
    >>> import numpy as np
    >>> ds = xr.Dataset({"reward": (("method", "example"), np.zeros((2, 5)))})
    >>> list(example_blocks(ds, max_bytes=32))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    if "example" not in ds.dims:
        return
    n_examples = ds.sizes["example"]
    varying = [variable for variable in ds.variables.values() if "example" in variable.dims]
    per_example = sum(_bytes_per_example(variable) for variable in varying)
    step = max(1, max_bytes // max(1, per_example))
    chunk = max((_chunk_length(variable) for variable in varying), default=1)
    if step > chunk:
        step -= step % chunk
    for start in range(0, n_examples, step):
        yield slice(start, min(start + step, n_examples))


def load_block(ds: xr.Dataset, block: slice, *, names: Iterable[str] | None = None) -> xr.Dataset:
    """Read some examples of some variables into memory; what the dataset holds stays lazy.

    Parameters
    ----------
    ds : xarray.Dataset
        Lazily opened, dask-backed or in memory.
    block : slice
        Positions along ``example``, as :func:`example_blocks` gives them.
    names : iterable of str, optional
        Variables to read; all where None.

    Returns
    -------
    xarray.Dataset
        The block, backed by numpy arrays.

    Raises
    ------
    KeyError
        For a name that the dataset lacks.
    InputError
        If the file is damaged there.
    """
    chosen = ds if names is None else ds[list(names)]
    try:
        return chosen.isel(example=block, missing_dims="ignore").compute()
    except (OSError, RuntimeError, UnicodeError) as error:
        # Arrays backed by dask bear no guard of their own.
        raise unreadable(error, variable=", ".join(map(str, chosen.data_vars))) from error


def _bytes_per_example(variable: xr.Variable) -> int:
    n_values = math.prod(size for dim, size in variable.sizes.items() if dim != "example")
    if variable.dtype.kind != "O":
        return n_values * int(variable.dtype.itemsize)
    stored = variable.encoding.get("original_shape", ())
    width = int(stored[-1]) if "char_dim_name" in variable.encoding and stored else 0
    return n_values * (_TEXT_BYTES + width)


def _chunk_length(variable: xr.Variable) -> int:
    if variable.chunksizes:
        return max(variable.chunksizes["example"])
    preferred: dict[Hashable, int] = variable.encoding.get("preferred_chunks") or {}
    return preferred.get("example", 1)

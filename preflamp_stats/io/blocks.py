"""Reading a dataset in blocks of examples, so that memory is bounded whatever its size."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator

import xarray as xr

from preflamp_stats.io.guards import unreadable

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

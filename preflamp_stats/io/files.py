"""Opening results files lazily and writing them whole or not at all."""

from __future__ import annotations

import os
import warnings
from contextlib import ExitStack
from pathlib import Path

import xarray as xr

from preflamp_stats.errors import InputError, Problem, SchemaError
from preflamp_stats.io.atomic import aside, flush
from preflamp_stats.io.blocks import Chunks, check_declared, decoded, unreadable
from preflamp_stats.io.schema import find_problems
from preflamp_stats.io.variables import SCHEMA_VERSION, annotated
from preflamp_stats.io.writer import check_written, storage_problems, write_file


def open_results(path: str | os.PathLike[str], chunks: Chunks = None) -> xr.DataTree:
    """Open a results file without reading its arrays.

    Parameters
    ----------
    path : path
        NetCDF-4 file with data in the root group, or one group for each benchmark dataset.
    chunks : int, "auto" or mapping of str to int, optional
        Back the arrays by dask, in chunks of these sizes (``{}``: those of storage). Without it
        they are read by xarray when they are used.

    Returns
    -------
    xarray.DataTree
        Texts are ``str``; dates and durations are left as the numbers stored. The file stays
        open: close the tree, or use it in a ``with`` statement.

    Raises
    ------
    InputError
        If there is no such file, or it is not a whole NetCDF-4 file, or its groups cannot be
        aligned, or a variable declares more than the file can hold. Reading a damaged array from
        the tree raises it too. What the file says is not checked: see
        :func:`preflamp_stats.validate`.

    Examples
    --------
    >>> open_results("absent.nc")
    Traceback (most recent call last):
    ...
    preflamp_stats.errors.InputError: absent.nc: no such file; check the path
    """
    path = Path(path)
    _check_readable(path)
    stat = path.stat()
    token = f"{path.resolve()}-{stat.st_ino}-{stat.st_size}-{stat.st_mtime_ns}"
    try:
        with ExitStack() as opened:
            check_declared(path)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                raw = xr.open_datatree(path, engine="netcdf4", decode_cf=False)
            opened.callback(raw.close)
            groups = {node.path: node.to_dataset(inherit=False) for node in raw.subtree}
            for name, ds in groups.items():
                groups[name] = decoded(ds, file=str(path), group=name, chunks=chunks, token=token)
            tree = xr.DataTree.from_dict(groups)
            tree.set_close(opened.pop_all().close)
            return tree
    except InputError:
        raise
    except (OSError, RuntimeError) as error:
        what = "is not a whole NetCDF-4 file: it is of another format, or was cut short"
        mend = "write it with write_results or preflamp-stats convert, or copy it again"
        raise InputError(Problem(what, mend, str(path))) from error
    except Exception as error:
        # Of labels that are coordinates only once decoded too.
        if isinstance(error, ValueError) and "align" in str(error):
            what = "has groups whose dims disagree with those of the root group"
            mend = "store each dataset in a group of its own"
            raise InputError(Problem(what, mend, str(path))) from error
        raise unreadable(error, str(path)) from error


def write_results(tree: xr.DataTree | xr.Dataset, path: str | os.PathLike[str]) -> None:
    """Write results to a file, whole or not at all.

    The file is written beside its final name, flushed to the disk, read again, compared with what
    was to be written and renamed; a file of that name is replaced only then. Arrays are read and
    written in blocks of examples. The same content gives the same bytes.

    Parameters
    ----------
    tree : xarray.DataTree or xarray.Dataset
        Results that follow the schema. ``preflamp_schema``, ``long_name`` and ``units`` are set
        where absent. Floats keep their precision; whole numbers stored as floats because some are
        missing become integers again.
    path : path
        File to write; its directory must exist.

    Raises
    ------
    SchemaError
        If the results do not follow the schema or hold what NetCDF cannot.
    InputError
        If the file cannot be written there.

    Examples
    --------
    >>> import tempfile
    >>> reward = xr.DataArray(
    ...     [[[1.0, 0.5]]],
    ...     dims=("method", "example", "candidate"),
    ...     coords={"method": ["rm"], "candidate": ["chosen", "rejected"]},
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_results(reward.to_dataset(name="reward"), f"{folder}/r.nc")
    ...     with open_results(f"{folder}/r.nc") as tree:
    ...         print(tree["reward"].values.tolist(), tree.attrs["preflamp_schema"])
    [[[1.0, 0.5]]] 1
    """
    path = Path(path)
    tree = _prepared(tree)
    if problems := [*find_problems(tree, file=str(path)), *storage_problems(tree, file=str(path))]:
        raise SchemaError(problems)
    if path.is_dir():
        raise InputError(Problem("is a directory", "name a file", str(path)))
    if not path.parent.is_dir():
        what = f"directory {path.parent} does not exist"
        raise InputError(Problem(what, "make it first", str(path)))
    try:
        with aside(path) as beside:
            write_file(tree, beside)
            flush(beside, os.O_RDWR)
            with open_results(beside) as written:
                check_written(tree, written)
            os.replace(beside, path)
    except (OSError, RuntimeError) as error:
        mend = "check the space and the rights there"
        raise InputError(Problem(f"cannot be written: {error}", mend, str(path))) from error
    flush(path.parent)


def _check_readable(path: Path) -> None:
    faults = {
        "is a directory": (path.is_dir(), "name the results file in it"),
        "no such file": (not path.exists(), "check the path"),
        "cannot be read": (not os.access(path, os.R_OK), "check the rights of the file"),
    }
    for what, (is_so, mend) in faults.items():
        if is_so:
            raise InputError(Problem(what, mend, str(path)))


def _prepared(tree: xr.DataTree | xr.Dataset) -> xr.DataTree:
    if isinstance(tree, xr.Dataset):
        tree = xr.DataTree(tree)
    nodes = {node.path: annotated(node.to_dataset(inherit=False)) for node in tree.subtree}
    nodes["/"].attrs = {"preflamp_schema": SCHEMA_VERSION, **nodes["/"].attrs}
    return xr.DataTree.from_dict(nodes)

"""Parquet files, their sizes checked against the file before they are unpacked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from preflamp_stats.errors import InputError, Problem

_PACKED = 2000
"""Bytes in memory that a byte of the file may stand for."""

_SMALL = 2**28
"""Bytes in memory that are allowed whatever the size of the file."""

_CELL = 8
"""Bytes in memory of a cell, at least."""


def most_unpacked(path: Path) -> int:
    """Bytes in memory that a packed file may stand for."""
    return max(_SMALL, path.stat().st_size * _PACKED)


def read_parquet(path: Path) -> Any:
    """Read a Parquet file.

    Parameters
    ----------
    path : Path
        One file: a name is never taken for a folder of partitions or a URL.

    Returns
    -------
    pyarrow.Table

    Raises
    ------
    InputError
        If pyarrow is not installed, the file is damaged, or it declares more than 256 MiB and than
        2,000 times its size.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        mend = "pip install 'preflamp-stats[parquet]', or write CSV or JSONL"
        raise InputError(Problem("needs pyarrow to be read", mend, str(path))) from error
    try:
        with path.open("rb") as source, parquet.ParquetFile(source) as file:
            size, about = path.stat().st_size, file.metadata
            groups = [about.row_group(at).total_byte_size for at in range(about.num_row_groups)]
            declared = max(sum(groups), about.num_rows * about.num_columns * _CELL)
            if declared > most_unpacked(path):
                what = f"declares {declared:,} bytes, more than a file of {size:,} should hold"
                mend = "write it again, or as CSV; do not trust it if it came from others"
                raise InputError(Problem(what, mend, str(path)))
            return file.read()
    # Thrift errors are plain OSError; their text may hold bytes of the file.
    except (OSError, UnicodeError, MemoryError, pyarrow.ArrowException) as error:
        raise InputError(
            Problem("is not a whole Parquet file", "write it again", str(path))
        ) from error

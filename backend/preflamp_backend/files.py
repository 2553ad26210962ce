"""Text files that are whole or not there."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.io.atomic import aside

__all__ = ["check_unpacked", "write_text"]

_PACKED = 200
"""Bytes of text that a byte of a compressed file may stand for; common text stands for 3 to 10."""

_SMALL = 2**28
"""Bytes of text that are allowed whatever the size of the file."""


def check_unpacked(path: Path) -> None:
    """Refuse a gzip file that is damaged, or that unpacks to far more than text does.

    Parameters
    ----------
    path : Path
        Files of other endings than ``.gz`` are let pass.

    Raises
    ------
    InputError
        If it would be larger than 256 MiB and than 200 times the file.
    """
    if path.suffix != ".gz":
        return
    try:
        most = max(_SMALL, _PACKED * path.stat().st_size)
        with gzip.open(path) as file:
            unpacked = 0
            while block := file.read(1 << 20):
                unpacked += len(block)
                if unpacked > most:
                    what = f"unpacks to more than {most:,} bytes, which no text of its size does"
                    mend = "unpack it by hand if you trust it"
                    raise InputError(Problem(what, mend, str(path)))
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            Problem(f"cannot be read ({error})", "copy or write it again", str(path))
        ) from error


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 file aside, flush it, and move it into place.

    Parameters
    ----------
    path : path
        Its folder is made where it is missing.
    text : str

    Raises
    ------
    InputError
        If it cannot be written there.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside(path) as beside:
            with beside.open("w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
    except (OSError, UnicodeEncodeError) as error:
        mend = "check the space, the rights and the text"
        raise InputError(Problem(f"cannot be written: {error}", mend, str(path))) from error

"""Text files that are whole or not there."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from preflamp_backend.faults import fault
from preflamp_stats.io.atomic import aside

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
                    raise fault(what, mend, str(path))
    except (OSError, EOFError, zlib.error) as error:
        raise fault(f"cannot be read ({error})", "copy or write it again", str(path)) from error


def text_lines(path: str | Path, mend: str) -> Iterator[str]:
    """Lines of a file, gzip-compressed or not.

    Parameters
    ----------
    path : path
    mend : str
        What a file should be that cannot be read.

    Raises
    ------
    InputError
        If the file cannot be read as UTF-8.
    """
    path = Path(path)
    check_unpacked(path)
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
            yield from file
    except (OSError, UnicodeDecodeError) as error:
        raise fault(f"cannot be read ({error})", mend, path) from error


def json_lines(path: str | Path, mend: str) -> Iterator[tuple[int, Any]]:
    """Values of a JSONL file with their line numbers, read as :func:`text_lines` does.

    Yields
    ------
    int, JSON value
        None for a line that is no JSON; empty lines are passed over.
    """
    for number, line in enumerate(text_lines(path, mend), 1):
        if line.strip():
            yield number, parsed(line)


def read_json(path: str | Path, mend: str) -> Any:
    """Value of a JSON file.

    Raises
    ------
    InputError
        If it cannot be read, or is no JSON in UTF-8.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise fault(f"cannot be read ({error})", "check the path", path) from error
    except (ValueError, RecursionError) as error:
        raise fault(f"is not JSON in UTF-8 ({error})", mend, path) from error


def json_object(path: Path) -> dict[str, Any]:
    """Object of a JSON file; empty where there is none that can be read."""
    try:
        found = parsed(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def parsed(text: str) -> Any:
    """Value of a JSON text; None where it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


@contextmanager
def replacing(path: str | Path, mend: str, *refusals: type[Exception]) -> Iterator[Path]:
    """Give a place aside to write a file to, which is then flushed and moved to its own.

    Parameters
    ----------
    path : path
        Its folder is made where it is missing.
    mend : str
        What to look at where it cannot be written.
    *refusals : type
        Errors by which the writer refuses, beside those of the system.

    Raises
    ------
    InputError
        If it cannot be written there.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside(path) as beside:
            yield beside
            with beside.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(beside, path)
    except (OSError, *refusals) as error:
        raise fault(f"cannot be written: {error}", mend, str(path)) from error


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 file that is whole or not there.

    Raises
    ------
    InputError
        If it cannot be written there.
    """
    with replacing(path, "check the space, the rights and the text", UnicodeEncodeError) as beside:
        beside.write_text(text, encoding="utf-8", newline="\n")


def json_hash(value: Any) -> str:
    """SHA-256 of a JSON value."""
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@cache
def code_hash(*parts: str) -> str:
    """SHA-256 of this package's source, or of some of its folders and files."""
    package = Path(__file__).parents[1]
    places = [package / part for part in parts or (".",)]
    files = {
        file for place in places for file in (place.rglob("*.py") if place.is_dir() else [place])
    }
    digest = sha256()
    for file in sorted(files):
        digest.update(file.read_bytes())
    return digest.hexdigest()

"""Writing beside the final name, and clearing away what a killed writer left there."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def aside(path: Path) -> Iterator[Path]:
    """Give a new name beside a file, to be written and then moved over it.

    What earlier writers of the same file left when they were killed is removed, unless somebody
    may be writing it now. The name is hidden and has an ending of its own, so that no pattern such
    as ``*.nc`` picks up what a kill leaves.

    Parameters
    ----------
    path : Path
        Final name; its folder must exist.

    Yields
    ------
    Path
        Where to write. Whatever stands there at the end is removed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "a.txt")
    ...     with aside(path) as beside:
    ...         _ = beside.write_text("whole")
    ...         _ = os.replace(beside, path)
    ...     [each.name for each in Path(folder).iterdir()]
    ['a.txt']
    """
    with lock(path.parent, alone=True, wait=False) as alone:
        if alone:
            for left in path.parent.glob(f".{_literal(path.name)}.*.partial"):
                with contextlib.suppress(OSError):
                    left.unlink()
    with lock(path.parent, alone=False):
        beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
        try:
            yield beside
        finally:
            beside.unlink(missing_ok=True)


@contextlib.contextmanager
def lock(folder: Path, *, alone: bool, wait: bool = True) -> Iterator[bool]:
    """Lock a folder among the processes of this package; a killed process holds no lock.

    Parameters
    ----------
    folder : Path
        Must exist.
    alone : bool
        Keep everybody else out; otherwise only those who want to be alone.
    wait : bool
        Wait for the lock.

    Yields
    ------
    bool
        Whether it is held: never where the system or the file system has no such locks.
    """
    descriptor = -1
    held = False
    try:
        with contextlib.suppress(OSError):
            if fcntl is not None:
                descriptor = os.open(folder, os.O_RDONLY)
                kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
                fcntl.flock(descriptor, kind | (0 if wait else fcntl.LOCK_NB))
                held = True
        yield held
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def flush(path: Path, flags: int = os.O_RDONLY) -> None:
    """Have the system write a file or a folder to the disk."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _literal(name: str) -> str:
    """Pattern of glob that matches a name and nothing else."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)

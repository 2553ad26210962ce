"""Text files that are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.io.aside import aside

__all__ = ["write_text"]


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

"""All outputs of an analysis into a directory, whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.io.atomic import flush, lock
from preflamp_stats.outputs.csv_markdown import to_csv, to_markdown
from preflamp_stats.outputs.latex import to_latex
from preflamp_stats.results import Analysis, ResultTable
from preflamp_stats.settings import Settings

Progress = Callable[[str, int, int], None]

_RECORD = "analysis.json"
_JOURNAL = "journal.json"
_STAGING = ".preflamp-stats-"
_FIGURES = {"pdf": {"tex"}, "png": {"md", "html"}}
"""Kinds of figures, and the formats that take them in."""
_RENDERERS = {"csv": to_csv, "md": to_markdown, "tex": to_latex}
# What an earlier analysis may have left; a record is data and may name anything.
_OURS = re.compile(r"tables/[\w.-]+\.(csv|md|tex)|figures/[\w.-]+\.(pdf|png)|report\.html")


def write_analysis(
    analysis: Analysis, directory: str | Path, *, progress: Progress | None = None
) -> list[Path]:
    """Write tables, figures, report and record of an analysis.

    Everything is written into a hidden directory inside the target, flushed to the disk, and only
    then moved to its final name. The record of an earlier analysis is taken away first and the new
    one comes last, so that a record never stands beside files of another analysis. What an earlier
    analysis left and this one does not make is removed; a file that no analysis wrote is never
    touched. Killed at any moment, it is completed by the next one.

    Parameters
    ----------
    analysis : Analysis
    directory : path
        Made where absent.
    progress : callable, optional
        Called with what is being done, how much of it is done, and how much there is.

    Returns
    -------
    list of Path
        Every file written, ``analysis.json`` first.

    Raises
    ------
    InputError
        If the directory cannot be written, or a file that is not of an earlier analysis stands
        where one is to be written. The directory is then as it was before.
    """
    directory = Path(directory)
    files = render_files(analysis, progress=progress)
    # Innermost first.
    made = [path for path in (directory, *directory.parents) if not path.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # One writer at a time: of two analyses that end at once, the later one stands, whole.
        with lock(directory, alone=True):
            broken_off = _broken_off(directory)
            earlier = _earlier_files(directory) | _installed(directory, broken_off)
            _refuse_foreign(directory, files, earlier)
            _replace(directory, files, earlier)
            for staging in broken_off:
                shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        _remove_empty(made)
        reason = error.strerror or str(error)
        mend = "choose a directory that you may write to with --out"
        raise InputError(Problem(f"cannot be written ({reason})", mend, str(directory))) from error
    except InputError:
        _remove_empty(made)
        raise
    return [directory / path for path in sorted(files, key=lambda path: (path != _RECORD, path))]


def render_files(analysis: Analysis, *, progress: Progress | None = None) -> dict[str, bytes]:
    """Content of every file of an analysis by its relative path; the same analysis, the same bytes.

    Parameters
    ----------
    analysis : Analysis
    progress : callable, optional
        As of :func:`write_analysis`.

    Returns
    -------
    dict of str to bytes
        ``tables/NAME.*``, ``figures/NAME.*``, ``report.html`` and ``analysis.json``.
    """
    formats = analysis.settings.formats
    endings = [ending for ending in _RENDERERS if ending == "csv" or ending in formats]
    files: dict[str, bytes] = {}
    tell = progress or (lambda stage, done, total: None)
    for place, (name, table) in enumerate(analysis.tables.items()):
        tell("writing tables", place, len(analysis.tables))
        if not re.fullmatch(r"[\w.-]+", name):
            raise ValueError(f"table name {name!r} cannot be a file name")
        for ending in endings:
            files[f"tables/{name}.{ending}"] = _RENDERERS[ending](table).encode()
    figures = {}
    if kinds := _kinds(analysis.settings):
        # Half a second of imports, which only figures are worth.
        from preflamp_stats.outputs.figures import render_figures

        figures = render_figures(analysis, kinds, progress=progress)
    for name, figure in figures.items():
        files |= {f"figures/{name}.{kind}": figure.content[kind] for kind in kinds}
    if "html" in formats:
        # Templates are a tenth of a second of imports.
        from preflamp_stats.outputs.report import to_html

        tell("writing the report", 0, 1)
        files["report.html"] = to_html(analysis, figures if "png" in kinds else {}).encode()
    files[_RECORD] = to_json(analysis, [*files, _RECORD]).encode()
    return files


def _kinds(settings: Settings) -> list[str]:
    """Kinds of figures that are asked for, by name or by the formats that take them in."""
    if settings.figures == "auto":
        return [kind for kind, into in _FIGURES.items() if into & set(settings.formats)]
    return [kind for kind in _FIGURES if kind == settings.figures]


def _earlier_files(directory: Path) -> set[str]:
    """Files that the record of an earlier analysis in the directory claims; none without one."""
    try:
        record = json.loads((directory / _RECORD).read_bytes())
    except (FileNotFoundError, IsADirectoryError, ValueError, RecursionError):
        return set()
    if not isinstance(record, dict) or RECORD_KEY not in record:
        return set()
    named = {path for path in record.get("files", ()) if isinstance(path, str)}
    return {path for path in named if _OURS.fullmatch(path)} | {_RECORD}


def _broken_off(directory: Path) -> list[Path]:
    """Hidden directories of writers that were killed; nobody else writes while we hold the lock."""
    found = [path for path in sorted(directory.glob(f"{_STAGING}*")) if not path.is_symlink()]
    ours = {"new", "old", _JOURNAL}
    return [path for path in found if path.is_dir() and {e.name for e in path.iterdir()} <= ours]


def _installed(directory: Path, broken_off: Sequence[Path]) -> set[str]:
    """Files that killed writers put in place, or found there as an earlier analysis's own.

    A new file is known by its content, so that what somebody put there since is never taken for it.
    """
    found: set[str] = set()
    for staging in broken_off:
        try:
            journal = json.loads((staging / _JOURNAL).read_bytes())
            earlier, new = list(journal["earlier"]), dict(journal["new"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
        found |= {path for path in earlier if isinstance(path, str) and _OURS.fullmatch(path)}
        for path, digest in new.items():
            place = directory / path
            if (path == _RECORD or _OURS.fullmatch(path)) and place.is_file():
                found |= {path} if _digest(place.read_bytes()) == digest else set()
    return found


def _refuse_foreign(directory: Path, files: Mapping[str, bytes], earlier: set[str]) -> None:
    in_the_way = {
        path for path in files if path not in earlier and os.path.lexists(directory / path)
    }
    in_the_way |= {path for path in files if (directory / path).is_dir()}
    folders = {str(each) for path in files for each in Path(path).parents if each.name}
    in_the_way |= {
        each
        for each in folders
        if os.path.lexists(directory / each) and not (directory / each).is_dir()
    }
    if in_the_way:
        mend = "move it away or choose another directory with --out"
        what = "is in the way: no earlier analysis wrote it"
        found = sorted(directory / path for path in in_the_way)
        raise InputError([Problem(what, mend, file=str(path)) for path in found])


def _replace(directory: Path, files: Mapping[str, bytes], earlier: set[str]) -> None:
    """Put new files in place and take earlier ones away; on any failure put all back as it was."""
    staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=directory))
    done: list[str] = []
    folders = [directory / "tables", directory / "figures"]
    made = [folder for folder in folders if not folder.exists()]
    try:
        for path, content in files.items():
            _write_synced(staging / "new" / path, content)
        kept = [path for path in sorted({*files, *earlier}) if (directory / path).exists()]
        for path in kept:
            (staging / "old" / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(directory / path, staging / "old" / path)
        new = {path: _digest(content) for path, content in files.items()}
        journal = {"earlier": sorted(earlier), "new": new}
        _write_synced(staging / _JOURNAL, json.dumps(journal).encode())
        flush(staging)
        try:
            for path in sorted(kept, key=lambda path: path != _RECORD):
                if path == _RECORD or path not in files:
                    done.append(path)
                    (directory / path).unlink()
            for path in sorted(files, key=lambda path: path == _RECORD):
                (directory / path).parent.mkdir(exist_ok=True)
                done.append(path)
                os.replace(staging / "new" / path, directory / path)
        except BaseException:
            for path in dict.fromkeys(done):
                if path in kept:
                    os.replace(staging / "old" / path, directory / path)
                else:
                    (directory / path).unlink(missing_ok=True)
            _remove_empty(made)
            raise
        _remove_empty(folders)
        for folder in (directory, *folders):
            if folder.is_dir():
                flush(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _write_synced(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


RECORD_KEY = "preflamp_analysis"
"""Marks a record as ours and says its version."""


def to_json(analysis: Analysis, files: Sequence[str] = ()) -> str:
    """Serialise the whole analysis as JSON: keys sorted, numbers in full, missing ones null.

    Parameters
    ----------
    analysis : Analysis
    files : sequence of str
        Paths written beside the record, relative to its directory.

    Returns
    -------
    str
        Valid JSON: NaN is ``null``, an infinite number the text ``"inf"`` or ``"-inf"``.
        ``table_order`` and each table's ``columns`` keep the order that sorted keys lose.
    """
    record = {
        RECORD_KEY: 1,
        **{each.name: getattr(analysis, each.name) for each in fields(analysis)},
        "settings": analysis.settings.as_dict(),
        "signature": analysis.signature,
        "summary": analysis.summary,
        "files": sorted(files),
        "table_order": list(analysis.tables),
        "tables": {name: _table(table) for name, table in analysis.tables.items()},
    }
    ready = _plain(record)
    return json.dumps(ready, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _table(table: ResultTable) -> dict[str, Any]:
    told = {each.name: getattr(table, each.name) for each in fields(table)}
    del told["name"], told["frame"]
    return told | {"columns": list(table.frame.columns), "rows": table.frame.to_dict("records")}


def _plain(value: Any) -> Any:
    """Nested values in the types that JSON has."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value if isinstance(value, str | bool | int | float) else str(value)

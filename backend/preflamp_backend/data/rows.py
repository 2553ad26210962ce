"""Rows of a public dataset, from the hub or from local files of the same form; rows at fault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from preflamp_backend.faults import fault
from preflamp_backend.files.text import json_lines, read_json
from preflamp_stats.errors import InputError, Problem
from preflamp_stats.io.parquet import read_parquet

_MOST_PROBLEMS = 20
_FORMS = "name JSONL, JSON or Parquet in UTF-8"


@dataclass
class Faults:
    """Rows that cannot be used: all of them named, or left out and counted.

    Parameters
    ----------
    file : str
        Named in the problems.
    drop : bool
        Leave the rows out instead of refusing them.

    Attributes
    ----------
    problems : list of Problem
        What was found.
    """

    file: str = ""
    drop: bool = False
    problems: list[Problem] = field(default_factory=list)

    def note(self, where: str, what: str, mend: str) -> None:
        """Note a row that cannot be used."""
        self.problems.append(Problem(what, mend, self.file, variable=where))

    def check(self) -> None:
        """Refuse what was found, unless it is dropped.

        Raises
        ------
        InputError
            With the first problems, and how many more there are.
        """
        if self.drop or not self.problems:
            return
        shown: list[Problem | str] = list(self.problems[:_MOST_PROBLEMS])
        if more := len(self.problems) - len(shown):
            shown.append(f"{self.file}: and {more} more; --drop leaves such rows out")
        raise InputError(shown)


def read_rows(
    paths: Sequence[str | Path], hub: tuple[str, str], split: str
) -> list[dict[str, Any]]:
    """Read rows of local JSONL, JSON or Parquet files, or of the hub where none is named.

    Parameters
    ----------
    paths : sequence of path
    hub : (str, str)
        Name and configuration of the dataset on the hub.
    split : str
        Split on the hub; empty takes all.

    Raises
    ------
    InputError
        For files that cannot be read, or where reading needs a package that is not installed.
    """
    rows = [row for path in paths for row in _local(Path(path))] if paths else _hub(hub, split)
    if not rows:
        raise fault("hold no row", "give rows", ", ".join(map(str, paths)))
    return rows


def _local(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        try:
            return _parquet(path)
        except OSError as error:
            raise fault(f"cannot be read ({error})", _FORMS, path) from error
    if path.suffix == ".json":
        rows = read_json(path, _FORMS)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise fault("is not a list of objects", "give one", path)
        return rows
    faults, rows = Faults(str(path)), []
    for number, row in json_lines(path, _FORMS):
        if isinstance(row, dict):
            rows.append(row)
        else:
            faults.note(f"line {number}", "is not a JSON object", "write one object a line")
    faults.check()
    return rows


def _parquet(path: Path) -> list[dict[str, Any]]:
    table = read_parquet(path)
    try:
        rows: list[dict[str, Any]] = table.to_pylist()
    # Cells that are not what their column says: text that is no UTF-8, dates out of range.
    except (ValueError, OverflowError) as error:
        raise fault(f"cannot be read ({error})", "check it", str(path)) from error
    return rows


def _hub(hub: tuple[str, str], split: str) -> list[dict[str, Any]]:
    try:
        from datasets import concatenate_datasets, load_dataset
    except ImportError as error:
        raise fault(
            "no file was named, and the package 'datasets' is not installed",
            f"pip install datasets, or name files of {hub[0]}",
        ) from error
    try:
        found = load_dataset(*hub, split=split or None)
    except (OSError, ValueError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise fault(f"{hub[0]} cannot be loaded ({lines[0]})", "name local files of it") from error
    if isinstance(found, dict):
        found = concatenate_datasets(list(found.values()))
    return [dict(row) for row in found]

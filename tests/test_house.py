"""What the check of size, circles and imports inside functions says of code written here."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location(
    "house", Path(__file__).parents[1] / ".ci" / "house.py"
)
assert _SPEC
assert _SPEC.loader
house = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(house)


def _package(root: Path, **files: str) -> None:
    for name, text in ({"__init__": ""} | files).items():
        path = root / "ours" / f"{name.replace('_in_', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_code_lines_are_counted_by_hand() -> None:
    source = '"""Docs,\n\nof three lines."""\nimport os\n\n# why\nA = """\ntext"""\n"""Of A."""\n'
    assert house.code_lines(source) == 3  # import os, and the two lines of A


@pytest.mark.parametrize(
    ("back", "files"),
    [
        ("from ours import a", 2),
        ("def f():\n    from ours.a import A", 2),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import ours.a", 2),
        ("import os", 0),
        ("from ours.c import C", 3),
    ],
)
def test_a_circle_is_found_wherever_the_import_stands(
    tmp_path: Path, back: str, files: int
) -> None:
    _package(tmp_path, a="from ours.b import B", b=back, c="from ours import a")
    found = house.circle("ours", tmp_path)
    assert len(set(found)) == files
    assert not found or found[0] == found[-1]


@pytest.mark.parametrize(
    ("before", "after", "explained"),
    [("", "", False), ("", "  # takes a second", True), ("    # takes a second\n", "", True)],
)
def test_an_import_inside_a_function_says_why(
    tmp_path: Path, before: str, after: str, explained: bool
) -> None:
    _package(tmp_path, a="import os", b=f"def f():\n{before}    from ours import a{after}\n")
    _package(tmp_path, cli_in_c="def f():\n    import ours.a")
    assert [said for _, said in house.deferred("ours", tmp_path)] == [explained, True]

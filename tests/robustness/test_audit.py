"""What the audit of pinned packages says, of answers written here."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location(
    "audit", Path(__file__).parents[2] / ".ci" / "audit.py"
)
assert _SPEC
assert _SPEC.loader
audit = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(audit)

GOOD = {"name": "a", "version": "1", "vulns": []}
BAD = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}
UNKNOWN = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("found", "said", "status"),
    [
        ([GOOD], "audited 1 packages: 0 with known vulnerabilities", 0),
        ([GOOD, BAD], "b 2: PYSEC-1, mended in 3", 1),
        ([GOOD, UNKNOWN], "NOT audited, unknown to the service: c", 0),
        ([UNKNOWN], "NOT audited: the advisory service cannot be reached", 0),
        ([], "NOT audited: the advisory service cannot be reached", 0),
    ],
)
def test_silence_is_not_taken_for_safety(found: list, said: str, status: int) -> None:
    text, code = audit.report(found)
    assert said in text
    assert code == status

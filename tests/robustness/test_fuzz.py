"""A share of the cases of benchmarks/robustness/fuzz.py, and of tables that hypothesis draws."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from preflamp_stats.cli import main

pytest.importorskip("pyarrow")

import fuzz
from harness import sandbox

FIRST = 10**6
"""Seeds of these tests; those of the long runs start at 0."""

QUICK = {
    ("validate",): 100,
    ("convert",): 100,
    ("describe", "lamp", "titles"): 100,
    ("tldr", "prism", "card", "interop"): 100,
}
"""Cases of groups of kinds; in groups, so that workers share them. The long run is make fuzz."""
SLOW = ("merge", "run", "train", "model", "weights", "head", "corpus")

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(["u1", "e1", "lore", "chosen", "rejected", "0.5B"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=3,
)
COLUMNS = st.sampled_from(
    ["method", "model", "user", "example", "candidate", "reward", "logprob", "generation", "seed"]
)
RECORDS = st.lists(st.dictionaries(COLUMNS | st.text(max_size=4), VALUES, max_size=7), max_size=4)


def verdicts(folder: Path, count: int, kinds: Iterable[str]) -> list[fuzz.Verdict]:
    """Judge by a process of its own: this one has threads, and a fork of it might wait for one."""
    out = folder / "fuzz.jsonl"
    options = ["--cases", str(count), "--first", str(FIRST), "--kinds", *kinds, "--out", str(out)]
    subprocess.run([sys.executable, fuzz.__file__, "run", *options], check=False, timeout=500)
    return fuzz.read(out)


def faults(folder: Path, count: int, kinds: Iterable[str]) -> list[str]:
    found = verdicts(folder, count, kinds)
    assert len(found) >= 0.95 * count
    wrong = [f"{each.kind} {each.seed}: {each.fault}" for each in found if each.fault]
    # Both ends are met, or what is spoilt is not near enough to what is good.
    assert wrong or {each.status for each in found} == {0, 2}
    return wrong


@pytest.mark.long
@pytest.mark.parametrize("kinds", QUICK, ids=" ".join)
def test_bad_input_is_a_message(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    assert faults(tmp_path, QUICK[kinds], kinds) == []


@pytest.mark.long
@pytest.mark.skipif(not fuzz.HAS_BACKEND, reason="needs the backend")
def test_bad_models_and_studies_are_a_message(tmp_path: Path) -> None:
    assert faults(tmp_path, 40, SLOW) == []


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(records=RECORDS)
def test_any_record_is_read_or_refused(tmp_path: Path, records: list[dict[str, Any]]) -> None:
    (tmp_path / "scores.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))
    out = tmp_path / "out.nc"
    arguments = ["convert", str(tmp_path / "scores.jsonl"), "-o", str(out)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code in (0, 2), result.output
    assert isinstance(result.exception, SystemExit | None)
    assert out.exists() == (result.exit_code == 0)
    if result.exit_code == 2:
        lines = result.stderr.splitlines()
        assert lines
        assert all(line.startswith("preflamp-stats: ") for line in lines)
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    out.unlink(missing_ok=True)


def test_a_case_is_the_same_again(tmp_path: Path) -> None:
    runs = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        found = verdicts(tmp_path / name, 8, ["validate", "convert"])
        runs.append([(each.kind, each.seed, each.status, each.fault) for each in found])
    assert runs[0] == runs[1]
    assert len(runs[0]) == 8


def test_a_case_that_took_too_long_is_tried_again_and_the_last_verdict_counts(
    tmp_path: Path,
) -> None:
    hung = fuzz.Verdict("card", FIRST, -signal.SIGXCPU, 10.0, 0, "hangs")
    (tmp_path / "fuzz.jsonl").write_text(json.dumps(hung.__dict__) + "\n")
    found = verdicts(tmp_path, 1, ["card"])
    assert [(each.kind, each.seed, each.fault) for each in found] == [("card", FIRST, "")]


def _hangs() -> None:
    while True:
        pass


def _takes_memory() -> None:
    bytearray(3 * 2**30)


def _crashes() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _leaves() -> None:
    Path("left.partial").write_text("half")
    print("preflamp-stats: is wrong; mend it", file=sys.stderr)
    sys.exit(2)


def _says_nothing() -> None:
    sys.exit(2)


def _steers_the_terminal() -> None:
    print("\x1b[31mred")


def _chats() -> None:
    print("oh no", file=sys.stderr)
    sys.exit(2)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (_hangs, "hangs"),
        (lambda: time.sleep(99), "hangs"),
        (_takes_memory, "shows a traceback: "),
        (_crashes, "dies of SIGSEGV"),
        (_leaves, "refuses, and leaves left.partial"),
        (_says_nothing, "refuses without a word"),
        (_steers_the_terminal, r"prints the control character '\x1b'"),
        (_chats, "refuses in lines that are no problem: 'oh no'"),
        (lambda: 1 / 0, "shows a traceback: ZeroDivisionError: division by zero at ?"),
        (lambda: sys.exit(3), "exits with 3"),
        (lambda: None, ""),
    ],
)
def test_the_sandbox_sees_what_is_wrong(
    tmp_path: Path, command: Callable[[], Any], said: str
) -> None:
    def prepare(folder: Path) -> tuple[Callable[[], Any], list[str]]:
        os.chdir(folder)
        return command, []

    limits = sandbox.Limits(cpu=1, wall=3)
    found = sandbox.run_forked(prepare, tmp_path / "case", limits).fault()
    assert found.startswith(said)
    assert bool(found) == bool(said)

"""A share of the cases of benchmarks/fuzz.py, and of tables that hypothesis draws."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from preflamp_stats.cli import main

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
pytest.importorskip("pyarrow")

import fuzz
from robustness import sandbox
from robustness.kinds import KINDS

FIRST = 10**6
"""Seeds of these tests; those of the long runs start at 0."""

QUICK = ("validate", "describe", "convert", "lamp", "titles", "people", "card", "interop")
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


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    fuzz.warm_up()
    return fuzz.inputs_in(tmp_path_factory.mktemp("fuzz") / "inputs")


def faults(inputs: Path, count: int, kinds: tuple[str, ...]) -> list[str]:
    chosen = list(fuzz.cases(count, FIRST, list(kinds)))
    verdicts = [fuzz.judge(kind, seed, inputs) for kind, seed in chosen]
    assert len(verdicts) >= 0.98 * count
    # Both ends are met, or what is spoilt is not near enough to what is good.
    assert {each.status for each in verdicts} == {0, 2}
    return [f"{each.kind} {each.seed}: {each.fault}" for each in verdicts if each.fault]


@pytest.mark.parametrize("kind", QUICK)
def test_bad_input_is_a_message(inputs: Path, kind: str) -> None:
    total = sum(KINDS[each].share for each in QUICK)
    assert faults(inputs, round(1000 * KINDS[kind].share / total), (kind,)) == []


@pytest.mark.skipif(not fuzz.HAS_BACKEND, reason="needs the backend")
def test_bad_models_and_studies_are_a_message(inputs: Path) -> None:
    assert faults(inputs, 60, SLOW) == []


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


def test_a_case_is_the_same_again(inputs: Path) -> None:
    assert fuzz.judge("validate", 7, inputs).status == fuzz.judge("validate", 7, inputs).status


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

"""A few trials of benchmarks/robustness/faults.py: kills, interrupts, races, a killed analysis."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

import faults
import fuzz
from harness.jobs import JOBS

from preflamp_stats.errors import InputError
from preflamp_stats.io.atomic import aside, lock
from preflamp_stats.outputs import write
from preflamp_stats.outputs.write import RECORD_KEY

FIRST = 10**6


@pytest.mark.parametrize(
    ("job", "kills"),
    [
        ("convert", 4),
        ("merge", 1),
        pytest.param("analyze", 3, marks=pytest.mark.slow),
        pytest.param("run", 2, marks=pytest.mark.slow),
    ],
)
def test_nothing_is_lost(tmp_path: Path, job: str, kills: int) -> None:
    """By a process of its own: this one has threads, and a fork of it might wait for one."""
    if JOBS[job].backend and not fuzz.HAS_BACKEND:
        pytest.skip("needs the backend")
    out = tmp_path / "faults.jsonl"
    options = ["--trials", str(kills), "--first", str(FIRST), "--jobs", job, "--out", str(out)]
    subprocess.run([sys.executable, faults.__file__, "run", *options], check=False, timeout=500)
    trials = faults.read(out)
    assert {each.fault for each in trials} == set(faults.FAULTS)
    assert [each for each in trials if each.wrong] == []


def test_a_killed_writer_leaves_nothing_for_long(tmp_path: Path) -> None:
    path = tmp_path / "a[1].txt"
    stale = tmp_path / ".a[1].txt.0123.partial"
    other = tmp_path / ".a1.txt.0123.partial"
    for each in (stale, other):
        each.write_text("half")
    with aside(path):
        assert not stale.exists()
        assert other.exists()


def test_what_another_writes_now_is_let_be(tmp_path: Path) -> None:
    with aside(tmp_path / "a.txt") as first:
        first.write_text("half")
        with aside(tmp_path / "a.txt") as second:
            assert first.exists()
            assert second != first


def test_a_lock_is_free_once_left(tmp_path: Path) -> None:
    with lock(tmp_path, alone=True) as held, lock(tmp_path, alone=True, wait=False) as again:
        assert (held, again) == (True, False)
    with lock(tmp_path, alone=True, wait=False) as held:
        assert held


FILES = {
    "tables/a.csv": b"1",
    "tables/b.csv": b"2",
    "analysis.json": json.dumps(
        {RECORD_KEY: "0", "files": ["tables/a.csv", "tables/b.csv", "tables/old.csv"]}
    ).encode(),
}


def _write(monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes], out: Path) -> None:
    monkeypatch.setattr(write, "render_files", lambda analysis, **_: files)
    write.write_analysis(None, out)  # type: ignore[arg-type]


def _kill_while_moving(
    monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes], out: Path, moves: int
) -> None:
    """Write in a child that dies after some moves: nothing is put back, nothing cleared away."""
    pid = os.fork()
    if pid == 0:
        real, made = os.replace, []

        def replace(source: Path, target: Path) -> None:
            if len(made) == moves:
                os._exit(9)
            made.append(target)
            real(source, target)

        try:
            monkeypatch.setattr(write.os, "replace", replace)
            _write(monkeypatch, files, out)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9


@pytest.mark.parametrize("moves", [0, 1, 2])
@pytest.mark.parametrize("older", [False, True])
def test_a_killed_analysis_is_completed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, moves: int, older: bool
) -> None:
    out = tmp_path / "out"
    if older:
        _write(monkeypatch, FILES | {"tables/old.csv": b"0", "tables/a.csv": b"0"}, out)
    out.mkdir(exist_ok=True)
    (out / "notes.txt").write_text("mine")
    _kill_while_moving(monkeypatch, FILES, out, moves)
    assert not (out / "analysis.json").exists()
    _write(monkeypatch, FILES, out)
    found = {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert found == FILES | {"notes.txt": b"mine"}
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []


def test_what_was_put_there_since_a_kill_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    _kill_while_moving(monkeypatch, FILES, out, 1)
    (out / "tables" / "b.csv").write_text("mine")
    with pytest.raises(InputError, match=r"b\.csv: is in the way"):
        _write(monkeypatch, FILES, out)
    assert (out / "tables" / "b.csv").read_text() == "mine"


def test_a_folder_that_only_looks_like_ours_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mine = tmp_path / ".preflamp-stats-mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("mine")
    _write(monkeypatch, FILES, tmp_path)
    assert json.loads((tmp_path / "analysis.json").read_text())
    assert (mine / "thesis.tex").read_text() == "mine"

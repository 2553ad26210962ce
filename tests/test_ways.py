"""How far it is from a file to a number, in calls and files of ours."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from click.testing import CliRunner

import preflamp_stats as pls
from preflamp_stats.analysis.run import analyze
from preflamp_stats.cli import main
from preflamp_stats.kernels.kendall import tau_from_counts
from preflamp_stats.outputs.latex import to_latex
from preflamp_stats.tables import registry

ROOT = Path(pls.__file__).parent
MOST_CALLS, MOST_FILES = 8, 5
"""From the command line to the formula of Kendall's tau, the command group itself apart."""
MOST_FILES_OF_AN_ACCURACY = 37
"""Every file any function of which runs, checks and helpers included."""


def _profiled(look: Callable[[FrameType], None], run: Callable[[], object]) -> None:
    """Call ``look`` on every call of a function of ours."""

    def each(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(str(ROOT)):
            look(frame)

    sys.setprofile(each)
    try:
        run()
    finally:
        sys.setprofile(None)


def _of_ours(frame: FrameType) -> str:
    return str(Path(frame.f_code.co_filename).relative_to(ROOT))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small results file."""
    path = tmp_path_factory.mktemp("study") / "results.nc"
    pls.write_results(pls.simulate(n_users=12, n_examples=3, n_methods=4, seed=1), path)
    return path


def test_tau_is_few_calls_from_the_command_line(results: Path, tmp_path: Path) -> None:
    way: list[tuple[str, str]] = []

    def look(frame: FrameType) -> None:
        if way or frame.f_code is not tau_from_counts.__code__:
            return
        at: FrameType | None = frame
        while at is not None:
            if at.f_code.co_filename.startswith(str(ROOT)):
                way.append((_of_ours(at), at.f_code.co_name))
            at = at.f_back
        way.reverse()

    words = ["analyze", str(results), "--out", str(tmp_path / "out"), "--resamples", "20"]
    _profiled(look, lambda: CliRunner().invoke(main, [*words, "--format", "csv"]))
    below = [place for place in way if place[0] != "cli/group.py"]
    assert below[-1] == ("kernels/kendall.py", "tau_from_counts")
    assert len(below) <= MOST_CALLS, below
    assert len({file for file, _ in below}) <= MOST_FILES, below


def test_one_accuracy_touches_few_files(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a file with rewards alone to the LaTeX of its table of RM accuracies."""
    (table,) = (table for table in registry.TABLES if table.name == "rm_accuracy")
    monkeypatch.setattr(registry, "TABLES", (table,))
    with pls.open_results(results) as tree:
        rewards = tree.to_dataset()[["user", "reward"]].load()
    alone = tmp_path / "rewards.nc"
    pls.write_results(rewards, alone)
    text = ""

    def run() -> None:
        nonlocal text
        with pls.open_results(alone) as tree:
            text = to_latex(analyze(tree, pls.Settings(resamples=20)).tables["rm_accuracy"])

    run()  # what is imported late is not on the way
    files: dict[str, str] = {}
    _profiled(lambda frame: files.setdefault(_of_ours(frame), frame.f_code.co_name), run)  # type: ignore[arg-type]
    assert "guided-01" in text
    told = "\n".join(f"{file}: {function}" for file, function in files.items())
    assert len(files) <= MOST_FILES_OF_AN_ACCURACY, f"{len(files)} files:\n{told}"

"""README's table, then README's lines, as printed."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

import preflamp_stats as pls
from preflamp_stats.cli import main

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.chdir(tmp_path)
    own = README.read_text(encoding="utf-8").partition("## Your own scores")[2]
    found = dict(reversed(re.findall(r"```(\w+)\n(.*?)```", own, re.S)))
    Path("scores.csv").write_text(found["text"], encoding="utf-8")
    return found


def test_shell_and_python_lines_work_as_printed(blocks: dict[str, str]) -> None:
    lines = own_lines(blocks["bash"])
    assert len(lines) == 2
    for line in lines:
        result = CliRunner().invoke(
            main, [*line.split()[1:], *["--resamples", "200"][: 2 * ("analyze" in line)]]
        )
        assert result.exit_code == 0, result.output
    assert Path("analysis/report.html").exists()
    exec(blocks["python"], {})
    accuracy = pls.rm_accuracy(pls.open_results("results.nc"))
    assert accuracy.sel({"method": ["lore", "vpl"]}).values.tolist() == [1.0, 0.5]


def own_lines(shell: str) -> list[str]:
    return [line.partition("#")[0].strip() for line in shell.splitlines() if line.strip()]


def test_the_table_itself_does_for_every_function(blocks: dict[str, str]) -> None:
    frame = pd.read_csv("scores.csv")
    assert pls.rm_accuracy(frame).values.tolist() == [1.0, 0.5]
    assert float(pls.tau_test(frame, "rm_accuracy", "rouge1", n_resamples=100).estimate) == 1
    both = pd.concat([frame, frame.assign(dataset="tldr")])
    for test in (pls.rm_accuracy, pls.tau_test, pls.decoupling_test, pls.example_association):
        with pytest.raises(pls.InputError, match="2 datasets: prism, tldr; choose one"):
            test(both)

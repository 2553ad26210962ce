"""What scripts and shells get: JSON, whole lines, completion, and the nearest name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import preflamp_stats as pls
from preflamp_stats.cli import main


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "results.nc"
    study = pls.simulate(n_methods=12, n_users=10, n_examples=3, seed=5)
    pls.write_results(study, path)
    return path


def test_analyze_prints_the_record_it_writes(results: Path, tmp_path: Path) -> None:
    asked = ("analyze", results, "--out", tmp_path / "out", "--resamples", 20, "--format", "csv")
    result = run(*asked, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json.loads((tmp_path / "out/analysis.json").read_text())
    assert result.stderr == ""


def test_validate_as_json(results: Path, tmp_path: Path) -> None:
    found = json.loads(run("validate", "--json", results).stdout)
    assert (found["valid"], found["schema"], found["warnings"]) == (True, 1, [])
    broken = tmp_path / "broken.nc"
    broken.write_bytes(results.read_bytes()[:2000])
    result = run("validate", "--json", broken)
    found = json.loads(result.stdout)
    assert result.exit_code == 2
    assert not found["valid"]
    assert found["problems"][0]["file"] == str(broken)
    assert found["problems"][0]["mend"]


def test_a_pipe_gets_whole_lines(results: Path) -> None:
    lines = run("describe", results).stdout.splitlines()
    methods = next(line for line in lines if line.lstrip().startswith("methods"))
    assert "guided-01" in methods
    assert "guided-12 (reward-guided)" in methods
    assert not any("\x1b" in line for line in lines)


def completed(*words: str) -> list[str]:
    """What bash is offered for the last of some words."""
    command = "from preflamp_stats.cli import main; main(prog_name='preflamp-stats')"
    environment = {
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
        "_PREFLAMP_STATS_COMPLETE": "bash_complete",
    }
    done = subprocess.run(
        [sys.executable, "-c", command],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_the_shell_completes_commands_options_and_choices() -> None:
    assert completed("preflamp-stats", "ana") == ["analyze"]
    assert "--resamples" in completed("preflamp-stats", "analyze", "--res")
    assert completed("preflamp-stats", "analyze", "--ties", "h") == ["half"]


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (["analise"], "analyze"),
        (["analyze", "r.nc", "--resampel", "users"], "--resample"),
        (["data", "build", "titels"], "titles"),
        (["analyze", "r.nc", "--scoring", "sequense"], "sequence"),
    ],
)
def test_errors_name_the_nearest(arguments: list[str], near: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert near in result.stderr
    assert "Traceback" not in result.stderr

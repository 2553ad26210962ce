"""The bar: what is being done, on a terminal only."""

from __future__ import annotations

import io

import pytest
from rich import console

import preflamp_stats as pls
from preflamp_stats.cli.console import stage_progress


def test_an_analysis_tells_what_it_does_and_comes_forward() -> None:
    study = pls.simulate(n_methods=3, n_users=6, n_examples=2, seed=1)
    told: list[tuple[str, int, int]] = []
    pls.analyze(study, pls.Settings(resamples=20), progress=lambda *stage: told.append(stage))
    stages = list(dict.fromkeys(stage for stage, _, _ in told))
    assert stages[0] == "reading results"
    assert {"estimating tau", "estimating regret"} <= set(stages)
    assert all(0 <= done <= total for _, done, total in told)
    reading = [done for stage, done, _ in told if stage == stages[0]]
    assert reading == sorted(reading)
    assert reading[-1] == 12


def test_the_bar_names_the_stage_and_steers_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    real = console.Console

    def terminal(**options: object) -> console.Console:
        return real(file=shown, force_terminal=True, width=80)

    monkeypatch.setattr(console, "Console", terminal)
    with stage_progress() as report:
        report("reading a\x1b]0;taken\x07", 3, 12)
    assert "reading a" in shown.getvalue()
    assert "3/12" in shown.getvalue()
    assert "\x1b]0;" not in shown.getvalue()


def test_nothing_when_piped(capsys: pytest.CaptureFixture[str]) -> None:
    with stage_progress() as report:
        report("reading a", 1, 2)
    assert capsys.readouterr().err == ""

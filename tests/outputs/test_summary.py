"""The terminal summary: the answers, what to mind, the report; nothing that steers a terminal."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from preflamp_stats.cli.analyze import print_summary
from preflamp_stats.results import Analysis, Question

WRITTEN = [Path("out/analysis.json"), Path("out/report.html"), Path("out/tables/tau.csv")]


def printed(analysis: Analysis, width: int = 100, written: list[Path] = WRITTEN) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_summary(analysis, written, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_every_answer_then_a_line_for_each_note_then_the_report(analysis: Analysis) -> None:
    notes = ["Of 5 examples the reward is absent.", "Users are few."]
    lines = printed(replace(analysis, notes=notes), width=10_000).splitlines()
    answered = [question for question in analysis.questions if question.answer]
    assert len(answered) >= 4
    expected = [text for q in answered for text in (q.title, f"  {q.answer}")]
    expected += [f"Note: {note}" for note in notes]
    assert lines == [*expected, "Report: out/report.html"]


def test_without_a_report_the_record_is_named(analysis: Analysis) -> None:
    assert printed(analysis, written=WRITTEN[:1]).splitlines()[-1] == "Record: out/analysis.json"


def test_plain_when_piped(analysis: Analysis) -> None:
    assert "\x1b" not in printed(analysis)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_keeps_to_the_width_but_for_the_path(analysis: Analysis, width: int) -> None:
    path = Path("a" * 70) / "report.html"
    *lines, last = printed(analysis, width, [path]).splitlines()
    assert max(map(len, lines)) <= width
    assert last == f"Report: {path}"


def test_markup_and_control_characters_in_labels_are_shown(analysis: Analysis) -> None:
    asked = [Question("q", "[red]Is it?[/red]", (), "[/] \x1b[31mred")]
    text = printed(replace(analysis, questions=asked))
    assert "[red]Is it?[/red]" in text
    assert "[/] \ufffd[31mred" in text


def test_empty_analysis_prints_nothing(analysis: Analysis) -> None:
    assert printed(replace(analysis, questions=(), notes=()), written=[]) == ""

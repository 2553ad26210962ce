"""The terminal summary: plain when piped, within the width, nothing executed or hidden."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from preflamp_stats.outputs.summary import print_summary
from preflamp_stats.results import Analysis


def printed(analysis: Analysis, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_summary(analysis, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_answers_first_then_tables_then_notes(analysis: Analysis) -> None:
    text = printed(analysis)
    parts = (
        "Does accuracy predict?",
        "RM accuracy and ROUGE-1 agree",
        "tldr · Llama-3.2-1B",
        "Kendall's tau",
        "Note: ",
    )
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert text.startswith(parts[0])


def test_sentences_of_the_report_are_left_to_it(analysis: Analysis) -> None:
    text = printed(replace(analysis, findings={"tau": analysis.summary[:1]}))
    assert "RM accuracy and ROUGE-1 agree" not in text
    assert "No reward-guided method beats" in text


def test_plain_when_piped(analysis: Analysis) -> None:
    assert "\x1b" not in printed(analysis)
    assert "─" not in printed(analysis)


@pytest.mark.parametrize("width", [80, 100, 120])
def test_keeps_to_the_width_and_keeps_intervals_whole(analysis: Analysis, width: int) -> None:
    text = printed(analysis, width)
    assert max(map(len, text.splitlines())) <= width
    row = analysis.tables["policy_accuracy"].frame.iloc[0]
    assert f"{row.estimate * 100:.1f} [{row.low * 100:.1f}, {row.high * 100:.1f}]" in text


def test_markup_and_control_characters_in_labels_are_shown(analysis: Analysis) -> None:
    text = printed(replace(analysis, summary=["[red]no[/red] \x1b[31mred", "[/] end"]))
    assert "[red]no[/red] \ufffd[31mred" in text
    assert "[/] end" in text


def test_method_without_a_reward_shows_a_dash(analysis: Analysis) -> None:
    line = next(x for x in printed(analysis).splitlines() if x.strip().startswith("zero-shot"))
    assert line.count("–") == 2


def test_empty_analysis_prints_nothing(analysis: Analysis) -> None:
    assert printed(replace(analysis, tables={}, summary=(), notes=())) == ""

"""Captions say what the numbers are, as the settings and the rows tell it."""

from __future__ import annotations

import pandas as pd
import pytest

from preflamp_stats.results import Analysis
from preflamp_stats.settings import Settings
from preflamp_stats.tables import words
from preflamp_stats.tables.generation import GENERATION
from preflamp_stats.tables.registry import TABLES
from preflamp_stats.tables.table import Table
from preflamp_stats.tables.tau import TAU_BY_MODEL


def caption(table: Table, settings: Settings, frame: pd.DataFrame) -> str:
    template = table.caption if isinstance(table.caption, str) else table.caption(frame)
    return words.fill(template, settings, frame)


@pytest.mark.parametrize(
    ("resample", "expected"),
    [
        (["users"], "95% percentile bootstrap, users resampled whole, 500 resamples"),
        (["examples"], "95% percentile bootstrap, examples resampled, 500 resamples"),
        (["examples", "users"], "users resampled whole or examples resampled"),
    ],
)
def test_the_rows_say_what_was_resampled(resample: list[str], expected: str) -> None:
    settings = Settings(resamples=500, resample="methods")
    text = words.fill("{intervals}", settings, pd.DataFrame({"resample": resample}))
    assert expected in text
    assert "methods" not in text


@pytest.mark.parametrize(
    ("metrics", "there", "absent"),
    [
        (["rouge1", "rougeL"], "ROUGE F1 against the user's own completion", "of the file"),
        (["edits"], "metrics of the file in their own units", "completion"),
        (["rouge1", "judge"], "in their own units; ROUGE F1 against", "nothing"),
    ],
)
def test_only_rouge_has_a_reference(
    analysis: Analysis, metrics: list[str], there: str, absent: str
) -> None:
    frame = analysis.tables["generation"].frame
    text = caption(GENERATION, analysis.settings, frame[frame["metric"].isin(metrics)])
    assert there in text
    assert absent not in text


def test_without_users_nobody_is_spoken_of(analysis: Analysis) -> None:
    macro = Settings(average="macro")
    for table in TABLES:
        if table.name in ("rm_accuracy", "generation", "tau", "contrasts"):
            rows = analysis.tables[table.name].frame.assign(resample="examples")
            assert "user" not in caption(table, macro, rows).replace("users needed", "")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("these methods", "average over methods like these"),
        ("population of methods", "population of methods"),
    ],
)
def test_tau_names_its_target_and_explains_the_columns_that_it_has(
    analysis: Analysis, target: str, expected: str
) -> None:
    frame = analysis.tables["tau"].frame.assign(target=target).drop(columns="ceiling")
    text = caption(TAU_BY_MODEL, analysis.settings, frame)
    assert expected in text
    assert "reliability is" in text
    assert "ceiling" not in text
    assert "95% model-based" in text


def test_the_verdicts_are_defined_with_their_margins(analysis: Analysis) -> None:
    text = analysis.tables["decoupling"].caption
    assert "equivalent within 0.01" in text
    assert "more than 0.05" in text
    assert "no evidence" in analysis.tables["decoupling"].reading


@pytest.mark.parametrize(
    ("count", "said"), [(2, "a or b"), (4, "a, b, c and 1 other"), (5, "a, b, c and 2 others")]
)
def test_many_names_are_counted(count: int, said: str) -> None:
    assert words.some("abcde"[:count]) == said

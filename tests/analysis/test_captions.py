"""Captions say what the numbers are, as the rows tell it."""

from __future__ import annotations

import pandas as pd
import pytest

from preflamp_stats.analysis import captions
from preflamp_stats.settings import Settings

SETTINGS = Settings(resamples=500)


def frame(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({name: [value] for name, value in columns.items()})


@pytest.mark.parametrize(
    ("resample", "expected"),
    [
        ("users", "95% percentile bootstrap, users resampled whole, 500 resamples"),
        ("examples", "95% percentile bootstrap, examples resampled, 500 resamples"),
    ],
)
def test_the_rows_say_what_was_resampled(resample: str, expected: str) -> None:
    assert expected in captions.rm_accuracy(SETTINGS, frame(resample=resample))


def test_methods_are_never_resampled_for_a_number_of_one_method() -> None:
    settings = Settings(resample="methods")
    text = captions.rm_accuracy(settings, frame(resample="users"))
    assert "users resampled whole" in text
    assert "methods" not in text


def test_datasets_with_and_without_users_are_both_named() -> None:
    rows = pd.concat([frame(resample="examples"), frame(resample="users")])
    assert "users resampled whole or examples resampled" in captions.interval_words(SETTINGS, rows)


@pytest.mark.parametrize(
    ("metrics", "there", "absent"),
    [
        (["rouge1", "rougeL"], "ROUGE F1 against the user's own completion", "of the file"),
        (["picked_length"], "metrics of the file in their own units", "completion"),
        (["rouge1", "words"], "in their own units; ROUGE F1 against", "nothing"),
    ],
)
def test_only_rouge_has_a_reference(metrics: list[str], there: str, absent: str) -> None:
    rows = pd.DataFrame({"metric": metrics, "resample": "users"})
    text = captions.generation(SETTINGS, rows)
    assert there in text
    assert absent not in text


def test_without_users_nobody_is_spoken_of() -> None:
    rows = frame(metric="rouge1", resample="examples", target="these methods")
    macro = Settings(average="macro")
    for caption in (captions.generation, captions.tau, captions.rm_accuracy, captions.contrasts):
        assert "user" not in caption(macro, rows)


@pytest.mark.parametrize(
    ("target", "expected"),
    [("these methods", "these very methods"), ("population of methods", "population of methods")],
)
def test_tau_names_its_target(target: str, expected: str) -> None:
    assert expected in captions.tau(SETTINGS, frame(target=target, resample="users"))


def test_tau_explains_the_columns_that_it_has() -> None:
    rows = frame(target="these methods", resample="users", interval="model", ceiling=0.8)
    text = captions.tau(SETTINGS, rows)
    assert "ceiling" in text
    assert "reliability" not in text
    assert "95% model-based" in text


def test_the_verdicts_are_defined_with_their_margins() -> None:
    text = captions.decoupling(Settings(margin=0.02), frame(verdict="coupled"))
    assert "equivalent within 0.02" in text
    assert "more than 0.05" in text
    assert "no evidence" in text

"""The first answer of a report with several strata: in words, with its limits, and withheld."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

import preflamp_stats as pls
from preflamp_stats.results import Analysis, ResultTable
from preflamp_stats.tables.registry import TABLES

SURROGACY = next(table for table in TABLES if table.name == "surrogacy")
Changer = Callable[..., ResultTable]


def answer(table: ResultTable) -> str:
    assert SURROGACY.answer is not None
    return SURROGACY.answer({"surrogacy": table})


@pytest.fixture
def told(rows_of: Changer) -> Callable[..., str]:
    def say(low: float, high: float, downstream: str = "rouge1", **columns: object) -> str:
        values = {"estimate": (low + high) / 2, "low": low, "high": high, "step": 0.05}
        table = rows_of("surrogacy", downstream, new=["method", "model", "dataset"])
        return answer(replace(table, frame=table.frame.assign(**values | columns)))

    return say


def test_it_is_the_first_answer(analysis: Analysis) -> None:
    first = next(question for question in analysis.questions if question.answer)
    assert first.tables == ("surrogacy",)
    assert first.answer == answer(analysis.tables["surrogacy"])


def test_the_answer_is_about_a_new_dataset(told: Callable[..., str]) -> None:
    text = told(0.01, 0.03, threshold=0.031)
    assert text.startswith(
        "Yes. In a new dataset, a method whose RM accuracy is 5.0 points higher than another's has "
        "2.0 [1.0, 3.0] points of ROUGE-1 more (95% prediction interval; "
    )
    assert text.endswith("a difference of 3.1 points is the least that would tell which has more.")
    assert told(-0.03, -0.01).startswith("No. ")
    text = told(-0.01, 0.03, threshold=float("nan"))
    assert text.startswith("Open. ")
    assert text.endswith("no difference would tell which has more.")


def test_fewer_edits_are_better_and_a_judge_of_unknown_direction_has_no_verdict(
    told: Callable[..., str],
) -> None:
    assert told(-3.0, -1.0, "edits").startswith("Yes. ")
    assert told(1.0, 3.0, "judge").startswith("Direction unknown. ")


def test_small_studies_are_not_judged(told: Callable[..., str]) -> None:
    assert told(0.01, 0.03, n_users=4).startswith("Cannot be judged for ROUGE-1. With 4 users")
    assert told(0.01, 0.03, n_methods=3).startswith("Cannot be judged for ROUGE-1. 3 methods")
    nan = float("nan")
    assert told(nan, nan, new_note="methods like these do not differ by 0.05 upstream") == (
        "Cannot be judged for ROUGE-1. Methods like these do not differ by 0.05 upstream."
    )


def test_one_stratum_has_no_table() -> None:
    tree = pls.simulate(n_methods=3, n_icl=0, n_users=10, n_examples=3, seed=1)
    assert "surrogacy" not in pls.analyze(tree, pls.Settings(resamples=20)).tables

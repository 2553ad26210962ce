"""Short answers: each follows from intervals and tests, and none makes evidence of its absence."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflamp_stats.outputs import answers
from preflamp_stats.outputs.answers import (
    answer_discrimination,
    answer_in_context,
    answer_prediction,
    answer_regret,
    answer_writing,
)
from preflamp_stats.outputs.questions import QUESTIONS, READING
from preflamp_stats.results import Analysis, ResultTable


def tables(**rows: list[dict[str, object]]) -> dict[str, ResultTable]:
    return {name: ResultTable(name, pd.DataFrame(table), "T", "C") for name, table in rows.items()}


def tau(estimate: float, low: float, high: float, **more: object) -> dict[str, object]:
    pair = {"upstream": "rm_accuracy", "downstream": "rouge1"}
    return pair | {"estimate": estimate, "low": low, "high": high} | more


@pytest.mark.parametrize(
    ("row", "start"),
    [
        (tau(0.7, 0.4, 0.9), "Yes for ROUGE-1, strongly:"),
        (tau(0.3, 0.1, 0.5), "Yes for ROUGE-1, moderately:"),
        (tau(0.2, 0.01, 0.5), "Yes for ROUGE-1, weakly:"),
        (tau(-0.4, -0.7, -0.1), "No for ROUGE-1: methods with higher RM accuracy tend to have"),
        (tau(0.1, -0.2, 0.5), "Open for ROUGE-1:"),
        (tau(0.1, 0.0, 0.5), "Open for ROUGE-1:"),
    ],
)
def test_prediction(row: dict[str, object], start: str) -> None:
    assert answer_prediction(tables(tau=[row])).startswith(start)


def test_an_open_question_says_what_is_ruled_out() -> None:
    assert "more than 0.23 is ruled out" in answer_prediction(tables(tau=[tau(0.05, -0.15, 0.23)]))
    assert "ruled out" not in answer_prediction(tables(tau=[tau(0.3, -0.3, 0.8)]))


@given(st.floats(-1, 0), st.floats(0, 1), st.floats(-1, 1))
def test_an_interval_with_0_in_it_is_never_a_no(low: float, high: float, estimate: float) -> None:
    text = answer_prediction(tables(tau=[tau(estimate, low, high)]))
    assert text.startswith("Open")
    assert "no association" not in text


def test_the_pooled_tau_answers_where_there_is_one() -> None:
    both = tables(tau=[tau(0.9, 0.8, 1.0)], pooled_tau=[tau(0.1, -0.2, 0.3)])
    assert answer_prediction(both).startswith("Open")


def test_several_taus_are_counted() -> None:
    rows = [tau(0.5, 0.2, 0.8), tau(0.4, 0.1, 0.6), tau(-0.5, -0.8, -0.1), tau(0, -0.5, 0.5)]
    assert "alike in 2 of 4 comparisons and in opposite ways in 1" in answer_prediction(
        tables(tau=rows)
    )


def test_an_undefined_tau_says_why() -> None:
    row = tau(float("nan"), float("nan"), float("nan"), note="rouge1 is constant over methods")
    assert answer_prediction(tables(tau=[row])) == (
        "Tau is undefined: rouge1 is constant over methods."
    )


def accuracy(*limits: tuple[float, float]) -> list[dict[str, object]]:
    return [
        {"method": f"m{n}", "estimate": (low + high) / 2, "low": low, "high": high}
        for n, (low, high) in enumerate(limits)
    ]


@pytest.mark.parametrize(
    ("limits", "start"),
    [
        ([(0.6, 0.7), (0.51, 0.6)], "Yes: the guided policy prefers the chosen response"),
        ([(0.6, 0.7), (0.4, 0.6)], "In part: the guided policy is shown to beat chance in 1 of 2"),
        ([(0.4, 0.6)], "Not shown: the guided policy is shown to beat chance in none of 1 method"),
    ],
)
def test_discrimination(limits: list[tuple[float, float]], start: str) -> None:
    assert answer_discrimination(tables(policy_accuracy=accuracy(*limits))).startswith(start)


def test_without_a_policy_the_reward_answers() -> None:
    assert "the reward prefers" in answer_discrimination(tables(rm_accuracy=accuracy((0.6, 0.7))))


def test_writing_counts_verdicts() -> None:
    pair = {"upstream": "rm_accuracy", "downstream": "rouge1"}
    verdicts = ["coupled"] * 3 + ["reversed"] + ["decoupled"] + ["inconclusive"]
    text = answer_writing(tables(decoupling=[pair | {"verdict": v} for v in verdicts]))
    assert text.startswith("Often: of 6 comparisons")
    assert "better ROUGE-1 in 3, worse in 1, and equal within the margin in 1" in text
    undecided = answer_writing(tables(decoupling=[pair | {"verdict": "inconclusive"}] * 6))
    assert undecided.startswith("Mostly open")


def lead(model: str, estimate: float, p: float, **more: object) -> dict[str, object]:
    row = {"method": "icl", "metric": "rouge1", "model": model, "level": 0.95, "p_adjusted": p}
    return row | {"estimate": estimate, "low": estimate - 0.02, "high": estimate + 0.02} | more


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            [lead("1B", -0.1, 1, dominates_from="7B"), lead("7B", 0.1, 0.001, dominates_from="7B")],
            "Yes, in ROUGE-1: icl beats every reward-guided method from 7B on.",
        ),
        (
            [lead("1B", 0.1, 0.001), lead("7B", 0.01, 0.2)],
            "Yes, in ROUGE-1: icl beats every reward-guided method with 1B.",
        ),
        (
            [lead("1B", -0.1, 1), lead("7B", 0.01, 0.2)],
            "Not shown, in ROUGE-1: icl is not shown to be ahead with any model.",
        ),
        (
            [lead("1B", -0.1, 1), lead("7B", -0.2, 1)],
            "Not shown, in ROUGE-1: icl is behind with every model.",
        ),
    ],
)
def test_in_context(rows: list[dict[str, object]], expected: str) -> None:
    assert answer_in_context(tables(in_context=rows)) == expected


def test_in_context_methods_answer_for_themselves_and_winners_come_first() -> None:
    rows = [
        lead("1B", 0.3, 0.001, method="best-of-8", method_family="best-of-n"),
        lead("1B", -0.2, 1.0, method="icl-1", method_family="in-context"),
        lead("1B", 0.2, 0.001, method="icl-4", method_family="in-context"),
    ]
    assert answer_in_context(tables(in_context=rows)) == (
        "In part, in ROUGE-1: icl-4 beats every reward-guided method with 1B; icl-1 is behind "
        "with every model."
    )


def test_methods_that_tie_for_the_choice_are_each_named_once() -> None:
    rows = [
        tau(0.0, 0.0, 0.1, chosen=chosen, best="a", random=0.04, n_methods=4)
        for chosen in ("a, b", "b")
    ]
    assert "you would choose a or b." in answer_regret(tables(regret=rows))


def test_regret_names_the_choice_its_cost_and_that_of_chance() -> None:
    row = tau(0.03, 0.01, 0.05, chosen="a", best="b", random=0.04, n_methods=4)
    assert answer_regret(tables(regret=[row])) == (
        "By RM accuracy you would choose a. It loses 3.0 [1.0, 5.0] points of ROUGE-1 against the "
        "best (b); a method picked at random loses 4.0."
    )
    assert answer_regret(tables(regret=[row | {"n_methods": 1}])) == ""


def test_every_question_is_silent_without_its_tables() -> None:
    assert all(question.answer({}) == "" for question in QUESTIONS)


def test_every_table_of_a_question_says_how_to_read_it(analysis: Analysis) -> None:
    named = {name for question in QUESTIONS for name in question.tables}
    assert set(READING) == named
    assert set(analysis.tables) <= named


@pytest.mark.parametrize(
    ("count", "said"), [(2, "a or b"), (4, "a, b, c and 1 other"), (5, "a, b, c and 2 others")]
)
def test_many_names_are_counted(count: int, said: str) -> None:
    assert answers._some("abcde"[:count], "or") == said

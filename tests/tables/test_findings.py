"""Sentences and answers follow from the numbers, and make no evidence of its absence.

Each case is an analysis of a simulated study, with the numbers changed where the case is rare.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflamp_stats.results import Analysis, ResultTable
from preflamp_stats.settings import Settings
from preflamp_stats.tables.registry import TABLES, make_questions

Changer = Callable[..., ResultTable]

Limits = list[tuple[float, float]]
NAMED = {table.name: table for table in TABLES}


def say(table: ResultTable, settings: Settings | None = None) -> list[str]:
    finding = NAMED[table.name].finding
    assert finding is not None
    return list(finding(table, settings or Settings()))


def answer(*tables: ResultTable) -> str:
    """First answer that these tables give to the question of the first of them."""
    found = {table.name: table for table in tables}
    asked = NAMED[tables[0].name].question
    (text,) = (q.answer for q in make_questions(found) if q.name == asked)
    return text


def with_limits(rows_of: Changer, limits: Limits, name: str = "tau", **more: object) -> ResultTable:
    low, high = zip(*limits, strict=True)
    middle = [(a + b) / 2 for a, b in limits]
    return rows_of(name, **{"estimate": middle, "low": list(low), "high": list(high)} | more)


ALIKE, OPPOSITE = "they rank methods alike more often", "they rank methods in opposite ways"
OPEN = "the data leave open whether they rank methods alike"


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ([(0.0, 0.28)], f"is 0.14 [0.00, 0.28] over 5 methods: {OPEN}."),
        ([(0.1, 0.3)], f"over 5 methods: {ALIKE} than not."),
        ([(-0.3, -0.1)], f": {OPPOSITE} more often than not."),
        ([(0.1, 0.3)] * 2, "is 0.20 over 2 models (5 methods each); every interval lies above 0: "
         + ALIKE),
        ([(-0.3, -0.1)] * 2, f"; every interval lies below 0: {OPPOSITE}"),
        ([(-0.1, 0.3)] * 2, f"; every interval includes 0: {OPEN}"),
        ([(0.1, 0.3), (-0.1, 0.2)], "; the interval lies above 0 in 1 of 2 (0.5B); "
         f"elsewhere {OPEN}."),
    ],
)  # fmt: skip
def test_tau(rows_of: Changer, limits: Limits, expected: str) -> None:
    (sentence,) = say(
        with_limits(rows_of, limits, tau_corrected=float("nan"), ceiling=float("nan"))
    )
    assert sentence.startswith("tldr: Kendall's tau between RM accuracy and ROUGE-1 is ")
    assert expected in sentence


@given(st.lists(st.tuples(st.floats(-1, 0), st.floats(0, 1)), min_size=1, max_size=2))
def test_intervals_that_include_zero_never_claim_anything(rows_of: Changer, limits: Limits) -> None:
    table = with_limits(rows_of, limits)
    (sentence,) = say(table)
    assert OPEN in sentence
    for text in (sentence, answer(table)):
        assert "more often than not" not in text
        assert "no association" not in text
    assert len(limits) == 2 or answer(table).startswith("Open for ROUGE-1")


def test_what_noise_does_is_told_where_it_is_known(rows_of: Changer) -> None:
    table = with_limits(rows_of, [(0.1, 0.3)] * 2, tau_corrected=0.4, ceiling=0.7)
    assert say(table)[0].endswith(
        "Corrected for noise it is 0.40; noise alone would leave rankings that truly agree a tau "
        "of 0.70."
    )


def test_an_undefined_tau_and_one_without_an_interval_say_why(rows_of: Changer) -> None:
    nan, note = float("nan"), "one metric is constant"
    undefined = rows_of(
        "tau", estimate=[0.2, nan], low=[0.1, nan], high=[0.3, nan], note=["", note]
    )
    assert f"; undefined for 1.5B ({note})." in say(undefined)[0]
    alone = replace(undefined, frame=undefined.frame.iloc[1:])
    assert say(alone)[0].endswith(f"is undefined ({note}).")
    assert answer(alone) == f"Tau is undefined: {note}."
    bare = rows_of("tau", estimate=[0.2], low=nan, high=nan, note="no interval: nothing is known")
    assert "over 5 methods; no interval (nothing is known)." in say(bare)[0]
    assert answer(bare).endswith("cannot be told: there is no interval.")


def test_many_pairs_of_metrics_become_a_sentence_a_downstream_metric(rows_of: Changer) -> None:
    one = with_limits(rows_of, [(0.1, 0.3)])
    regret = rows_of("regret", estimate=[0.02], random=0.04)
    pairs = list(itertools.product([f"up{k}" for k in range(8)], ["rouge1", "policy_accuracy"]))
    for table, metrics in ((one, one.metrics), (regret, regret.metrics)):
        known = {f"up{k}": replace(metrics["rm_accuracy"], name=f"up{k}") for k in range(8)}
        rows = [table.frame.assign(upstream=up, downstream=down) for up, down in pairs]
        many = replace(table, frame=pd.concat(rows), metrics={**metrics, **known})
        said = say(many)
        if table is one:
            assert [text.split(" is ")[0] for text in said] == [
                f"tldr: Kendall's tau of 8 upstream metrics with {down}"
                for down in ("ROUGE-1", "policy accuracy")
            ]
        else:
            assert said == [
                "tldr: choosing the method by one of 8 metrics costs 2.0 points of ROUGE-1, "
                "picking one at random 4.0."
            ]


@pytest.mark.parametrize(
    ("limits", "start"),
    [
        ((0.5, 0.9), "Yes for ROUGE-1, strongly: RM accuracy ranks methods as ROUGE-1 does (tau "),
        ((0.1, 0.5), "Yes for ROUGE-1, moderately:"),
        ((0.01, 0.39), "Yes for ROUGE-1, weakly:"),
        ((-0.7, -0.1), "No for ROUGE-1: methods with higher RM accuracy tend to have lower"),
        ((-0.2, 0.5), "Open for ROUGE-1:"),
        ((0.0, 0.5), "Open for ROUGE-1:"),
    ],
)  # fmt: skip
def test_prediction(rows_of: Changer, limits: tuple[float, float], start: str) -> None:
    assert answer(with_limits(rows_of, [limits])).startswith(start)


@pytest.mark.parametrize(
    ("limits", "finding", "start"),
    [
        ((-0.9, -0.5), ALIKE, "Yes for edits needed, strongly: methods with higher RM accuracy "
         "tend to have lower edits needed (tau -0.70 [-0.90, -0.50]), which is better."),
        ((0.1, 0.5), OPPOSITE, "No for edits needed: methods with higher RM accuracy tend to have "
         "higher edits needed"),
        ((-0.2, 0.7), OPEN, "Open for edits needed:"),
    ],
)  # fmt: skip
def test_fewer_may_be_better(
    rows_of: Changer, limits: tuple[float, float], finding: str, start: str
) -> None:
    table = with_limits(rows_of, [limits], downstream="edits")
    assert finding in say(table)[0]
    assert answer(table).startswith(start)
    assert ("more than 0.20 is ruled out" in answer(table)) == (limits[0] == -0.2)


def test_what_is_better_is_asked_for_where_nobody_has_said(rows_of: Changer) -> None:
    for limits, tend in (((0.1, 0.5), "higher"), ((-0.5, -0.1), "lower")):
        table = with_limits(rows_of, [limits], downstream="judge")
        assert answer(table) == (
            f"Methods with higher RM accuracy tend to have {tend} judge (tau "
            f"{sum(limits) / 2:.2f} [{limits[0]:.2f}, {limits[1]:.2f}]); whether more judge is "
            "better is not known: give --lower-is-better judge or --higher-is-better judge, or the "
            "attribute direction."
        )
        assert f"go with {tend} values of the other" in say(table)[0]


def test_an_open_question_says_what_is_ruled_out(rows_of: Changer) -> None:
    assert "more than 0.23 is ruled out" in answer(with_limits(rows_of, [(-0.15, 0.23)]))
    assert "ruled out" not in answer(with_limits(rows_of, [(-0.3, 0.8)]))


def test_the_pooled_tau_answers_where_there_is_one(rows_of: Changer, analysis: Analysis) -> None:
    plain = with_limits(rows_of, [(0.8, 1.0)])
    pooled = with_limits(rows_of, [(-0.2, 0.3)], name="pooled_tau")
    assert answer(plain, pooled).startswith("Open")
    assert say(pooled)[0].startswith(
        "Pooled over 4 pairs of dataset and model, Kendall's tau between RM accuracy and ROUGE-1 "
        "is 0.05 [-0.20, 0.30]: the data leave open"
    )


def test_several_taus_are_counted(rows_of: Changer) -> None:
    table = with_limits(rows_of, [(0.2, 0.8), (-0.5, 0.5)])
    assert "alike in 1 of 2 comparisons and in opposite ways in 0" in answer(table)
    fewer = with_limits(rows_of, [(0.2, 0.8), (-0.5, 0.5)], downstream="edits")
    assert "alike in 0 of 2 comparisons and in opposite ways in 1" in answer(fewer)


@pytest.mark.parametrize(
    ("limits", "start"),
    [
        ([(0.6, 0.7), (0.51, 0.6)], "Yes: the guided policy prefers the chosen response"),
        ([(0.6, 0.7), (0.4, 0.6)], "In part: the guided policy is shown to beat chance in 1 of 2"),
        ([(0.4, 0.6)], "Not shown: the guided policy is shown to beat chance in none of 1 method"),
        ([(0.4, 0.6), (0.2, 0.4)], "Not shown: the guided policy is shown to beat chance in none "
         "of 2 methods, and to fall below it in 1 (policy accuracy 30.0 to 50.0 points)."),
    ],
)  # fmt: skip
def test_discrimination(rows_of: Changer, limits: Limits, start: str) -> None:
    policy = with_limits(rows_of, limits, name="policy_accuracy")
    reward = with_limits(rows_of, [(0.6, 0.7)], name="rm_accuracy")
    assert answer(policy, reward).startswith(start)
    assert "the reward prefers" in answer(reward)


def verdicts(rows_of: Changer, *told: str, downstream: str = "rouge1") -> ResultTable:
    return rows_of("decoupling", downstream=downstream, verdict=list(told))


def test_verdicts_are_counted_and_inconclusive_ones_show_nothing(rows_of: Changer) -> None:
    table = verdicts(rows_of, "decoupled", "coupled", "coupled", "coupled", "inconclusive")
    assert say(table) == [
        "tldr: RM accuracy and ROUGE-1 are decoupled in 1, reversed in 0 and coupled in 3 of 5 "
        "comparisons of two methods; 1 inconclusive, which shows nothing either way."
    ]
    assert answer(table) == (
        "Often: of 5 comparisons of two methods, the one with higher RM accuracy is shown to have "
        "better ROUGE-1 in 3, worse in 0, and equal within the margin in 1."
    )
    assert answer(verdicts(rows_of, *["inconclusive"] * 6)).startswith("Mostly open")
    assert answer(verdicts(rows_of, "reversed", "coupled")).startswith("Not as a rule")


def test_no_verdict_without_a_direction(rows_of: Changer) -> None:
    table = verdicts(rows_of, "coupled", "coupled", downstream="judge")
    assert say(table) == [answer(table)]
    assert answer(table).startswith("Whether more judge is better is not known")


NO, OPEN_LEAD = "shown to be worse", "the data leave open which is better"


@pytest.mark.parametrize(
    ("leads", "expected", "start"),
    [
        ([(-0.1, 1.0), (0.1, 0.01)], "shown to be better with 1.5B, shown to be worse with 0.5B.",
         "Yes, in ROUGE-1: icl-01 on tldr beats every reward-guided method with 1.5B."),
        ([(0.1, 0.01)], "; shown to be better.",
         "Yes, in ROUGE-1: icl-01 on tldr beats every reward-guided method with 0.5B."),
        ([(-0.1, 1.0)] * 2, f"; {NO} with every model.",
         "Not shown, in ROUGE-1: icl-01 on tldr is behind with every model."),
        ([(0.01, 0.2)], f"; {OPEN_LEAD}.",
         "Not shown, in ROUGE-1: icl-01 on tldr is not shown to be ahead with any model."),
        ([(0.01, 0.2)] * 2, f"; everywhere {OPEN_LEAD}.", "Not shown"),
    ],
)  # fmt: skip
def test_in_context(rows_of: Changer, leads: Limits, expected: str, start: str) -> None:
    lead, p = zip(*leads, strict=True)
    limits = {"low": [x - 0.02 for x in lead], "high": [x + 0.02 for x in lead]}
    table = rows_of(
        "in_context", estimate=list(lead), p_adjusted=list(p), dominates_from="", **limits
    )
    (sentence,) = say(table)
    assert sentence.startswith("tldr: icl-01 minus the best reward-guided method in ROUGE-1 is ")
    assert sentence.endswith(expected)
    assert answer(table).startswith(start)


def test_the_size_from_which_a_method_leads_is_named_and_winners_come_first(
    rows_of: Changer,
) -> None:
    table = rows_of(
        "in_context", estimate=[-0.1, 0.1], low=[-0.2, 0.0], high=[0.0, 0.2],
        p_adjusted=[1.0, 0.001], dominates_from="1.5B",
    )  # fmt: skip
    behind = table.frame.assign(method="icl-0", p_adjusted=1.0, high=-0.1, dominates_from="")
    guided = table.frame.assign(method="best-of-8", method_family="best-of-n")
    both = replace(table, frame=pd.concat([guided, behind, table.frame]))
    assert answer(both) == (
        "In part, in ROUGE-1: icl-01 on tldr beats every reward-guided method from 1.5B on; icl-0 "
        "on tldr is behind with every model."
    )


def test_a_lead_in_a_metric_of_which_less_is_better_is_told_as_measured(rows_of: Changer) -> None:
    table = rows_of("in_context", downstream="edits", estimate=[3.0], low=1.0, high=5.0,
                    p_adjusted=0.001)  # fmt: skip
    assert say(table) == [
        "tldr: icl-01 minus the best reward-guided method in edits needed is -3.00 edits; shown to "
        "be better."
    ]


def test_regret_names_the_choice_its_cost_and_that_of_chance(rows_of: Changer) -> None:
    costs = {"low": 0.01, "high": 0.05, "random": 0.04}
    table = rows_of("regret", estimate=[0.03], chosen="a", best="b", **costs)
    assert answer(table) == (
        "By RM accuracy you would choose a. It loses 3.0 [1.0, 5.0] points of ROUGE-1 against the "
        "best (b); a method picked at random loses 4.0."
    )
    assert say(rows_of("regret", estimate=[0.01, 0.03], **costs)) == [
        "tldr: choosing the method by RM accuracy costs 1.0 to 3.0 points of ROUGE-1 over 2 "
        "models, picking one at random 4.0."
    ]
    tied = rows_of("regret", estimate=[0.03, 0.0], chosen=["a, b", "b"], best="a", **costs)
    assert "you would choose a or b." in answer(tied)
    alone = replace(table, frame=table.frame.assign(n_methods=1))
    assert make_questions({"regret": alone})[0].answer == ""


def test_a_step_upstream_goes_with_a_range_or_an_interval(rows_of: Changer) -> None:
    assert say(with_limits(rows_of, [(0.1, 0.3)], name="slope")) == [
        "tldr: 20 points of RM accuracy go with 20.0 [10.0, 30.0] points of ROUGE-1."
    ]
    assert say(with_limits(rows_of, [(0.1, 0.3), (-0.1, 0.2)], name="slope")) == [
        "tldr: 20 points of RM accuracy go with 5.0 to 20.0 points of ROUGE-1 over 2 models; 1 of "
        "2 intervals exclude 0."
    ]


def test_spread_over_models_names_the_highest(analysis: Analysis) -> None:
    table = analysis.tables["generation"]
    frame = table.frame.query("dataset == 'tldr' and metric == 'rouge1'")
    frame = frame[frame["method"].isin(["guided-01", "guided-02"])]
    settings = Settings(downstream=("rouge1",))

    def of(*values: float) -> str:
        return say(replace(table, frame=frame.assign(estimate=values)), settings)[0]

    assert of(0.5, 0.4, 0.6, 0.3) == (
        "tldr: ROUGE-1 runs from 30.0 to 60.0 points over 2 methods and 2 models; highest: "
        "guided-01 in all 2."
    )
    assert of(0.5, 0.4, 0.6, 0.7).endswith("highest: guided-01 (0.5B); guided-02 (1.5B).")
    assert of(0.5, 0.5, 0.5, 0.5).endswith("; all methods are equal.")
    edits = say(table, Settings(downstream=("edits",)))
    assert edits[0].startswith("tldr: edits needed (edits) runs from ")

"""Sentences and answers follow from the numbers, and make no evidence of its absence.

Each case is an analysis of a simulated study, with the numbers changed where the case is rare.
"""

from __future__ import annotations

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


def population(
    rows_of: Changer, limits: Limits, downstream: str = "rouge1", **more: object
) -> ResultTable:
    """The tau table with these limits of the population tau, and wide ones of these methods."""
    low, high = zip(*limits, strict=True)
    told = {
        "estimate": 0.1, "low": -0.9, "high": 0.9, "p_value": 0.4, "ceiling": 1.0,
        "users_needed": 100.0, "users_needed_note": "",
        "population_tau": [(a + b) / 2 for a, b in limits],
        "population_low": list(low), "population_high": list(high),
    }  # fmt: skip
    return rows_of("tau", downstream, **told | more)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ([(0.1, 0.5)], "Yes. For methods like these, tau is 0.30 [0.10, 0.50] (p = 0.010; "
         "5 methods, 30 users). For these methods, tau is 0.10 [-0.90, 0.90]."),
        ([(-0.5, -0.1)], "No. For methods like these, tau is -0.30 [-0.50, -0.10] (p"),
        ([(-0.3, 0.8)], "Open. For methods like these, tau is 0.25 [-0.30, 0.80] (p"),
        ([(-0.15, 0.23)], "30 users), so that a tau above 0.23 is ruled out. For these"),
        ([(0.0, 0.5)], "Open. "),
        ([(0.1, 0.5), (-0.1, 0.9)], "Open. For methods like these, tau is 0.35 [0.00, 0.70] "
         "(5 methods, 30 users each, mean of 2 taus)"),
        ([(0.3, 0.5), (-0.1, 0.9)], "Yes. For methods like these, tau is 0.40 [0.10, 0.70] (5"),
    ],
)  # fmt: skip
def test_the_population_answers_first(rows_of: Changer, limits: Limits, expected: str) -> None:
    assert expected in answer(population(rows_of, limits, p_value=0.01))


@given(st.lists(st.tuples(st.floats(-1, 0), st.floats(0, 1)), min_size=1, max_size=2))
def test_intervals_that_include_zero_never_claim_anything(rows_of: Changer, limits: Limits) -> None:
    """However narrow the interval of these very methods."""
    table = population(rows_of, limits, low=0.6, high=0.9)
    assert answer(table).startswith("Open. ")
    assert "no association" not in answer(table)


def test_a_verdict_takes_the_permutation_test_too(rows_of: Changer) -> None:
    assert answer(population(rows_of, [(0.1, 0.5)], p_value=0.06)).startswith("Open. ")
    assert answer(population(rows_of, [(0.1, 0.5)] * 2, p_value=[0.02, 0.09])).startswith("Open. ")
    assert answer(population(rows_of, [(0.1, 0.5)] * 2, p_value=[0.01, 0.08])).startswith("Yes. ")


def test_too_few_users_or_methods_are_not_judged(rows_of: Changer) -> None:
    few = population(rows_of, [(0.5, 0.9)], n_methods=4)
    assert answer(few) == (
        "Cannot be judged. 4 methods are too few to show anything of methods like them (4 methods, "
        "30 users). For these methods, tau is 0.10 [-0.90, 0.90]."
    )
    assert answer(population(rows_of, [(0.5, 0.9)], n_users=5)) == (
        "Cannot be judged. With 5 users not even unanimity is evidence at the level 0.95."
    )
    # One stratum of two is large enough.
    half = population(rows_of, [(0.5, 0.9), (-0.9, -0.1)], n_methods=[5, 4], p_value=0.01)
    assert answer(half).startswith("Yes. For methods like these, tau is 0.70")


def test_cases_that_disagree_are_named_and_have_no_mean(rows_of: Changer) -> None:
    table = population(rows_of, [(0.5, 0.9)] * 2, low=[0.2, -0.9], high=[0.9, -0.2])
    assert answer(table) == (
        "Cases disagree. Tau is above 0 (0.5B) and below 0 (1.5B): no mean is told "
        "(5 methods, 30 users each)."
    )
    (told, *_) = say(table)
    assert told == (
        "Tau of RM accuracy with ROUGE-1 is 0.10 (5 methods, 30 users each), its interval above 0 "
        "in 1 of 2 (0.5B) and below 0 in 1 of 2 (1.5B)."
    )


def test_metrics_that_disagree_are_told_one_by_one(rows_of: Changer) -> None:
    yes = population(rows_of, [(0.2, 0.8)], p_value=0.01)
    no = population(rows_of, [(-0.8, -0.2)], p_value=0.01).frame.assign(upstream="other")
    metrics = {**yes.metrics, "other": replace(yes.metrics["rm_accuracy"], words="other")}
    both = answer(replace(yes, frame=pd.concat([yes.frame, no]), metrics=metrics))
    assert both.startswith(
        "The metrics disagree. Yes for ROUGE-1 by RM accuracy. For methods like these, tau is 0.50"
    )
    assert "No for ROUGE-1 by other. For methods like these, tau is -0.50" in both


def test_the_pooled_tau_is_of_these_methods(rows_of: Changer) -> None:
    table = population(rows_of, [(-0.2, 0.9)] * 2)
    pooled = with_limits(rows_of, [(0.5, 0.9)], name="pooled_tau")
    text = answer(table, pooled)
    assert text.startswith("Open. ")
    assert text.endswith(" For these methods, pooled tau is 0.70 [0.50, 0.90].")


def test_a_target_that_is_the_population_says_nothing_of_these_methods(rows_of: Changer) -> None:
    table = population(rows_of, [(-0.2, 0.9)], target="population of methods", n_users=0)
    assert "these methods, tau" not in answer(table)
    assert "(p = 0.400; 5 methods)" in answer(table)


def test_numbers_that_seem_at_odds_are_explained_once(rows_of: Changer) -> None:
    table = population(
        rows_of,
        [(-0.2, 0.9)] * 2,
        low=0.05,
        ceiling=[0.05, 0.2],
        users_needed_note="more users would not narrow the interval",
    )
    _, p, *others = say(table)
    assert p.startswith("These methods are ranked alike beyond the noise of the users, but so few")
    assert len(others) == 2
    assert any(text.startswith("Tau lies above its ceiling") for text in others)
    assert any(text.endswith("luckier (0.5B).") for text in others)
    assert any("would not narrow the interval" in text for text in others)


def test_an_undefined_tau_and_one_without_an_interval_say_why(rows_of: Changer) -> None:
    nan = float("nan")
    nothing = dict.fromkeys(("low", "high", "population_low", "population_high", "p_value"), nan)
    undefined = rows_of("tau", estimate=[nan], note="one metric is constant", **nothing)
    assert answer(undefined) == "Cannot be judged. One metric is constant."
    bare = rows_of("tau", estimate=[0.2], note="no interval: nothing is known", **nothing)
    assert answer(bare) == "Cannot be judged. Nothing is known."


def test_many_pairs_of_metrics_are_not_all_told(rows_of: Changer) -> None:
    one = population(rows_of, [(0.1, 0.3)], p_value=0.01)
    frames = [one.frame.assign(upstream=f"up{k}", population_low=k / 50) for k in range(8)]
    many = answer(replace(one, frame=pd.concat(frames)))
    assert many.count("For methods like these") == 3
    assert many.endswith("5 further pairs of metrics: see the table.")


def test_fewer_may_be_better(rows_of: Changer) -> None:
    """Tau is agreement on what is good, whichever way that lies."""
    assert answer(population(rows_of, [(0.2, 0.8)], "edits", p_value=0.01)).startswith("Yes. ")


def test_what_is_better_is_asked_for_where_nobody_has_said(rows_of: Changer) -> None:
    text = answer(population(rows_of, [(0.1, 0.5)], "judge"))
    assert text.startswith("Direction unknown. For methods like these, tau is 0.30 [0.10, 0.50]")
    assert text.endswith("[-0.90, 0.90]; whether more judge is better is not known.")


def test_the_question_names_its_metrics(analysis: Analysis, rows_of: Changer) -> None:
    table = population(rows_of, [(0.1, 0.3)])
    (question,) = make_questions({"tau": table})
    assert question.title == "Does RM accuracy predict ROUGE-1?"
    titles = [each.title for each in analysis.questions]
    assert "Do the upstream metrics predict the downstream ones?" in titles
    assert "Does the policy tell chosen from rejected?" in titles
    (rewards,) = make_questions({"rm_accuracy": analysis.tables["rm_accuracy"]})
    assert rewards.title == "Does the reward tell chosen from rejected?"
    (texts,) = make_questions({"generation": analysis.tables["generation"]})
    assert texts.title == "How well do the methods write?"
    assert texts.answer.startswith("No rewards in this file. tldr: ROUGE-1 runs from")


@pytest.mark.parametrize(
    ("limits", "start"),
    [
        ([(0.6, 0.7), (0.51, 0.6)], "Yes: the guided policy is shown to beat chance in all 2 "
         "methods, each judged on its own (30 users)."),
        ([(0.6, 0.7), (0.4, 0.6)], "In part: the guided policy is shown to beat chance in 1 of 2"),
        ([(0.4, 0.6)], "Not shown: the guided policy is shown to beat chance in none of 1 method"),
        ([(0.4, 0.6), (0.2, 0.4)], "Not shown: the guided policy is shown to beat chance in none "
         "of 2 methods, and to fall below it in 1, each judged on its own (30 users)."),
    ],
)  # fmt: skip
def test_discrimination(rows_of: Changer, limits: Limits, start: str) -> None:
    policy = with_limits(rows_of, limits, name="policy_accuracy")
    reward = with_limits(rows_of, [(0.6, 0.7)], name="rm_accuracy")
    assert answer(policy, reward).startswith(start)
    assert "the reward is shown" in answer(reward)
    few = replace(policy, frame=policy.frame.assign(n_users=3))
    assert answer(few).startswith("Cannot be judged: with 3 users not even unanimity")


def verdicts(rows_of: Changer, *told: str, downstream: str = "rouge1") -> ResultTable:
    return rows_of("decoupling", downstream=downstream, verdict=list(told))


def test_verdicts_are_counted(rows_of: Changer) -> None:
    table = verdicts(rows_of, "decoupled", "coupled", "coupled", "coupled", "inconclusive")
    assert answer(table) == (
        "Often: of 5 comparisons of two methods, the one with better RM accuracy is shown to have "
        "better ROUGE-1 in 3, worse in 0, and equal within the margin in 1 (30 users)."
    )
    assert answer(verdicts(rows_of, *["inconclusive"] * 6)).startswith("Mostly open")
    assert answer(verdicts(rows_of, "reversed", "coupled")).startswith("Not as a rule")


def test_contrasts_of_any_metric_stand_under_a_question_of_their_own(rows_of: Changer) -> None:
    table = rows_of("contrasts", p_adjusted=[0.01, 0.05, 0.2])
    assert answer(table) == (
        "Comparisons of two methods that show a difference: in ROUGE-1, 2 of 3 (30 users)."
    )


def test_no_verdict_without_a_direction(rows_of: Changer) -> None:
    table = verdicts(rows_of, "coupled", "coupled", downstream="judge")
    assert answer(table).startswith("Whether more judge is better is not known")


@pytest.mark.parametrize(
    ("leads", "start"),
    [
        ([(-0.1, 1.0), (0.1, 0.01)], "Yes, in ROUGE-1: icl-01 beats every reward-guided method "
         "with 1.5B (30 users)."),
        ([(0.1, 0.01)], "Yes, in ROUGE-1: icl-01 beats every reward-guided method (30 users)."),
        ([(-0.1, 1.0)] * 2, "Not shown, in ROUGE-1: icl-01 is shown to be behind with every model"),
        ([(0.01, 0.2)], "Not shown, in ROUGE-1: icl-01 is not shown to be ahead (30 users)."),
        ([(0.01, 0.2)] * 2, "Not shown, in ROUGE-1: icl-01 is not shown to be ahead with any"),
    ],
)  # fmt: skip
def test_in_context(rows_of: Changer, leads: Limits, start: str) -> None:
    lead, p = zip(*leads, strict=True)
    limits = {"low": [x - 0.02 for x in lead], "high": [x + 0.02 for x in lead]}
    table = rows_of(
        "in_context", estimate=list(lead), p_adjusted=list(p), dominates_from="", **limits
    )
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
        "In part, in ROUGE-1: icl-01 beats every reward-guided method from 1.5B on; icl-0 is shown "
        "to be behind with every model (30 users)."
    )
    elsewhere = both.frame.assign(dataset="prism")
    two = answer(replace(both, frame=pd.concat([both.frame, elsewhere])))
    assert "icl-01 on prism beats every reward-guided method from 1.5B on" in two


def test_rows_without_a_direction_say_so_and_are_not_dropped(analysis: Analysis) -> None:
    frame = analysis.tables["in_context"].frame
    judge = frame[frame["metric"] == "judge"]
    assert len(judge) == (frame["metric"] == "rouge1").sum()
    assert judge["estimate"].isna().all()
    assert judge["note"].str.startswith("direction unknown").all()


def test_regret_names_the_choice_its_cost_and_that_of_chance(rows_of: Changer) -> None:
    costs = {"low": 0.01, "high": 0.05, "random": 0.04}
    table = rows_of("regret", estimate=[0.03], chosen="a", best="b", **costs)
    assert answer(table) == (
        "By RM accuracy you would choose a: it loses 3.0 [1.0, 5.0] points of ROUGE-1 against the "
        "best (b); a method picked at random loses 4.0 (5 methods, 30 users)."
    )
    tied = rows_of("regret", estimate=[0.03], chosen=["a, b"], best="a", **costs)
    assert "you would choose a or b: on average over the tie, it loses 3.0" in answer(tied)
    cases = rows_of("regret", estimate=[0.03, 0.0], chosen=["a", "b"], best="a", **costs)
    assert "you would choose a or b, each in some cases: it loses 0.0 to 3.0" in answer(cases)
    few = replace(table, frame=table.frame.assign(n_users=4))
    assert "choose a; what that costs cannot be judged: with 4 users" in answer(few)
    alone = replace(table, frame=table.frame.assign(n_methods=1))
    assert make_questions({"regret": alone})[0].answer == ""


def test_a_step_upstream_goes_with_a_range_or_an_interval(rows_of: Changer) -> None:
    assert say(with_limits(rows_of, [(0.1, 0.3)], name="slope")) == [
        "20 points of RM accuracy go with 20.0 [10.0, 30.0] points of ROUGE-1."
    ]
    assert say(with_limits(rows_of, [(0.1, 0.3), (-0.1, 0.2)], name="slope")) == [
        "20 points of RM accuracy go with 5.0 to 20.0 points of ROUGE-1 over 2 models; 1 of "
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
        "ROUGE-1 runs from 30.0 to 60.0 points over 2 methods and 2 models; highest: "
        "guided-01 in all 2."
    )
    assert of(0.5, 0.4, 0.6, 0.7).endswith("highest: guided-01 (0.5B); guided-02 (1.5B).")
    assert of(0.5, 0.5, 0.5, 0.5).endswith("; all methods are equal.")
    edits = say(table, Settings(downstream=("edits",)))
    assert edits[0].startswith("tldr: edits needed (edits) runs from ")

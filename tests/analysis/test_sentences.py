"""Sentences follow from the numbers, and never make an absence of evidence into evidence."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflamp_stats.analysis.sentences import summary
from preflamp_stats.results import ResultTable
from preflamp_stats.settings import Settings

MODELS = ("1B", "3B", "8B")


def told(settings: Settings | None = None, **frames: pd.DataFrame) -> list[str]:
    tables = {name: ResultTable(name, frame, "T", "C") for name, frame in frames.items()}
    return summary(tables, settings or Settings())


def taus(*limits: tuple[float, float], **columns: object) -> pd.DataFrame:
    rows = [
        {
            "dataset": "d",
            "model": model,
            "upstream": "rm_accuracy",
            "downstream": "rouge1",
            "estimate": (low + high) / 2,
            "low": low,
            "high": high,
            "n_methods": 8,
            "note": "",
        }
        | columns
        for model, (low, high) in zip(MODELS, limits, strict=False)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ([(0.1, 0.3)], "over 8 methods: they rank methods alike more often than not."),
        ([(-0.3, -0.1)], ": they rank methods in opposite ways more often than not."),
        ([(-0.1, 0.3)], ": the data leave open whether they rank methods alike."),
        ([(0.1, 0.3)] * 3, "; every interval lies above 0: they rank methods alike more often"),
        ([(-0.3, -0.1)] * 3, "; every interval lies below 0: they rank methods in opposite"),
        ([(-0.1, 0.3)] * 3, "; every interval includes 0: the data leave open"),
        (
            [(0.1, 0.3), (-0.1, 0.2), (-0.4, -0.2)],
            "; the interval lies above 0 in 1 of 3 (1B) and below 0 in 1 of 3 (8B); elsewhere "
            "the data leave open whether they rank methods alike.",
        ),
    ],
)
def test_verdict_on_tau(limits: list[tuple[float, float]], expected: str) -> None:
    (sentence,) = told(tau=taus(*limits))
    assert expected in sentence
    assert sentence.startswith("d: Kendall's tau between RM accuracy and ROUGE-1 is ")


def test_one_sentence_over_the_models_gives_the_range() -> None:
    (sentence,) = told(tau=taus((0.0, 0.28), (0.1, 0.3), (0.2, 0.38)))
    assert "is 0.14 to 0.29 over 3 models (8 methods each);" in sentence


def test_a_single_tau_shows_its_interval() -> None:
    (sentence,) = told(tau=taus((0.0, 0.28)))
    assert "is 0.14 [0.00, 0.28] over 8 methods: the data leave open" in sentence


@given(st.lists(st.tuples(st.floats(-1, 0), st.floats(0, 1)), min_size=1, max_size=3))
def test_intervals_that_include_zero_never_claim_anything(
    limits: list[tuple[float, float]],
) -> None:
    (sentence,) = told(tau=taus(*limits))
    assert "leave open" in sentence
    assert "more often than not" not in sentence
    assert "no association" not in sentence


def test_what_noise_does_is_told_where_it_is_known() -> None:
    (sentence,) = told(tau=taus((0.1, 0.3), (0.1, 0.3), tau_corrected=0.4, ceiling=0.7))
    assert sentence.endswith(
        "Corrected for noise it is 0.40; noise alone would leave rankings that truly agree a tau "
        "of 0.70."
    )


def test_an_undefined_tau_gives_its_reason() -> None:
    frame = taus((0.1, 0.3), (0.1, 0.3))
    frame.loc[1, ["estimate", "low", "high"]] = float("nan")
    frame.loc[1, "note"] = "one metric is constant"
    (sentence,) = told(tau=frame)
    assert sentence.endswith("; undefined for 3B (one metric is constant).")
    (sentence,) = told(tau=frame.iloc[1:])
    assert sentence.endswith("is undefined (one metric is constant).")


def test_a_tau_without_an_interval_says_why() -> None:
    frame = taus((0.1, 0.3), note="no interval: nothing is known of its error")
    frame[["low", "high"]] = float("nan")
    (sentence,) = told(tau=frame)
    assert sentence.endswith("over 8 methods; no interval (nothing is known of its error).")


def test_many_pairs_of_metrics_become_a_sentence_a_downstream_metric() -> None:
    pairs = itertools.product([f"up{k}" for k in range(5)], ["down0", "down1"])
    frame = pd.concat([taus((0.1, 0.3), upstream=up, downstream=down) for up, down in pairs])
    sentences = told(tau=frame.drop(columns="model"))
    assert [text.split(" is ")[0] for text in sentences] == [
        f"d: Kendall's tau of 5 upstream metrics with {down}" for down in ("down0", "down1")
    ]
    assert " is 0.20 over 8 methods; every interval lies above 0" in sentences[0]


def test_regret_by_many_metrics_is_told_together() -> None:
    frame = pd.DataFrame({"dataset": "d", "upstream": [f"up{k}" for k in range(8)],
                          "downstream": "words", "estimate": range(8), "random": 4.0})  # fmt: skip
    assert told(regret=frame) == [
        "d: choosing the method by one of 8 metrics costs 0.00 to 7.00 of words, picking one at "
        "random 4.00."
    ]


def values(metric: str, estimates: dict[tuple[str, str], float], **more: object) -> pd.DataFrame:
    rows = [
        {"dataset": "d", "model": model, "method": method, "metric": metric, "estimate": value}
        | more
        for (model, method), value in estimates.items()
    ]
    return pd.DataFrame(rows)


def test_spread_over_models_names_the_highest() -> None:
    cells = {("1B", "a"): 0.5, ("1B", "b"): 0.4, ("3B", "a"): 0.6, ("3B", "b"): 0.3}
    frame = values("rouge1", cells)
    assert told(generation=frame) == [
        "d: ROUGE-1 runs from 30.0 to 60.0 points over 2 methods and 2 models; highest: a in all 2."
    ]
    other = values("rouge1", cells | {("3B", "b"): 0.7})
    assert told(generation=other)[0].endswith("highest: a (1B); b (3B).")


def test_a_metric_in_its_own_units_is_not_multiplied() -> None:
    cells = {("", "x"): 142976.0, ("", "y"): 98000.0}
    frame = values("picked", cells, long_name="Length of the pick", units="characters")
    settings = Settings(downstream=("picked",))
    assert told(settings, generation=frame) == [
        "d: Length of the pick (characters) runs from 98,000 to 142,976 over 2 methods; highest: x."
    ]


def test_verdicts_are_counted_and_inconclusive_ones_show_nothing() -> None:
    verdicts = ["decoupled", "coupled", "coupled", "inconclusive"]
    frame = pd.DataFrame(
        {"dataset": "d", "upstream": "rm_accuracy", "downstream": "rouge1", "verdict": verdicts}
    )
    assert told(decoupling=frame) == [
        "d: RM accuracy and ROUGE-1 are decoupled in 1, reversed in 0 and coupled in 2 of 4 "
        "comparisons of two methods; 1 inconclusive, which shows nothing either way."
    ]


def in_context(*leads: tuple[float, float, float, float]) -> pd.DataFrame:
    columns = ["estimate", "low", "high", "p_adjusted"]
    frame = pd.DataFrame(leads, columns=columns)
    return frame.assign(
        dataset="d", model=MODELS[: len(leads)], method="icl", metric="rouge1", level=0.95
    )


@pytest.mark.parametrize(
    ("leads", "expected"),
    [
        ([(-0.1, -0.2, -0.05, 1.0), (0.1, 0.05, 0.2, 0.01)], "shown to be better with 3B, "
         "shown to be worse with 1B."),
        ([(0.1, 0.05, 0.2, 0.01)], "; shown to be better."),
        ([(0.1, -0.05, 0.2, 0.2)], "; the data leave open which is better."),
        ([(0.1, -0.05, 0.2, 0.2)] * 2, "; everywhere the data leave open which is better."),
    ],
)  # fmt: skip
def test_in_context_against_guided(leads: list[tuple[float, ...]], expected: str) -> None:
    (sentence,) = told(in_context=in_context(*leads))
    assert sentence.startswith("d: icl minus the best reward-guided method in ROUGE-1 is ")
    assert sentence.endswith(expected)


def test_regret_stands_beside_a_random_pick() -> None:
    frame = pd.DataFrame(
        {"dataset": "d", "model": MODELS, "upstream": "rm_accuracy", "downstream": "rouge1",
         "estimate": [0.01, 0.02, 0.03], "random": [0.05, 0.04, 0.06]}
    )  # fmt: skip
    assert told(regret=frame) == [
        "d: choosing the method by RM accuracy costs 1.0 to 3.0 points of ROUGE-1 over 3 models, "
        "picking one at random 4.0 to 6.0."
    ]

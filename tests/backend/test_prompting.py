from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from preflamp_backend.data.examples import Example, HistoryItem
from preflamp_backend.prompts.in_context import PromptOptions, bm25_scores, build_prompt

from preflamp_stats.errors import InputError

HISTORY = (
    HistoryItem("on graphs and matching", "Graph matching", "2021-05-01"),
    HistoryItem("on cats", "The cat", "2023-01-01"),
    HistoryItem("on graphs", "Graphs {prompt}", "2020-01-01"),
    HistoryItem("on plants", "The answer", "2024-01-01"),
)
EXAMPLE = Example("e", "u", "a paper on graphs", {}, "The answer", "short", HISTORY)


def build(example=EXAMPLE, **options):
    return build_prompt(example, PromptOptions(**options), count=lambda text: len(text.split()))


def test_zero_shot_is_the_prompt():
    assert build().text == "a paper on graphs"
    assert build(template="Be {preference}: {prompt}").text == "Be short: a paper on graphs"


@pytest.mark.parametrize("preference", ["", "  "])
def test_a_preference_that_is_not_there_fills_no_template(preference):
    example = Example("e", "u", "p", {}, preference=preference)
    assert build(example).text == "p"
    with pytest.raises(InputError, match="has no preference"):
        build(example, template="Be {preference}: {prompt}")


def test_the_latest_stands_next_to_the_question():
    found = build(shots=2, order="recency", shot="{input}: {output}\n")
    assert (
        found.text == "on graphs and matching: Graph matching\non cats: The cat\na paper on graphs"
    )
    assert found.shots == 2


def test_bm25_takes_the_nearest():
    found = build(shots=1, shot="{output}|")
    assert found.text == "Graphs {prompt}|a paper on graphs"


def test_the_reference_is_never_shown():
    assert "The answer" not in build(shots=9).text


def test_without_dates_the_files_order_is_time():
    undated = tuple(HistoryItem(item.input, item.output) for item in HISTORY[:3])
    found = build(
        Example("e", "u", "p", {}, history=undated), shots=1, order="recency", shot="{output}|"
    )
    assert found.text == "Graphs {prompt}|p"


def test_the_random_order_follows_seed_and_example():
    one = [
        build_prompt(EXAMPLE, PromptOptions(3, "random"), count=len, seed=s).text for s in range(9)
    ]
    two = [
        build_prompt(EXAMPLE, PromptOptions(3, "random"), count=len, seed=s).text for s in range(9)
    ]
    assert one == two
    assert len(set(one)) > 1


@given(budget=st.integers(1, 20), shots=st.integers(0, 4))
def test_shots_stay_within_the_budget(budget, shots):
    found = build(budget=budget, shots=shots)
    spent = len(found.text.split()) - len(EXAMPLE.prompt.split())
    assert spent <= budget
    assert found.shots <= shots


@pytest.mark.parametrize("room", [5, 13, 40])
def test_what_does_not_fit_loses_whole_shots_the_lowest_rank_first(room):
    def words(text):
        return len(text.split())

    options = PromptOptions(3, "recency", shot="{input}: {output}\n")
    whole = build_prompt(EXAMPLE, options, count=words)
    found = build_prompt(EXAMPLE, options, count=words, fits=lambda text: words(text) <= room)
    assert whole.text.endswith(found.text)
    assert (found.shots, found.left_out) == {5: (0, 3), 13: (1, 2), 40: (3, 0)}[room]
    assert found.text.count("\n") == found.shots


def test_bm25_by_hand():
    # N = 2, n = 1: idf = ln(1 + 1.5/1.5) = ln 2. tf = 1, length 2 of mean 2: 2.5/(1 + 1.5) = 1.
    assert bm25_scores("graph", ["graph matching", "a cat"]) == pytest.approx([0.6931472, 0.0])
    # twice in a document of length 4, mean 3: norm = 1.5(0.25 + 0.75·4/3) = 1.875.
    expected = 0.6931472 * 2 * 2.5 / (2 + 1.875)
    assert bm25_scores("graph", ["graph of a graph", "a cat"])[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"shots": -1}, "shots"),
        ({"order": "best"}, "order"),
        ({"budget": 0}, "budget"),
        ({"shot": ""}, "shot"),
    ],
)
def test_options_outside_their_range_are_refused(change, name):
    with pytest.raises(InputError, match=name):
        PromptOptions(**change)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from preflamp_backend.data.examples import HistoryItem
from preflamp_backend.data.lamp import Question
from preflamp_backend.data.pref_lamp import nearest_others, preference_examples, read_outputs

from preflamp_stats.errors import InputError


def ask(user: str, text: str, output: str, **more) -> Question:
    return Question(f"{user} {output}", user, "Title? ", text, output, **more)


QUESTIONS = [
    ask("ann", "graph parsing of trees", "On trees"),
    ask("ann", "speech of children", "Children speak"),
    ask("bob", "parsing trees and graphs", "Trees parsed"),
    ask("bob", "ethics in translation", "Good words"),
    ask("cai", "children and their speech sounds", "Sounds"),
]


def test_similar_takes_the_nearest_of_somebody_else():
    rows = preference_examples(QUESTIONS, rule="similar")
    assert [row.candidates["rejected"] for row in rows] == [
        "Trees parsed", "Sounds", "On trees", "On trees", "Children speak",
    ]  # fmt: skip
    assert rows[0].prompt == "Title? graph parsing of trees"
    assert rows[0].candidates["chosen"] == rows[0].reference == "On trees"


TEXTS = st.sampled_from(["red fox", "blue fox", "red", "", "fox fox dog"])


@given(st.lists(st.tuples(st.sampled_from("abc"), TEXTS, st.sampled_from("wxyz")), min_size=2))
def test_rejected_is_never_the_users_own_and_nothing_allowed_is_nearer(items):
    questions = [ask(user, text, output) for user, text, output in items]
    try:
        found = nearest_others(questions)
    except InputError:
        return
    words = sorted({word for question in questions for word in question.input.split()})
    counts = np.array([[q.input.split().count(word) for word in words] for q in questions])
    holding = (counts > 0).sum(axis=0)
    raw = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0.0)
    vectors = raw * np.log1p(len(questions) / np.maximum(1, holding))
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    near = vectors @ vectors.T
    for row, taken in enumerate(found):
        mine = {q.output for q in questions if q.user == questions[row].user}
        allowed = [at for at, q in enumerate(questions) if q.output not in mine]
        assert taken in allowed
        assert near[row, taken] == pytest.approx(max(near[row, at] for at in allowed), abs=1e-12)


def test_an_output_of_the_users_history_is_not_rejected():
    past = (HistoryItem("old", "trees  PARSED"),)
    (first, *_) = preference_examples(
        [ask("dee", "parsing trees", "New", history=past), *QUESTIONS]
    )
    assert first.candidates["rejected"] == "On trees"


def test_other_depends_on_the_seed_only():
    rows = [preference_examples(QUESTIONS, rule="other", seed=seed) for seed in (3, 3)]
    assert rows[0] == rows[1]
    many = {
        tuple(
            row.candidates["rejected"]
            for row in preference_examples(QUESTIONS, rule="other", seed=seed)
        )
        for seed in range(20)
    }
    assert len(many) > 1


def test_given_outputs_are_taken_by_id(tmp_path, write_jsonl):
    file = write_jsonl(
        tmp_path / "model.jsonl",
        [{"id": each.id, "output": f"A study {at}"} for at, each in enumerate(QUESTIONS)],
    )
    rows = preference_examples(QUESTIONS, rule="given", given=read_outputs(file))
    assert rows[3].candidates["rejected"] == "A study 3"


def test_given_outputs_missing_or_the_users_own_are_named():
    given = {QUESTIONS[0].id: "on  Trees"}
    with pytest.raises(InputError) as caught:
        preference_examples(QUESTIONS, rule="given", given=given)
    missing, own = caught.value.problems
    assert "no output for 4 questions" in str(missing)
    assert "equal the user's own for 1 questions (ann On trees)" in str(own)


def test_one_user_alone_has_nothing_to_reject():
    with pytest.raises(InputError, match="has no output of another user"):
        preference_examples(QUESTIONS[:2])


def test_scripts_without_spaces_are_compared_by_pairs_of_letters():
    questions = [
        ask("一", "図解析の研究を行う", "題名一"),
        ask("二", "音声認識について", "題名二"),
        ask("三", "新しい図解析", "題名三"),
    ]
    assert nearest_others(questions)[0] == 2


@pytest.mark.parametrize("text", ["", "{", '{"id": 1}', '[{"output": "x"}]', "3"])
def test_other_output_files_are_refused(tmp_path, text):
    (tmp_path / "outputs.json").write_text(text)
    if text == "":
        assert read_outputs(tmp_path / "outputs.json") == {}
        return
    with pytest.raises(InputError, match="cannot be read as outputs"):
        read_outputs(tmp_path / "outputs.json")

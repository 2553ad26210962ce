from __future__ import annotations

import json

import pytest
from preflamp_backend.data.lamp import TASKS, expand, read_lamp

from preflamp_stats.errors import InputError


def test_reads_questions_with_history_by_date(lamp_files):
    questions = read_lamp(*lamp_files(2))
    assert [each.id for each in questions] == ["01", "11"]
    first = questions[0]
    assert first.user == "01"
    assert first.instruction == TASKS["LaMP_5"].instruction
    assert first.input == "We question parsing here."
    assert first.output == "Answer to 01"
    assert [item.date for item in first.history] == ["2018", "2019", "2020"]
    assert first.history[0].output == "Title 0 2"


def test_expand_makes_each_item_a_question_with_what_came_before(lamp_files):
    (question,) = read_lamp(*lamp_files(1))
    first, second, third, last = expand([question])
    assert last == question
    assert [len(each.history) for each in (first, second, third, last)] == [0, 1, 2, 3]
    assert first.prompt == TASKS["LaMP_5"].instruction + "Abstract 0 2 of summaries."
    assert second.history[0].output == first.output
    assert len({each.id for each in (first, second, third, last)}) == 4
    # A second question of the same user repeats no item.
    assert len(expand([question, question])) == 4


def test_all_problems_are_named_at_once(lamp_files):
    questions, outputs = lamp_files(3)
    records = json.loads(questions.read_text())
    records[0]["input"] = " "
    records[2]["profile"] = [{"title": "no abstract"}]
    questions.write_text(json.dumps(records))
    with pytest.raises(InputError) as caught:
        read_lamp(questions, outputs)
    said = [str(problem) for problem in caught.value.problems]
    assert len(said) == 2
    assert "question 01: has no input" in said[0]
    assert "abstract and title" in said[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"golds": [{"id": "01", "output": "x"}]}, "1 questions have no output"),
        (
            {"golds": [{"id": each, "output": "x"} for each in ("01", "11", "99")]},
            "0 questions have no output, 1 outputs no question",
        ),
        ({"task": "LaMP_3"}, "names task 'LaMP_3'"),
        ({"golds": None}, "has no list named golds"),
        ({"golds": [{"id": "01"}]}, "is not {id, output}"),
        ({"golds": [{"id": "01", "output": ""}]}, "has an empty output"),
    ],
)
def test_other_files_are_refused(lamp_files, changes, message):
    with pytest.raises(InputError, match=message):
        read_lamp(*lamp_files(2, **changes))


def test_malformed_json_is_one_line_and_exit_2(lamp_files, command, tmp_path):
    questions, outputs = lamp_files(2)
    questions.write_text('[{"id": ')
    out = tmp_path / "out"
    _, errors = command("data", "build", "lamp", questions, outputs, "--out", out, code=2)
    assert len(errors) == 1
    assert "is not JSON in UTF-8" in errors[0]
    assert not out.exists()

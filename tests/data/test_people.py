"""TL;DR and PRISM: rows of the public form to examples."""

from __future__ import annotations

import pytest
from preflamp_backend.data.people import (
    comparison_examples,
    conversation_examples,
    dialogue_of,
    lengths_decide,
)
from preflamp_backend.data.rows import Faults, read_rows

from preflamp_stats.errors import InputError


def comparison(number: int, worker: str = "w1", choice: int = 0, **changes) -> dict:
    return {
        "info": {
            "id": f"t3_{number}",
            "post": f"Post {number}, which is long.",
            "title": "A title",
            "subreddit": "tifu",
        },
        "summaries": [
            {"text": f" first summary of {number}", "policy": "sup1", "note": None},
            {"text": f" second {number}", "policy": "ref", "note": None},
        ],
        "choice": choice,
        "worker": worker,
        **changes,
    }


def message(turn: int, role: str, content: str, chosen=None, score=None) -> dict:
    return {"turn": turn, "role": role, "content": content, "if_chosen": chosen, "score": score}


def conversation(number: int, user: str = "user1") -> dict:
    return {
        "conversation_id": f"c{number}",
        "user_id": user,
        "conversation_history": [
            message(0, "user", f"Hello {number}"),
            message(0, "model", f"Hi! {number}", True, 90),
            message(0, "model", f"What? {number}", False, 40),
            message(0, "model", f"Go away {number}", False, 10),
            message(1, "user", "And now?"),
            message(1, "model", f"Later {number}", False, 30),
            message(1, "model", f"Now {number}", True, 60),
        ],
    }


def test_the_choice_of_a_comparison_is_chosen():
    rows = comparison_examples([comparison(1), comparison(2, "w2", 1)])
    assert rows[0].prompt == (
        "SUBREDDIT: r/tifu\nTITLE: A title\nPOST: Post 1, which is long.\nTL;DR:"
    )
    assert rows[0].candidates == {"chosen": "first summary of 1", "rejected": "second 1"}
    assert rows[1].candidates["chosen"] == "second 2"
    assert [row.user for row in rows] == ["w1", "w2"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"info": None}, "has no info"),
        ({"info": {"title": "x"}}, "has neither post nor article"),
        ({"summaries": [{"text": "a"}]}, "has not two summaries"),
        ({"summaries": [{"text": "a"}, {"text": " "}]}, "has a summary without text"),
        ({"summaries": [{"text": "a"}, {"text": " a"}]}, "has the same summary twice"),
        ({"choice": 2}, "has choice 2"),
        ({"worker": ""}, "names no worker"),
    ],
)
def test_comparisons_at_fault_are_refused_or_dropped(changes, message):
    rows = [comparison(1), comparison(2, **changes)]
    with pytest.raises(InputError, match=message) as caught:
        comparison_examples(rows)
    assert str(caught.value.problems[0]).startswith("variable row 2") or "row 2" in str(
        caught.value
    )
    faults = Faults(drop=True)
    assert len(comparison_examples(rows, faults)) == 1
    assert len(faults.problems) == 1


def test_labels_by_length_are_told_from_peoples():
    by_length = [comparison(at, f"w{at % 2}", 0) for at in range(40)]
    assert lengths_decide(comparison_examples(by_length)) == 1
    mixed = [comparison(at, f"w{at % 2}", at // 2 % 2) for at in range(40)]
    assert lengths_decide(comparison_examples(mixed)) == 0


def test_each_turn_pairs_the_chosen_with_the_lowest_score():
    first, second = conversation_examples([conversation(1)])
    assert first.candidates == {"chosen": "Hi! 1", "rejected": "Go away 1"}
    assert first.prompt == "User: Hello 1\nAssistant:"
    assert second.prompt == "User: Hello 1\nAssistant: Hi! 1\nUser: And now?\nAssistant:"
    assert second.candidates == {"chosen": "Now 1", "rejected": "Later 1"}
    assert dialogue_of(second) == "c1"


def test_each_other_candidate_may_be_rejected():
    rows = conversation_examples([conversation(1)], against="each")
    assert [row.candidates["rejected"] for row in rows] == ["What? 1", "Go away 1", "Later 1"]
    assert len({row.id for row in rows}) == 3


@pytest.mark.parametrize("score", [None, "", "10"])
def test_a_candidate_without_score_is_not_the_lowest(score):
    row = conversation(1)
    row["conversation_history"][3]["score"] = score
    with pytest.raises(InputError, match="1 candidates without score in turn 0"):
        conversation_examples([row])
    assert len(conversation_examples([row], against="each")) == 3


def test_of_two_candidates_the_other_one_is_rejected_whatever_it_scored():
    row = conversation(1)
    row["conversation_history"][5]["score"] = None
    assert conversation_examples([row])[1].candidates["rejected"] == "Later 1"


def test_conversations_at_fault_say_why():
    two = conversation(2)
    two["conversation_history"][2]["if_chosen"] = True
    three = {**conversation(3), "user_id": None}
    four = {**conversation(4), "conversation_history": "text"}
    with pytest.raises(InputError) as caught:
        conversation_examples([conversation(1), two, three, four])
    said = [str(problem) for problem in caught.value.problems]
    assert "conversation 2: has 2 chosen candidates in turn 0" in said[0]
    assert "has no user_id" in said[1]
    assert "has no conversation_history" in said[2]


def test_prism_keeps_a_dialogue_on_one_side(tmp_path, command, write_jsonl):
    rows = [conversation(at, f"user{at // 4}") for at in range(24)]
    file, out = write_jsonl(tmp_path / "conversations.jsonl", rows), tmp_path / "out"
    command("data", "build", "prism", file, "--out", out, "--min-items", 3)
    sides = {path.stem: path.read_text() for path in out.glob("*.jsonl")}
    assert set(sides) == {"train", "validation", "test"}
    for number in range(24):
        assert sum(f"Hello {number}\\n" in text for text in sides.values()) <= 1


def test_tldr_records_whose_labels_they_are(tmp_path, command, write_jsonl):
    rows = [comparison(at, f"w{at % 4}", at // 4 % 2) for at in range(80)]
    file, out = write_jsonl(tmp_path / "rows.jsonl", rows), tmp_path / "out"
    written, _ = command("data", "build", "tldr", file, "--out", out, "--mode", "unseen")
    assert len(written) == 4
    assert '"labels": "choices of the workers"' in (out / "card.json").read_text()
    file = write_jsonl(tmp_path / "rows.jsonl", [comparison(at, f"w{at % 4}") for at in range(80)])
    command("data", "build", "tldr", file, "--out", out)
    assert "synthetic: users choose by length alone" in (out / "card.json").read_text()


def test_parquet_is_read_as_the_hub_writes_it(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    pa = pytest.importorskip("pyarrow")
    rows = [comparison(at) for at in range(3)]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    assert read_rows([tmp_path / "rows.parquet"], ("x", "y"), "") == rows


def test_without_files_the_package_is_asked_for(command, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    _, errors = command("data", "build", "tldr", "--out", tmp_path / "out", code=2)
    assert len(errors) == 1
    assert "pip install datasets, or name files of openai/summarize_from_feedback" in errors[0]


def test_many_faults_are_counted(tmp_path, command):
    path = tmp_path / "rows.jsonl"
    path.write_text("[]\n" * 50)
    _, errors = command("data", "build", "tldr", path, "--out", tmp_path / "out", code=2)
    assert len(errors) == 21
    assert "and 30 more" in errors[-1]

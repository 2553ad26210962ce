from __future__ import annotations

import json
import subprocess
import sys

import pytest
from preflamp_backend.data.card import describe_files
from preflamp_backend.data.checks import leaks
from preflamp_backend.data.examples import Example, HistoryItem, read_examples, write_examples

BUILD = ("data", "build", "titles")


def sides(folder):
    return {path.stem: read_examples(path) for path in folder.glob("*.jsonl")}


@pytest.mark.parametrize("mode", ["later", "unseen"])
def test_titles_to_examples_without_a_leak(papers_file, tmp_path, command, mode):
    out = tmp_path / "out"
    command(*BUILD, papers_file, "--out", out, "--mode", mode, "--held-out", 2)
    found = sides(out)
    assert set(found) == {"train", "validation", "test"} | (
        {"adapt"} if mode == "unseen" else set()
    )
    for seen in ("train", "adapt", "validation"):
        if seen in found:
            assert leaks(found[seen], found["test"]) == []
    users = {name: {row.user for row in rows} for name, rows in found.items()}
    assert not users["test"] & users["validation"]
    assert (
        users["test"] <= users["train"] if mode == "later" else not users["test"] & users["train"]
    )
    for row in found["test"]:
        assert len(row.history) >= 4
        assert row.candidates["rejected"] not in {item.output for item in row.history}


def test_the_same_seed_writes_the_same_bytes(papers_file, tmp_path, command):
    for name in ("one", "two"):
        command(*BUILD, papers_file, "--out", tmp_path / name, "--rule", "other", "--seed", 3)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_the_card_says_how_it_was_made(papers_file, tmp_path, command):
    out = tmp_path / "out"
    command(*BUILD, papers_file, "--out", out, "--words", 7, "--validation", 0)
    card = json.loads((out / "card.json").read_text())
    assert card["rejected"] == "another user's output for the nearest input by TF-IDF"
    assert "no person compared" in card["labels"]
    assert card["words"] == 7
    assert set(card["sha256"]) == {"papers.jsonl"}
    assert card["examples"]["test"] == len(read_examples(out / "test.jsonl"))
    printed, _ = command("data", "describe", *out.glob("*.jsonl"))
    text = "\n".join(printed)
    assert "scripts: latin 100.0 %" in text
    assert "train → test" in text


def test_lamp_questions_alone_or_with_their_items(lamp_files, tmp_path, command):
    questions, outputs = lamp_files(5)
    out = tmp_path / "out"
    command("data", "build", "lamp", questions, outputs, "--out", out, "--validation", 0)
    assert len(read_examples(out / "train.jsonl")) == 3 * 4 + 2 * 3
    options = ("--questions-only", "--out", out)
    _, errors = command("data", "build", "lamp", questions, outputs, *options, code=2)
    assert len(errors) == 1
    assert "no user has 2 items" in errors[0]


def test_given_needs_its_file(papers_file, tmp_path, command):
    _, errors = command(*BUILD, papers_file, "--out", tmp_path / "o", "--rule", "given", code=2)
    assert errors == [
        "preflamp-stats: variable --rule and --given: go together; name the file of rule given"
    ]


def example(number: int, user: str = "u", **changes) -> Example:
    candidates = {"chosen": f"good {number}", "rejected": f"bad {number}"}
    fields = {"prompt": f"prompt {number}", "candidates": candidates, **changes}
    return Example(id=str(number), user=user, **fields)


def test_examples_survive_writing(tmp_path):
    rows = [
        example(1, reference="ref\nwith a line", preference="short"),
        example(2, "ユーザー", history=(HistoryItem("a", "ü", "2020"), HistoryItem("", "b"))),
        example(3, candidates={"chosen": "a", "rejected": "b", "third": "c"}),
    ]
    write_examples(rows, tmp_path / "rows.jsonl")
    assert read_examples(tmp_path / "rows.jsonl") == rows


def test_describe_names_what_is_wrong(tmp_path, command):
    rows = [
        example(1),
        example(2, prompt="prompt  1", candidates={"chosen": "Good 1", "rejected": "bad 1"}),
        example(3, candidates={"chosen": "Same", "rejected": "same"}),
        example(4, "v", candidates={"chosen": "длинный ответ", "rejected": "короче"}),
    ]
    write_examples(rows, tmp_path / "train.jsonl")
    printed, _ = command("data", "describe", tmp_path / "train.jsonl", "--json")
    file = json.loads("\n".join(printed))["files"]["train"]
    assert [fault.split(": ")[1].split(";")[0] for fault in file["faults"]] == [
        "repeats example 1 of the same user", "has chosen and rejected alike",
    ]  # fmt: skip
    assert file["users_with_one_example"] == 1
    assert set(file["scripts"]) == {"LATIN", "CYRILLIC"}
    assert "fault: variable example 3" in "\n".join(
        command("data", "describe", tmp_path / "train.jsonl")[0]
    )


def test_describe_finds_a_planted_leak(tmp_path):
    train = [example(1), example(2, history=(HistoryItem("x", "Good 7"),))]
    test = [
        example(7),  # its text stands in a history of training
        example(8, candidates={"chosen": "new", "rejected": "GOOD  1"}),
        example(9),
    ]
    write_examples(train, tmp_path / "train.jsonl")
    write_examples(test, tmp_path / "test.jsonl")
    (overlap,) = describe_files([tmp_path / "test.jsonl", tmp_path / "train.jsonl"])["overlaps"]
    assert (overlap["first"], overlap["second"]) == ("train", "test")
    assert overlap == {
        "first": "train",
        "second": "test",
        "users": 1,
        "texts": 1,
        "examples_seen": 2,
    }


def test_duplicates_are_refused_or_dropped(tmp_path, command, write_jsonl):
    def row(name: str) -> dict:
        texts = [{"text": f"first {name}"}, {"text": f"second {name}"}]
        info = {"id": name, "post": f"Post {name}"}
        return {"info": info, "summaries": texts, "choice": 0, "worker": "w"}

    others = [row(name) for name in "abcd"]
    file = write_jsonl(tmp_path / "rows.jsonl", [*others, row("a")])
    build = ("data", "build", "tldr", file, "--out", tmp_path / "out")
    _, errors = command(*build, code=2)
    assert len(errors) == 1
    assert "repeats example" in errors[0]
    _, errors = command(*build, "--drop", "--validation", 0, "--test", 1)
    assert errors == ["left out: 1 that could not be used"]


def test_non_latin_titles_go_the_whole_way(tmp_path, command, write_jsonl):
    def paper(author: int, at: int) -> dict:
        title, abstract = f"題名{author}の{at}について", f"我々は研究{author}を{at}回行った。"
        fixed = {"year": 2010 + at, "month": None, "authors": [f"作者{author}"]}
        return {"id": f"{author}-{at}", "title": title, "abstract": abstract, **fixed}

    papers = [paper(author, at) for author in range(5) for at in range(4)]
    file, out = write_jsonl(tmp_path / "papers.jsonl", papers), tmp_path / "out"
    command(*BUILD, file, "--out", out, "--min-papers", 3, "--validation", 0)
    found = json.loads("\n".join(command("data", "describe", out / "train.jsonl", "--json")[0]))
    assert "CJK" in found["files"]["train"]["scripts"]


def test_the_builders_need_no_torch():
    code = (
        "import sys; import preflamp_backend.data.build, preflamp_backend.data.card, "
        "preflamp_backend.data.titles, preflamp_backend.data.people; "
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

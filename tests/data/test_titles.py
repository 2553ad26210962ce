from __future__ import annotations

import gzip
import json

import pytest
from preflamp_backend.data.titles import author_questions, read_papers

from preflamp_stats.errors import InputError


def test_last_paper_asks_and_earlier_ones_are_history(papers_file):
    questions = author_questions(read_papers(papers_file), min_papers=5)
    assert len(questions) == 12
    by_user = {each.user: each for each in questions}
    first = by_user["Author 1"]
    assert len(by_user["Author 7"].history) == 7
    assert first.output == "Paper 11 on speech"
    assert len(first.history) == 6  # five of their own and one together with Author 0
    dates = [item.date for item in first.history]
    assert dates == sorted(dates)
    assert dates[0] == "2012-08"


def test_compressed_files_and_first_words(tmp_path, papers_file):
    compressed = tmp_path / "papers.jsonl.gz"
    compressed.write_bytes(gzip.compress(papers_file.read_bytes()))
    assert read_papers(compressed) == read_papers(papers_file)
    assert read_papers(papers_file, words=2)[0].abstract == "We study"


@pytest.mark.parametrize(
    ("month", "date"),
    [
        (None, "2017-12"),
        ("October-November", "2017-10"),
        ("April", "2017-04"),
        ("Jul", "2017-07"),
        ("Sept.", "2017-09"),
        ("07", "2017-07"),
        (7, "2017-07"),
    ],
)
def test_months(tmp_path, write_jsonl, month, date):
    record = {
        "id": "x",
        "year": 2017,
        "month": month,
        "title": "T",
        "abstract": "A",
        "authors": ["a"],
    }
    assert read_papers(write_jsonl(tmp_path / "p.jsonl", [record]))[0].date == date


def test_every_line_at_fault_is_named(tmp_path):
    good = {"id": "x", "year": 2017, "month": "May", "title": "T", "abstract": "A", "authors": []}
    lines = [
        json.dumps(good),
        json.dumps(good),
        "{",
        json.dumps({**good, "id": "y", "year": "2017"}),
        json.dumps({**good, "id": "z", "month": "Smarch"}),
        json.dumps({**good, "id": "w", "title": ""}),
        json.dumps({**good, "id": "v", "authors": "ann"}),
    ]
    path = tmp_path / "p.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(InputError) as caught:
        read_papers(path)
    said = [str(problem) for problem in caught.value.problems]
    assert [text.split(": ")[2].split(";")[0] for text in said] == [
        "repeats id x", "is not a JSON object", "has no year as a number", "has month 'Smarch'",
        "has no title", "has no list of authors",
    ]  # fmt: skip


def test_absent_or_damaged_files_are_one_problem(tmp_path):
    (tmp_path / "p.jsonl.gz").write_bytes(gzip.compress(b"x" * 1000)[:20])
    for name in ("none.jsonl", "p.jsonl.gz"):
        with pytest.raises(InputError, match="cannot be read"):
            read_papers(tmp_path / name)


def test_authors_of_few_papers_are_named(papers_file):
    with pytest.raises(InputError, match=r"no author has 50 papers \(at most 8\)"):
        author_questions(read_papers(papers_file), min_papers=50)

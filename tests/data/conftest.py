"""Small files of the same form as the public ones, written here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from preflamp_backend.cli.data import data_group

from preflamp_stats.cli import main

# A checkout need not be installed for its tests: the entry points may not be known.
main.add_command(data_group)

TOPICS = ("parsing", "translation", "summaries", "dialogue", "speech", "ethics", "morphology")


@pytest.fixture(scope="session")
def command():
    """Run a command; returns lines of standard output and of standard error."""

    def run(*arguments: object, code: int = 0) -> tuple[list[str], list[str]]:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result.stdout.splitlines(), result.stderr.splitlines()

    return run


def write_lines(path: Path, records) -> Path:
    path.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in records))
    return path


@pytest.fixture(scope="session")
def write_jsonl():
    return write_lines


def paper(number: int, authors: list[str], year: int = 2017, month: str | None = "August") -> dict:
    topic = TOPICS[number % len(TOPICS)]
    return {
        "id": f"P{number:03d}",
        "year": year,
        "month": month,
        "title": f"Paper {number} on {topic}",
        "authors": authors,
        "abstract": f"We study {topic} with method {number} and find what we looked for.",
    }


@pytest.fixture
def papers_file(tmp_path) -> Path:
    """Twelve authors of six papers each, the later six authors at later years.

    Neighbours have their third paper in common, and the last paper of each early author is an
    early one of a late author's.
    """
    papers = []
    for author in range(12):
        for at in range(6):
            names = [f"Author {author}"]
            if at == 2:
                names.append(f"Author {(author + 1) % 12}")
            if at == 5 and author < 6:
                names.append(f"Author {author + 6}")
            papers.append(paper(author * 6 + at, names, 2012 + at + 5 * (author > 5)))
    return write_lines(tmp_path / "papers.jsonl", papers)


@pytest.fixture
def lamp_files(tmp_path):
    """Write LaMP-5 files of some questions: (questions, outputs)."""

    def write(n: int = 4, profile: int = 3, **changes) -> tuple[Path, Path]:
        questions = [
            {
                "id": f"{user}1",
                "input": "Generate a title for the following abstract of a paper: "
                f"We question {TOPICS[user]} here.",
                "profile": [
                    {
                        "id": f"{user}{at}",
                        "title": f"Title {user} {at}",
                        "abstract": f"Abstract {user} {at} of {TOPICS[at]}.",
                        "date": f"20{20 - at}",
                    }
                    for at in range(profile)
                ],
            }
            for user in range(n)
        ]
        golds = [{"id": each["id"], "output": f"Answer to {each['id']}"} for each in questions]
        outputs = {"task": "LaMP_5", "golds": golds, **changes}
        paths = tmp_path / "questions.json", tmp_path / "outputs.json"
        paths[0].write_text(json.dumps(questions))
        paths[1].write_text(json.dumps(outputs))
        return paths

    return write

"""The report: one file, nothing from elsewhere, every label escaped, readable by machines."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from preflamp_stats.outputs.report import to_html
from preflamp_stats.results import Analysis

_VOID = {"meta", "img", "br"}


class Outline(HTMLParser):
    """Tags with their attributes, and whether every one is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def small(analysis: Analysis) -> Analysis:
    """Two tables are enough to see the page; drawing all figures takes seconds."""
    kept = ("tau", "rm_accuracy")
    questions = [
        replace(each, tables=tuple(name for name in each.tables if name in kept))
        for each in analysis.questions
        if set(kept) & set(each.tables)
    ]
    tables = {name: analysis.tables[name] for name in kept}
    tables["tau"] = replace(tables["tau"], findings=["They <b>agree</b> with tau 0.2."])
    inputs = [{"path": "data/results.nc", "sha256": "ab" * 32, "bytes": 123456}]
    notes = ["The dataset tldr has 3 examples without a reward."]
    return replace(analysis, tables=tables, questions=questions, inputs=inputs, notes=notes)


@pytest.fixture
def page(small: Analysis) -> str:
    return to_html(small)


def test_is_well_formed_and_unique_in_its_ids(page: str) -> None:
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_is_self_contained(page: str) -> None:
    outline = Outline()
    outline.feed(page)
    assert outline.all("link") == outline.all("iframe") == []
    assert outline.all("script") == [{}]
    sources = [image["src"] or "" for image in outline.all("img")]
    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not re.search(r'(?:href|src)="(?!#|data:)', page)
    assert not re.search(r"url\(|@import", page)


def test_labels_and_sentences_are_escaped(page: str) -> None:
    assert page.count("<script") == 1
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "&lt;b&gt;agree&lt;/b&gt;" in page


def test_the_policy_names_the_script_by_its_checksum(page: str) -> None:
    script = page.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = html.unescape(re.search(r'Security-Policy" content="([^"]*)"', page)[1])
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}'" in policy


def test_every_question_has_an_answer_in_short_and_each_table_its_reading(
    small: Analysis, page: str
) -> None:
    short, rest = page.split("</header>")
    assert len(small.questions) == 2
    for question in small.questions:
        assert question.answer
        assert html.escape(question.title) in short
        assert question.answer in html.unescape(short).replace("−", "-")
        assert question.answer not in html.unescape(rest).replace("−", "-")
    assert rest.count("How to read it.") == 2


def test_sentences_stand_at_their_table(page: str) -> None:
    short, rest = page.split("</header>")
    assert "with tau 0.2" in rest
    assert "with tau 0.2" not in short


def test_tables_and_figures_speak(page: str) -> None:
    outline = Outline()
    outline.feed(page)
    assert len(outline.all("table")) == len(outline.all("caption")) == 2
    assert all("scope" in heading for heading in outline.all("th"))
    assert all(image["alt"] for image in outline.all("img"))


def test_summary_stands_first_and_origins_last(page: str, small: Analysis) -> None:
    answer = html.escape(small.questions[0].title)
    places = [page.index(part) for part in (answer, "3 examples", "<table ", "ab" * 32)]
    assert places == sorted(places)
    assert all(f"<dt>{name}</dt>" in page for name in small.settings.as_dict())


def test_same_analysis_same_page(page: str, small: Analysis) -> None:
    assert to_html(small) == page


def test_an_analysis_with_nothing_in_it_has_a_page(analysis: Analysis) -> None:
    empty = replace(analysis, tables={}, questions=(), notes=(), inputs=(), versions={})
    assert "<h1>" in to_html(empty)


def test_the_command_that_runs_it_again_stands_first(page: str, small: Analysis) -> None:
    short = html.unescape(page.split("</header>")[0])
    assert f'analyze data/results.nc --signature "{small.signature}"' in short
    assert "abababababab" in small.signature


def test_a_methods_paragraph_says_what_was_chosen(small: Analysis) -> None:
    asked = replace(small.settings, ties="drop", resamples=123, variant="c", seed=5)
    told = " ".join(html.unescape(to_html(replace(small, settings=asked))).split())
    paragraph = told.split("A methods paragraph for a paper")[1].split("</p>")[0]
    for words in ("equal scores are left out", "123 bootstrap resamples", "tau-c", "seed 5"):
        assert words in paragraph
    assert "decoupled" not in paragraph  # of a table that is not there


def test_the_study_is_counted(small: Analysis, single: Analysis) -> None:
    assert ": 2 datasets, 3 models, 4 methods, 24 users, " in to_html(small, {})
    assert ">1 dataset, 1 model, 7 methods, 24 users, 96 examples<" in to_html(single, {})

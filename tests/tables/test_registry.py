"""Every table has its place and its words; a new one takes a line and is in every output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import pytest
import xarray as xr

import preflamp_stats as pls
from preflamp_stats.inference.resampled import ResampledStudy
from preflamp_stats.results import Analysis, ResultTable
from preflamp_stats.settings import Settings
from preflamp_stats.tables import registry
from preflamp_stats.tables.table import Table


def test_names_are_unique_and_every_table_stands_in_a_question_and_says_how_to_read_it() -> None:
    assert len({table.name for table in registry.TABLES}) == len(registry.TABLES)
    for table in registry.TABLES:
        assert table.question in registry.QUESTIONS, table.name
        assert table.reading.endswith("."), table.name


def test_every_table_of_an_analysis_stands_in_exactly_one_question(analysis: Analysis) -> None:
    placed = [name for question in analysis.questions for name in question.tables]
    assert placed == list(analysis.tables)


def test_a_table_knows_every_metric_that_its_rows_name(analysis: Analysis) -> None:
    for table in analysis.tables.values():
        for column in ("metric", "upstream", "downstream"):
            if column in table.frame:
                assert set(table.frame[column]) <= set(table.metrics)
        if "estimate" in table.frame:
            assert all(metric.name in table.metrics for metric in table.row_metrics())


def test_no_place_of_a_caption_is_left_open(analysis: Analysis) -> None:
    for table in analysis.tables.values():
        assert table.caption.endswith(".")
        assert not {"{", "}"} & set(table.caption), table.name


def test_a_new_table_is_a_line_and_is_in_every_output(
    study: dict[str, xr.Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows(studies: Sequence[ResampledStudy]) -> Iterator[pd.DataFrame]:
        sizes = [{"dataset": one.name, "estimate": len(one.units.labels)} for one in studies]
        yield pd.DataFrame(sizes)

    def finding(table: ResultTable, settings: Settings) -> list[str]:
        return [f"There are {int(table.frame['estimate'].sum())} toy users."]

    toy = Table(
        name="toy",
        title="How many toys?",
        question="choose",
        rows=rows,
        caption="Toy users at {level}.",
        reading="Count the toys.",
        finding=finding,
        answer=lambda tables: "As many toys as users.",
        estimate_of="toy",
    )
    monkeypatch.setattr(registry, "TABLES", (toy,))
    written = pls.analyze(study, pls.Settings(resamples=2)).write(tmp_path)
    assert {path.name for path in written if path.stem == "toy"} == {"toy.csv", "toy.md", "toy.tex"}
    tables = tmp_path / "tables"
    assert (tables / "toy.csv").read_text() == "dataset,estimate\ntldr,30\nprism,30\n"
    for text in ("toy.md", "toy.tex"):
        assert "Toy users at 95" in (tables / text).read_text()
    page = (tmp_path / "report.html").read_text()
    for said in ("How many toys?", "Count the toys.", "There are 60 toy users.", "As many toys"):
        assert said in page

"""CSV for programs and Markdown for people: every number kept, no label that acts."""

from __future__ import annotations

import io
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflamp_stats.outputs.csv_markdown import guard_formula, to_csv, to_markdown
from preflamp_stats.results import Analysis, ResultTable


def read_back(text: str) -> pd.DataFrame:
    as_text = {"dataset": str, "model": str, "method": str}
    frame = pd.read_csv(io.StringIO(text), dtype=as_text, keep_default_na=False, na_values=[""])
    for column in frame.select_dtypes(include=["object", "string"]):
        frame[column] = [v.removeprefix("'") if isinstance(v, str) else v for v in frame[column]]
    return frame


def one(**row: object) -> ResultTable:
    return ResultTable("t", pd.DataFrame([row]), "", "")


def test_csv_gives_every_number_and_label_back(analysis: Analysis) -> None:
    for table in analysis.tables.values():
        back, frame = read_back(to_csv(table)), table.frame
        assert list(back) == list(frame)
        for column in frame:
            if pd.api.types.is_numeric_dtype(frame[column]):
                np.testing.assert_allclose(
                    back[column].astype(float), frame[column].astype(float), rtol=1e-9
                )
            else:
                texts = frame[column].map(lambda v: "" if pd.isna(v) else str(v))
                assert back[column].astype(object).fillna("").map(str).tolist() == texts.tolist()


def test_csv_holds_ten_digits_empty_for_nan_and_inf_as_text() -> None:
    frame = pd.DataFrame({"weight": [1 / 3, math.nan, math.inf], "n_users": [1, 2, 30000]})
    text = to_csv(ResultTable("t", frame, "", ""))
    assert text == "weight,n_users\n0.3333333333,1\n,2\ninf,30000\n"


def test_csv_of_float32_keeps_the_format() -> None:
    frame = pd.DataFrame({"estimate": np.array([0.5, 0.1], dtype=np.float32)})
    assert to_csv(ResultTable("t", frame, "", "")).splitlines()[1] == "0.5"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-x", "@SUM(A1)", "\t=1", " =1", "'=1", "＝1"])
def test_formulas_are_guarded_in_text_but_not_in_numbers(text: str) -> None:
    written = pd.read_csv(
        io.StringIO(to_csv(one(method=text, estimate=-0.5))), dtype=str, keep_default_na=False
    )
    assert written.to_numpy().tolist() == [[f"'{text}", "-0.5"]]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_guarded_text_is_never_a_formula_and_comes_back(text: str) -> None:
    guarded = guard_formula(text)
    assert not guarded.lstrip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠"))
    assert guarded.removeprefix("'") == text


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_any_label_survives_csv(text: str) -> None:
    assert read_back(to_csv(one(method=text, estimate=0.5)))["method"].tolist() == [text]


def test_markdown_is_rectangular_escaped_and_bold(analysis: Analysis) -> None:
    text = to_markdown(analysis.tables["policy_accuracy"])
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace(r"\|", "").count("|") for line in lines} == {5}
    assert r"PAL\_a&amp;b\|c%" in text
    assert "<script>" not in text
    bold = text.count("**") // 2 - 1
    assert bold >= 2 * 3  # a best value, or several that print alike, in each of 2 × 3 groups


def test_every_table_has_a_markdown_of_equal_rows(
    analysis: Analysis, single: Analysis, crowd: Analysis
) -> None:
    for found in (analysis, single, crowd):
        for table in found.tables.values():
            lines = [line for line in to_markdown(table).splitlines() if line.startswith("|")]
            assert len({line.replace(r"\|", "").count("|") for line in lines}) == 1


def test_an_empty_table_renders() -> None:
    empty = ResultTable("tau", pd.DataFrame({"dataset": [], "estimate": []}), "Tau", "None.")
    assert to_csv(empty) == "dataset,estimate\n"
    assert "Tau" in to_markdown(empty)

"""CSV, Markdown and the grid that all renderers draw."""

from __future__ import annotations

import io
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from preflamp_stats.outputs.grid import Cell

from preflamp_stats.metric import POINTS, Metric
from preflamp_stats.outputs.cells import best_rows
from preflamp_stats.outputs.layout import lay_out
from preflamp_stats.outputs.tables import guard_formula, to_csv, to_markdown
from preflamp_stats.results import Analysis, ResultTable


def read_back(text: str) -> pd.DataFrame:
    as_text = {"dataset": str, "model": str, "method": str}
    frame = pd.read_csv(io.StringIO(text), dtype=as_text, keep_default_na=False, na_values=[""])
    for column in frame.select_dtypes(include=["object", "string"]):
        frame[column] = frame[column].str.removeprefix("'")
    return frame


def table(rows: list[dict[str, object]], *, name: str = "rm_accuracy", better: bool = True):
    named = {str(row.get("metric", name)): row for row in rows}
    metrics = {key: Metric.of_file(key, "generation", row) for key, row in named.items()} | {
        key: Metric(key, "generation", (), "share", words, POINTS, "higher")
        for key, words in (("rm_accuracy", "RM accuracy"), ("rouge1", "ROUGE-1"))
    }
    return ResultTable(
        name,
        pd.DataFrame(rows),
        "Title",
        "Caption.",
        metrics,
        "metric" if "metric" in rows[0] else name,
        better,
    )


def test_csv_round_trips_through_pandas(analysis: Analysis) -> None:
    for result in analysis.tables.values():
        back = read_back(to_csv(result))
        pd.testing.assert_frame_equal(back, result.frame, check_dtype=False, rtol=1e-9)


def test_csv_holds_ten_digits_empty_for_nan_and_inf_as_text() -> None:
    frame = pd.DataFrame({"weight": [1 / 3, math.nan, math.inf], "n_users": [1, 2, 30000]})
    text = to_csv(ResultTable("t", frame, "", ""))
    assert text == "weight,n_users\n0.3333333333,1\n,2\ninf,30000\n"


def test_csv_of_float32_keeps_the_format() -> None:
    frame = pd.DataFrame({"estimate": np.array([0.5, 0.1], dtype=np.float32)})
    assert to_csv(ResultTable("t", frame, "", "")).splitlines()[1] == "0.5"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-x", "@SUM(A1)", "\t=1", " =1", "'=1", "＝1"])
def test_formulas_are_guarded_in_text_but_not_in_numbers(text: str) -> None:
    written = to_csv(table([{"method": text, "estimate": -0.5}]))
    field, number = next(iter(read_rows(written)))
    assert field == f"'{text}"
    assert number == "-0.5"


def read_rows(text: str) -> list[list[str]]:
    return pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False).to_numpy().tolist()


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_guarded_text_is_never_a_formula_and_comes_back(text: str) -> None:
    guarded = guard_formula(text)
    assert not guarded.lstrip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠"))
    assert guarded.removeprefix("'") == text


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_any_label_survives_csv(text: str) -> None:
    back = read_back(to_csv(table([{"method": text, "estimate": 0.5}])))
    assert back["method"].tolist() == [text]


def test_best_of_each_group_is_marked_as_printed() -> None:
    rows = [
        {"dataset": "a", "method": "x", "estimate": 0.7001},
        {"dataset": "a", "method": "y", "estimate": 0.7004},
        {"dataset": "a", "method": "z", "estimate": 0.5},
        {"dataset": "b", "method": "x", "estimate": 0.9},
        {"dataset": "c", "method": "x", "estimate": 0.4},
        {"dataset": "c", "method": "y", "estimate": math.nan},
        {"dataset": "d", "method": "x", "estimate": 0.4},
        {"dataset": "d", "method": "y", "estimate": 0.4},
    ]
    # a: x and y both print 70.0; b and c have one estimate; in d there is no best.
    assert best_rows(table(rows)) == [True, True, False, False, False, False, False, False]
    assert not any(best_rows(table(rows, better=False)))


def test_methods_go_down_and_models_across(analysis: Analysis) -> None:
    grid = lay_out(analysis.tables["policy_accuracy"])
    assert grid.stub == ("Method",)
    assert grid.columns == ("Llama-3.2-1B", "Llama-3.2-3B", "Qwen_2.5 & 7B%")
    assert [len(block.rows) for block in grid.blocks] == [4, 4]
    assert grid.blocks[0].heading == "tldr (200 users, 5,000 examples)"
    assert "Scoring: sequence" in grid.remarks
    assert "Brackets: 95 % interval" in grid.remarks


def test_values_are_points_and_tau_a_coefficient(analysis: Analysis) -> None:
    row = analysis.tables["rm_accuracy"].frame.iloc[1]
    cell = lay_out(analysis.tables["rm_accuracy"]).blocks[0].rows[1].cells[0]
    assert cell.text == f"{row.estimate * 100:.1f}"
    assert cell.interval == f"[{row.low * 100:.1f}, {row.high * 100:.1f}]"
    tau = analysis.tables["tau"].frame.iloc[0]
    assert lay_out(analysis.tables["tau"]).blocks[0].rows[0].cells[0].text == f"{tau.estimate:.2f}"


def test_a_number_without_sampling_error_has_no_interval(analysis: Analysis) -> None:
    assert lay_out(analysis.tables["rm_accuracy"]).blocks[0].rows[0].cells[0].interval == ""


def test_notes_become_footnotes(analysis: Analysis) -> None:
    grid = lay_out(analysis.tables["tau"])
    assert grid.footnotes == (("a", "two methods tie upstream"),)
    assert [row.cells[0].mark for row in grid.blocks[0].rows] == ["a", "a", "", "", "", ""]


def test_an_unknown_table_keeps_every_row_and_column() -> None:
    rows = [
        {
            "dataset": "d",
            "method_a": "x",
            "method_b": y,
            "lift": 0.1234,
            "lift_low": -0.2,
            "lift_high": 0.3,
            "p_adjusted": 0.00001,
            "verdict": "decoupled",
        }
        for y in ("y", "z")
    ]
    grid = lay_out(table(rows, name="decoupling", better=False))
    assert grid.columns == ("Lift", "Adj. p", "Verdict")
    cells = grid.blocks[0].rows[0].cells
    assert (cells[0].text, cells[0].interval) == ("0.123", "[-0.200, 0.300]")
    assert cells[1].text == "<0.001"
    assert cells[2].text == "decoupled"


def test_rows_that_keys_do_not_tell_apart_are_all_kept() -> None:
    rows = [{"method": "x", "estimate": 0.5, "fold": f} for f in (0, 1)]
    assert len(lay_out(table(rows)).blocks[0].rows) == 2


def test_an_empty_table_renders() -> None:
    empty = ResultTable("tau", pd.DataFrame({"dataset": [], "estimate": []}), "Tau", "None.")
    assert to_csv(empty) == "dataset,estimate\n"
    assert "Tau" in to_markdown(empty)


def test_markdown_is_rectangular_escaped_and_bold(analysis: Analysis) -> None:
    text = to_markdown(analysis.tables["policy_accuracy"])
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace(r"\|", "").count("|") for line in lines} == {5}
    assert r"PAL\_a&amp;b\|c%" in text
    assert "<script>" not in text
    assert text.count("**") == 2 + 2 * 6  # the title, and a best value in each of 2 × 3 groups


def test_renderings_do_not_depend_on_the_index(analysis: Analysis) -> None:
    result = analysis.tables["tau"]
    moved = ResultTable(**{**vars(result), "frame": result.frame.set_index(result.frame.index + 5)})
    assert to_markdown(moved) == to_markdown(result)
    assert to_csv(moved) == to_csv(result)


def test_a_metric_of_its_own_is_named_in_its_units() -> None:
    rows = [
        {"method": m, "metric": "picked", "estimate": e, "long_name": "Length of the pick",
         "units": "characters"}
        for m, e in (("x", 142976.4), ("y", 98000.0))
    ]  # fmt: skip
    grid = lay_out(table(rows, name="method_metrics"))
    assert grid.columns == ("Length of the pick (characters)",)
    assert [row.cells[0].text for row in grid.blocks[0].rows] == ["142,976.400", "98,000.000"]
    assert not any(row.cells[0].best for row in grid.blocks[0].rows)


@pytest.mark.parametrize(("higher", "best"), [(True, [True, False]), (False, [False, True])])
def test_the_file_says_which_direction_is_better(higher: bool, best: list[bool]) -> None:
    rows = [
        {"method": m, "metric": "loss", "estimate": e, "higher_is_better": higher}
        for m, e in (("x", 3.0), ("y", 2.0))
    ]
    assert best_rows(table(rows, name="generation")) == best


def test_without_a_direction_nothing_is_best_but_rouge_still_is() -> None:
    rows = [
        {"method": m, "metric": metric, "estimate": e}
        for metric in ("words", "rouge1")
        for m, e in (("x", 0.5), ("y", 0.2))
    ]
    assert best_rows(table(rows, name="generation")) == [False, False, True, False]


def test_examples_that_are_units_are_not_counted_as_users() -> None:
    rows = [{"method": "x", "estimate": 0.5, "n_users": 96, "n_examples": 96}]
    assert "96 users, 96 examples" in lay_out(table(rows)).remarks
    assert "96 examples" in lay_out(table([rows[0] | {"resample": "examples"}])).remarks
    assert not lay_out(table([rows[0] | {"n_users": 0, "n_examples": 0}])).remarks


def test_a_long_table_of_pairs_shows_what_tells_most(analysis: Analysis) -> None:
    result = analysis.tables["decoupling"]
    grid = lay_out(result)
    rows = [row for block in grid.blocks for row in block.rows]
    assert len(rows) == 40 < len(result.frame)
    verdicts = [row.cells[-1].text for row in rows]
    assert verdicts.count("decoupled") == (result.frame["verdict"] == "decoupled").sum() == 12
    assert "32 further rows are in decoupling.csv: 32 inconclusive" in grid.remarks
    assert all(block.rows[0].cells[-1].text == "decoupled" for block in grid.blocks)
    assert grid.stub == ("Method A", "Method B")
    assert grid.columns == (
        "Δ RM accuracy",
        "p, differs",
        "Δ ROUGE-1",
        "p, equivalent",
        "Verdict",
    )
    assert rows[0].cells[0].text == "-25.0"
    assert rows[0].cells[2] == Cell("0.2", "[-0.4, 0.8]")
    assert len(to_csv(result).splitlines()) == 1 + 72


def test_tables_of_tests_render_in_every_format(analysis: Analysis) -> None:
    regret = lay_out(analysis.tables["regret"])
    assert regret.columns == ("Estimate", "At random")
    assert [cell.text for cell in regret.blocks[0].rows[0].cells] == ["3.1", "4.0"]
    assert "Chosen: PAL_a&b|c%" in regret.remarks
    in_context = lay_out(analysis.tables["in_context"])
    assert in_context.columns == ("Estimate", "Adj. p")
    assert [cell.text for cell in in_context.blocks[0].rows[0].cells] == ["-5.0", "0.600"]
    tau = lay_out(analysis.tables["tau"])
    expected = ("p", "Corrected", "Ceiling", "Users needed")
    assert [c for c in tau.columns if c in expected] == list(expected)
    place = tau.columns.index("Users needed")
    assert tau.blocks[0].rows[0].cells[place].text == "340"

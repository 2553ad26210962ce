"""The grid that Markdown, LaTeX and HTML draw: which rows, columns, words and marks it has."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import pytest

from preflamp_stats.columns import COLUMNS, KEY_COLUMNS, declared
from preflamp_stats.metric import POINTS, Metric
from preflamp_stats.outputs.layout import MOST_ROWS, Grid, best_rows, lay_out
from preflamp_stats.results import Analysis, ResultTable


def ranked(rows: list[dict[str, object]], **metrics: Metric) -> ResultTable:
    """A table of estimates that are there to be compared."""
    accuracy = Metric("rm_accuracy", "discrimination", (), "share", "RM accuracy", POINTS, "higher")
    of = "metric" if "metric" in rows[0] else "rm_accuracy"
    named = {"rm_accuracy": accuracy, **metrics}
    return ResultTable("rm_accuracy", pd.DataFrame(rows), "Title", "Caption.", named, of, True)


def texts(grid: Grid) -> list[list[str]]:
    return [[cell.text for cell in row.cells] for block in grid.blocks for row in block.rows]


def test_columns_are_declared_once_and_their_intervals_stand_in_the_tables(
    analysis: Analysis,
) -> None:
    names = [column.name for column in COLUMNS]
    assert len(names) == len(set(names))
    printed = {column.name: column for column in COLUMNS}
    for table in analysis.tables.values():
        assert set(table.frame) - {"low", "high"} <= set(printed) | {
            end for column in COLUMNS for end in column.interval or ()
        }
        for name in table.frame:
            if str(name) in printed:
                assert set(printed[str(name)].interval or ()) <= set(table.frame), name


def test_keys_come_first_in_every_table(analysis: Analysis) -> None:
    for table in analysis.tables.values():
        assert list(table.frame)[: len(table.keys)] == table.keys
        assert table.keys == [key for key in KEY_COLUMNS if key in table.frame]


def test_methods_go_down_and_models_across(analysis: Analysis) -> None:
    grid = lay_out(analysis.tables["policy_accuracy"])
    assert grid.stub == ("Method",)
    assert (grid.spanner, grid.columns) == (
        "Model",
        ("Llama-3.2-1B", "Llama-3.2-3B", "Qwen_2.5 & 7B%"),
    )
    assert [len(block.rows) for block in grid.blocks] == [4, 4]
    assert grid.blocks[0].heading.startswith("tldr (24 users, ")
    assert {"Scoring: sequence", "Weight w: 1", "Brackets: 95 % interval"} <= set(grid.remarks)


def test_metrics_and_families_have_their_words(analysis: Analysis) -> None:
    grid = lay_out(analysis.tables["generation"])
    assert grid.stub == ("Method", "Family")
    assert [block.heading.split(" · ")[1].split(" (")[0] for block in grid.blocks[:3]] == [
        "ROUGE-1",
        "ROUGE-2",
        "ROUGE-L",
    ]
    assert len(grid.blocks[0].rows) == 6


def test_cells_print_the_numbers_of_their_rows_in_their_scale(analysis: Analysis) -> None:
    row = analysis.tables["rm_accuracy"].frame.iloc[0]
    cell = lay_out(analysis.tables["rm_accuracy"]).blocks[0].rows[0].cells[0]
    assert cell.text == f"{row.estimate * 100:.1f}"
    assert cell.interval == f"[{row.low * 100:.1f}, {row.high * 100:.1f}]"
    tau = analysis.tables["tau"].frame.iloc[0]
    shown = lay_out(analysis.tables["tau"]).blocks[0].rows[0].cells
    assert shown[0].text == f"{tau.estimate:.2f}"
    assert f"{tau.ceiling:.2f}" in [cell.text for cell in shown]
    pair = analysis.tables["decoupling"].frame
    row = pair.loc[lay_out_position(analysis.tables["decoupling"])]
    shown = lay_out(analysis.tables["decoupling"]).blocks[0].rows[0].cells
    assert shown[0].text == f"{row.upstream_difference * 100:.1f}"
    assert shown[2].interval == f"[{row.downstream_low * 100:.1f}, {row.downstream_high * 100:.1f}]"


def lay_out_position(table: ResultTable) -> int:
    """Row of the frame that stands first in the grid of a table of pairs of one place."""
    first = lay_out(table).blocks[0]
    frame = table.frame
    pair = (frame["method_a"] == first.rows[0].labels[0]) & (
        frame["method_b"] == first.rows[0].labels[1]
    )
    place = frame["dataset"].eq(first.heading.split(" · ")[0])
    return int(frame.index[pair & place & frame["model"].eq(first.heading.split(" · ")[1])][0])


@pytest.mark.parametrize(
    ("name", "stub", "columns"),
    [
        (
            "tau",
            ("Model",),
            ("Tau", "Corrected", "Ceiling", "Reliability, upstream",
             "Reliability, downstream", "Population tau", "p", "Users needed", "Examples"),
        ),
        ("regret", ("Model",), ("Estimate", "Chosen", "Best", "At random", "Examples")),
        ("slope", ("Model",), ("Estimate", "P(beyond the margin)", "Examples")),
        ("contrasts", ("Method A", "Method B"), ("A − B", "Adj. p")),
        (
            "decoupling",
            ("Method A", "Method B"),
            ("Δ RM accuracy", "p, differs", "Δ ROUGE-1", "p, equivalent", "Verdict"),
        ),
    ],
)  # fmt: skip
def test_tables_of_tests_say_what_their_columns_are(
    analysis: Analysis, name: str, stub: tuple[str, ...], columns: tuple[str, ...]
) -> None:
    grid = lay_out(analysis.tables[name])
    assert grid.stub == stub
    assert grid.columns == columns


def test_one_row_stands_upright(single: Analysis) -> None:
    table = single.tables["tau"]
    assert len(table.frame) == 1
    grid = lay_out(table)
    assert (grid.stub, grid.columns) == (("",), ("Value",))
    row = table.frame.iloc[0]
    shown = {row.labels[0]: row.cells[0].text for row in grid.blocks[0].rows}
    assert shown["Tau"] == f"{row.estimate:.2f}"
    assert shown["Ceiling"] == f"{row.ceiling:.2f}"
    assert {"Upstream: RM accuracy", "Downstream: ROUGE-1"} <= set(grid.remarks)
    assert "6 methods, 24 users, 96 examples" in grid.remarks
    regret = {row.labels[0] for row in lay_out(single.tables["regret"]).blocks[0].rows}
    assert {"Estimate", "Chosen", "Best", "At random"} <= regret


def test_few_rows_of_many_columns_stand_upright_side_by_side(crowd: Analysis) -> None:
    grid = lay_out(crowd.tables["tau"])
    assert grid.columns == ("Policy accuracy", "ROUGE-1")
    assert grid.blocks[0].rows[0].labels == ("Tau",)


def test_what_captions_say_is_not_said_again_unless_rows_differ(analysis: Analysis) -> None:
    table = analysis.tables["tau"]
    assert {"variant", "target", "resample"} <= set(table.frame)
    assert not any("Resampled" in text for text in lay_out(table).remarks)
    two = ["users", *["examples"] * (len(table.frame) - 1)]
    mixed = replace(table, frame=table.frame.assign(resample=two))
    assert "Resampled" in lay_out(mixed).columns


def test_notes_become_footnotes(analysis: Analysis) -> None:
    table = analysis.tables["tau"]
    notes = ["two methods tie", *[None] * (len(table.frame) - 2), "two methods tie"]
    grid = lay_out(replace(table, frame=table.frame.assign(note=notes)))
    assert grid.footnotes == (("a", "two methods tie"),)
    marks = [row.cells[0].mark for block in grid.blocks for row in block.rows]
    assert marks == ["a", *[""] * (len(table.frame) - 2), "a"]


def test_a_number_without_sampling_error_has_no_interval(analysis: Analysis) -> None:
    table = analysis.tables["rm_accuracy"]
    frame = table.frame.assign(low=math.nan, high=math.nan)
    grid = lay_out(replace(table, frame=frame))
    assert not any(cell.interval for block in grid.blocks for r in block.rows for cell in r.cells)
    assert not any(text.startswith("Brackets") for text in grid.remarks)


def test_a_long_table_of_pairs_shows_what_tells_most(analysis: Analysis) -> None:
    table = analysis.tables["contrasts"]
    grid = lay_out(table)
    shown = sum(len(block.rows) for block in grid.blocks)
    left = len(table.frame) - MOST_ROWS
    assert shown == MOST_ROWS < len(table.frame)
    assert f"{left} further rows are in contrasts.csv" in grid.remarks
    worst = sorted(table.frame["p_adjusted"])[MOST_ROWS - 1]
    told = [row.cells[1].text for block in grid.blocks for row in block.rows]
    assert max(float(text.strip("<")) for text in told) <= worst + 5e-4


def test_verdicts_come_before_what_is_inconclusive(analysis: Analysis) -> None:
    table = analysis.tables["decoupling"]
    frame = pd.concat([table.frame] * 2, ignore_index=True)
    verdicts = ["inconclusive"] * (len(frame) - 2) + ["coupled", "decoupled"]
    grid = lay_out(replace(table, frame=frame.assign(verdict=verdicts)))
    told = [row[-1] for row in texts(grid)]
    assert sorted(told)[:2] == ["coupled", "decoupled"]
    left = len(frame) - MOST_ROWS
    assert f"{left} further rows are in decoupling.csv: {left} inconclusive" in grid.remarks


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
    assert best_rows(ranked(rows)) == [True, True, False, False, False, False, False, False]
    assert not any(best_rows(replace(ranked(rows), ranked=False)))


@pytest.mark.parametrize(
    ("direction", "best"),
    [("higher", [True, False]), ("lower", [False, True]), ("", [False, False])],
)
def test_bold_follows_the_direction_that_the_file_tells(direction: str, best: list[bool]) -> None:
    rows = [{"method": m, "metric": "loss", "estimate": e} for m, e in (("x", 3.0), ("y", 2.0))]
    told = Metric.of_file("loss", "generation", {"direction": direction, "long_name": "Loss of it"})
    table = ranked(rows, loss=told)
    assert best_rows(table) == best
    remark = "Whether more or less is better is not known for Loss of it"
    assert (remark in lay_out(table).remarks) == (direction == "")


def test_a_metric_of_its_own_is_named_in_its_units() -> None:
    told = {"long_name": "Length of the pick", "units": "characters"}
    picked = Metric.of_file("picked", "method", told).with_precision(310.0)
    rows = [
        {"method": m, "metric": "picked", "estimate": e} for m, e in (("x", 142976.4), ("y", 9.8e4))
    ]
    grid = lay_out(ranked(rows, picked=picked))
    assert grid.columns == ("Length of the pick (characters)",)
    assert texts(grid) == [["142,976"], ["98,000"]]


def test_a_table_of_nobodys_prints_by_the_type_of_its_values() -> None:
    rows = [
        {"dataset": "d", "method": "x", "odds_ratio": 1.23456, "reads": 12000, "converged": True,
         "kind": "a_b", "estimate": 0.5},
        {"dataset": "d", "method": "y", "odds_ratio": 2.0, "reads": 7, "converged": False,
         "kind": "c", "estimate": 0.25},
    ]  # fmt: skip
    grid = lay_out(ResultTable("lifts", pd.DataFrame(rows), "Lifts", ""))
    assert grid.stub == ("Method",)
    assert grid.columns == ("Estimate", "Odds ratio", "Reads", "Converged", "Kind")
    assert texts(grid)[0] == ["0.500", "1.235", "12,000", "yes", "a_b"]
    assert declared("odds_ratio").kind == "text"


def test_rows_that_keys_do_not_tell_apart_are_all_kept() -> None:
    rows = [{"method": "x", "estimate": 0.5, "fold": f} for f in (0, 1)]
    assert len(lay_out(ranked(rows)).blocks[0].rows) == 2


def test_examples_that_are_units_are_not_counted_as_users() -> None:
    rows = [{"method": "x", "estimate": 0.5, "n_users": 96, "n_examples": 96}]
    assert "96 users, 96 examples" in lay_out(ranked(rows)).remarks
    assert "96 examples" in lay_out(ranked([rows[0] | {"resample": "examples"}])).remarks
    assert not lay_out(ranked([rows[0] | {"n_users": 0, "n_examples": 0}])).remarks


def test_the_numbers_of_a_grid_do_not_depend_on_the_index(analysis: Analysis) -> None:
    for table in analysis.tables.values():
        moved = replace(table, frame=table.frame.set_index(table.frame.index + 5))
        assert lay_out(moved) == lay_out(table)

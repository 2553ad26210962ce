"""Writing: all files or none, the same bytes twice, what is not ours untouched."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from preflamp_stats.errors import InputError
from preflamp_stats.outputs import write
from preflamp_stats.outputs.write import render_files, write_analysis
from preflamp_stats.results import Analysis, ResultTable
from preflamp_stats.settings import Settings


@pytest.fixture
def small(analysis: Analysis) -> Analysis:
    """One table and its figure: drawing all of them takes seconds."""
    questions = [
        replace(each, tables=("rm_accuracy",))
        for each in analysis.questions
        if "rm_accuracy" in each.tables
    ]
    tables = {"rm_accuracy": analysis.tables["rm_accuracy"]}
    return replace(analysis, tables=tables, questions=questions)


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def test_writes_what_it_says(small: Analysis, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    paths = write_analysis(small, out)
    names = [str(path.relative_to(out)) for path in paths]
    assert names == [
        "analysis.json",
        "figures/rm_accuracy.pdf",
        "figures/rm_accuracy.png",
        "report.html",
        "tables/rm_accuracy.csv",
        "tables/rm_accuracy.md",
        "tables/rm_accuracy.tex",
    ]
    assert sorted(names) == sorted(contents(out))
    assert json.loads((out / "analysis.json").read_bytes())["files"] == sorted(names)


def test_csv_and_record_are_written_always(small: Analysis) -> None:
    files = render_files(replace(small, settings=Settings(formats=("csv",))))
    assert set(files) == {"analysis.json", "tables/rm_accuracy.csv"}


@pytest.mark.parametrize(
    ("formats", "figures", "kinds"),
    [
        (("tex",), "auto", ["pdf"]),
        (("html",), "auto", ["png"]),
        (("csv",), "pdf", ["pdf"]),
        (("md", "tex"), "auto", ["pdf", "png"]),
        (("tex", "html"), "pdf", ["pdf"]),
        (("tex", "html"), "none", []),
    ],
)
def test_figures_are_drawn_for_what_takes_them_in(small, formats, figures, kinds) -> None:
    files = render_files(replace(small, settings=Settings(formats=formats, figures=figures)))
    assert [path for path in files if "figures" in path] == [
        f"figures/rm_accuracy.{kind}" for kind in kinds
    ]
    if "html" in formats:
        assert (b"<img" in files["report.html"]) == ("png" in kinds)


def test_csv_alone_imports_no_drawing() -> None:
    script = """
import sys, preflamp_stats as pls
from preflamp_stats.outputs.write import render_files
study = pls.simulate(n_methods=3, n_users=12, n_examples=3, seed=1)
render_files(pls.analyze(study, pls.Settings(resamples=50, formats=("csv",))))
print(*{"matplotlib", "fontTools", "statsmodels", "scipy.stats"} & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_the_bar_moves_through_every_stage(small: Analysis) -> None:
    told: list[tuple[str, int, int]] = []
    render_files(small, progress=lambda *stage: told.append(stage))
    stages = list(dict.fromkeys(stage for stage, _, _ in told))
    assert stages == ["writing tables", "drawing figures", "writing the report"]
    drawn = [done for stage, done, _ in told if stage == "drawing figures"]
    assert drawn == list(range(len(drawn)))
    assert len(drawn) > 5
    assert all(done < total for _, done, total in told)


@pytest.mark.slow
def test_same_analysis_same_bytes_in_every_file(analysis: Analysis) -> None:
    assert render_files(analysis) == render_files(analysis)


def test_record_is_strict_json_with_null_and_inf(analysis: Analysis) -> None:
    frame = pd.DataFrame({"weight": [1.0, math.inf], "estimate": [math.nan, 1 / 3]})
    table = ResultTable("weight_curve", frame, "T", "C")
    lone = replace(analysis, tables={"t": table}, settings=Settings(weight=math.inf))
    text = render_files(lone)["analysis.json"].decode()

    def refuse(name: str) -> None:
        raise AssertionError(name)

    record = json.loads(text, parse_constant=refuse)
    assert record["tables"]["t"]["rows"] == [
        {"estimate": None, "weight": 1.0},
        {"estimate": 1 / 3, "weight": "inf"},
    ]
    assert record["settings"]["weight"] == "inf"
    assert list(record) == sorted(record)


def test_stale_files_go_and_foreign_ones_stay(small: Analysis, tmp_path: Path) -> None:
    write_analysis(small, tmp_path)
    (tmp_path / "tables" / "mine.csv").write_text("mine")
    (tmp_path / "notes.txt").write_text("mine")
    write_analysis(replace(small, settings=Settings(formats=("md",))), tmp_path)
    assert set(contents(tmp_path)) == {
        "analysis.json",
        "figures/rm_accuracy.png",
        "notes.txt",
        "tables/mine.csv",
        "tables/rm_accuracy.csv",
        "tables/rm_accuracy.md",
    }


def test_a_record_cannot_name_files_elsewhere(small: Analysis, tmp_path: Path) -> None:
    victim = tmp_path / "victim.txt"
    victim.write_text("keep")
    out = tmp_path / "out"
    write_analysis(small, out)
    record = json.loads((out / "analysis.json").read_bytes())
    record["files"] += ["../victim.txt", str(victim), "tables/../../victim.txt"]
    (out / "analysis.json").write_text(json.dumps(record))
    write_analysis(small, out)
    assert victim.read_text() == "keep"


@pytest.mark.parametrize(
    "path", ["report.html", "tables/rm_accuracy.csv", "tables", "analysis.json"]
)
def test_a_foreign_file_in_the_way_is_refused(small: Analysis, tmp_path: Path, path: str) -> None:
    foreign = tmp_path / path
    foreign.parent.mkdir(exist_ok=True)
    foreign.write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(InputError, match="is in the way") as caught:
        write_analysis(small, tmp_path)
    assert str(foreign) in str(caught.value)
    assert contents(tmp_path) == before


def test_a_directory_in_the_way_is_refused(small: Analysis, tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(InputError, match="is in the way"):
        write_analysis(small, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_file_for_a_directory_is_refused(small: Analysis, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match="cannot be written"):
        write_analysis(small, tmp_path / "out")
    with pytest.raises(InputError, match="cannot be written"):
        write_analysis(small, tmp_path / "out" / "deeper")
    assert contents(tmp_path) == {"out": b"a file"}


@pytest.mark.parametrize("failing", range(7))
@pytest.mark.parametrize("earlier", [False, True])
def test_a_failure_midway_leaves_all_as_it_was(
    small: Analysis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int, earlier: bool
) -> None:
    out = tmp_path / "out"
    if earlier:
        write_analysis(replace(small, settings=Settings(formats=("tex",), seed=9)), out)
    before = contents(tmp_path)
    real, calls = os.replace, iter(range(100))

    def fail_once(source: Path, target: Path) -> None:
        if next(calls) == failing:
            raise OSError(28, "No space left on device")
        real(source, target)

    files = dict.fromkeys(render_files_names(small), b"new")
    monkeypatch.setattr(write, "render_files", lambda analysis, progress: files)
    monkeypatch.setattr(write.os, "replace", fail_once)
    with pytest.raises(InputError, match="No space left"):
        write_analysis(small, out)
    assert contents(tmp_path) == before
    assert out.exists() == earlier


def render_files_names(analysis: Analysis) -> list[str]:
    tables = [f"tables/{name}.{e}" for name in analysis.tables for e in ("csv", "md", "tex")]
    figures = [f"figures/{name}.{e}" for name in analysis.tables for e in ("pdf", "png")]
    return [*tables, *figures, "report.html", "analysis.json"]


def test_a_table_name_that_leaves_the_directory_is_a_fault(small: Analysis) -> None:
    with pytest.raises(ValueError, match="cannot be a file name"):
        render_files(replace(small, tables={"../x": small.tables["rm_accuracy"]}))

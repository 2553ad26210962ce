"""LaTeX: escaping, structure, and that it compiles where pdflatex is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflamp_stats.outputs import latex
from preflamp_stats.outputs.formatting import escape_latex
from preflamp_stats.outputs.latex import to_latex
from preflamp_stats.results import Analysis, ResultTable

needs_pdflatex = pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="pdflatex is not installed"
)
NASTY = "\\input{x} {a}$b$ #1 % ^_~ <>|\"'` -- [x] * é ß ű 日本 😀 π−1 İ ế ı"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b & 5%", r"a\_b \& 5\%"),
        ("x\\y{z}", r"x\textbackslash{}y\{z\}"),
        ("--", "-{}-"),
        ("naïve", r"na{\"\i}ve"),
        ("[x]", "{[}x]"),
        ("日本", r"{\ifdefined\Umathchar 日本\else\texttt{U+65E5 U+672C}\fi}"),
        ("two\nlines", "two lines"),
    ],
)
def test_escape(text: str, expected: str) -> None:
    assert escape_latex(text) == expected


@given(st.text())
def test_no_text_leaves_a_special_character_bare(text: str) -> None:
    escaped = escape_latex(text)
    assert not re.search(r"(?<!\\)[&#%_]", escaped)
    bare = re.sub(r"\\[{}]", "", escaped)
    assert bare.count("{") == bare.count("}")


def test_structure(analysis: Analysis) -> None:
    text = to_latex(analysis.tables["policy_accuracy"])
    for part in (
        r"\toprule",
        r"\midrule",
        r"\bottomrule",
        r"\caption{",
        r"\label{tab:policy_accuracy}",
    ):
        assert text.count(part) == 1
    assert text.count(r"\textbf{") >= 6
    assert r"PAL\_a\&b$|$c\%" in text
    widths = {line.count("&") - line.count(r"\&") for line in text.splitlines() if "[}" in line}
    assert widths == {3}


def test_one_column_where_it_fits_and_two_where_not(analysis: Analysis, single: Analysis) -> None:
    for name in ("rm_accuracy", "tau", "regret"):
        assert r"\begin{table}[t]" in to_latex(single.tables[name])
    assert r"\begin{table*}[t]" in to_latex(analysis.tables["policy_accuracy"])


def test_a_long_table_becomes_several_floats() -> None:
    rows = [
        {"dataset": f"d{d}", "method": f"m{m}", "estimate": 0.5}
        for d in range(20)
        for m in range(9)
    ]
    text = to_latex(ResultTable("rm_accuracy", pd.DataFrame(rows), "T", "C"))
    assert r"\label{tab:rm_accuracy-2}" in text
    assert text.count("m8 &") == 20
    assert text.count("(continued)") == text.count(r"\begin{table") - 1


def test_columns_wider_than_a_page_go_to_further_floats_with_their_labels() -> None:
    rows = [
        {"dataset": f"d{d}", "kind": "k", **{f"quantity {c}": c + 0.25 for c in range(24)}}
        for d in range(9)
    ]
    text = to_latex(ResultTable("wide", pd.DataFrame(rows), "T", "C"))
    floats = text.split(r"\begin{table*}")[1:]
    assert len(floats) > 1
    assert all(each.count("d8 &") == 1 for each in floats)
    assert [len(re.findall(rf"& {c}\.25 ", text)) for c in range(24)] == [9] * 24


def test_long_names_wrap_in_their_column(crowd: Analysis) -> None:
    text = to_latex(crowd.tables["decoupling"])
    assert re.search(r"\{@\{\}p\{\d+pt\}p\{\d+pt\}", text)
    assert r"\allowbreak{}" in text


@pytest.fixture
def tables(analysis: Analysis, single: Analysis, crowd: Analysis) -> list[ResultTable]:
    """Every table of the three studies, and a few that no study has."""
    many = [
        {"model": f"m{b}", "method": f"method {m}", "estimate": 0.5, "low": 0.4, "high": 0.6}
        for b in range(5)
        for m in range(60)
    ]
    odd = [{"method": NASTY, "estimate": -0.25, "low": -0.5, "high": 0.125, "note": NASTY}]
    return [
        *(
            replace(table, name=f"{name}-{key}")
            for name, found in (("study", analysis), ("single", single), ("crowd", crowd))
            for key, table in found.tables.items()
        ),
        ResultTable("wide", pd.DataFrame(many), "Many", "Models."),
        ResultTable("odd", pd.DataFrame(odd), NASTY, NASTY),
        ResultTable("empty", pd.DataFrame({"method": [], "estimate": []}), "Empty", ""),
    ]


def test_no_table_is_measured_wider_than_its_place(tables: list[ResultTable]) -> None:
    for table in tables:
        for part, fit in latex.parts(table):
            assert latex.width(part, fit) <= fit.limit, table.name


@needs_pdflatex
@pytest.mark.parametrize(
    "page",
    [
        r"\documentclass[11pt,twocolumn]{article}"
        r"\usepackage[textwidth=455pt,textheight=702pt,columnsep=17pt]{geometry}",
        r"\documentclass[10pt]{article}\usepackage[textwidth=397pt,textheight=650pt]{geometry}",
    ],
    ids=["two columns like ACL", "one column like NeurIPS"],
)
def test_compiles_as_it_stands_without_overfull_boxes(
    tables: list[ResultTable], tmp_path: Path, page: str
) -> None:
    for table in tables:
        (tmp_path / f"{table.name}.tex").write_text(to_latex(table), encoding="utf-8")
    body = "\n".join(
        rf"\typeout{{TABLE {table.name}}}\input{{{table.name}.tex}}\clearpage" for table in tables
    )
    source = rf"{page}\usepackage{{booktabs}}\begin{{document}}Text.{body}\end{{document}}"
    (tmp_path / "main.tex").write_text(source)
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    log = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0, log[-2000:]
    told = re.findall(r"TABLE \S+|Overfull .*|.*too large for page.*", log)
    assert not [line for line in told if not line.startswith("TABLE")], told

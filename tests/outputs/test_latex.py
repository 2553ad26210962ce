"""LaTeX: escaping, structure, and that it compiles where pdflatex is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflamp_stats.outputs.latex_text import escape_latex
from preflamp_stats.outputs.csv_markdown import to_latex
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
    assert text.count(r"\textbf{") == 6
    assert r"PAL\_a\&b$|$c\%" in text
    widths = {line.count("&") - line.count(r"\&") for line in text.splitlines() if "[}" in line}
    assert widths == {3}


def test_one_column_where_it_fits_and_two_where_not(analysis: Analysis) -> None:
    rows = [{"method": m, "estimate": 0.5, "low": 0.4, "high": 0.6, "level": 0.95} for m in "abc"]
    narrow = to_latex(ResultTable("rm_accuracy", pd.DataFrame(rows), "T", "C"))
    assert r"\begin{table}[t]" in narrow
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
    analysis: Analysis, tmp_path: Path, page: str
) -> None:
    many = [
        {"model": f"m{b}", "method": f"method {m}", "estimate": 0.5, "low": 0.4, "high": 0.6}
        for b in range(5)
        for m in range(60)
    ]
    odd = [{"method": NASTY, "estimate": -0.25, "low": -0.5, "high": 0.125, "note": NASTY}]
    extra = [
        ResultTable("wide", pd.DataFrame(many), "Many", "Models."),
        ResultTable("tau", pd.DataFrame(odd), NASTY, NASTY),
        ResultTable("empty", pd.DataFrame({"method": [], "estimate": []}), "Empty", ""),
    ]
    tables = [*analysis.tables.values(), *extra]
    for result in tables:
        (tmp_path / f"{result.name}.tex").write_text(to_latex(result), encoding="utf-8")
    body = "\n".join(rf"\input{{{result.name}.tex}}" for result in tables)
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
    assert "Overfull" not in log, re.findall(r"Overfull.*", log)

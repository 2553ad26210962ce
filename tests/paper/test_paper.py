"""The paper: no number typed by hand, everything it inputs is generated, and it compiles."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import preflamp_stats as pls

sys.path.insert(0, str(Path(__file__).parents[2] / "paper"))

import build
import calibration_results
import macros
import study_results

ROOT = Path(__file__).parents[2]
SOURCE = (ROOT / "paper" / "main.tex").read_text(encoding="utf-8")
BODY = SOURCE.split(r"\begin{document}")[1]
NUMBER_WORDS = re.compile(
    r"\b(three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozen|twenty|thirty|forty|fifty"
    r"|sixty|seventy|eighty|ninety|hundred|thousand|million)\b",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "analysis"
    made = pls.simulate(models=["1B", "3B"], n_methods=5, n_icl=1, n_users=25, n_examples=4, seed=2)
    pls.analyze(made, pls.Settings(resamples=50)).write(folder)
    return folder


@pytest.fixture(scope="module")
def generated(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("paper") / "generated"
    build.write_generated(study, ROOT / "docs" / "calibration" / "cells.csv", target)
    return target


def typed_numbers(body: str) -> list[str]:
    """Numbers in the text of a paper; those of definitions may be a single 0, 1 or 2 in formulas.

    Names are no text: those of files, labels and keys of the bibliography.
    """
    names = r"\\(?:input|includegraphics|label|ref|citet?p?|bibliography\w*)(?:\[[^]]*\])?\{[^}]*\}"
    text = re.sub(names, " ", body)
    text = re.sub(r"(?<!\\)%.*", "", text)
    formulas = re.compile(r"\\\[.*?\\\]|(?<!\\)\$.*?(?<!\\)\$", re.DOTALL)
    found = [
        number
        for formula in formulas.findall(text)
        for number in re.findall(r"[\d.]*\d[\d.]*", formula.replace(r"\tfrac12", ""))
        if number not in {"0", "1", "2"}
    ]
    prose = formulas.sub(" ", text)
    found += re.findall(r"\S*\d\S*", prose)
    return found + NUMBER_WORDS.findall(prose)


def test_no_number_is_typed_by_hand() -> None:
    assert typed_numbers(BODY) == []


@pytest.mark.parametrize(
    "typed",
    ["covers in 93\\,\\%", "a tau of $0.4$", "over twelve methods", "$p<.05$", "in 3 of 9", "$12$"],
)
def test_a_typed_number_would_be_seen(typed: str) -> None:
    assert typed_numbers(f"{BODY} {typed}")


def test_every_macro_of_the_text_is_generated_and_every_input_there(generated: Path) -> None:
    defined = set(re.findall(r"\\newcommand\{\\(\w+)\}", (generated / "numbers.tex").read_text()))
    prefixes = r"\\((?:Study|Answer|Calibration|Model|Percentile|Guaranteed|Decoupling|Observed"
    used = set(re.findall(prefixes + r"|Corrected|Least|Nominal|Largest)[A-Za-z]*)", BODY))
    assert len(used) > 25
    assert used <= defined
    inputs = re.findall(r"\\(?:input|includegraphics)\{generated/([^}]*)\}", BODY)
    for name in inputs:
        path = generated / name
        assert path.exists() or path.with_name(f"{path.name}.tex").exists(), name


def test_numbers_are_those_of_the_results(study: Path, generated: Path) -> None:
    text = (generated / "numbers.tex").read_text()
    assert r"\newcommand{\StudyUsers}{25}" in text
    assert r"\newcommand{\StudyResamples}{50}" in text
    cells = calibration_results.read_cells(ROOT / "docs" / "calibration" / "cells.csv")
    grid = calibration_results.grid_of_tau(cells)
    worst = grid["model covers"].min()
    assert rf"\newcommand{{\ModelWorst}}{{{macros.share(worst)}}}" in text
    record = study_results.read_analysis(study)
    assert record["versions"]["preflamp-stats"] in text


def test_tables_of_the_record_are_those_of_the_analysis(study: Path) -> None:
    found = study_results.tables(study_results.read_analysis(study))
    weights = found["weight_curve"].frame["weight"]
    assert weights.max() == float("inf")
    assert found["rm_accuracy"].frame["estimate"].between(0, 1).all()


def test_without_the_study_nothing_is_written_and_the_way_is_named(tmp_path: Path) -> None:
    asked = ["--study", str(tmp_path / "none"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(build.main, asked)
    assert result.exit_code == 2
    assert "make study" in result.output
    assert not (tmp_path / "out").exists()


def test_without_latex_the_package_to_install_is_named(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    asked = ["--study", str(study), "--out", str(tmp_path)]
    result = CliRunner().invoke(build.main, asked)
    assert result.exit_code == 2
    assert "texlive-latex-extra" in result.output


@pytest.mark.skipif(
    shutil.which("pdflatex") is None or shutil.which("bibtex") is None,
    reason="LaTeX is not installed",
)
def test_compiles(generated: Path) -> None:
    pdf = build.compile_paper(generated.parent)
    assert pdf.read_bytes().startswith(b"%PDF")
    log = (generated.parent / "main.log").read_text(encoding="utf-8", errors="replace")
    assert "undefined" not in log.lower().replace("undefined control", "")
    assert not re.search(r"Overfull \\hbox \((?:[1-9]\d|[6-9])[\d.]*pt", log)

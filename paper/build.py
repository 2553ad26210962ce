"""Write the paper's numbers, tables and figures from results, and build its PDF.

``python paper/build.py`` reads the analysis of the study of acl_titles and the CSV of the
calibration, writes ``paper/generated/`` and runs LaTeX on ``paper/main.tex``.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import calibration_results
import click
import study_results
from macros import definitions

from preflamp_stats.errors import InputError, Problem

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
INSTALL = "apt install texlive-latex-extra (Debian), or TeX Live from tug.org/texlive"


@click.command(context_settings={"show_default": True})
@click.option(
    "--study",
    type=click.Path(file_okay=False, path_type=Path),
    default=ROOT / "out" / "acl_titles-full" / "analysis",
    show_default="out/acl_titles-full/analysis",
    help="What analyze wrote about the study.",
)
@click.option(
    "--calibration",
    type=click.Path(dir_okay=False, path_type=Path),
    default=ROOT / "docs" / "calibration" / "cells.csv",
    show_default="docs/calibration/cells.csv",
    help="Cells of the calibration.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=HERE,
    show_default="paper",
    help="Directory for generated/ and main.pdf.",
)
@click.option("--pdf/--no-pdf", default=True, help="Run LaTeX.")
def main(study: Path, calibration: Path, out: Path, pdf: bool) -> None:
    """Build the paper from results."""
    try:
        write_generated(study, calibration, out / "generated")
        if pdf:
            click.echo(compile_paper(out))
    except InputError as error:
        for problem in error.problems:
            click.echo(f"paper: {problem}", err=True)
        sys.exit(2)


def write_generated(study: Path, calibration: Path, target: Path) -> None:
    """Write every generated file; an earlier ``generated/`` is replaced.

    Parameters
    ----------
    study : Path
        Directory with ``analysis.json``.
    calibration : Path
        CSV of the calibration's cells.
    target : Path
        Directory to write.

    Raises
    ------
    InputError
        If one of the results is absent; nothing is then written.
    """
    cells = calibration_results.read_cells(calibration)
    record = study_results.read_analysis(study)
    macros = calibration_results.macros(cells) | study_results.macros(record)
    files = {
        "numbers.tex": definitions(macros).encode(),
        "coverage-table.tex": calibration_results.coverage_table(cells).encode(),
        "coverage.pdf": calibration_results.coverage_figure(cells),
    } | study_results.copies(record, study)
    shutil.rmtree(target, ignore_errors=True)
    for name, content in files.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def compile_paper(folder: Path) -> Path:
    """Run pdfLaTeX and BibTeX on the paper.

    Parameters
    ----------
    folder : Path
        Holds ``generated/``; the sources are copied into it where it is not their own.

    Returns
    -------
    Path
        The PDF.

    Raises
    ------
    InputError
        If LaTeX is not installed or stops; the message holds the end of its log.
    """
    lacking = [name for name in ("pdflatex", "bibtex") if shutil.which(name) is None]
    if lacking:
        raise InputError(Problem(f"{' and '.join(lacking)} not found", INSTALL))
    for name in ("main.tex", "references.bib"):
        if folder.resolve() != HERE:
            shutil.copy2(HERE / name, folder / name)
    latex = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    for command in (latex, ["bibtex", "main"], latex, latex):
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
        if done.returncode:
            tail = done.stdout.decode("utf-8", "replace").strip().splitlines()[-12:]
            raise InputError(
                Problem(f"{command[0]} stopped: {' | '.join(tail)}", INSTALL, "main.tex")
            )
    return folder / "main.pdf"


if __name__ == "__main__":
    main()

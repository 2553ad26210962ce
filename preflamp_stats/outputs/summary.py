"""What an analysis found, for the terminal: the answers, what to mind, and where the rest is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from preflamp_stats.outputs.formatting import one_line
from preflamp_stats.results import Analysis

__all__ = ["print_summary"]


def print_summary(analysis: Analysis, written: Sequence[Path], console: Console) -> None:
    """Print every question with its answer, the notes, and the file to open next.

    Parameters
    ----------
    analysis : Analysis
    written : sequence of Path
        Files that were written of it, as :func:`~preflamp_stats.outputs.write.write_analysis` gives
        them.
    console : rich.console.Console
        Bold and colours only where it is a terminal; plain text when piped.
    """
    for question in analysis.questions:
        if question.answer:
            console.print(Text(question.title, style="bold"))
            console.print(Padding(Text(one_line(question.answer)), (0, 0, 0, 2), expand=False))
    for note in analysis.notes:
        console.print(Text(f"Note: {one_line(note)}", style="yellow"))
    report = [path for path in written if path.name == "report.html"]
    where = [f"Report: {report[0]}" if report else f"Record: {written[0]}"] if written else []
    for line in where:
        # A path is printed whole, so that it can be copied.
        console.print(Text(line), soft_wrap=True)

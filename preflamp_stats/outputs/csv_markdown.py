"""Result tables as CSV for programs and as Markdown for people; LaTeX is in :mod:`.latex`."""

from __future__ import annotations

import csv
import io
import re

import numpy as np
import pandas as pd

from preflamp_stats.outputs.formatting import sentence
from preflamp_stats.outputs.layout import Cell, Grid, lay_out
from preflamp_stats.results import ResultTable

# The full-width forms are read as formulas by spreadsheets in East Asian locales.
_FORMULA_STARTS = tuple("=+-@'＝＋－＠")


def guard_formula(text: str) -> str:
    """Text that a spreadsheet will show rather than run.

    A text that begins with ``=``, ``+``, ``-``, ``@`` (white space before it aside) or with an
    apostrophe gets one apostrophe in front; every other text is left alone. Taking one leading
    apostrophe away, where there is one, therefore gives every label back exactly.

    Parameters
    ----------
    text : str

    Returns
    -------
    str

    Examples
    --------
    >>> guard_formula("=1+1"), guard_formula("llama-3")
    ("'=1+1", 'llama-3')
    """
    return f"'{text}" if text.lstrip().startswith(_FORMULA_STARTS) else text


def to_csv(table: ResultTable) -> str:
    """Write a tidy table as CSV: the machine-readable result.

    Numbers have up to 10 significant digits, a missing value is an empty field, infinity is
    ``inf``, lines end in a line feed. Numbers are never guarded, text is
    (:func:`guard_formula`).

    Parameters
    ----------
    table : ResultTable

    Returns
    -------
    str
        Rows and columns in the order of ``table.frame``.

    Examples
    --------
    >>> frame = pd.DataFrame({"method": ["-a", "b"], "estimate": [-1 / 3, float("nan")]})
    >>> print(to_csv(ResultTable("t", frame, "T", "")), end="")
    method,estimate
    '-a,-0.3333333333
    b,
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([guard_formula(str(column)) for column in table.frame.columns])
    columns = [[_csv_field(value) for value in table.frame[c]] for c in table.frame.columns]
    writer.writerows(zip(*columns, strict=True))
    return buffer.getvalue()


def _csv_field(value: object) -> str:
    if isinstance(value, str):
        # A bare carriage return is taken for the end of a row by some readers, quoted or not.
        return guard_formula(value.replace("\r\n", "\n").replace("\r", "\n"))
    if value is None or pd.isna(value):  # type: ignore[call-overload]
        return ""
    return f"{value:.10g}" if isinstance(value, float | np.floating) else str(value)


def to_markdown(table: ResultTable) -> str:
    r"""Write a table as GitHub-flavoured Markdown, title and caption above, remarks below.

    Parameters
    ----------
    table : ResultTable

    Returns
    -------
    str
        The best value of each group is bold where the table has a better and a worse.

    Examples
    --------
    >>> frame = pd.DataFrame({"method": ["a|b", "c"], "estimate": [0.7, 0.6]})
    >>> table = ResultTable("scores", frame, "RM accuracy", "Two methods.", estimate_of="score")
    >>> print(to_markdown(table))
    **RM accuracy.** Two methods.
    <BLANKLINE>
    | Method | score |
    |:---|---:|
    | a\|b | 0.700 |
    | c | 0.600 |
    <BLANKLINE>
    """
    grid = lay_out(table)
    lines = [f"**{_md(sentence(table.title))}** {_md(table.caption)}".rstrip(), ""]
    lines += [_md_line([*map(_md, grid.stub), *map(_md, _headings(grid))])]
    lines += [f"|{':---|' * len(grid.stub)}{'---:|' * len(grid.columns)}"]
    width = len(grid.stub) + len(grid.columns)
    for block in grid.blocks:
        if block.heading:
            lines.append(_md_line([f"*{_md(block.heading)}*", *[""] * (width - 1)]))
        for row in block.rows:
            lines.append(_md_line([*map(_md, row.labels), *map(_md_cell, row.cells)]))
    below = [_md(". ".join(grid.remarks)) + "."] if grid.remarks else []
    below += [f"({mark}) {_md(text)}" for mark, text in grid.footnotes]
    if below:
        lines += ["", "  \n".join(below)]
    return "\n".join(lines) + "\n"


def _headings(grid: Grid) -> list[str]:
    """Column headings; Markdown has no spanning cells, so the first says what the columns are."""
    first, *rest = grid.columns
    return [f"{grid.spanner}: {first}" if grid.spanner else first, *rest]


def _md_cell(cell: Cell) -> str:
    text = f"**{_md(cell.text)}**" if cell.best else _md(cell.text)
    mark = f" ({cell.mark})" if cell.mark else ""
    return f"{text}{f' {cell.interval}' if cell.interval else ''}{mark}"


def _md_line(fields: list[str]) -> str:
    return f"| {' | '.join(fields)} |"


def _md(text: str) -> str:
    """Plain text as Markdown that shows exactly that text, HTML included."""
    escaped = re.sub(r"([\\`*_\[\]|~$#])", r"\\\1", " ".join(text.split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

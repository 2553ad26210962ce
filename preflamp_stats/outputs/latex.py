"""Result tables as LaTeX floats that compile with booktabs alone and fit a two-column paper."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from preflamp_stats.outputs.formatting import sentence
from preflamp_stats.outputs.grid import Block, Cell, Grid, Row
from preflamp_stats.outputs.latex_text import escape_latex
from preflamp_stats.outputs.layout import lay_out
from preflamp_stats.results import ResultTable

__all__ = ["to_latex"]

_COLUMN_PT = 214.0
_PAGE_PT = 390.0
"""Widths of a float: a column of ACL's style, and the page of NeurIPS's, narrower than ACL's."""
_NARROWEST_PT = 36.0
"""A wrapped label column is no narrower than this, whatever the values take."""
_LINES = 42
"""Lines of a float, so that it and its caption stay on a page."""
_FLOATS_BEFORE_CLEARING = 8
"""LaTeX stops when too many floats wait for a page."""
_TABCOLSEP = 4.0


@dataclass(frozen=True)
class _Fit:
    """How a grid is set: environment, font, intervals beside or below, width of wrapped labels."""

    environment: str
    font: str
    points: float
    stacked: bool
    wrap: bool = False


_FITS = (
    _Fit("table", r"\small", 10.0, stacked=False),
    _Fit("table", r"\footnotesize", 9.0, stacked=False),
    _Fit("table*", r"\small", 10.0, stacked=False),
    _Fit("table*", r"\footnotesize", 9.0, stacked=False),
    _Fit("table*", r"\small", 10.0, stacked=True),
    _Fit("table*", r"\footnotesize", 9.0, stacked=True),
    _Fit("table*", r"\scriptsize", 8.0, stacked=True),
    _Fit("table*", r"\scriptsize", 8.0, stacked=True, wrap=True),
)


def to_latex(table: ResultTable) -> str:
    r"""Set a table in LaTeX, ready for ``\input``; needs ``\usepackage{booktabs}`` only.

    Set in one column where it fits, across both (``table*``) where it does not; a table longer than
    a page becomes several floats. Every label is escaped, and characters that pdfLaTeX has no
    glyph for are shown by XeLaTeX and LuaLaTeX and named by their code point in pdfLaTeX.

    Parameters
    ----------
    table : ResultTable

    Returns
    -------
    str
        Labelled ``tab:NAME``, the following parts ``tab:NAME-2`` and so on. The best value of each
        group is bold where the table has a better and a worse.
    """
    grid = lay_out(table)
    fit = next((fit for fit in _FITS if _width(grid, fit) <= _limit(fit)), _FITS[-1])
    floats = []
    parts = list(_parts(grid.blocks, 2 if fit.stacked and _has_intervals(grid) else 1))
    for place, blocks in enumerate(parts, start=1):
        title = table.title if place == 1 else f"{table.title} (continued)"
        caption = f"{sentence(title)} {table.caption if place == 1 else ''}"
        name = f"tab:{table.name}" if place == 1 else f"tab:{table.name}-{place}"
        # Remarks and footnotes hold for the whole table; its last part carries them.
        part = replace(grid, blocks=tuple(blocks))
        if place < len(parts):
            part = replace(part, remarks=(), footnotes=())
        floats.append(_float(part, fit, caption, name))
        if place % _FLOATS_BEFORE_CLEARING == 0 and place < len(parts):
            floats.append("\\clearpage\n")
    return "% Needs \\usepackage{booktabs}.\n" + "\n".join(floats)


def _float(grid: Grid, fit: _Fit, caption: str, name: str) -> str:
    n_stub, n_columns = len(grid.stub), len(grid.columns)
    stub = "".join(_stub_column(grid, place, fit) for place in range(n_stub))
    value = "c" if fit.stacked else "r"
    lines = [
        rf"\begin{{{fit.environment}}}[t]",
        r"\centering",
        fit.font,
        rf"\setlength{{\tabcolsep}}{{{_TABCOLSEP:g}pt}}",
        rf"\begin{{tabular}}{{@{{}}{stub}{value * n_columns}@{{}}}}",
        r"\toprule",
    ]
    if grid.spanner and n_columns > 1:
        lines.append(
            "& " * n_stub + rf"\multicolumn{{{n_columns}}}{{c}}{{{escape_latex(grid.spanner)}}} \\"
        )
        lines.append(rf"\cmidrule(l){{{n_stub + 1}-{n_stub + n_columns}}}")
    lines += [_line([escape_latex(h) for h in (*grid.stub, *grid.columns)]), r"\midrule"]
    for place, block in enumerate(grid.blocks):
        if place:
            lines.append(r"\addlinespace")
        if block.heading:
            span = rf"\multicolumn{{{n_stub + n_columns}}}{{@{{}}l@{{}}}}"
            lines.append(rf"{span}{{\textit{{{escape_latex(block.heading)}}}}} \\")
        for row in block.rows:
            lines += _row(row, fit)
    lines += [r"\bottomrule", r"\end{tabular}"]
    below = [". ".join(grid.remarks) + "."] if grid.remarks else []
    notes = [escape_latex(text) for text in below]
    notes += [rf"\textsuperscript{{{mark}}} {escape_latex(text)}" for mark, text in grid.footnotes]
    if notes:
        lines.append(rf"\par\smallskip{{\footnotesize {' '.join(notes)}\par}}")
    lines += [
        rf"\caption{{{escape_latex(caption.strip())}}}",
        rf"\label{{{name}}}",
        rf"\end{{{fit.environment}}}",
    ]
    return "\n".join(lines) + "\n"


def _row(row: Row, fit: _Fit) -> list[str]:
    labels = [_breakable(text) if fit.wrap else escape_latex(text) for text in row.labels]
    values = [_estimate(cell) for cell in row.cells]
    intervals = [_interval(cell) for cell in row.cells]
    if not any(intervals):
        return [_line([*labels, *values])]
    if fit.stacked:
        return [_line([*labels, *values]), _line([""] * len(labels) + intervals)]
    pairs = zip(values, intervals, strict=True)
    return [_line([*labels, *(f"{value} {low_high}".rstrip() for value, low_high in pairs)])]


def _line(fields: Sequence[str]) -> str:
    return " & ".join(fields) + r" \\"


def _estimate(cell: Cell) -> str:
    text = _number(cell.text)
    text = rf"\textbf{{{text}}}" if cell.best else text
    return rf"{text}\textsuperscript{{{cell.mark}}}" if cell.mark else text


def _breakable(text: str) -> str:
    """Escape a label that may break after its punctuation too: names of models have no spaces."""
    return r"\allowbreak{}".join(escape_latex(part) for part in re.split(r"(?<=[/>)(._:-])", text))


def _interval(cell: Cell) -> str:
    return rf"{{\scriptsize {_number(cell.interval)}}}" if cell.interval else ""


def _number(text: str) -> str:
    """Set a printed number with a true minus; text that is no number is escaped as it stands."""
    numeric = re.fullmatch(r"[-+\d.,∞<e\[\] ]+", text)
    return escape_latex(text.replace("-", "−") if numeric else text)


def _parts(blocks: Sequence[Block], lines_a_row: int) -> Iterator[list[Block]]:
    """Blocks in portions of at most a page, broken between blocks where that is possible."""
    room = _LINES
    part: list[Block] = []
    for block in blocks:
        rows = list(block.rows)
        needed = len(rows) * lines_a_row + bool(block.heading)
        if part and needed > room:
            yield part
            part, room = [], _LINES
        heading = block.heading
        while len(rows) * lines_a_row + 1 > room:
            taken = max(1, (room - 1) // lines_a_row)
            yield [*part, Block(heading, tuple(rows[:taken]))]
            part, room, rows = [], _LINES, rows[taken:]
            heading = f"{block.heading} (continued)" if block.heading else ""
        part.append(Block(heading, tuple(rows)))
        room -= len(rows) * lines_a_row + 1
    yield part


def _has_intervals(grid: Grid) -> bool:
    return any(cell.interval for block in grid.blocks for row in block.rows for cell in row.cells)


def _limit(fit: _Fit) -> float:
    return _PAGE_PT if fit.environment == "table*" else _COLUMN_PT


def _stub_column(grid: Grid, place: int, fit: _Fit) -> str:
    natural = _stub_width(grid, place, fit)
    share = _wrapped_width(grid, fit)
    return f"p{{{share:.0f}pt}}" if fit.wrap and natural > share else "l"


def _wrapped_width(grid: Grid, fit: _Fit) -> float:
    """Width that a wrapped label column gets: its share of what the values leave of the page."""
    left = _PAGE_PT - 2 * _TABCOLSEP * (len(grid.stub) + len(grid.columns)) - _values(grid, fit)
    most = _PAGE_PT / 2 / len(grid.stub)
    return min(max(left / len(grid.stub), _NARROWEST_PT), most)


def _stub_width(grid: Grid, place: int, fit: _Fit) -> float:
    texts = [grid.stub[place], *(row.labels[place] for b in grid.blocks for row in b.rows)]
    return max(_text_width(text, fit.points) for text in texts)


def _width(grid: Grid, fit: _Fit) -> float:
    """Estimated width of the tabular in points, on the wide side."""
    total = 2 * _TABCOLSEP * (len(grid.stub) + len(grid.columns))
    for place in range(len(grid.stub)):
        natural = _stub_width(grid, place, fit)
        total += min(natural, _wrapped_width(grid, fit)) if fit.wrap else natural
    return total + _values(grid, fit)


def _values(grid: Grid, fit: _Fit) -> float:
    """Estimated width of the columns of values, without the space between them."""
    total = 0.0
    rows = [row for block in grid.blocks for row in block.rows]
    for place, heading in enumerate(grid.columns):
        cells = [row.cells[place] for row in rows]
        # Bold figures and a footnote letter take a little more than plain ones.
        values = [_text_width(c.text + c.mark, fit.points) * (1.15 if c.best else 1) for c in cells]
        ranges = [_text_width(c.interval, 8.0) for c in cells]
        together = [
            max(v, r) if fit.stacked else v + r + 3 for v, r in zip(values, ranges, strict=True)
        ]
        total += max([_text_width(heading, fit.points), *together])
    return total


def _text_width(text: str, points: float) -> float:
    """Width of text in Computer Modern, which is wider than Times: em shares by kind of letter."""
    return points * sum(map(_em, text))


def _em(character: str) -> float:
    if not character.isascii() and "Umathchar" in escape_latex(character):
        return 3.8  # stands as "U+65E5" in a typewriter face
    if character in " .,:;|![]()'ijl":
        return 0.28
    if character in "-−–":
        return 0.78
    return 0.75 if character.isupper() or character in "mw%&@<>" else 0.52

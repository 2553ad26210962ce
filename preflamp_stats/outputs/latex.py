"""Result tables as LaTeX floats that compile with booktabs alone and fit a two-column paper."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from preflamp_stats.outputs.formatting import escape_latex, sentence
from preflamp_stats.outputs.layout import Block, Cell, Grid, Row, lay_out
from preflamp_stats.results import ResultTable

_COLUMN_PT = 214.0
_PAGE_PT = 390.0
"""Widths of a float: a column of ACL's style, and the page of NeurIPS's, narrower than ACL's."""
_NARROWEST_PT = 72.0
"""A column of text is wrapped to no less than this, whatever the values take."""
_LINES = 42
_NOTE_LINES = 9
"""Lines of a float, and of the text below it, so that it and its caption stay on a page."""
_FLOATS_BEFORE_CLEARING = 8
"""LaTeX stops when too many floats wait for a page."""
_RANGE_POINTS = 8.0


@dataclass(frozen=True)
class Fit:
    """How a grid is set: environment, font, intervals beside or below, columns how far apart."""

    environment: str
    font: str
    points: float
    stacked: bool
    apart: float = 8.0
    wrap: bool = False

    @property
    def limit(self) -> float:
        """Width that there is, in points."""
        return _PAGE_PT if self.environment == "table*" else _COLUMN_PT


_FITS = (
    Fit("table", r"\small", 10.0, stacked=False),
    Fit("table", r"\footnotesize", 9.0, stacked=False),
    Fit("table*", r"\small", 10.0, stacked=False),
    Fit("table*", r"\footnotesize", 9.0, stacked=False),
    Fit("table*", r"\small", 10.0, stacked=True),
    Fit("table*", r"\footnotesize", 9.0, stacked=True),
    Fit("table*", r"\scriptsize", 8.0, stacked=True),
    Fit("table*", r"\scriptsize", 8.0, stacked=True, apart=5.0),
    Fit("table*", r"\scriptsize", 8.0, stacked=True, apart=5.0, wrap=True),
)


@dataclass(frozen=True)
class _Column:
    """One column of the tabular: its width if nothing is wrapped, and the width that it gets."""

    heading: str
    is_text: bool
    natural: float
    width: float

    @property
    def wrapped(self) -> bool:
        return self.width < self.natural

    def side(self, fit: Fit) -> str:
        """Where its cells stand."""
        return "l" if self.is_text else "c" if fit.stacked else "r"


def to_latex(table: ResultTable) -> str:
    r"""Set a table in LaTeX, ready for ``\input``; needs ``\usepackage{booktabs}`` only.

    Set in one column where it fits, across both (``table*``) where it does not; a table longer than
    a page, or wider than one even with its texts wrapped, becomes several floats. Every label is
    escaped, and characters that pdfLaTeX has no glyph for are shown by XeLaTeX and LuaLaTeX and
    named by their code point in pdfLaTeX.

    Parameters
    ----------
    table : ResultTable

    Returns
    -------
    str
        Labelled ``tab:NAME``, the following parts ``tab:NAME-2`` and so on. The best value of each
        group is bold where the table has a better and a worse.
    """
    found = parts(table)
    floats = []
    for place, (part, fit) in enumerate(found, start=1):
        title = table.title if place == 1 else f"{table.title} (continued)"
        caption = f"{sentence(title)} {table.caption if place == 1 else ''}"
        name = f"tab:{table.name}" if place == 1 else f"tab:{table.name}-{place}"
        # Remarks and footnotes hold for the whole table; its last part carries them.
        shown = part if place == len(found) else replace(part, remarks=(), footnotes=())
        floats.append(_float(shown, fit, caption, name))
        if place % _FLOATS_BEFORE_CLEARING == 0 and place < len(found):
            floats.append("\\clearpage\n")
    return "% Needs \\usepackage{booktabs}.\n" + "\n".join(floats)


def parts(table: ResultTable) -> list[tuple[Grid, Fit]]:
    """Share a table out to floats that fit a page, and choose how they are set.

    Parameters
    ----------
    table : ResultTable

    Returns
    -------
    list of (Grid, Fit)
        One for each float.
    """
    grid = lay_out(table)
    fit = next((fit for fit in _FITS if width(grid, fit) <= fit.limit), _FITS[-1])
    return [(part, fit) for piece in _abreast(grid, fit) for part in _pages(piece, fit)]


def width(grid: Grid, fit: Fit) -> float:
    """Estimated width of a grid in points, on the wide side."""
    return _total(_measure(grid, fit), fit)


def _float(grid: Grid, fit: Fit, caption: str, name: str) -> str:
    n_stub, n_columns = len(grid.stub), len(grid.columns)
    columns = _measure(grid, fit)
    kinds = [f"p{{{c.width:.0f}pt}}" if c.wrapped else c.side(fit) for c in columns]
    lines = [
        rf"\begin{{{fit.environment}}}[t]",
        r"\centering",
        fit.font,
        rf"\setlength{{\tabcolsep}}{{{fit.apart / 2:g}pt}}",
        rf"\begin{{tabular}}{{@{{}}{''.join(kinds)}@{{}}}}",
        r"\toprule",
    ]
    if grid.spanner and n_columns > 1:
        over = rf"\multicolumn{{{n_columns}}}{{c}}{{{escape_latex(grid.spanner)}}} \\"
        lines.append("& " * n_stub + over)
        lines.append(rf"\cmidrule(l){{{n_stub + 1}-{n_stub + n_columns}}}")
    lines += [_line([_heading(column, fit) for column in columns]), r"\midrule"]
    for place, block in enumerate(grid.blocks):
        if place:
            lines.append(r"\addlinespace")
        if block.heading:
            room = _total(columns, fit)
            long = _text_width(block.heading, fit.points) > room
            kind = rf"p{{{room:.0f}pt}}" if long else "l"
            span = rf"\multicolumn{{{n_stub + n_columns}}}{{@{{}}{kind}@{{}}}}"
            lines.append(rf"{span}{{\textit{{{_breakable(block.heading, room)}}}}} \\")
        for row in block.rows:
            lines += _row(row, columns, fit)
    lines += [r"\bottomrule", r"\end{tabular}"]
    below = [("", ". ".join(grid.remarks) + ".")] if grid.remarks else []
    below += [(rf"\textsuperscript{{{mark}}} ", text) for mark, text in grid.footnotes]
    notes = [f"{mark}{_breakable(text, _COLUMN_PT)}" for mark, text in below]
    if notes:
        lines.append(rf"\par\smallskip{{\footnotesize\raggedright {' '.join(notes)}\par}}")
    lines += [
        rf"\caption{{{escape_latex(caption.strip())}}}",
        rf"\label{{{name}}}",
        rf"\end{{{fit.environment}}}",
    ]
    return "\n".join(lines) + "\n"


def _row(row: Row, columns: Sequence[_Column], fit: Fit) -> list[str]:
    shown = [*map(escape_latex, row.labels), *map(_estimate, row.cells)]
    for place, (cell, column) in enumerate(zip(_cells(row), columns, strict=True)):
        if column.wrapped and _cell_width(cell, fit) > column.width:
            # Lines of a narrow column are set ragged: stretched ones would run over its edge.
            text = _breakable(cell.text, column.width)
            shown[place] = rf"\rightskip0pt plus 1fil\relax {text}"
    ranges = [_interval(cell) for cell in _cells(row)]
    both = list(zip(shown, ranges, strict=True))
    if not fit.stacked:
        return [_line([f"{text} {low_high}".rstrip() for text, low_high in both])]
    if any(ranges) and not any(column.wrapped for column in columns):
        return [_line(shown), _line(ranges)]
    below = r"\begin{tabular}[t]{@{}c@{}}%s\\%s\end{tabular}"
    return [_line([below % pair if pair[1] else pair[0] for pair in both])]


def _cells(row: Row) -> list[Cell]:
    """Labels and values of a row alike."""
    return [*map(Cell, row.labels), *row.cells]


def _line(fields: Sequence[str]) -> str:
    return " & ".join(fields) + r" \\"


def _estimate(cell: Cell) -> str:
    text = _number(cell.text)
    text = rf"\textbf{{{text}}}" if cell.best else text
    return rf"{text}\textsuperscript{{{cell.mark}}}" if cell.mark else text


def _interval(cell: Cell) -> str:
    return rf"{{\scriptsize {_number(cell.interval)}}}" if cell.interval else ""


def _number(text: str) -> str:
    """Set a printed number with a true minus; text that is no number is escaped as it stands."""
    numeric = re.fullmatch(r"[-+\d.,∞<e\[\] ]+", text)
    return escape_latex(text.replace("-", "−") if numeric else text)


def _breakable(text: str, width: float) -> str:
    """Escape a text that may break after its punctuation too: names of models have no spaces."""
    words = [map(escape_latex, _pieces(word, width)) for word in text.split()]
    return " ".join(map(r"\allowbreak{}".join, words))


def _pieces(word: str, width: float) -> list[str]:
    """Pieces between which a name may break; none is wider than the column in any font of ours."""
    most = max(int(width / (0.78 * 10)), 4)
    parts = re.split(r"(?<=[/>)(._:-])", word)
    return [part[at : at + most] for part in parts for at in range(0, len(part), most)]


def _measure(grid: Grid, fit: Fit) -> list[_Column]:
    """Columns of the tabular, texts wrapped to share what the numbers leave of the page."""
    rows = [_cells(row) for block in grid.blocks for row in block.rows]
    columns = []
    for place, heading in enumerate([*grid.stub, *grid.columns]):
        cells = [row[place] for row in rows]
        is_text = place < len(grid.stub) or any(c.isalpha() for cell in cells for c in cell.text)
        widths = [_text_width(word, fit.points) for word in heading.split()]
        natural = max([*widths, *(_cell_width(cell, fit) for cell in cells)], default=0.0)
        columns.append(_Column(heading, is_text, natural, natural))
    if not fit.wrap:
        return columns
    texts = sorted(column.natural for column in columns if column.is_text)
    left = fit.limit - _total(columns, fit) + sum(texts)
    narrow = math.inf
    for place, natural in enumerate(texts):
        share = left / (len(texts) - place)
        if natural > share:
            narrow = max(share, _NARROWEST_PT)
            break
        left -= natural
    return [replace(c, width=min(c.natural, narrow)) if c.is_text else c for c in columns]


def _abreast(grid: Grid, fit: Fit) -> list[Grid]:
    """The grid, or grids of equally many of its columns where all are wider than the page."""
    n_columns = len(grid.columns)
    for n_parts in range(1, n_columns + 1):
        size = math.ceil(n_columns / n_parts)
        parts = [_with_columns(grid, at, at + size) for at in range(0, n_columns, size)]
        if all(width(part, fit) <= fit.limit for part in parts):
            return parts
    return parts if n_columns else [grid]


def _with_columns(grid: Grid, start: int, stop: int) -> Grid:
    kept = [[Row(row.labels, row.cells[start:stop]) for row in block.rows] for block in grid.blocks]
    blocks = (Block(block.heading, tuple(b)) for block, b in zip(grid.blocks, kept, strict=True))
    return replace(grid, columns=grid.columns[start:stop], blocks=tuple(blocks))


def _pages(grid: Grid, fit: Fit) -> Iterator[Grid]:
    """Portions of at most a page, broken between blocks where that is possible."""
    columns = _measure(grid, fit)

    def lines(row: Row) -> int:
        cells = _cells(row)
        wrapped = [
            math.ceil(1.2 * _cell_width(cell, fit) / column.width)
            for cell, column in zip(cells, columns, strict=True)
            if column.wrapped
        ]
        return max(1 + (fit.stacked and any(cell.interval for cell in cells)), *wrapped, 1)

    notes = " ".join([*grid.remarks, *(text for _, text in grid.footnotes)])
    page = _LINES - max(0, math.ceil(_text_width(notes, 9.0) / fit.limit) - _NOTE_LINES)
    page = room = max(page, _LINES // 2)
    part: list[Block] = []
    for block in grid.blocks:
        heading, rows = block.heading, list(block.rows)
        needed = [lines(row) for row in rows]
        if part and sum(needed) + bool(heading) > room:
            yield replace(grid, blocks=tuple(part))
            part, room = [], page
        while sum(needed) + 1 > room:
            taken = 1
            while sum(needed[: taken + 1]) + 1 <= room:
                taken += 1
            yield replace(grid, blocks=(*part, Block(heading, tuple(rows[:taken]))))
            part, room, rows, needed = [], page, rows[taken:], needed[taken:]
            heading = f"{block.heading} (continued)" if block.heading else ""
        part.append(Block(heading, tuple(rows)))
        room -= sum(needed) + 2
    yield replace(grid, blocks=tuple(part))


def _total(columns: Sequence[_Column], fit: Fit) -> float:
    """Estimated width of the tabular in points, on the wide side."""
    return sum(column.width for column in columns) + fit.apart * (len(columns) - 1)


def _heading(column: _Column, fit: Fit) -> str:
    """Heading in as many lines as its column asks for."""
    lines = [""]
    for word in column.heading.split():
        fits = _text_width(word, fit.points) <= column.width
        for place, piece in enumerate([word] if fits else _pieces(word, column.width)):
            longer = f"{lines[-1]}{'' if place else ' '}{piece}".strip()
            if lines[-1] and _text_width(longer, fit.points) > column.width:
                lines.append(piece)
            else:
                lines[-1] = longer
    text = r"\\".join(map(escape_latex, lines))
    return rf"\shortstack[{column.side(fit)}]{{{text}}}" if len(lines) > 1 else text


def _cell_width(cell: Cell, fit: Fit) -> float:
    # Bold figures and a footnote letter take a little more than plain ones.
    value = _text_width(cell.text + cell.mark, fit.points) * (1.15 if cell.best else 1)
    low_high = _text_width(cell.interval, _RANGE_POINTS)
    return max(value, low_high) if fit.stacked or not cell.interval else value + low_high + 3


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

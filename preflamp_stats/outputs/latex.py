"""Result tables as LaTeX floats that compile with booktabs alone and fit a two-column paper."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from preflamp_stats.outputs.formatting import sentence
from preflamp_stats.outputs.latex_text import escape_latex
from preflamp_stats.outputs.layout import Block, Cell, Grid, Row, lay_out
from preflamp_stats.results import ResultTable

__all__ = ["to_latex"]

_COLUMN_PT = 214.0
_PAGE_PT = 390.0
"""Widths of a float: a column of ACL's style, and the page of NeurIPS's, narrower than ACL's."""
_NARROWEST_PT = 60.0
"""A column of text is wrapped to no less than this, whatever the values take."""
_LINES = 42
_NOTE_LINES = 9
"""Lines of a float, and of the text below it, so that it and its caption stay on a page."""
_FLOATS_BEFORE_CLEARING = 8
"""LaTeX stops when too many floats wait for a page."""
_TABCOLSEP = 4.0
_RANGE_POINTS = 8.0


@dataclass(frozen=True)
class _Fit:
    """How a grid is set: environment, font, intervals beside or below, long texts wrapped."""

    environment: str
    font: str
    points: float
    stacked: bool
    wrap: bool = False

    @property
    def limit(self) -> float:
        """Width that there is, in points."""
        return _PAGE_PT if self.environment == "table*" else _COLUMN_PT


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


@dataclass(frozen=True)
class _Column:
    """One column of the tabular: its width if nothing is wrapped, and the width that it gets."""

    natural: float
    width: float
    is_text: bool
    heading: str

    @property
    def wrapped(self) -> bool:
        return self.width < self.natural


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
    grid = lay_out(table)
    fit = next((fit for fit in _FITS if _total(_measure(grid, fit)) <= fit.limit), _FITS[-1])
    parts = [part for piece in _abreast(grid, fit) for part in _pages(piece, fit)]
    floats = []
    for place, part in enumerate(parts, start=1):
        title = table.title if place == 1 else f"{table.title} (continued)"
        caption = f"{sentence(title)} {table.caption if place == 1 else ''}"
        name = f"tab:{table.name}" if place == 1 else f"tab:{table.name}-{place}"
        # Remarks and footnotes hold for the whole table; its last part carries them.
        shown = part if place == len(parts) else replace(part, remarks=(), footnotes=())
        floats.append(_float(shown, fit, caption, name))
        if place % _FLOATS_BEFORE_CLEARING == 0 and place < len(parts):
            floats.append("\\clearpage\n")
    return "% Needs \\usepackage{booktabs}.\n" + "\n".join(floats)


def _float(grid: Grid, fit: _Fit, caption: str, name: str) -> str:
    n_stub, n_columns = len(grid.stub), len(grid.columns)
    columns = _measure(grid, fit)
    lines = [
        rf"\begin{{{fit.environment}}}[t]",
        r"\centering",
        fit.font,
        rf"\setlength{{\tabcolsep}}{{{_TABCOLSEP:g}pt}}",
        rf"\begin{{tabular}}{{@{{}}{''.join(_kind(column, fit) for column in columns)}@{{}}}}",
        r"\toprule",
    ]
    if grid.spanner and n_columns > 1:
        lines.append(
            "& " * n_stub + rf"\multicolumn{{{n_columns}}}{{c}}{{{escape_latex(grid.spanner)}}} \\"
        )
        lines.append(rf"\cmidrule(l){{{n_stub + 1}-{n_stub + n_columns}}}")
    lines += [_line([column.heading for column in columns]), r"\midrule"]
    for place, block in enumerate(grid.blocks):
        if place:
            lines.append(r"\addlinespace")
        if block.heading:
            width = _total(columns)
            long = _text_width(block.heading, fit.points) > width
            kind = rf"p{{{width:.0f}pt}}" if long else "l"
            span = rf"\multicolumn{{{n_stub + n_columns}}}{{@{{}}{kind}@{{}}}}"
            lines.append(rf"{span}{{\textit{{{_breakable(block.heading, width)}}}}} \\")
        for row in block.rows:
            lines += _row(row, columns, fit)
    lines += [r"\bottomrule", r"\end{tabular}"]
    below = [". ".join(grid.remarks) + "."] if grid.remarks else []
    notes = [_breakable(text, _COLUMN_PT) for text in below]
    notes += [
        rf"\textsuperscript{{{mark}}} {_breakable(text, _COLUMN_PT)}"
        for mark, text in grid.footnotes
    ]
    if notes:
        lines.append(rf"\par\smallskip{{\footnotesize\raggedright {' '.join(notes)}\par}}")
    lines += [
        rf"\caption{{{escape_latex(caption.strip())}}}",
        rf"\label{{{name}}}",
        rf"\end{{{fit.environment}}}",
    ]
    return "\n".join(lines) + "\n"


def _row(row: Row, columns: Sequence[_Column], fit: _Fit) -> list[str]:
    texts = [*map(escape_latex, row.labels), *map(_estimate, row.cells)]
    plain = [*row.labels, *(cell.text for cell in row.cells)]
    shown = [
        # Lines of a narrow column are set ragged: stretched ones would run over its edge.
        rf"\rightskip0pt plus 1fil\relax {_breakable(text, column.width)}"
        if column.wrapped
        else set_text
        for set_text, text, column in zip(texts, plain, columns, strict=True)
    ]
    ranges = [""] * len(row.labels) + [_interval(cell) for cell in row.cells]
    if fit.stacked and any(ranges):
        return [_line(shown), _line(ranges)]
    return [
        _line([f"{text} {low_high}".rstrip() for text, low_high in zip(shown, ranges, strict=True)])
    ]


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
    return r"\allowbreak{}".join(map(escape_latex, _pieces(text, width)))


def _pieces(text: str, width: float) -> list[str]:
    """Pieces between which a name may break; none is wider than the column, in any font of ours."""
    most = max(int(width / (0.78 * 10)), 4)
    parts = re.split(r"(?<=[/>)(._:-])", text)
    cut = [
        re.findall(rf"\S{{1,{most}}}|\s+", part) if len(part) > most else [part] for part in parts
    ]
    return [piece for pieces in cut for piece in pieces]


def _measure(grid: Grid, fit: _Fit) -> list[_Column]:
    """Columns of the tabular, texts wrapped to share what the numbers leave of the page."""
    rows = [row for block in grid.blocks for row in block.rows]
    found = []
    for place, heading in enumerate(grid.stub):
        texts = [row.labels[place] for row in rows]
        widths = [_text_width(text, fit.points) for text in texts]
        found.append((True, max(widths, default=0.0), heading))
    for place, heading in enumerate(grid.columns):
        cells = [row.cells[place] for row in rows]
        is_text = any(character.isalpha() for cell in cells for character in cell.text)
        widths = [_cell_width(cell, fit) for cell in cells]
        found.append((is_text, max(widths, default=0.0), heading))
    columns = []
    for is_text, inside, heading in found:
        words = heading.split() or [""]
        natural = max(inside, *(_text_width(word, fit.points) for word in words))
        columns.append((is_text, natural, heading))
    narrow = _share(columns, fit) if fit.wrap else math.inf
    return [
        _Column(
            natural,
            min(natural, narrow) if is_text else natural,
            is_text,
            _stacked(heading, min(natural, narrow) if is_text else natural, fit, is_text),
        )
        for is_text, natural, heading in columns
    ]


def _share(columns: Sequence[tuple[bool, float, str]], fit: _Fit) -> float:
    """Width to which texts are wrapped, so that all columns together fill the page."""
    left = fit.limit - 2 * _TABCOLSEP * len(columns)
    left -= sum(natural for is_text, natural, _ in columns if not is_text)
    texts = sorted(natural for is_text, natural, _ in columns if is_text)
    for place, natural in enumerate(texts):
        share = left / (len(texts) - place)
        if natural > share:
            return max(share, _NARROWEST_PT)
        left -= natural
    return math.inf


def _abreast(grid: Grid, fit: _Fit) -> Iterator[Grid]:
    """The grid, or grids of fewer of its columns where all together are wider than the page."""
    start = 0
    while start == 0 or start < len(grid.columns):
        stop = len(grid.columns)
        piece = _with_columns(grid, start, stop)
        while stop > start + 1 and _total(_measure(piece, fit)) > fit.limit:
            stop -= 1
            piece = _with_columns(grid, start, stop)
        yield piece
        start = max(stop, 1)


def _with_columns(grid: Grid, start: int, stop: int) -> Grid:
    blocks = [
        replace(block, rows=tuple(Row(row.labels, row.cells[start:stop]) for row in block.rows))
        for block in grid.blocks
    ]
    return replace(grid, columns=grid.columns[start:stop], blocks=tuple(blocks))


def _pages(grid: Grid, fit: _Fit) -> Iterator[Grid]:
    """Portions of at most a page, broken between blocks where that is possible."""
    columns = _measure(grid, fit)

    def lines(row: Row) -> int:
        texts = [*row.labels, *(cell.text for cell in row.cells)]
        wrapped = [
            math.ceil(1.2 * _text_width(text, fit.points) / column.width)
            for text, column in zip(texts, columns, strict=True)
            if column.wrapped
        ]
        return max(1, *wrapped, 1) + (fit.stacked and any(cell.interval for cell in row.cells))

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


def _kind(column: _Column, fit: _Fit) -> str:
    if column.wrapped:
        return f"p{{{column.width:.0f}pt}}"
    return "l" if column.is_text else "c" if fit.stacked else "r"


def _total(columns: Sequence[_Column]) -> float:
    """Estimated width of the tabular in points, on the wide side."""
    return 2 * _TABCOLSEP * len(columns) + sum(column.width for column in columns)


def _stacked(heading: str, width: float, fit: _Fit, is_text: bool) -> str:
    """Heading in as many lines as its column asks for."""
    lines = [""]
    for word in re.findall(r"\S+", heading):
        for place, piece in enumerate(_pieces(word, width) if fit.wrap else [word]):
            longer = f"{lines[-1]}{'' if place else ' '}{piece}".strip()
            if lines[-1] and _text_width(longer, fit.points) > width:
                lines.append(piece)
            else:
                lines[-1] = longer
    texts = [escape_latex(line) for line in lines]
    side = "l" if is_text else "c" if fit.stacked else "r"
    return rf"\shortstack[{side}]{{{(chr(92) * 2).join(texts)}}}" if len(texts) > 1 else texts[0]


def _cell_width(cell: Cell, fit: _Fit) -> float:
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

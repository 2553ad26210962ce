"""The grid that Markdown, LaTeX and HTML draw: text in cells, before any markup."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Block", "Cell", "Grid", "Row"]


@dataclass(frozen=True)
class Cell:
    """One estimate or value, not yet escaped.

    Parameters
    ----------
    text : str
        The value.
    interval : str
        In brackets; empty where none is claimed.
    best : bool
        Best of its group.
    mark : str
        Letter of a footnote.
    """

    text: str
    interval: str = ""
    best: bool = False
    mark: str = ""


@dataclass(frozen=True)
class Row:
    """Labels of a row, then its cells."""

    labels: tuple[str, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Block:
    """Rows under one heading; the heading is empty where there is one block only."""

    heading: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Grid:
    """What a reader sees of a table, before any markup.

    Parameters
    ----------
    stub : tuple of str
        Headings of the label columns.
    columns : tuple of str
        Headings of the value columns.
    spanner : str
        What the value columns are ("Model"); empty where each is its own thing.
    blocks : tuple of Block
        Rows in groups.
    remarks : tuple of str
        What holds for the whole table: level, fixed settings, sample sizes.
    footnotes : tuple of (str, str)
        Letter and text.
    """

    stub: tuple[str, ...]
    columns: tuple[str, ...]
    spanner: str
    blocks: tuple[Block, ...]
    remarks: tuple[str, ...] = ()
    footnotes: tuple[tuple[str, str], ...] = ()

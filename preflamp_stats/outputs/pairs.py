"""Tables of pairs of methods: which of hundreds of rows a reader should see."""

from __future__ import annotations

import pandas as pd

__all__ = ["MOST_ROWS", "is_pairs", "most_telling"]

MOST_ROWS = 40
"""Rows of a table of pairs that are shown; its CSV has all."""

_PLACES = ("dataset", "model", "upstream", "downstream", "metric")
_VERDICTS = ("decoupled", "reversed", "coupled", "inconclusive")


def is_pairs(frame: pd.DataFrame) -> bool:
    """Whether a table compares methods two by two."""
    return {"method_a", "method_b"} <= set(frame)


def most_telling(frame: pd.DataFrame, name: str) -> tuple[list[int], str]:
    """Rows to show, and a remark on those that are not.

    Rows of a verdict come before those without, small adjusted p-values before large ones, large
    differences before small ones. What is chosen so is shown dataset by dataset and model by model.

    Parameters
    ----------
    frame : DataFrame
        A table, its rows numbered from 0.
    name : str
        Name of the table.

    Returns
    -------
    list of int
        Positions of the rows. All, in their order, where the table is none of pairs.
    str
        Empty where all are shown.

    Examples
    --------
    >>> verdicts = ["inconclusive"] * 40 + ["decoupled"]
    >>> pairs = pd.DataFrame({"method_a": "a", "method_b": "b", "verdict": verdicts})
    >>> rows, remark = most_telling(pairs, "decoupling")
    >>> rows[0], remark
    (40, '1 further row is in decoupling.csv: 1 inconclusive')
    """
    if not is_pairs(frame):
        return list(range(len(frame))), ""
    telling = pd.DataFrame(index=frame.index)
    if "verdict" in frame:
        ranks = {verdict: place for place, verdict in enumerate(_VERDICTS)}
        telling["verdict"] = frame["verdict"].map(ranks).fillna(len(ranks))
    for column in ("p_adjusted", "upstream_p_adjusted"):
        if column in frame:
            telling[column] = frame[column].astype(float)
    for column in ("estimate", "upstream_difference"):
        if column in frame:
            telling[column] = -frame[column].astype(float).abs()
    by = [str(column) for column in telling]
    ordered = telling.sort_values(by, kind="stable") if by else telling
    kept = [int(row) for row in ordered.index[:MOST_ROWS]]
    places = [key for key in _PLACES if key in frame]
    if places:
        group = frame.groupby(places, sort=False, dropna=False).ngroup()
        kept.sort(key=lambda row: group[row])
    return kept, _left(frame.drop(kept), name)


def _left(rest: pd.DataFrame, name: str) -> str:
    if rest.empty:
        return ""
    one = len(rest) == 1
    text = f"{len(rest)} further {'row is' if one else 'rows are'} in {name}.csv"
    if "verdict" in rest:
        counts = rest["verdict"].value_counts()
        there = [f"{counts[v]} {v}" for v in _VERDICTS if v in counts]
        text += f": {', '.join(there)}"
    return text

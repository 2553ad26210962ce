"""What makes a table, before there are any numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from preflamp_stats.inference.resampled import ResampledStudy
from preflamp_stats.results import ResultTable
from preflamp_stats.settings import Settings

__all__ = ["Table"]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of an analysis: how its rows are made, and what it says in words.

    Parameters
    ----------
    name : str
        File name without ending.
    title : str
        A few words for headings.
    question : str
        Question of a reader that it stands under, by its name in
        :data:`preflamp_stats.tables.registry.QUESTIONS`; empty for none.
    rows : callable
        Makes the tidy rows from all datasets, frame by frame; no rows, no table.
    caption : str or callable
        One or two sentences: what is estimated, how the interval was made, what to mind; with
        places that :func:`preflamp_stats.tables.words.fill` fills. A function makes it of the rows.
    reading : str
        How to read the table and its figure.
    finding : callable, optional
        Sentences that follow from the numbers, one for each dataset and subject.
    answer : callable, optional
        Sums tables up in a sentence or two, as the answer to the question; empty where they do not
        answer it. Of the tables of a question, the first that has an answer gives it.
    estimate_of, ranked
        As of :class:`preflamp_stats.ResultTable`.
    """

    name: str
    title: str
    question: str = ""
    rows: Callable[[Sequence[ResampledStudy]], Iterable[pd.DataFrame]]
    caption: str | Callable[[pd.DataFrame], str]
    reading: str = ""
    finding: Callable[[ResultTable, Settings], Iterable[str]] | None = None
    answer: Callable[[Mapping[str, ResultTable]], str] | None = None
    estimate_of: str = "metric"
    ranked: bool = False

"""What the file holds of each method: of which share of the examples something is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from preflamp_stats.inference.resampled import ResampledStudy
from preflamp_stats.io.describe import coverage
from preflamp_stats.metric import POINTS, number
from preflamp_stats.results import ResultTable
from preflamp_stats.settings import Settings
from preflamp_stats.tables import words
from preflamp_stats.tables.table import Table

__all__ = ["COVERAGE"]

_WHAT = {
    "reward": "rewards",
    "pair": "the rewards of whole pairs",
    "generation": "generations",
    "generation_metric": "values of generation metrics",
    "reference": "references",
}


def _rows(studies: Sequence[ResampledStudy]) -> Iterator[pd.DataFrame]:
    for study in studies:
        # In our tables a column ``metric`` names the metric of a row.
        yield coverage({study.name: study.ds}).rename(columns={"metric": "generation_metric"})


def _finding(table: ResultTable, settings: Settings) -> Iterator[str]:
    """Say what is absent in part; what is absent throughout was perhaps never meant to be there."""
    for dataset, rows in words.by_dataset(table.frame):
        for column, what in _WHAT.items():
            known = rows[column].dropna() if column in rows else pd.Series(dtype=float)
            partly = known[(known > 0) & (known < 1)]
            if partly.empty:
                continue
            lacking = sorted(set(rows.loc[partly.index, "method"])) if "method" in rows else []
            of = f" of {words.some(lacking, 'and')}" if lacking else ""
            absent = number(1 - float(partly.min()), POINTS)
            told = f"{what}{of} are absent in up to {absent} % of the examples."
            yield words.capital(told, dataset)


COVERAGE = Table(
    name="coverage",
    title="What the file holds",
    question="holds",
    rows=_rows,
    caption="Examples, and the share of them in percent with any reward, with the rewards of a "
    "whole pair, with a generation (the empty text is one), with a value of the file's metrics, "
    "with a reference; then pairs with equal rewards and with the same two texts.",
    reading="Estimates are over what is there; methods are compared on the examples that both "
    "have.",
    finding=_finding,
)

"""Analyses of small simulated studies that tests look at, and change where a case is rare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import preflamp_stats as pls
from preflamp_stats.results import Analysis, ResultTable

SETTINGS = pls.Settings(resamples=200, downstream=("policy_accuracy", "rouge1", "edits", "judge"))


def with_own_metrics(ds: xr.Dataset, **attrs: object) -> xr.Dataset:
    """Add edits, of which fewer are better, and a judge of whom nothing is known."""
    quality = ds["rouge1"].drop_attrs()
    edits, judge = 40 * (1 - quality), 70 + 3 * quality
    told = {"long_name": "edits needed", "units": "edits", "direction": "lower"}
    return ds.assign(
        edits=edits.assign_attrs(role="generation_metric", **told, **attrs),
        judge=judge.assign_attrs(role="generation_metric"),
    )


@pytest.fixture(scope="session")
def study() -> dict[str, xr.Dataset]:
    """Two datasets, two models, five methods with rewards and one in-context method."""
    tree = pls.simulate(
        datasets=["tldr", "prism"],
        models=2,
        n_methods=5,
        n_icl=1,
        n_users=30,
        n_examples=(2, 9),
        tokens=6,
        seed=3,
    )
    return {name: with_own_metrics(ds) for name, ds in pls.datasets(tree).items()}


@pytest.fixture(scope="session")
def analysis(study: dict[str, xr.Dataset]) -> Analysis:
    return pls.analyze(study, SETTINGS)


Changer = Callable[..., ResultTable]


@pytest.fixture(scope="session")
def rows_of(analysis: Analysis) -> Changer:
    """The first rows of a table for a downstream metric of one dataset, with other numbers."""

    def changed(name: str, downstream: str = "rouge1", **columns: object) -> ResultTable:
        table = analysis.tables[name]
        frame = table.frame
        column = "downstream" if "downstream" in frame else "metric"
        frame = frame[frame[column] == downstream] if column in frame else frame
        frame = frame[frame["dataset"] == "tldr"] if "dataset" in frame else frame
        n_rows = max(np.size(value) for value in columns.values())
        return replace(table, frame=frame.iloc[:n_rows].assign(**columns))

    return changed

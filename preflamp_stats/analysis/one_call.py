"""From anything that holds scores to a written report, in one call."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import xarray as xr

from preflamp_stats.analysis.run import Analysis, analyze
from preflamp_stats.io.from_tables import convert, say_to_stderr
from preflamp_stats.io.open_any import open_any
from preflamp_stats.settings import Settings

__all__ = ["report"]


def report(
    data: Any,
    out: str | os.PathLike[str] = "preflamp-analysis",
    settings: Settings | None = None,
    *,
    say: Callable[[str], None] = say_to_stderr,
    **columns: Any,
) -> Analysis:
    """Analyse a table or a results file and write tables, figures and report.html.

    Parameters
    ----------
    data : path, data frame, DataTree or Dataset
        A results file, a table (CSV, JSON, JSONL, Parquet), a frame of pandas, polars or arrow, or
        results that are open.
    out : path
        Folder to write.
    settings : Settings, optional
        What to estimate and how.
    say : callable
        Told how columns were understood.
    **columns
        ``ignore``, ``mapping``, ``lower_is_better``, ``higher_is_better`` of
        :func:`preflamp_stats.convert`, for a table or a data frame.

    Returns
    -------
    Analysis
        As written.

    Raises
    ------
    InputError, SchemaError
        As :func:`preflamp_stats.convert` and :func:`preflamp_stats.analyze`.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> table = pd.DataFrame(
    ...     {"user": list("wxyz"), "example": [1, 2, 3, 4], "a_chosen": 1.0, "a_rejected": 0.0,
    ...      "b_chosen": 0.0, "b_rejected": 0.5}
    ... )
    >>> quick = Settings(resamples=100, formats=("csv",))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     analysis = report(table, folder, quick, say=lambda line: None)
    >>> analysis.tables["rm_accuracy"].frame["estimate"].tolist()
    [1.0, 0.0]
    """
    inputs: list[str] = []
    if isinstance(data, str | os.PathLike):
        inputs = [os.fspath(data)]
        [tree] = open_any(inputs, say=say, **columns).values()
    elif isinstance(data, xr.DataTree | xr.Dataset):
        tree = data if isinstance(data, xr.DataTree) else xr.DataTree(data)
    else:
        tree = convert([data], say=say, **columns)
    try:
        analysis = analyze(tree, settings, inputs=inputs)
        analysis.write(os.fspath(out))
    finally:
        if inputs:
            tree.close()
    return analysis

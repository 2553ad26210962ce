"""What an analysis found: tidy tables with their captions, and where they came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from preflamp_stats.columns import KEY_COLUMNS
from preflamp_stats.metric import Metric
from preflamp_stats.settings import Settings

__all__ = ["KEY_COLUMNS", "Analysis", "ResultTable"]

@dataclass(frozen=True)
class ResultTable:
    """One tidy table: an estimate a row, key columns first.

    Parameters
    ----------
    name : str
        File name without ending, such as ``rm_accuracy``.
    frame : pandas.DataFrame
        Key columns (those of :data:`KEY_COLUMNS` that apply), then ``estimate, low, high, level,
        n_examples, n_users`` and the table's own columns. A missing number is NaN.
    title : str
        A few words for headings.
    caption : str
        One or two plain-text sentences: what is estimated, how the interval was made, what to mind.
    metrics : mapping of str to Metric
        Every metric that the rows name, by its name, with the decimals that its sampling error
        deserves.
    estimate_of : str
        Which metric an estimate is in units of: the column that names it (``metric``,
        ``downstream``), or the name of the one metric of the whole table.
    ranked : bool
        Whether estimates of one group are there to be compared, so that the best may be marked
        where the direction of its metric is known. False for differences and associations.
    """

    name: str
    frame: pd.DataFrame
    title: str
    caption: str
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    estimate_of: str = "metric"
    ranked: bool = False

    def metric(self, name: str) -> Metric:
        """Metric of a name; one that nobody described is in its own units, without direction."""
        return self.metrics.get(name) or Metric.of_file(name, "method", {})

    def row_metrics(self) -> list[Metric]:
        """Metric that the estimate of each row is in units of."""
        if self.estimate_of not in self.frame:
            return [self.metric(self.estimate_of)] * len(self.frame)
        return [self.metric(str(name)) for name in self.frame[self.estimate_of]]

    @property
    def keys(self) -> list[str]:
        """Key columns that the table has."""
        return [column for column in KEY_COLUMNS if column in self.frame]


@dataclass(frozen=True)
class Analysis:
    """All estimates of one run, with the settings and inputs that made them.

    Parameters
    ----------
    settings : Settings
        What was asked for.
    tables : mapping of str to ResultTable
        Tables by name, in the order in which they are read.
    inputs : sequence of dict
        One for each input: ``path``, ``sha256``, ``bytes``.
    versions : mapping of str to str
        Versions of this package and of those that the numbers depend on.
    summary : sequence of str
        Plain sentences that follow from the numbers, the verdict first.
    notes : sequence of str
        What was left out and why, and what a reader must mind.
    findings : mapping of str to sequence of str
        The sentences of the summary by the table that they follow from.
    """

    settings: Settings
    tables: Mapping[str, ResultTable]
    inputs: Sequence[Mapping[str, Any]] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    summary: Sequence[str] = ()
    notes: Sequence[str] = ()
    findings: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def write(self, directory: str | Path) -> list[Path]:
        """Write every table, figure and the report into a directory, whole or not at all.

        Parameters
        ----------
        directory : path
            Made where absent. Files of an earlier analysis in it are replaced.

        Returns
        -------
        list of Path
            Every file written.

        Raises
        ------
        InputError
            If the directory cannot be written.
        """
        # Rendering lies above this layer; only this convenience reaches up, and only when called.
        from preflamp_stats.outputs.write import write_analysis

        return write_analysis(self, Path(directory))

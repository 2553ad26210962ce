"""What an analysis found: tidy tables with their captions, and where they came from."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from preflamp_stats.columns import KEY_COLUMNS
from preflamp_stats.metric import Metric
from preflamp_stats.settings import Settings

_NEXT = "Next: .write(folder) for the report, .tables[name].frame for numbers, pls.plot_tau(this)."


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
    reading : str
        How to read the table and its figure.
    findings : sequence of str
        Plain sentences that follow from its numbers.
    """

    name: str
    frame: pd.DataFrame
    title: str
    caption: str
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    estimate_of: str = "metric"
    ranked: bool = False
    reading: str = ""
    findings: Sequence[str] = ()

    def __repr__(self) -> str:
        return f"<ResultTable {self.name}: {self.title}, {len(self.frame)} rows>"

    def _repr_html_(self) -> str:
        caption = html.escape(f"{self.title}. {self.caption}")
        return f"<p>{caption}</p>{self.frame.to_html(index=False, na_rep='–', max_rows=40)}"

    def metric(self, name: object) -> Metric:
        """Metric of a name; one that nobody described is in its own units, without direction."""
        return self.metrics.get(str(name)) or Metric.of_file(str(name), "method", {})

    def row_metrics(self) -> list[Metric]:
        """Metric that the estimate of each row is in units of."""
        if self.estimate_of not in self.frame:
            return [self.metric(self.estimate_of)] * len(self.frame)
        return [self.metric(name) for name in self.frame[self.estimate_of]]

    @property
    def keys(self) -> list[str]:
        """Key columns that the table has."""
        return [column for column in KEY_COLUMNS if column in self.frame]


@dataclass(frozen=True)
class Question:
    """A question of a reader, and what the tables say to it.

    Parameters
    ----------
    name : str
        Short, for addresses within a page.
    title : str
        The question.
    tables : tuple of str
        Tables that answer it, in the order of reading.
    answer : str
        A sentence or two; empty where no table answers.
    """

    name: str
    title: str
    tables: tuple[str, ...]
    answer: str


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
    questions : sequence of Question
        What the tables answer, in the order in which it is read; every table stands in one.
    notes : sequence of str
        What was left out and why, and what a reader must mind.
    """

    settings: Settings
    tables: Mapping[str, ResultTable]
    inputs: Sequence[Mapping[str, Any]] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    questions: Sequence[Question] = ()
    notes: Sequence[str] = ()

    def __repr__(self) -> str:
        answers = [f"  {each.title} {each.answer}" for each in self.questions if each.answer]
        head = f"<Analysis of {len(self.tables)} tables: {', '.join(self.tables)}>"
        return "\n".join([head, *answers, f"  {_NEXT}"])

    def _repr_html_(self) -> str:
        told = [(html.escape(q.title), html.escape(q.answer)) for q in self.questions if q.answer]
        rows = "".join(f"<dt>{title}</dt><dd>{answer}</dd>" for title, answer in told)
        return f"<dl>{rows}</dl><p>Tables: {html.escape(', '.join(self.tables))}. {_NEXT}</p>"

    def to_frame(self) -> pd.DataFrame:
        """Rows of all tables that hold an estimate, one below the other; ``table`` names theirs.

        Returns
        -------
        DataFrame
            Columns that a table lacks are NaN. ``polars.from_pandas`` takes it as it is.
        """
        frames = [
            table.frame.assign(table=name)
            for name, table in self.tables.items()
            if "estimate" in table.frame
        ]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    def to_dict(self) -> dict[str, float]:
        """Every estimate and its limits by a flat name, as W&B and MLflow log them.

        Returns
        -------
        dict of str to float
            Such as ``{"rm_accuracy/vpl": 0.61, "rm_accuracy/vpl/low": 0.55, …}``: the table, then
            the values of the keys in which its rows differ. NaN is left out.

        Examples
        --------
        >>> import preflamp_stats as pls
        >>> study = pls.simulate(n_methods=3, n_users=20, n_examples=5, seed=1)
        >>> logged = pls.analyze(study, pls.Settings(resamples=100)).to_dict()
        >>> [name for name in logged if name.startswith("rm_accuracy")][:2]
        ['rm_accuracy/guided-01', 'rm_accuracy/guided-01/low']
        """
        found = {}
        for name, table in self.tables.items():
            if "estimate" not in table.frame:
                continue
            frame = table.frame.drop(columns="method_family", errors="ignore")
            keys = list(frame.columns[: frame.columns.get_loc("estimate")])
            told = [key for key in keys if frame[key].nunique(dropna=False) > 1]
            for row in frame.to_dict("records"):
                path = "/".join([name, *(str(row[key]) for key in told)])
                for column, end in (("estimate", ""), ("low", "/low"), ("high", "/high")):
                    if not pd.isna(row.get(column)):
                        found[path + end] = float(row[column])
        return found

    @property
    def signature(self) -> str:
        """Version, data and every choice in a line; ``analyze --signature`` runs it again."""
        data = ",".join(str(entry["sha256"])[:12] for entry in self.inputs)
        made = {"preflamp-stats": self.versions.get("preflamp-stats", ""), "data": data}
        parts = [f"{name}:{value}" for name, value in made.items() if value]
        return "|".join([*parts, self.settings.signature])

    @property
    def summary(self) -> list[str]:
        """Plain sentences that follow from the numbers of all tables."""
        return [text for table in self.tables.values() for text in table.findings]


def distinct(frame: pd.DataFrame, column: str) -> list[str]:
    """Values of a column in the order in which they appear; none where it is absent or empty.

    Examples
    --------
    >>> distinct(pd.DataFrame({"model": ["b", "a", "b"]}), "model")
    ['b', 'a']
    """
    return [str(v) for v in frame[column].dropna().unique()] if column in frame else []


def table_frame(tables: Mapping[str, ResultTable], name: str) -> pd.DataFrame:
    """Rows of a table that hold an estimate; an empty frame where there is no such table.

    Parameters
    ----------
    tables : mapping of str to ResultTable
    name : str

    Returns
    -------
    DataFrame
    """
    table = tables.get(name)
    if table is None or "estimate" not in table.frame:
        return pd.DataFrame({"estimate": pd.Series(dtype=float)})
    return table.frame[table.frame["estimate"].notna()]

"""Every column of the result tables: what it holds and how a reader sees it, declared once.

A column that stands in no line here prints by the type of its values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

Kind = Literal[
    "key", "metric", "axis", "estimate", "difference", "coefficient", "p value", "count",
    "share", "own number", "text",
]  # fmt: skip
"""What a column holds: a ``metric`` is a key that names one, an ``axis`` is what a curve runs
along, an ``own number`` has no unit that is known."""


@dataclass(frozen=True)
class Column:
    """One column of result tables.

    Parameters
    ----------
    name : str
        In the frame and the CSV.
    label : str
        At its head, and before its value in a remark.
    kind : str
        One of :data:`Kind`.
    of : str
        Column that names the metric in whose scale a difference is printed; ``"estimate"`` for the
        scale of the estimate.
    interval : tuple of (str, str), optional
        Columns of its interval, which stand in brackets behind it.
    shown : {"always", "varying", "csv"}
        In print always, only where rows differ in it, or in the CSV alone.
    instead : str
        Column that makes this one needless where both are there.
    """

    name: str
    label: str
    kind: Kind
    of: str = ""
    interval: tuple[str, str] | None = None
    shown: Literal["always", "varying", "csv"] = "always"
    instead: str = ""


def _csv(*names: str) -> tuple[Column, ...]:
    """Columns that a reader of the printed table can do without."""
    return tuple(Column(name, name, "own number", shown="csv") for name in names)


_ESTIMATE = ("low", "high")

COLUMNS = (
    Column("dataset", "Dataset", "key"),
    Column("model", "Model", "key"),
    Column("method", "Method", "key"),
    Column("method_family", "Family", "key"),
    Column("seed", "Seed", "key"),
    Column("scoring", "Scoring", "key"),
    Column("weight", "Weight w", "key"),
    Column("metric", "Metric", "metric"),
    Column("upstream", "Upstream", "metric"),
    Column("downstream", "Downstream", "metric"),
    Column("method_a", "Method A", "key"),
    Column("method_b", "Method B", "key"),
    Column("bin", "Tokens, chosen − rejected", "axis"),
    Column("share", "Share of the response read", "axis"),
    Column("estimate", "Estimate", "estimate", interval=_ESTIMATE),
    Column("chosen", "Chosen", "text"),
    Column("best", "Best", "text"),
    Column("random", "At random", "difference", of="estimate"),
    Column(
        "upstream_difference",
        "Upstream",
        "difference",
        of="upstream",
        interval=("upstream_low", "upstream_high"),
    ),
    Column("upstream_p_adjusted", "p, differs", "p value"),
    Column(
        "downstream_difference",
        "Downstream",
        "difference",
        of="downstream",
        interval=("downstream_low", "downstream_high"),
    ),
    Column("downstream_p_adjusted", "p, equivalent", "p value"),
    Column("p_equivalence", "P(beyond the margin)", "p value"),
    Column("tau_corrected", "Corrected", "coefficient"),
    Column("ceiling", "Ceiling", "coefficient"),
    Column("reliability_upstream", "Reliability, upstream", "coefficient"),
    Column("reliability_downstream", "Reliability, downstream", "coefficient"),
    Column(
        "population_tau",
        "Population tau",
        "coefficient",
        interval=("population_low", "population_high"),
    ),
    # The p of tau is of the population of methods, so it stands behind its interval.
    Column("p_value", "p", "p value", instead="p_adjusted"),
    Column("users_needed", "Users needed", "count"),
    Column("n_strata", "Strata", "count"),
    Column("n_datasets", "Datasets", "count"),
    Column("n_pairs", "Pairs", "count"),
    Column("reward", "Reward, %", "share"),
    Column("pair", "Pair, %", "share"),
    Column("generation", "Generation, %", "share"),
    Column("generation_metric", "Metrics, %", "share"),
    Column("reference", "Reference, %", "share"),
    Column("ties", "Ties", "count"),
    Column("identical", "Identical pairs", "count"),
    Column("best_guided", "Best guided", "text"),
    Column("p_adjusted", "Adj. p", "p value"),
    Column("n_methods", "Methods", "count"),
    Column("n_users", "Users", "count"),
    Column("n_examples", "Examples", "count"),
    # Captions say these of the whole table.
    Column("estimator", "Estimator", "text", shown="varying"),
    Column("interval", "Interval", "text", shown="varying"),
    Column("resample", "Resampled", "text", shown="varying"),
    Column("seeds", "Seeds", "text", shown="varying"),
    Column("target", "Interval is for", "text", shown="varying"),
    Column("variant", "Tau", "text", shown="varying"),
    Column("dominates_from", "Ahead from", "text"),
    Column("verdict", "Verdict", "text"),
    *_csv("bin_low", "bin_high", "level", "note", "se", "df", "step", "parameters", "n_seeds"),
    *_csv("naive", "naive_estimate", "relative", "gain", "gain_low", "gain_high"),
    *_csv("p_coupled", "p_decoupled", "p_reversed", "user_share", "n_rows", "n_guided"),
    *_csv("dominates", "long_name", "units", "higher_is_better"),
)
"""In the order of reading; a column of nobody's comes last."""

_BY_NAME = {column.name: column for column in COLUMNS}
KEY_COLUMNS = tuple(column.name for column in COLUMNS if column.kind in ("key", "metric"))
"""Columns that say which estimate a row holds, in the order in which they stand."""


def declared(name: str, values: pd.Series | None = None) -> Column:
    """Column of a name; one that nobody declared is a count, a number or a text by its values.

    Examples
    --------
    >>> declared("n_users").label
    'Users'
    >>> declared("shards_read", pd.Series([3])).kind, declared("odds", pd.Series([0.25])).kind
    ('count', 'own number')
    """
    if name in _BY_NAME:
        return _BY_NAME[name]
    kind: Kind = "text"
    if values is not None and pd.api.types.is_numeric_dtype(values):
        kind = "count" if pd.api.types.is_integer_dtype(values) else "own number"
        kind = "text" if pd.api.types.is_bool_dtype(values) else kind
    return Column(name, name.replace("_", " ").strip().capitalize(), kind)

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
Shown = Literal["always", "varying", "csv"]


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
    shown: Shown = "always"
    instead: str = ""


def _all(kind: Kind, shown: Shown = "always", **labels: str) -> tuple[Column, ...]:
    """Columns of one kind by their labels."""
    return tuple(Column(name, label, kind, shown=shown) for name, label in labels.items())


def _csv(names: str) -> tuple[Column, ...]:
    """Columns that a reader of the printed table can do without."""
    return tuple(Column(name, name, "own number", shown="csv") for name in names.split())


def _difference(of: str) -> Column:
    ends = (f"{of}_low", f"{of}_high")
    return Column(f"{of}_difference", of.capitalize(), "difference", of=of, interval=ends)


COLUMNS = (
    *_all("key", dataset="Dataset", model="Model", method="Method", method_family="Family"),
    *_all("key", seed="Seed", scoring="Scoring", weight="Weight w", k="k"),
    *_all("metric", metric="Metric", upstream="Upstream", downstream="Downstream"),
    *_all("key", method_a="Method A", method_b="Method B", new="New is the"),
    *_all("axis", bin="Tokens, chosen − rejected", share="Share of the response read"),
    Column("estimate", "Estimate", "estimate", interval=("low", "high")),
    *_all("text", chosen="Chosen", best="Best"),
    Column("random", "At random", "difference", of="estimate"),
    Column("oracle", "Oracle", "difference", of="estimate", interval=("oracle_low", "oracle_high")),
    Column("by_chance", "By chance", "difference", of="estimate"),
    Column("brier", "Brier", "coefficient", interval=("brier_low", "brier_high")),
    Column("mean_margin", "Margin", "coefficient",
           interval=("mean_margin_low", "mean_margin_high")),
    Column("gap", "Gap to oracle", "difference", of="estimate", interval=("gap_low", "gap_high")),
    *_all("count", peak="Peak at k", peak_low="From k", peak_high="to k", largest="Largest k"),
    Column("tied_within", "Tied within", "own number"),
    _difference("upstream"),
    Column("upstream_p_adjusted", "p, differs", "p value"),
    _difference("downstream"),
    Column("downstream_p_adjusted", "p, equivalent", "p value"),
    Column("p_equivalence", "P(beyond the margin)", "p value"),
    *_all("coefficient", tau_corrected="Corrected", ceiling="Ceiling"),
    Column("reliability_upstream", "Reliability, upstream", "coefficient"),
    Column("reliability_downstream", "Reliability, downstream", "coefficient"),
    Column("population_tau", "Population tau", "coefficient",
           interval=("population_low", "population_high")),
    # The p of tau is of the population of methods, so it stands behind its interval.
    Column("p_value", "p", "p value", instead="p_adjusted"),
    Column("threshold", "Threshold", "difference", of="upstream"),
    Column("r2_trial", "R², trial", "coefficient", interval=("r2_trial_low", "r2_trial_high")),
    Column("r2_individual", "R², individual", "coefficient",
           interval=("r2_individual_low", "r2_individual_high")),
    *_all("count", users_needed="Users needed", n_strata="Strata", n_datasets="Datasets"),
    Column("n_pairs", "Pairs", "count"),
    *_all("share", reward="Reward, %", pair="Pair, %", generation="Generation, %"),
    *_all("share", generation_metric="Metrics, %", reference="Reference, %"),
    *_all("count", ties="Ties", identical="Identical pairs"),
    Column("best_guided", "Best guided", "text"),
    Column("p_adjusted", "Adj. p", "p value"),
    *_all("count", n_methods="Methods", n_users="Users", n_examples="Examples"),
    # Captions say these of the whole table.
    *_all("text", "varying", estimator="Estimator", interval="Interval", resample="Resampled"),
    *_all("text", "varying", seeds="Seeds", target="Interval is for", variant="Tau"),
    Column("agreement", "Agreement", "text", shown="varying"),
    Column("reward_scale", "Scale", "text"),
    *_all("text", dominates_from="Ahead from", verdict="Verdict"),
    *_csv("bin_low bin_high level note se df step parameters n_seeds naive naive_estimate"),
    *_csv("relative gain gain_low gain_high p_coupled p_decoupled p_reversed user_share n_rows"),
    *_csv("n_guided dominates long_name units higher_is_better new_note"
           " users_needed_note users_times"),
)  # fmt: skip
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

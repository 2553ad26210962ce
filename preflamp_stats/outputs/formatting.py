"""Numbers and texts as people read them: intervals, p-values, counts, one printable line."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Any

import pandas as pd

from preflamp_stats.metric import Scale, number
from preflamp_stats.results import ResultTable

__all__ = [
    "count",
    "interval",
    "label",
    "metric_of",
    "one_line",
    "p_value",
    "row_scales",
    "sample_sizes",
    "sentence",
    "value_text",
]

MISSING = "–"
"""Stands where there is no estimate."""


_LABELS = {
    "rm_accuracy": "RM accuracy",
    "policy_accuracy": "Policy accuracy",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
    "method_family": "Family",
    "method_a": "Method A",
    "method_b": "Method B",
    "estimate": "Estimate",
    "n_examples": "Examples",
    "n_users": "Users",
    "n_methods": "Methods",
    "p_value": "p",
    "p_adjusted": "Adj. p",
    "tau": "Tau",
    "tau_corrected": "Corrected",
    "ceiling": "Ceiling",
    "reliability_upstream": "Rel. up",
    "reliability_downstream": "Rel. down",
    "population_tau": "Population",
    "users_needed": "Users needed",
    "best_guided": "Best guided",
    "random": "At random",
    "p_equivalence": "p, equivalence",
    "weight": "Weight w",
    "share": "Share of the response read",
    "bin": "Tokens, chosen − rejected",
}

# Bidirectional overrides reorder the text around them: a label must not rewrite its neighbours.
_REORDERING = re.compile("[\u202a-\u202e\u2066-\u2069]")


def one_line(text: object) -> str:
    r"""Make text one printable line: line breaks to spaces, control characters to a mark.

    Parameters
    ----------
    text : object
        Label, caption or note from a file.

    Returns
    -------
    str
        Without control characters, safe for a terminal.

    Examples
    --------
    >>> one_line("two\nlines")
    'two lines'
    """
    collapsed = _REORDERING.sub("\ufffd", " ".join(str(text).split()))
    return "".join("\ufffd" if unicodedata.category(c) in {"Cc", "Cs"} else c for c in collapsed)


def sentence(text: str) -> str:
    """End a title as a sentence, unless it ends in a mark of its own.

    Examples
    --------
    >>> sentence("RM accuracy"), sentence("Does accuracy predict?")
    ('RM accuracy.', 'Does accuracy predict?')
    """
    stripped = text.strip()
    return stripped if not stripped or stripped.endswith((".", "?", "!", ":")) else f"{stripped}."


def label(name: str) -> str:
    """Name of a metric or column as a heading; a name that is not ours stays as it is.

    Examples
    --------
    >>> label("rouge1"), label("n_users"), label("my_metric")
    ('ROUGE-1', 'Users', 'my_metric')
    """
    return _LABELS.get(name, one_line(name))


def interval(low: float, high: float, scale: Scale) -> str:
    """Print an interval in brackets; empty where no interval is claimed.

    Examples
    --------
    >>> interval(0.689, 0.734, Scale(100.0, 1))
    '[68.9, 73.4]'
    """
    if math.isnan(low) or math.isnan(high):
        return ""
    return f"[{number(low, scale)}, {number(high, scale)}]"


def p_value(value: float) -> str:
    """Print a p-value to three decimals, never a bare zero.

    Examples
    --------
    >>> p_value(0.0312), p_value(0.0002)
    ('0.031', '<0.001')
    """
    if math.isnan(value):
        return ""
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def count(value: float) -> str:
    """Print a whole number with thousands apart.

    Examples
    --------
    >>> count(12000), count(float("inf"))
    ('12,000', '∞')
    """
    return number(value, Scale(1.0, 0)) if not abs(value) < math.inf else f"{value:,.0f}"


def value_text(value: object) -> str:
    """Print a key or extra value: short numbers, ∞ for infinity, empty for a missing one.

    Examples
    --------
    >>> value_text(0.25), value_text(float("inf")), value_text("a b")
    ('0.25', '∞', 'a b')
    """
    if value is None or value is pd.NA:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return one_line(value)
    try:
        as_float = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return one_line(value)
    if math.isinf(as_float):
        return "∞" if as_float > 0 else "-∞"
    return "" if math.isnan(as_float) else f"{as_float:.4g}"


_IN_UNITS_OF_DOWNSTREAM = {"example_level", "regret", "slope"}
_METRIC_OF_TABLE = {
    "weight_curve": "policy_accuracy",
    "prefix_accuracy": "rm_accuracy",
    "length_difference": "rm_accuracy",
    "pooled_tau": "tau",
}


def metric_of(table: str) -> str:
    """Metric that the estimates of a table are of, where its rows do not say.

    Examples
    --------
    >>> metric_of("weight_curve"), metric_of("rm_accuracy")
    ('policy_accuracy', 'rm_accuracy')
    """
    return _METRIC_OF_TABLE.get(table, table)


def row_scales(table: ResultTable) -> list[Scale]:
    """Scale of every row of a table, one a metric.

    Parameters
    ----------
    table : ResultTable
        Rows are told apart by ``metric``, or by ``downstream`` where an estimate is in the units of
        the downstream metric; tau is a coefficient.

    Returns
    -------
    list of Scale
    """
    return [metric.scale for metric in table.row_metrics()]


def sample_sizes(frame: pd.DataFrame) -> str:
    """How much data stands behind rows, as ``"200 users, 4,800–5,000 examples"``.

    Examples
    --------
    >>> sample_sizes(pd.DataFrame({"n_users": [200, 200], "n_examples": [4800, 5000]}))
    '200 users, 4,800–5,000 examples'
    """
    parts = []
    for noun in ("methods", "users", "examples"):
        column = f"n_{noun}"
        values: Any = frame[column].dropna() if column in frame else ()
        # Where examples are the units, their number stands under both names.
        if noun == "users" and "resample" in frame and (frame["resample"] == "examples").all():
            continue
        if len(values) and max(values) > 0:
            low, high = count(min(values)), count(max(values))
            parts.append(f"{low if low == high else f'{low}–{high}'} {noun}")
    return ", ".join(parts)

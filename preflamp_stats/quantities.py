"""How quantities read: what a metric is called, in which units, and which direction is better."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from preflamp_stats.metric import COEFFICIENT, POINTS, Scale, number

__all__ = [
    "COEFFICIENT",
    "POINTS",
    "Quantity",
    "Scale",
    "is_share",
    "metric_quantity",
    "metric_words",
    "number",
    "quantities",
    "scale_of",
]

_WORDS = {
    "rm_accuracy": "RM accuracy",
    "policy_accuracy": "policy accuracy",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
}
_MOST_DECIMALS = 6


@dataclass(frozen=True)
class Quantity:
    """A metric as people read it.

    Parameters
    ----------
    name : str
        Name in the tables.
    words : str
        Its name in a sentence or heading.
    scale : Scale
        How its values are printed.
    better : {1, -1, 0}
        Higher is better, lower is better, or nobody has said.
    """

    name: str
    words: str
    scale: Scale
    better: int


def is_share(metric: str) -> bool:
    """Whether a metric is by its nature a share that is the better the higher: accuracy, ROUGE.

    Examples
    --------
    >>> is_share("rougeL"), is_share("policy_accuracy"), is_share("words")
    (True, True, False)
    """
    return metric.endswith("accuracy") or metric.startswith("rouge")


def metric_words(name: str, long_name: object = None) -> str:
    """Name of a metric as it reads in a sentence.

    Examples
    --------
    >>> metric_words("rm_accuracy"), metric_words("len", "Length of the pick"), metric_words("len")
    ('RM accuracy', 'Length of the pick', 'len')
    """
    told = long_name if isinstance(long_name, str) and long_name.strip() else name
    return _WORDS.get(name, told)


def scale_of(metric: str, values: Iterable[float], unit: str = "") -> Scale:
    """Scale of a metric: points for accuracies and ROUGE, its own units for everything else.

    Parameters
    ----------
    metric : str
        Name of the metric, or of the table where that has none.
    values : iterable of float
        What is to be printed. A metric outside [-1, 1] is no share, whatever its name; the largest
        value decides how many decimals a metric in its own units gets.
    unit : str
        Unit of a metric that is no share.

    Returns
    -------
    Scale

    Examples
    --------
    >>> scale_of("rm_accuracy", [0.7]).factor, scale_of("rm_accuracy", [70.0]).factor
    (100.0, 1.0)
    >>> scale_of("words", [1429.76, 1500.0]).decimals, scale_of("score", [0.2]).decimals
    (0, 3)
    """
    if metric == "tau":
        return COEFFICIENT
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    if is_share(metric) and largest <= 1:
        return POINTS
    digits = 2 - math.floor(math.log10(largest)) if largest else 3
    return Scale(1.0, min(max(digits, 0), _MOST_DECIMALS), unit)


def metric_quantity(metric: str, rows: pd.DataFrame) -> Quantity:
    """Describe one metric from its rows of a table.

    Parameters
    ----------
    metric : str
    rows : DataFrame
        With ``estimate``; ``long_name``, ``units`` and ``higher_is_better`` where the file tells.

    Returns
    -------
    Quantity
    """
    values = rows["estimate"].astype(float) if "estimate" in rows else ()
    units = _first(rows, "units")
    higher = _first(rows, "higher_is_better")
    better = int(is_share(metric)) if higher is None else (1 if higher else -1)
    scale = scale_of(metric, values, "" if units in (None, "1") else str(units))
    return Quantity(metric, metric_words(metric, _first(rows, "long_name")), scale, better)


def quantities(frame: pd.DataFrame, fallback: str = "") -> dict[str, Quantity]:
    """Describe every metric of a table by its name.

    Parameters
    ----------
    frame : DataFrame
        Rows told apart by ``metric``, where it has that column.
    fallback : str
        Metric of the rows that name none.

    Returns
    -------
    dict of str to Quantity
    """
    names = frame["metric"].fillna(fallback) if "metric" in frame else None
    if names is None:
        return {fallback: metric_quantity(fallback, frame)}
    return {str(name): metric_quantity(str(name), frame[names == name]) for name in names.unique()}


def _first(rows: pd.DataFrame, column: str) -> object:
    """First value of a column that is there; None without one."""
    if column not in rows:
        return None
    there = rows[column].dropna()
    return None if there.empty else there.iloc[0]

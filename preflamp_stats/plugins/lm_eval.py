"""Aggregations for lm-evaluation-harness: mean and limits over users of pairs (score, user).

A task's ``process_results`` gives each document's score with its user, and ``metric_list`` names
one of these for it with ``aggregation: !function``.
"""

from __future__ import annotations

from collections.abc import Sequence

from preflamp_stats.plugins.interval import mean_with_interval

__all__ = ["high", "low", "mean"]

Items = Sequence[tuple[float, object]]


def mean(items: Items) -> float:
    """Mean of the scores.

    Examples
    --------
    >>> mean([(1.0, "ann"), (0.0, "bob")])
    0.5
    """
    return _interval(items)["mean"]


def low(items: Items) -> float:
    """Lower 95 % limit of the mean, users resampled whole."""
    return _interval(items)["low"]


def high(items: Items) -> float:
    """Upper 95 % limit of the mean, users resampled whole."""
    return _interval(items)["high"]


def _interval(items: Items) -> dict[str, float]:
    values, users = zip(*items, strict=True)
    return mean_with_interval(values, users)

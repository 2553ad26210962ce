"""Plots on axes of one's own: what an analysis found, in a notebook or a paper's figure.

The figures of a report are laid out for its page; these draw on any matplotlib axes, in the style
that is set there, and return them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.outputs.figures.curves import weight_position, weight_ticks
from preflamp_stats.outputs.figures.layout import axis_label, estimates
from preflamp_stats.results import Analysis, distinct

__all__ = ["plot_methods", "plot_scatter", "plot_tau", "plot_weight_curve"]

_KEYS = ("dataset", "model", "method", "seed")
_REFERENCE: dict[str, Any] = {"color": "0.6", "linewidth": 0.8, "zorder": 0}


def plot_tau(analysis: Analysis, *, ax: Axes | None = None) -> Axes:
    """Draw Kendall's tau of every pair of metrics with its interval.

    Parameters
    ----------
    analysis : Analysis
    ax : matplotlib.axes.Axes, optional
        New ones by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        If the analysis has no tau.

    Examples
    --------
    >>> import preflamp_stats as pls
    >>> study = pls.simulate(n_methods=4, n_users=30, n_examples=5, seed=1)
    >>> ax = pls.plot_tau(pls.analyze(study, pls.Settings(resamples=100)))
    >>> ax.get_xlabel()
    "Kendall's tau"
    """
    rows = _rows(analysis, "tau")
    table = analysis.tables["tau"]
    pairs = [
        f"{table.metric(row['upstream']).words} → {table.metric(row['downstream']).words}"
        for row in rows.to_dict("records")
    ]
    ax = _forest(rows, _labels(rows, ("dataset", "model"), pairs), ax)
    ax.axvline(0, **_REFERENCE)
    ax.set(xlim=(-1.05, 1.05), xlabel="Kendall's tau")
    return ax


def plot_methods(analysis: Analysis, metric: str, *, ax: Axes | None = None) -> Axes:
    """Draw every method's value of a metric with its interval.

    Parameters
    ----------
    analysis : Analysis
    metric : str
        Such as ``rm_accuracy`` or ``rouge1``.
    ax : matplotlib.axes.Axes, optional
        New ones by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        If the analysis has no such metric.

    Examples
    --------
    >>> import preflamp_stats as pls
    >>> study = pls.simulate(n_methods=4, n_users=30, n_examples=5, seed=1)
    >>> analysis = pls.analyze(study, pls.Settings(resamples=100))
    >>> ax = pls.plot_methods(analysis, "rouge1")
    >>> ax.get_xlabel()
    'ROUGE-1 (points)'
    """
    rows = _metric_rows(analysis, metric)
    own = _labels(rows, _KEYS)
    ax = _forest(rows, own, ax)
    ax.set_xlabel(_axis(analysis, metric))
    return ax


def plot_scatter(
    analysis: Analysis, upstream: str, downstream: str, *, ax: Axes | None = None
) -> Axes:
    """Draw a downstream metric over an upstream one, a point with both intervals a method.

    Parameters
    ----------
    analysis : Analysis
    upstream, downstream : str
        Such as ``rm_accuracy`` and ``rouge1``.
    ax : matplotlib.axes.Axes, optional
        New ones by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        If a metric is not in the analysis, or no method has both.

    Examples
    --------
    >>> import preflamp_stats as pls
    >>> study = pls.simulate(n_methods=4, n_users=30, n_examples=5, seed=1)
    >>> analysis = pls.analyze(study, pls.Settings(resamples=100))
    >>> ax = pls.plot_scatter(analysis, "rm_accuracy", "rouge1")
    >>> len(ax.texts)
    4
    """
    first, second = (_metric_rows(analysis, name) for name in (upstream, downstream))
    keys = [k for k in _KEYS if k in first and k in second]
    both = first.merge(second, on=keys, suffixes=("", "_y"))
    if both.empty:
        _refuse(f"{upstream}, {downstream}", "no method has both", "plot_methods draws one")
    ax = _new(ax)
    ax.hlines(both["value_y"], both["below"], both["above"], color="0.7", linewidth=1)
    ax.vlines(both["value"], both["below_y"], both["above_y"], color="0.7", linewidth=1)
    ax.plot(both["value"], both["value_y"], "o")
    for x, y, label in zip(both["value"], both["value_y"], _labels(both, keys), strict=True):
        ax.annotate(label, (x, y), xytext=(4, 4), textcoords="offset points", fontsize="small")
    ax.set(xlabel=_axis(analysis, upstream), ylabel=_axis(analysis, downstream))
    return ax


def plot_weight_curve(analysis: Analysis, *, ax: Axes | None = None) -> Axes:
    """Draw policy accuracy over the weight of the reward, a line with a band for each method.

    The axis shows both ends, the base model and the reward alone, at w / (1 + w).

    Parameters
    ----------
    analysis : Analysis
    ax : matplotlib.axes.Axes, optional
        New ones by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        If the analysis has no weight curve.

    Examples
    --------
    >>> import preflamp_stats as pls
    >>> study = pls.simulate(n_methods=4, n_users=30, n_examples=5, seed=1)
    >>> ax = pls.plot_weight_curve(pls.analyze(study, pls.Settings(resamples=100)))
    >>> ax.get_xlabel()
    'Weight w of the reward'
    """
    rows = _rows(analysis, "weight_curve")
    rows = rows.assign(x=rows["weight"].map(weight_position)).sort_values("x", kind="stable")
    ax = _new(ax)
    keys = [key for key in _KEYS if key in rows]
    labels = np.array(_labels(rows, keys))
    for label in dict.fromkeys(labels):
        own = rows[labels == label]
        (line,) = ax.plot(own["x"], own["value"], label=label)
        ax.fill_between(own["x"], own["below"], own["above"], color=line.get_color(), alpha=0.15)
    ticks = weight_ticks(rows["weight"])
    ax.set_xticks([*ticks], [*ticks.values()])
    ax.set(xlabel="Weight w of the reward", ylabel=_axis(analysis, "policy_accuracy"))
    ax.legend()
    return ax


def _new(ax: Axes | None) -> Axes:
    return plt.subplots()[1] if ax is None else ax


def _forest(rows: pd.DataFrame, labels: list[str], ax: Axes | None) -> Axes:
    ax, at = _new(ax), np.arange(len(rows))
    ax.hlines(at, rows["below"], rows["above"])
    ax.plot(rows["value"], at, "o")
    ax.set_yticks(at, labels)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    return ax


def _rows(
    analysis: Analysis, table: str, of: Callable[[pd.DataFrame], Any] | None = None
) -> pd.DataFrame:
    rows = estimates(analysis, table)
    rows = rows if of is None or rows.empty else rows[of(rows)]
    if rows.empty:
        _refuse(table, "is not in this analysis", f"it has {', '.join(analysis.tables)}")
    return rows.reset_index(drop=True)


def _metric_rows(analysis: Analysis, metric: str) -> pd.DataFrame:
    if metric in analysis.tables:
        return _rows(analysis, metric)
    generation = estimates(analysis, "generation")
    if metric not in distinct(generation, "metric"):
        known = [n for n in ("rm_accuracy", "policy_accuracy") if n in analysis.tables]
        known += distinct(generation, "metric")
        _refuse(metric, "is no metric of this analysis", f"choose among {', '.join(known)}")
    return _rows(analysis, "generation", lambda rows: rows["metric"] == metric)


def _refuse(what: str, why: str, mend: str) -> None:
    raise InputError(Problem(why, mend, variable=what))


def _axis(analysis: Analysis, metric: str) -> str:
    table = analysis.tables.get(metric) or analysis.tables["generation"]
    return axis_label(table.metric(metric))


def _labels(
    rows: pd.DataFrame, keys: list[str] | tuple[str, ...], ends: list[str] | None = None
) -> list[str]:
    """Text of each row: the keys in which rows differ, and what it ends with."""
    told = [rows[key].astype(str) for key in keys if key in rows and rows[key].nunique() > 1]
    parts = [*told, *([ends] if ends else [])] or [rows[keys[-1]].astype(str)]
    return [" · ".join(texts) for texts in zip(*parts, strict=True)]

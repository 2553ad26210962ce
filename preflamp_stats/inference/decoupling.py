"""Pairs of methods that differ in discrimination and yet write equally well."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.inference.contrasts import (
    MetricDifferences,
    check_choice,
    check_level,
    corrected,
    metric_differences,
)
from preflamp_stats.inference.method_metrics import MethodMetric, method_metrics, resampling_units
from preflamp_stats.inference.streams import stream
from preflamp_stats.kernels.equivalence import equivalence_test, minimum_effect_test
from preflamp_stats.kernels.multiplicity import holm
from preflamp_stats.kernels.paired import PairedDifferences
from preflamp_stats.metrics.options import MetricOptions

__all__ = ["PairCorrection", "decoupling_between", "decoupling_test", "judge_pairs"]

PairCorrection = Literal["holm", "none"]

_VERDICTS = ("decoupled", "coupled", "reversed")
_P_VALUES = ("upstream_p_adjusted", "downstream_p_adjusted", *(f"p_{v}" for v in _VERDICTS))


def decoupling_test(
    ds: xr.Dataset,
    upstream: str = "rm_accuracy",
    downstream: str = "rouge1",
    *,
    margin: float = 0.01,
    discrimination_margin: float = 0.05,
    resample: Literal["users", "examples"] = "users",
    correction: PairCorrection = "holm",
    n_resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
    options: MetricOptions | None = None,
    include_seeds: bool = True,
) -> xr.Dataset:
    """Judge for every pair of methods whether discrimination and generation go together.

    Each verdict is a conjunction that must be shown as a whole; α is 1 − level.

    ``decoupled``
        The discrimination differs by more than its margin (minimum-effect test), and generation
        quality is equivalent within the other margin (TOST).
    ``coupled``, ``reversed``
        Both differ by more than their margins, in the same or in opposite directions.
    ``inconclusive``
        None of these is shown. It is no evidence of anything.

    The p-value of a conjunction is the larger of its parts' (intersection-union), and for each
    verdict those of all pairs, over all models, are corrected by Holm: in at most α of studies is
    any pair called decoupled that is not, and the same holds for coupled and for reversed.

    Parameters
    ----------
    ds : Dataset
        One benchmark dataset of a results file.
    upstream, downstream : str
        Metrics of discrimination and of generation quality.
    margin : float
        Differences of the downstream metric within it count as none, in its units.
    discrimination_margin : float
        Differences of the upstream metric within it count as none.
    resample, seed, level, options, include_seeds
        As for :func:`compare_methods`.
    correction : {"holm", "none"}
        For the number of pairs; "none" is for a single pair chosen before the data were seen.
    n_resamples : int
        Draws behind the simultaneous intervals.

    Returns
    -------
    Dataset, dims ([model], pair)
        Coordinates ``method_a``, ``method_b``. For each of ``upstream`` and ``downstream``, a
        minus b: ``…_difference``, ``…_low``, ``…_high`` (simultaneous over pairs, by max-T; single
        without correction) and ``…_p_adjusted`` (of the minimum-effect test and of TOST);
        ``p_decoupled``, ``p_coupled``, ``p_reversed``, adjusted; ``verdict``; ``n_users``.

    Raises
    ------
    InputError
        If the dataset lacks a metric, nothing is known of its sampling error, or an option is out
        of range.

    References
    ----------
    Berger (1982), Multiparameter hypothesis testing and acceptance sampling, Technometrics
    24:295-300, for intersection-union tests.

    Examples
    --------
    >>> import preflamp_stats as pls
    >>> study = pls.simulate(
    ...     n_methods=3, n_icl=0, spread=0.4, generation_spread=0.0, scoring="stored", seed=1
    ... )
    >>> found = decoupling_test(study.to_dataset())
    >>> found.verdict.values.tolist()
    [['inconclusive', 'decoupled', 'decoupled']]
    """
    units = resampling_units(ds, resample)
    names = list(dict.fromkeys([upstream, downstream]))
    metrics = method_metrics(ds, names, units=units, options=options or MetricOptions())
    return decoupling_between(
        metrics[upstream],
        metrics[downstream],
        margin=margin,
        discrimination_margin=discrimination_margin,
        correction=correction,
        n_resamples=n_resamples,
        seed=seed,
        dataset=str(ds.attrs.get("dataset", "")),
        level=level,
        include_seeds=include_seeds,
    )


def decoupling_between(
    x: MethodMetric,
    y: MethodMetric,
    *,
    margin: float = 0.01,
    discrimination_margin: float = 0.05,
    correction: PairCorrection = "holm",
    n_resamples: int = 10_000,
    seed: int = 0,
    dataset: str = "",
    level: float = 0.95,
    include_seeds: bool = True,
) -> xr.Dataset:
    """Judge pairs of methods in two metrics summed by user; see :func:`decoupling_test`.

    Parameters
    ----------
    x, y : MethodMetric
        Upstream and downstream metric, with sums; draws are not needed. Methods that only one of
        them has are left out; a metric without models stands for every model of the other.
    margin, discrimination_margin, correction, n_resamples, seed, level, include_seeds
        As for :func:`decoupling_test`.
    dataset : str
        Name of the dataset; each has random streams of its own.

    Returns
    -------
    Dataset, dims ([model], pair)
    """
    check_choice("correction", correction, get_args(PairCorrection))
    check_level(level)
    for name, value in (("margin", margin), ("discrimination_margin", discrimination_margin)):
        if not 0 < value < np.inf:
            mend = "take a positive number in the metric's units"
            raise InputError(Problem(f"is {value!r}", mend, variable=name))
    shared = _shared_methods(x, y)
    above, below = (
        metric_differences(metric, methods=shared, include_seeds=include_seeds) for metric in (x, y)
    )
    labelled = above if below.models is None else below
    rows = []
    for model, dx, dy in _by_model(above, below):
        row: dict[str, NDArray[Any]] = {}
        for side, metric, differences in (("upstream", x, dx), ("downstream", y, dy)):
            rng = np.random.default_rng(stream(seed, dataset, "pairs", metric.info.name, model))
            columns = corrected(
                differences,
                correction="none" if correction == "none" else "max-t",
                level=level,
                n_draws=n_resamples,
                rng=rng,
            )
            row[f"{side}_difference"] = columns["estimate"]
            row[f"{side}_low"], row[f"{side}_high"] = columns["low"], columns["high"]
        row |= _p_values(dx, dy, margin, discrimination_margin)
        row["n_users"] = np.minimum(dx.n_users, dy.n_users)
        rows.append(row)
    found = labelled.dataset(rows)
    single = {name: found[name].values for name in _P_VALUES}
    judged = _adjusted(single, correction, level)
    found = found.assign({name: (found[_P_VALUES[0]].dims, judged[name]) for name in judged})
    return found.assign_attrs(
        upstream=x.info.name,
        downstream=y.info.name,
        margin=margin,
        discrimination_margin=discrimination_margin,
        correction=correction,
        level=level,
    )


def judge_pairs(
    dx: PairedDifferences,
    dy: PairedDifferences,
    *,
    margin: float,
    discrimination_margin: float,
    correction: PairCorrection = "holm",
    level: float = 0.95,
) -> dict[str, NDArray[Any]]:
    """Adjusted p-values and verdict of the pairs of one model; see :func:`decoupling_test`.

    Parameters
    ----------
    dx, dy : PairedDifferences
        In discrimination and in generation quality, over the same methods.
    margin, discrimination_margin, correction, level
        As for :func:`decoupling_test`.

    Returns
    -------
    dict of str to ndarray, shape (pair,)
        ``upstream_p_adjusted``, ``downstream_p_adjusted``, ``p_decoupled``, ``p_coupled``,
        ``p_reversed``, ``verdict``. A pair that lacks a metric is not counted: NaN.
    """
    single = _p_values(dx, dy, margin, discrimination_margin)
    return _adjusted(single, correction, level)


def _p_values(
    dx: PairedDifferences, dy: PairedDifferences, margin: float, discrimination_margin: float
) -> dict[str, NDArray[Any]]:
    """p-values of each pair by itself; NaN where it lacks a metric."""
    x_beyond = minimum_effect_test(dx.estimate, dx.se, dx.df, margin=discrimination_margin)
    y_beyond = minimum_effect_test(dy.estimate, dy.se, dy.df, margin=margin)
    y_within = equivalence_test(dy.estimate, dy.se, dy.df, margin=margin)
    direction = np.sign(dx.estimate) * np.sign(dy.estimate)
    both_beyond = np.maximum(x_beyond, y_beyond)
    parts = (
        x_beyond,
        y_within,
        np.maximum(x_beyond, y_within),
        np.where(direction > 0, both_beyond, 1.0),
        np.where(direction < 0, both_beyond, 1.0),
    )
    known = ~np.isnan(both_beyond)
    return {n: np.where(known, p, np.nan) for n, p in zip(_P_VALUES, parts, strict=True)}


def _adjusted(
    single: dict[str, NDArray[Any]], correction: PairCorrection, level: float
) -> dict[str, NDArray[Any]]:
    """Correct for all pairs there are, over all models, and read off the verdicts."""
    found: dict[str, NDArray[Any]] = {}
    for name, p in single.items():
        found[name] = holm(p.ravel()).reshape(p.shape) if correction == "holm" else p
    verdict = np.full(found[_P_VALUES[0]].shape, "inconclusive", dtype=object)
    for name in _VERDICTS:
        verdict[found[f"p_{name}"] <= 1 - level] = name
    return {**found, "verdict": verdict}


def _shared_methods(x: MethodMetric, y: MethodMetric) -> list[str]:
    """Methods that have both metrics, on some model."""
    having = [
        {str(m) for m in metric.estimate.dropna("method", how="all")["method"].values}
        for metric in (x, y)
    ]
    return sorted(set.intersection(*having))


def _by_model(
    x: MetricDifferences, y: MetricDifferences
) -> list[tuple[str, PairedDifferences, PairedDifferences]]:
    """Differences in both metrics for each model; both come from one dataset."""
    labels = list(x.by_model if y.models is None else y.by_model)
    return [
        (
            model,
            x.by_model["" if x.models is None else model],
            y.by_model["" if y.models is None else model],
        )
        for model in labels
    ]

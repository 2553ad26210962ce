"""Pairs of methods that differ in discrimination and yet write equally well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preflamp_stats.choices import check_choice
from preflamp_stats.errors import InputError, Problem
from preflamp_stats.inference.contrasts import MetricDifferences, corrected, metric_differences
from preflamp_stats.inference.method_metrics import MethodMetric
from preflamp_stats.inference.resampled import ResampledStudy, study_of_call
from preflamp_stats.inference.streams import stream
from preflamp_stats.io.select import Results
from preflamp_stats.kernels.multiplicity import holm
from preflamp_stats.kernels.paired import PairedDifferences
from preflamp_stats.metrics.options import MetricOptions

__all__ = ["PairCorrection", "decoupling_between", "decoupling_test", "judge_pairs"]

PairCorrection = Literal["holm", "none"]

_VERDICTS = ("decoupled", "coupled", "reversed")
_P_VALUES = ("upstream_p_adjusted", "downstream_p_adjusted", *(f"p_{v}" for v in _VERDICTS))


def decoupling_test(
    ds: Results,
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
    anytime: bool = False,
) -> xr.Dataset:
    """Judge for every pair of methods whether discrimination and generation go together.

    Each verdict is a conjunction that must be shown as a whole; α is 1 − level.

    ``decoupled``
        The discrimination differs by more than its margin (minimum-effect test), and generation
        quality is equivalent within the other margin (TOST).
    ``coupled``, ``reversed``
        Both differ by more than their margins, for the better in both or in one of them.
    ``inconclusive``
        None of these is shown. It is no evidence of anything.
    ``direction unknown``
        The pair is not shown to be decoupled, and the file does not say which values of a metric
        are better, so that ``coupled`` and ``reversed`` cannot be told apart.

    The p-value of a conjunction is the larger of its parts' (intersection-union), and for each
    verdict those of all pairs, over all models, are corrected by Holm: in at most α of studies is
    any pair called decoupled that is not, and the same holds for coupled and for reversed. An
    analysis of several datasets corrects over all of them.

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
    resample, seed, level, options, include_seeds, anytime
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
    study = study_of_call(
        ds,
        [upstream, downstream],
        options,
        resample=resample,
        n_resamples=n_resamples,
        seed=seed,
        level=level,
        include_seeds=include_seeds,
        anytime=anytime,
    )
    (found,) = decoupling_between(
        [study],
        upstream,
        downstream,
        margin=margin,
        discrimination_margin=discrimination_margin,
        correction=correction,
    ).values()
    return found


def decoupling_between(
    studies: Sequence[ResampledStudy],
    upstream: str,
    downstream: str,
    *,
    margin: float = 0.01,
    discrimination_margin: float = 0.05,
    correction: PairCorrection = "holm",
) -> dict[str, xr.Dataset]:
    """Judge pairs of methods in two metrics of several datasets; see :func:`decoupling_test`.

    Parameters
    ----------
    studies : sequence of ResampledStudy
        Datasets that have both metrics. Methods that only one of them has are left out; a metric
        without models stands for every model of the other.
    upstream, downstream : str
    margin, discrimination_margin, correction
        As for :func:`decoupling_test`. The correction is for all pairs of all datasets.

    Returns
    -------
    dict of str to Dataset, dims ([model], pair)
        By dataset.
    """
    check_choice("correction", correction, PairCorrection)
    for name, value in (("margin", margin), ("discrimination_margin", discrimination_margin)):
        if not 0 < value < np.inf:
            mend = "take a positive number in the metric's units"
            raise InputError(Problem(f"is {value!r}", mend, variable=name))
    found = {}
    for study in studies:
        asked, x, y = study.settings, study.summed[upstream], study.summed[downstream]
        shared = _shared_methods(x, y)
        above, below = (
            metric_differences(
                metric, methods=shared, include_seeds=asked.include_seeds, anytime=asked.anytime
            )
            for metric in (x, y)
        )
        rows = []
        for model, dx, dy in _by_model(above, below):
            row: dict[str, NDArray[Any]] = {}
            for side, metric, differences in (("upstream", x, dx), ("downstream", y, dy)):
                key = (study.name, "pairs", metric.info.name, model)
                columns = corrected(
                    differences,
                    correction="none" if correction == "none" else "max-t",
                    level=asked.level,
                    n_draws=asked.resamples,
                    rng=np.random.default_rng(stream(asked.seed, *key)),
                )
                row[f"{side}_difference"] = columns["estimate"]
                row[f"{side}_low"], row[f"{side}_high"] = columns["low"], columns["high"]
            row |= _p_values(dx, dy, margin, discrimination_margin, x.info.sign * y.info.sign)
            row["n_users"] = np.minimum(dx.n_users, dy.n_users)
            rows.append(row)
        labelled = above if below.models is None else below
        found[study.name] = labelled.dataset(rows).assign_attrs(
            upstream=upstream,
            downstream=downstream,
            margin=margin,
            discrimination_margin=discrimination_margin,
            correction=correction,
            level=asked.level,
        )
    return _judged_together(found, correction)


def _judged_together(
    found: dict[str, xr.Dataset], correction: PairCorrection
) -> dict[str, xr.Dataset]:
    """Put adjusted p-values and verdicts in the place of each pair's own p-values."""
    if not found:
        return {}
    (level,) = {ds.attrs["level"] for ds in found.values()}
    sizes = [ds[_P_VALUES[0]].size for ds in found.values()]
    single = {
        name: np.concatenate([ds[name].values.ravel() for ds in found.values()])
        for name in _P_VALUES
    }
    judged = {
        name: np.split(values, np.cumsum(sizes)[:-1])
        for name, values in _adjusted(single, correction, level).items()
    }
    together = {}
    for i, (dataset, ds) in enumerate(found.items()):
        own = ds[_P_VALUES[0]]
        together[dataset] = ds.assign(
            {name: (own.dims, parts[i].reshape(own.shape)) for name, parts in judged.items()}
        )
    return together


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
    dx: PairedDifferences,
    dy: PairedDifferences,
    margin: float,
    discrimination_margin: float,
    agreement: int = 1,
) -> dict[str, NDArray[Any]]:
    """p-values of each pair by itself; NaN where it lacks a metric.

    ``agreement`` is −1 where higher is better in one of the metrics and worse in the other, and 0
    where that is not known of one: no pair is then coupled or reversed.
    """
    x_beyond, y_beyond = dx.beyond(discrimination_margin), dy.beyond(margin)
    y_within = dy.within(margin)
    direction = agreement * np.sign(dx.estimate) * np.sign(dy.estimate)
    both_beyond = np.maximum(x_beyond, y_beyond)
    parts = (
        x_beyond,
        y_within,
        np.maximum(x_beyond, y_within),
        np.where(direction > 0, both_beyond, 1.0),
        np.where(direction < 0, both_beyond, 1.0),
    )
    known = ~np.isnan(both_beyond)
    found = {n: np.where(known, p, np.nan) for n, p in zip(_P_VALUES, parts, strict=True)}
    unknown = dict.fromkeys(("p_coupled", "p_reversed"), np.full(known.shape, np.nan))
    return found if agreement else found | unknown


def _adjusted(
    single: dict[str, NDArray[Any]], correction: PairCorrection, level: float
) -> dict[str, NDArray[Any]]:
    """Correct for all pairs there are and read off the verdicts; arrays of shape (pair,)."""
    found = {name: holm(p) if correction == "holm" else p for name, p in single.items()}
    verdict = np.full(found[_P_VALUES[0]].shape, "inconclusive", dtype=object)
    undirected = ~np.isnan(found["p_decoupled"]) & np.isnan(found["p_coupled"])
    verdict[undirected] = "direction unknown"
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

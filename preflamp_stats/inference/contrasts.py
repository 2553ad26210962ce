"""Differences between methods in one metric, corrected for the number of comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import special

from preflamp_stats.choices import check_choice
from preflamp_stats.errors import InputError, Problem
from preflamp_stats.inference.method_metrics import MethodMetric
from preflamp_stats.inference.resampled import ResampledStudy, study_of_call
from preflamp_stats.inference.streams import stream
from preflamp_stats.io.select import Results
from preflamp_stats.kernels.multiplicity import holm, max_t_critical, max_t_p_values
from preflamp_stats.kernels.paired import AnytimeDifferences, PairedDifferences, paired_differences
from preflamp_stats.metrics.options import MetricOptions

__all__ = [
    "Correction",
    "MetricDifferences",
    "compare_methods",
    "contrasts_between",
    "corrected",
    "metric_differences",
]

Correction = Literal["max-t", "holm", "none"]

_SPENT = 0.9
"""Share of the error rate that max-T spends over several pairs: far tails of the statistics are a
little heavier than t, most so with very unequal users."""


def compare_methods(
    ds: Results,
    metric: str,
    *,
    resample: Literal["users", "examples"] = "users",
    correction: Correction = "max-t",
    n_resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
    options: MetricOptions | None = None,
    include_seeds: bool = True,
    anytime: bool = False,
) -> xr.Dataset:
    """Compare all methods with each other in one metric, paired by user.

    Parameters
    ----------
    ds : Dataset
        One benchmark dataset of a results file.
    metric : str
        Name of a metric, such as ``rm_accuracy`` or ``rouge1``.
    resample : {"users", "examples"}
        Unit of independence. A file without users has its examples for units.
    correction : {"max-t", "holm", "none"}
        For the number of pairs of a model: single-step max-T, whose adjusted p-values and
        simultaneous intervals agree; Holm, with Bonferroni's simultaneous intervals, which are a
        little wider than its p-values need; or none.
    n_resamples : int
        Draws behind max-T.
    seed : int
        Seed of those draws.
    level : float
        Confidence level in (0, 1), of all intervals together unless the correction is "none".
    options : MetricOptions, optional
        How the metric is computed.
    include_seeds : bool
        Include the variance between training seeds, where the file has them.
    anytime : bool
        p-values and intervals that hold whenever one looks, so that users may be added until
        something is decided: by betting, users in the order of the file, for metrics whose scale
        has ends (others get none), for the trained models at hand. Holm takes the place of max-T;
        ``users_times`` says how many times as many users the width of an interval costs.

    Returns
    -------
    Dataset, dims ([model], pair)
        Coordinates ``method_a`` and ``method_b``; variables ``estimate`` (a minus b, over the
        examples that both have), ``se``, ``df``, ``low``, ``high``, ``p_value``, ``p_adjusted``,
        ``n_users``, and ``n_examples`` where methods have different examples.

    Raises
    ------
    InputError
        If the dataset lacks the metric, nothing is known of its sampling error, or an option is
        unknown.

    Examples
    --------
    >>> import preflamp_stats as pls
    >>> study = pls.simulate(n_methods=3, n_icl=0, n_users=60, n_examples=10, seed=1)
    >>> found = compare_methods(study.to_dataset(), "rm_accuracy")
    >>> list(zip(found.method_a.values, found.method_b.values))[0]
    ('guided-01', 'guided-02')
    >>> bool((found.p_adjusted >= found.p_value).all())
    True
    """
    study = study_of_call(
        ds,
        [metric],
        options,
        resample=resample,
        n_resamples=n_resamples,
        seed=seed,
        level=level,
        include_seeds=include_seeds,
        anytime=anytime,
    )
    return contrasts_between(study, metric, correction=correction)


def contrasts_between(
    study: ResampledStudy, metric: str, *, correction: Correction = "max-t"
) -> xr.Dataset:
    """Compare all methods of a study in a metric; see :func:`compare_methods`.

    Parameters
    ----------
    study : ResampledStudy
    metric : str
    correction : {"max-t", "holm", "none"}

    Returns
    -------
    Dataset, dims ([model], pair)

    Raises
    ------
    InputError
        If the metric is known only per method, or the correction is unknown.
    """
    check_choice("correction", correction, Correction)
    asked, summed = study.settings, study.summed[metric]
    differences = metric_differences(
        summed, include_seeds=asked.include_seeds, anytime=asked.anytime
    )
    rows = [
        corrected(
            found,
            correction=correction,
            level=asked.level,
            n_draws=asked.resamples,
            rng=np.random.default_rng(stream(asked.seed, study.name, "pairs", metric, model)),
        )
        for model, found in differences.by_model.items()
    ]
    seeds = asked.include_seeds and bool((summed.n_seeds > 1).any())
    return differences.dataset(rows).assign_attrs(
        metric=metric,
        correction="holm" if asked.anytime and correction == "max-t" else correction,
        level=asked.level,
        seeds="included" if seeds else "not included",
    )


@dataclass(frozen=True)
class MetricDifferences:
    """Differences between all methods in a metric, for each model.

    Parameters
    ----------
    methods : list of str
        Methods in the order that the pairs refer to.
    models : DataArray or None
        Coordinate of the models; None where the metric has no models.
    by_model : dict of str to PairedDifferences
        By the model's label; the empty string where the metric has no models.
    """

    methods: list[str]
    models: xr.DataArray | None
    by_model: dict[str, PairedDifferences]

    def dataset(self, rows: Sequence[Mapping[str, NDArray[Any]]]) -> xr.Dataset:
        """Label one row of arrays over pairs for each model, dims ([model], pair)."""
        first, second = np.triu_indices(len(self.methods), 1)
        labels = np.asarray(self.methods, dtype=object)
        coords: dict[str, Any] = {
            "method_a": ("pair", labels[first]),
            "method_b": ("pair", labels[second]),
        }
        if self.models is None:
            data = {name: (("pair",), values) for name, values in rows[0].items()}
            return xr.Dataset(data, coords)
        stacked = {
            name: (("model", "pair"), np.stack([row[name] for row in rows])) for name in rows[0]
        }
        return xr.Dataset(stacked, {**coords, "model": self.models})


def metric_differences(
    metric: MethodMetric,
    *,
    methods: Sequence[str] | None = None,
    include_seeds: bool = True,
    anytime: bool = False,
) -> MetricDifferences:
    """Differences between all methods in a metric that has been summed by user.

    Parameters
    ----------
    metric : MethodMetric
        With sums.
    methods : sequence of str, optional
        Methods to compare; all by default.
    include_seeds, anytime : bool
        As for :func:`compare_methods`.

    Returns
    -------
    MetricDifferences

    Raises
    ------
    InputError
        If the metric is known only per method.
    """
    if metric.sums is None:
        raise InputError(
            Problem(
                "is known only per method, so nothing tells how far off it is",
                "choose a metric that the file holds example by example",
                variable=metric.info.name,
            )
        )
    # The order of the methods in the file must not change the random numbers.
    ordered = xr.Dataset({"sums": metric.sums.sums, "counts": metric.sums.counts}).sortby("method")
    if methods is not None:
        ordered = ordered.sel({"method": sorted(methods)})
    if "seed" not in ordered.dims:
        ordered = ordered.expand_dims("seed")
    models = ordered["model"] if "model" in ordered.dims else None
    selections = [{}] if models is None else [{"model": m} for m in models.values.tolist()]
    by_model = {}
    for at in selections:
        one = ordered.sel(at).transpose("unit", "method", "seed")
        overlap = None
        if (shared := metric.sums.overlaps.get(at.get("model"))) is not None:
            seeds = one["seed"].values.tolist() if "seed" in one.coords else [None]
            overlap = shared.take(one["method"].values.tolist(), seeds)
        found = paired_differences(
            one["sums"].values,
            one["counts"].values,
            include_seeds=include_seeds,
            bounded=metric.info.values != "free",
            overlap=overlap,
            arrival=metric.sums.arrival if anytime else None,
        )
        if metric.sums.overlaps and overlap is None:  # the methods of this model have all the same
            n_examples = np.full(len(found.first), metric.n_examples.sel(at).max(), dtype=np.int64)
            found = replace(found, n_examples=n_examples)
        by_model[str(at.get("model", ""))] = found
    return MetricDifferences([str(m) for m in ordered["method"].values], models, by_model)


def corrected(
    differences: PairedDifferences,
    *,
    correction: Correction,
    level: float,
    n_draws: int,
    rng: np.random.Generator,
) -> dict[str, NDArray[Any]]:
    """Estimates, intervals and p-values of one model's pairs, as columns of a table.

    Parameters
    ----------
    differences : PairedDifferences
    correction, level
        As for :func:`compare_methods`.
    n_draws : int
        Draws behind max-T.
    rng : numpy.random.Generator
        Their source.

    Returns
    -------
    dict of str to ndarray, shape (pair,)
    """
    found = differences
    told: dict[str, NDArray[Any]] = {}
    if isinstance(found, AnytimeDifferences) and correction == "max-t":
        correction = "holm"
    p_value = found.beyond(0.0)
    alone = -float(special.ndtri((1 - level) / 2))
    if correction == "max-t":
        maxima = found.null_maxima(rng, n_draws)
        spent = _SPENT if np.isfinite(p_value).sum() > 1 else 1.0
        joint = max_t_p_values(np.abs(found.statistic), maxima) / spent
        # So few draws must not undercut what a pair needs on its own.
        p_adjusted = np.clip(joint, p_value, 1.0)
        critical = max(alone, max_t_critical(maxima, level=1 - spent * (1 - level)))
    elif correction == "holm":
        p_adjusted = holm(p_value)
        n_pairs = max(int(np.isfinite(p_value).sum()), 1)
        critical = -float(special.ndtri((1 - level) / 2 / n_pairs))
    else:
        p_adjusted, critical = p_value, alone
    low, high = found.limits(critical)
    if isinstance(found, AnytimeDifferences):
        told["users_times"] = found.users_times(critical)
    if found.n_examples is not None:
        told["n_examples"] = found.n_examples
    return {
        "estimate": found.estimate,
        "low": low,
        "high": high,
        "p_value": p_value,
        "p_adjusted": p_adjusted,
        "se": found.se,
        "df": found.df,
        "n_users": found.n_users,
    } | told

"""One tau over several datasets and models, methods ranked within each only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preflamp_stats import schema
from preflamp_stats.choices import Resample, Variant
from preflamp_stats.errors import InputError, Problem
from preflamp_stats.inference.alignment import align_metrics, each_model, joined_notes
from preflamp_stats.inference.intervals import percentile_limits
from preflamp_stats.inference.resampled import ResampledStudy, read_study
from preflamp_stats.inference.tau_evidence import TauEvidence, model_evidence
from preflamp_stats.kernels.posterior_limits import central_limits
from preflamp_stats.metrics.options import MetricOptions
from preflamp_stats.metrics.values import metric_info
from preflamp_stats.settings import Settings

__all__ = [
    "POOLED_INTERVALS",
    "PooledLimits",
    "StackedEvidence",
    "limits_from_draws",
    "pooled_between",
    "pooled_tau",
]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class StackedEvidence:
    """Evidence of every stratum (a model of a dataset) in which tau is defined.

    Parameters
    ----------
    strata : sequence of TauEvidence
        Strata of one dataset share their resamples: row b of the draws is the same users.
    weights : ndarray, shape (stratum,)
        Pairs of methods in each, as shares of all.
    level : float
        Confidence level.
    datasets : sequence of str
        Dataset of each stratum.
    """

    strata: Sequence[TauEvidence]
    weights: Array
    level: float
    datasets: Sequence[str] = ()

    @property
    def tau(self) -> float:
        """Weighted mean of the strata's taus."""
        return float(self.weights @ [stratum.tau for stratum in self.strata])


PooledLimits = Callable[[StackedEvidence], tuple[float, float]]


def limits_from_draws(draw: Callable[[TauEvidence], Array]) -> PooledLimits:
    """Make an interval of the pooled tau from a way of drawing the tau of one stratum.

    Parameters
    ----------
    draw : callable
        Takes a stratum's evidence, returns draws of its tau, as many for every stratum. A draw of
        the pooled tau is the weighted mean of the strata's draws at the same place, over the
        strata where it is defined.

    Returns
    -------
    callable
        Takes the stacked evidence, returns percentile limits.

    Examples
    --------
    >>> limits = limits_from_draws(lambda stratum: np.linspace(-1, 1, 101))
    >>> low, high = limits(StackedEvidence([None, None], np.array([0.5, 0.5]), 0.9))
    >>> round(low, 6), round(high, 6)
    (-0.9, 0.9)
    """

    def limits(stacked: StackedEvidence) -> tuple[float, float]:
        draws = np.stack([draw(stratum) for stratum in stacked.strata], axis=1)
        weights = stacked.weights * ~np.isnan(draws)
        total = weights.sum(axis=1)
        pooled = np.full(len(draws), np.nan)
        np.divide(np.nansum(weights * draws, axis=1), total, out=pooled, where=total > 0)
        low, high = percentile_limits(pooled, stacked.level)
        return float(low), float(high)

    return limits


def model(stacked: StackedEvidence) -> tuple[float, float]:
    """Limits from draws of the true taus of every stratum, their noise taken out.

    Datasets have users of their own and are drawn independently. The models of a dataset share
    their users, and often their rewards: how their true taus depend on each other is not known, so
    that they are taken to rise and fall together, which makes the interval wide enough whatever the
    truth.
    """
    pooled = np.zeros(0)
    for dataset in dict.fromkeys(stacked.datasets):
        here = [i for i, name in enumerate(stacked.datasets) if name == dataset]
        together = np.zeros(0)
        for i in here:
            draws = np.sort(stacked.strata[i].latent_tau)
            together = stacked.weights[i] * draws + (together if together.size else 0.0)
        shuffled = stacked.strata[here[0]].generator(4).permutation(together)
        pooled = shuffled + (pooled if pooled.size else 0.0)
    fewest = min(stratum.effective_users for stratum in stacked.strata)
    least_density = min(stratum.least_density for stratum in stacked.strata)
    return central_limits(pooled, stacked.level, n_users=fewest, least_density=least_density)


POOLED_INTERVALS: dict[str, PooledLimits] = {
    "model": model,
    "percentile": limits_from_draws(TauEvidence.tau_draws),
}
"""Kinds of interval of the pooled tau by name."""


def pooled_tau(
    datasets: Mapping[str, xr.Dataset] | xr.DataTree,
    upstream: str = "rm_accuracy",
    downstream: str = "policy_accuracy",
    *,
    resample: Resample = "users",
    n_resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
    variant: Variant = "b",
    interval: str = "model",
    options: MetricOptions | None = None,
    include_seeds: bool = True,
) -> xr.Dataset:
    """Kendall's tau over methods, pooled over datasets and models.

    Methods are compared only within a stratum, one model on one dataset, so that differences
    between datasets and between models cannot pass for an association. The pooled tau is the mean
    of the strata's taus, weighted by their numbers of pairs of methods.

    Parameters
    ----------
    datasets : mapping of str to Dataset, or DataTree
        Benchmark datasets by name.
    upstream, downstream : str
        Metrics that predict and that are to be predicted. Datasets that lack one are left out.
    resample : {"users", "examples"}
        Unit drawn with replacement, within each dataset; the models of a dataset are drawn on the
        same units, so that what they share is in the interval. ("methods" and "both" mean "users".)
    n_resamples, seed, level, variant, options, include_seeds
        As for :func:`preflamp_stats.tau_test`.
    interval : {"model", "percentile"}
        Kind of interval: with the noise taken out, as for :func:`preflamp_stats.tau_test`, or
        percentiles of the bootstrapped pooled tau.

    Returns
    -------
    Dataset
        ``estimate, low, high, n_strata, n_datasets, n_pairs, n_examples, n_users, note``, without
        dims, and, dim (stratum), ``tau, weight`` with coordinates ``dataset`` and ``model``. Sizes
        are sums over datasets.

    Raises
    ------
    InputError
        If no dataset has both metrics, or the interval is unknown.

    References
    ----------
    Taylor (1987), Kendall's and Spearman's correlation coefficients in the presence of a blocking
    variable, Biometrics 43:409-416.

    Examples
    --------
    >>> import preflamp_stats as pls
    >>> tree = pls.simulate(datasets=["tldr", "prism"], models=2, n_users=20, n_examples=5, seed=1)
    >>> found = pooled_tau(pls.datasets(tree), n_resamples=200)
    >>> found["n_strata"].item(), bool(found["low"] <= found["high"])
    (4, True)
    """
    settings = Settings.of_call(
        options,
        resample=resample,
        n_resamples=n_resamples,
        seed=seed,
        level=level,
        variant=variant,
        include_seeds=include_seeds,
    )
    studies: list[ResampledStudy] = []
    problems: list[Problem | str] = []
    groups = schema.datasets(datasets) if isinstance(datasets, xr.DataTree) else datasets
    for name, ds in groups.items():
        try:
            for metric in (upstream, downstream):
                metric_info(ds, metric, settings)
        except InputError as error:
            problems += error.problems
            continue
        studies.append(read_study(ds, settings, [upstream, downstream], name=name))
    if not studies:
        raise InputError(
            problems or Problem("there is no dataset", "name at least one", variable="datasets")
        )
    return pooled_between(studies, upstream, downstream, interval=interval)


def pooled_between(
    studies: Sequence[ResampledStudy],
    upstream: str,
    downstream: str,
    *,
    interval: str | PooledLimits = "model",
) -> xr.Dataset:
    """Pooled tau between two metrics that several studies have; see :func:`pooled_tau`.

    Parameters
    ----------
    studies : sequence of ResampledStudy
        At least one, all with the same settings.
    upstream, downstream : str
    interval : str or callable
        Kind of interval, or a way of bounding the pooled tau.

    Returns
    -------
    Dataset
    """
    limits = interval if callable(interval) else POOLED_INTERVALS.get(interval)
    if limits is None:
        known = ", ".join(POOLED_INTERVALS)
        raise InputError(Problem(f"is {interval!r}", f"choose one of {known}", variable="interval"))
    strata = []
    sizes = {"n_examples": 0, "n_users": 0}
    told: set[str] = set()
    asked = replace(studies[0].settings, resample="users")
    for study in sorted(studies, key=lambda study: study.name):
        pair = study.drawn[upstream], study.drawn[downstream]
        aligned = align_metrics(dict(zip("xy", pair, strict=True)))
        here = [
            (
                study.name,
                _label(aligned, at),
                model_evidence(aligned.isel(at), *pair, asked, study.name),
            )
            for at in each_model(aligned)
        ]
        here = [stratum for stratum in here if not np.isnan(stratum[2].tau)]
        told |= {note for note in aligned["note"].values.ravel().tolist() if note and here}
        # By label, so that neither sums nor draws depend on the order of the models in the file.
        strata += sorted(here, key=lambda stratum: stratum[1])
        if here:
            for size in sizes:
                sizes[size] += int(aligned[size].max())
    if not strata:
        missing = dict.fromkeys(("estimate", "low", "high"), np.nan)
        counts = dict.fromkeys(("n_strata", "n_datasets", "n_pairs", *sizes), 0)
        return xr.Dataset({**missing, **counts, "note": "tau is defined in no stratum"})
    n_methods = np.array([int(e.compared.sum()) for *_, e in strata])
    n_pairs = n_methods * (n_methods - 1) // 2
    weights = n_pairs / n_pairs.sum()
    stacked = StackedEvidence(
        [e for *_, e in strata], weights, asked.level, [name for name, *_ in strata]
    )
    obstacles = sorted({e.obstacle for *_, e in strata} - {""})
    low = high = np.nan
    if not obstacles:
        low, high = limits(stacked)
        low, high = np.minimum(low, stacked.tau), np.maximum(high, stacked.tau)
    return xr.Dataset(
        {
            "estimate": stacked.tau,
            "low": low,
            "high": high,
            "n_strata": len(strata),
            "n_datasets": len({name for name, *_ in strata}),
            "n_pairs": int(n_pairs.sum()),
            **sizes,
            "note": joined_notes(*obstacles, *sorted(told)),
            "tau": ("stratum", [e.tau for *_, e in strata]),
            "weight": ("stratum", weights),
        },
        coords={
            "dataset": ("stratum", [name for name, *_ in strata]),
            "model": ("stratum", [model for _, model, _ in strata]),
        },
        attrs={
            "level": asked.level,
            "variant": asked.variant,
            "interval": interval if isinstance(interval, str) else "custom",
        },
    )


def _label(aligned: xr.Dataset, at: Mapping[str, int]) -> str:
    return ", ".join(str(aligned[dim].values[place]) for dim, place in at.items())

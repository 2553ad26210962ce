"""One tau over several datasets and models, methods ranked within each only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import ndtr

from preflamp_stats.choices import Resample, Variant
from preflamp_stats.errors import InputError, Problem
from preflamp_stats.inference.alignment import align_metrics, each_model, joined_notes
from preflamp_stats.inference.intervals import percentile_limits
from preflamp_stats.inference.method_metrics import MethodMetric, draw_metrics
from preflamp_stats.inference.resampled import ResampledStudy, read_study
from preflamp_stats.inference.tau_evidence import TauEvidence, model_evidence
from preflamp_stats.io import schema
from preflamp_stats.kernels.hierarchical import Population, strata_likelihood
from preflamp_stats.kernels.latent_normal import LatentDraws
from preflamp_stats.kernels.posterior_limits import central_limits
from preflamp_stats.metrics.options import MetricOptions
from preflamp_stats.metrics.values import metric_info
from preflamp_stats.settings import Settings

__all__ = [
    "POOLED_INTERVALS",
    "GatheredStrata",
    "PooledLimits",
    "PooledStrata",
    "StackedEvidence",
    "Stratum",
    "gather_strata",
    "limits_from_draws",
    "pool_strata",
    "pooled_between",
    "pooled_tau",
    "read_studies",
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
    shared : ndarray, shape (stratum, stratum), optional
        Correlation of the strata's sampling errors; none where absent.
    """

    strata: Sequence[TauEvidence]
    weights: Array
    level: float
    shared: Array | None = None

    @property
    def tau(self) -> float:
        """Weighted mean of the strata's taus."""
        return float(self.weights @ [stratum.tau for stratum in self.strata])

    @cached_property
    def pooled(self) -> PooledStrata:
        """Draws of the true values of every stratum, each informed by the others."""
        shared = np.eye(len(self.strata)) if self.shared is None else self.shared
        return pool_strata(self.strata, shared)[0]


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

    The strata's spreads and correlations are draws from a population, so that what many noisy
    strata say together is not lost (:mod:`preflamp_stats.kernels.hierarchical`). Strata whose
    sampling errors are correlated, as of models that share users and rewards, count together for
    as much less, and their true taus are drawn with the same correlation.
    """
    if len(stacked.strata) == 1:
        return stacked.strata[0].tau_limits(stacked.strata[0].latent_tau)
    draws = stacked.pooled.tau @ stacked.weights
    fewest = min(stratum.effective_users for stratum in stacked.strata)
    least_density = min(stratum.least_density for stratum in stacked.strata)
    return central_limits(draws, stacked.level, n_users=fewest, least_density=least_density)


@dataclass(frozen=True)
class PooledStrata:
    """True values of every stratum's methods, drawn given the estimates of all strata.

    Parameters
    ----------
    latent : sequence of LatentDraws
        Of each stratum as if it stood alone, in the order of its taus.
    taus : ndarray, shape (stratum, draw)
        Tau of the true values in each of them.
    population : Population
        Of strata.
    picks : ndarray of int, shape (draw, stratum)
        Which of its own draws each stratum takes.
    """

    latent: Sequence[LatentDraws]
    taus: Array
    population: Population
    picks: NDArray[np.intp]

    @property
    def tau(self) -> Array:
        """Tau of every stratum, shape (draw, stratum)."""
        return np.take_along_axis(self.taus.T, self.picks, axis=0)


_POPULATIONS, _PICKS = 200, 15


def pool_strata(strata: Sequence[TauEvidence], *shared: Array) -> list[PooledStrata]:
    """Draw the true values of all strata, each informed by the others.

    Parameters
    ----------
    strata : sequence of TauEvidence
    *shared : ndarray, shape (stratum, stratum)
        Correlation of their sampling errors. A stratum's evidence on the population counts for
        what they leave of it, 1 over their sum.

    Returns
    -------
    list of PooledStrata
        For each of ``shared``.
    """
    orders = [np.argsort(stratum.latent_tau, kind="stable") for stratum in strata]
    latent = [each.latent.take(order) for each, order in zip(strata, orders, strict=True)]
    taus = np.stack([each.latent_tau[at] for each, at in zip(strata, orders, strict=True)])
    likelihood = strata_likelihood([(each.estimates, each.covariance) for each in strata])
    found = []
    for correlation in shared:
        rng = strata[0].generator(4)
        values, vectors = np.linalg.eigh(correlation)
        root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
        normal = rng.standard_normal((_POPULATIONS, _PICKS, len(strata))) @ root
        uniforms = ndtr(normal / np.sqrt((root**2).sum(axis=0)))
        weights = 1 / correlation.sum(axis=1)
        population = likelihood.populations(weights, rng=rng, n_draws=_POPULATIONS)
        picks = [
            population.pick(draws.rho, uniforms[..., place]).ravel()
            for place, draws in enumerate(latent)
        ]
        found.append(PooledStrata(latent, taus, population, np.stack(picks, axis=1)))
    return found


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
        Unit drawn with replacement. Users of the same name are the same person in every dataset;
        the models of a dataset, and datasets that share users, are drawn on the same units, so that
        what they share is in the interval. ("methods" and "both" mean "users".)
    n_resamples, seed, level, variant, options, include_seeds
        As for :func:`preflamp_stats.tau_test`.
    interval : {"model", "percentile"}
        Kind of interval: with the noise taken out, as for :func:`preflamp_stats.tau_test`, or
        percentiles of the bootstrapped pooled tau.

    Returns
    -------
    Dataset
        ``estimate, low, high, n_strata, n_datasets, n_pairs, n_examples, n_users, note``, without
        dims, and, dim (stratum), ``tau, weight`` with coordinates ``dataset`` and ``model``.
        Examples are added up over datasets, and so are users, each person once.

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
    studies = read_studies(datasets, [upstream, downstream], settings)
    return pooled_between(studies, upstream, downstream, interval=interval)


def read_studies(
    datasets: Mapping[str, xr.Dataset] | xr.DataTree, metrics: Sequence[str], settings: Settings
) -> list[ResampledStudy]:
    """Read the datasets that have all metrics.

    Raises
    ------
    InputError
        If there is none.
    """
    studies: list[ResampledStudy] = []
    problems: list[Problem | str] = []
    groups = schema.datasets(datasets) if isinstance(datasets, xr.DataTree) else datasets
    for name, ds in groups.items():
        try:
            for metric in metrics:
                metric_info(ds, metric, settings)
        except InputError as error:
            problems += error.problems
            continue
        studies.append(read_study(ds, settings, metrics, name=name))
    if not studies:
        raise InputError(
            problems or Problem("there is no dataset", "name at least one", variable="datasets")
        )
    return studies


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
    found = gather_strata(studies, upstream, downstream)
    strata, asked = found.strata, found.settings
    sizes = {"n_examples": found.n_examples, "n_users": found.n_users}
    if not strata:
        missing = dict.fromkeys(("estimate", "low", "high"), np.nan)
        counts = dict.fromkeys(("n_strata", "n_datasets", "n_pairs", *sizes), 0)
        return xr.Dataset({**missing, **counts, "note": "tau is defined in no stratum"})
    n_methods = np.array([len(each.methods) for each in strata])
    n_pairs = n_methods * (n_methods - 1) // 2
    weights = n_pairs / n_pairs.sum()
    evidence = [each.evidence for each in strata]
    stacked = StackedEvidence(evidence, weights, asked.level, found.shared_error)
    obstacles = sorted({e.obstacle for e in evidence} - {""})
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
            "n_datasets": len({each.dataset for each in strata}),
            "n_pairs": int(n_pairs.sum()),
            **sizes,
            "note": joined_notes(*obstacles, *found.notes),
            "tau": ("stratum", [e.tau for e in evidence]),
            "weight": ("stratum", weights),
        },
        coords={
            "dataset": ("stratum", [each.dataset for each in strata]),
            "model": ("stratum", [each.model for each in strata]),
        },
        attrs={
            "level": asked.level,
            "variant": asked.variant,
            "interval": interval if isinstance(interval, str) else "custom",
        },
    )


@dataclass(frozen=True)
class Stratum:
    """One model of one dataset.

    Parameters
    ----------
    dataset, model : str
        Labels; the model's is empty where the file has none.
    people : str
        Name of its users, the same for datasets that share some.
    methods : list
        Labels of the methods that have both metrics.
    evidence : TauEvidence
    """

    dataset: str
    model: str
    people: str
    methods: list[Any]
    evidence: TauEvidence


@dataclass(frozen=True)
class GatheredStrata:
    """Every stratum in which tau is defined, in canonical order, and what stands behind them.

    Parameters
    ----------
    strata : sequence of Stratum
    settings : Settings
        With which their evidence was made.
    n_examples, n_users : int
        Over all datasets, each person once.
    notes : sequence of str
        On which examples methods are ranked.
    """

    strata: Sequence[Stratum]
    settings: Settings
    n_examples: int
    n_users: int
    notes: Sequence[str]

    @cached_property
    def shared_error(self) -> Array:
        """Correlation of the sampling errors of every two strata, shape (stratum, stratum).

        Over the resamples, of the contrasts between the methods that both have, and that of the
        metric in which it is larger: models that share rewards share the errors of the upstream
        metric, and a product of two errors is then as far from independent as one.
        """
        found = np.eye(len(self.strata))
        for (i, a), (j, b) in combinations(enumerate(self.strata), 2):
            common = [method for method in a.methods if method in set(b.methods)]
            if a.people == b.people and len(common) > 1:
                found[i, j] = found[j, i] = _error_correlation(a, b, common)
        return found


def _error_correlation(a: Stratum, b: Stratum, methods: list[Any]) -> float:
    found = []
    for metric in ("x_draws", "y_draws"):
        errors = []
        for one in (a, b):
            # Of the methods that are compared, in their order.
            draws = getattr(one.evidence, metric)[:, one.evidence.compared]
            draws = draws[:, [one.methods.index(method) for method in methods]]
            draws = draws - draws.mean(axis=1, keepdims=True)
            errors.append(draws - np.nanmean(draws, axis=0))
        size = np.sqrt(np.nansum(errors[0] ** 2) * np.nansum(errors[1] ** 2))
        found.append(np.nansum(errors[0] * errors[1]) / size if size else 0.0)
    return float(np.clip(max(found), 0.0, 1.0))


def gather_strata(
    studies: Sequence[ResampledStudy], upstream: str, downstream: str, *, oriented: bool = True
) -> GatheredStrata:
    """Collect the evidence on two metrics from every model of every dataset.

    Parameters
    ----------
    studies : sequence of ResampledStudy
        At least one, all with the same settings.
    upstream, downstream : str
    oriented : bool
        As for :func:`~preflamp_stats.inference.tau_evidence.model_evidence`.

    Returns
    -------
    GatheredStrata
    """
    asked = replace(studies[0].settings, resample="users")
    pairs = {each.name: (each.drawn[upstream], each.drawn[downstream]) for each in studies}
    people = _people(pairs)
    pairs = _drawn_jointly(pairs, people, asked)
    strata: list[Stratum] = []
    n_examples = 0
    n_users: dict[str, int] = {}
    told: set[str] = set()
    for name in sorted(pairs):
        aligned = align_metrics(dict(zip("xy", pairs[name], strict=True)))
        labels = aligned["method"].values
        here = []
        for at in each_model(aligned):
            evidence = model_evidence(
                aligned.isel(at), *pairs[name], asked, name, oriented=oriented
            )
            if not np.isnan(evidence.tau):
                methods = labels[evidence.compared].tolist()
                here.append(Stratum(name, _label(aligned, at), people[name], methods, evidence))
        told |= {note for note in aligned["note"].values.ravel().tolist() if note and here}
        # By label, so that neither sums nor draws depend on the order of the models in the file.
        strata += sorted(here, key=lambda stratum: stratum.model)
        if here:
            n_examples += int(aligned["n_examples"].max())
            n_users[name] = int(aligned["n_users"].max())
    total = _count_people(pairs, people, n_users)
    return GatheredStrata(strata, asked, n_examples, total, sorted(told))


def _user_names(pair: tuple[MethodMetric, MethodMetric]) -> set[str]:
    """People behind the metrics of a dataset; none where its units are examples."""
    sums = [m.sums for m in pair if m.sums is not None and m.sums.kind == "users"]
    having = [s.counts.any([d for d in s.counts.dims if d != "unit"]) for s in sums]
    return (
        set.intersection(*({str(u) for u in one["unit"].values[one.values]} for one in having))
        if having
        else set()
    )


def _people(pairs: Mapping[str, tuple[MethodMetric, MethodMetric]]) -> dict[str, str]:
    """Name of the people of each dataset: that of the first of all datasets that share some."""
    found: dict[str, str] = {}
    groups: list[tuple[str, set[str]]] = []
    for name in sorted(pairs):
        users = _user_names(pairs[name])
        joined = [group for group in groups if group[1] & users]
        first = joined[0][0] if joined else name
        kept = [group for group in groups if group not in joined]
        groups = [*kept, (first, users.union(*(others for _, others in joined)))]
        merged = {other for other, _ in joined}
        found = {d: first if p in merged else p for d, p in found.items()} | {name: first}
    return found


def _count_people(
    pairs: Mapping[str, tuple[MethodMetric, MethodMetric]],
    people: Mapping[str, str],
    n_users: Mapping[str, int],
) -> int:
    """Users of all datasets, each person once."""
    total = 0
    for first in set(people.values()):
        here = [name for name in n_users if people[name] == first]
        added = sum(n_users[name] for name in here)
        known = set().union(*(_user_names(pairs[name]) for name in here))
        total += min(added, len(known)) if len(here) > 1 else added
    return total


def _drawn_jointly(
    pairs: Mapping[str, tuple[MethodMetric, MethodMetric]],
    people: Mapping[str, str],
    settings: Settings,
) -> dict[str, tuple[MethodMetric, MethodMetric]]:
    """Draw datasets that share people again, on the same resamples of all their people."""
    found = dict(pairs)
    for first in set(people.values()):
        here = [name for name in pairs if people[name] == first]
        if len(here) < 2:
            continue
        units = sorted(
            set().union(
                *(
                    m.sums.sums["unit"].values.tolist()
                    for name in here
                    for m in pairs[name]
                    if m.sums
                )
            )
        )
        for name in here:
            x, y = pairs[name]
            wide = {"x": _over_units(x, units), "y": _over_units(y, units)}
            drawn = draw_metrics(wide, settings, first)
            found[name] = _with_draws(x, drawn["x"]), _with_draws(y, drawn["y"])
    return found


def _over_units(metric: MethodMetric, units: Sequence[str]) -> MethodMetric:
    """A metric whose sums have a place for every unit, empty for those that it lacks."""
    if metric.sums is None:
        return metric
    sums, counts = (
        v.reindex(unit=units, fill_value=0.0) for v in (metric.sums.sums, metric.sums.counts)
    )
    common = metric.common and _over_units(metric.common, units)
    return replace(metric, sums=replace(metric.sums, sums=sums, counts=counts), common=common)


def _with_draws(metric: MethodMetric, drawn: MethodMetric) -> MethodMetric:
    common = metric.common
    if common is not None and drawn.common is not None:
        common = _with_draws(common, drawn.common)
    return replace(metric, draws=drawn.draws, common=common)


def _label(aligned: xr.Dataset, at: Mapping[str, int]) -> str:
    return ", ".join(str(aligned[dim].values[place]) for dim, place in at.items())

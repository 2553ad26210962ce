"""The evidence on two metrics in every model of every dataset, people who recur known as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.inference.alignment import align_metrics
from preflamp_stats.inference.method_metrics import MethodMetric, draw_metrics
from preflamp_stats.inference.resampled import ResampledStudy, read_study
from preflamp_stats.inference.tau_evidence import TauEvidence, model_evidence
from preflamp_stats.io import schema
from preflamp_stats.metrics.values import metric_info
from preflamp_stats.settings import Settings

__all__ = ["GatheredStrata", "Stratum", "gather_strata", "read_studies"]

Array = NDArray[np.float64]


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
    # What two questions draw in the same way; the studies are kept, for an id is no name without.
    key = ("drawn jointly", upstream, downstream, *map(id, studies))
    if key not in studies[0].answers:
        studies[0].answers[key] = list(studies), _drawn_jointly(pairs, people, asked)
    pairs = studies[0].answers[key][1]
    strata: list[Stratum] = []
    n_examples = 0
    n_users: dict[str, int] = {}
    told: set[str] = set()
    for name in sorted(pairs):
        x, y = pairs[name]
        aligned = align_metrics({"x": x, "y": y})
        here = []
        for one in aligned.by_model:
            evidence = model_evidence(one, x, y, asked, name, oriented=oriented)
            if not np.isnan(evidence.tau):
                methods = one.methods[evidence.compared].tolist()
                label = "" if one.model is None else str(one.model)
                here.append(Stratum(name, label, people[name], methods, evidence))
        told |= {one.note for one in aligned.by_model if one.note and here}
        # By label, so that neither sums nor draws depend on the order of the models in the file.
        strata += sorted(here, key=lambda stratum: stratum.model)
        if here:
            n_examples += max(one.n_examples for one in aligned.by_model)
            n_users[name] = max(one.n_users for one in aligned.by_model)
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

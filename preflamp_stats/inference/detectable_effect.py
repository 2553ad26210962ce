"""Differences that a file at hand could show, and the users that smaller ones would need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.inference.contrasts import metric_differences
from preflamp_stats.inference.resampled import study_of_call
from preflamp_stats.io.select import Results
from preflamp_stats.kernels.paired import PairedDifferences
from preflamp_stats.kernels.power import (
    detectable_difference,
    difference_power,
    equivalence_power,
    smallest_number,
)
from preflamp_stats.metrics.options import MetricOptions

__all__ = ["minimum_detectable_effect"]

Array = NDArray[np.float64]


def minimum_detectable_effect(
    ds: Results,
    metric: str,
    *,
    differences: Sequence[float] = (),
    margins: Sequence[float] = (),
    resample: Literal["users", "examples"] = "users",
    level: float = 0.95,
    target: float = 0.8,
    options: MetricOptions | None = None,
    include_seeds: bool = True,
) -> xr.Dataset:
    """Smallest difference between two methods that a file's users would show.

    From the measured standard error of every pair's difference; nothing is taken from the
    differences that were observed.

    Parameters
    ----------
    ds : Dataset
        One benchmark dataset of a results file.
    metric : str
        Name of a metric, such as ``rm_accuracy`` or ``rouge1``.
    differences : sequence of float
        Differences for which to say how many such users would be needed.
    margins : sequence of float
        Margins for which to say how many would be needed to show equivalence of two equal methods.
    resample, options, include_seeds
        As for :func:`compare_methods`. The variance between training seeds stays the same however
        many users there are.
    level : float
        Tests have size (1 − level) / pairs: Holm's strictest step.
    target : float
        Power asked for.

    Returns
    -------
    Dataset, dims ([model], pair), ([model], pair, difference), ([model], pair, margin)
        ``mde``, ``se``, ``df``, ``n_users``; ``users_for_difference`` and ``users_for_margin``, inf
        where no number of users would do. NaN for pairs whose error is unknown or 0. Coordinates
        ``method_a`` and ``method_b``.

    Raises
    ------
    InputError
        If the dataset lacks the metric, nothing is known of its sampling error, or an option is
        out of range.

    Examples
    --------
    >>> import preflamp_stats as pls
    >>> study = pls.simulate(n_methods=3, n_icl=0, n_users=60, n_examples=10, seed=1)
    >>> found = minimum_detectable_effect(study.to_dataset(), "rm_accuracy", differences=[0.05])
    >>> found["mde"].dims, found["users_for_difference"].dims
    (('pair',), ('pair', 'difference'))
    """
    _check(differences, margins, target)
    study = study_of_call(
        ds, [metric], options, resample=resample, level=level, include_seeds=include_seeds
    )
    with_seeds = metric_differences(study.summed[metric], include_seeds=include_seeds)
    by_users = metric_differences(study.summed[metric], include_seeds=False)
    rows, needed = [], {"difference": [], "margin": []}  # type: ignore[var-annotated]
    for model, found in with_seeds.by_model.items():
        error = _ErrorByUsers.of(found, by_users.by_model[model])
        alpha = (1 - level) / max(int(error.known.sum()), 1)
        mde = detectable_difference(error.se, error.df, alpha=alpha, target=target)
        rows.append({"mde": mde, "se": error.se, "df": error.df, "n_users": found.n_users})
        needed["difference"].append(
            error.users_needed(np.asarray(differences), _difference(alpha), target)
        )
        needed["margin"].append(error.users_needed(np.asarray(margins), _margin(alpha), target))
    result = with_seeds.dataset(rows)
    values = {"difference": differences, "margin": margins}
    for name, columns in needed.items():
        if values[name]:
            stacked = np.stack(columns)
            users = stacked[0] if with_seeds.models is None else stacked
            dims = (*result["mde"].dims, name)
            result = result.assign_coords({name: list(values[name])})
            result[f"users_for_{name}"] = (dims, users)
    return result.assign_attrs(metric=metric, level=level, target=target, resample=study.units.kind)


_Power = Callable[[Array, Array, Array], Array]


def _difference(alpha: float) -> _Power:
    return lambda effect, se, df: difference_power(effect, se, df, alpha=alpha)


def _margin(alpha: float) -> _Power:
    return lambda margin, se, df: equivalence_power(0.0, se, df, margin=margin, alpha=alpha)


@dataclass(frozen=True)
class _ErrorByUsers:
    """Error of every pair's difference as a function of the number of users.

    Parameters
    ----------
    users_variance, seeds_variance : ndarray, shape (pair,)
        Of the difference at hand; only the first shrinks with more users.
    users_df : ndarray, shape (pair,)
    seeds_uncertainty : ndarray, shape (pair,)
        What the seeds add to the denominator of Welch and Satterthwaite's degrees of freedom.
    n_users : ndarray, shape (pair,)
    """

    users_variance: Array
    seeds_variance: Array
    users_df: Array
    seeds_uncertainty: Array
    n_users: Array

    @classmethod
    def of(cls, both: PairedDifferences, users: PairedDifferences) -> _ErrorByUsers:
        """From the errors with and without the variance between training seeds."""
        known = both.se > 0
        total = np.where(known, both.se, np.nan) ** 2
        own = np.where(known, users.se, np.nan) ** 2
        uncertainty = np.maximum(total**2 / both.df - own**2 / users.df, 0)
        seeds = np.maximum(total - own, 0)
        return cls(
            own,
            seeds,
            users.df,
            np.where(seeds > 0, uncertainty, 0.0),
            both.n_users.astype(np.float64),
        )

    @property
    def known(self) -> NDArray[np.bool_]:
        return ~np.isnan(self.users_variance)

    @property
    def se(self) -> Array:
        return self.with_users(self.n_users)[0]

    @property
    def df(self) -> Array:
        return self.with_users(self.n_users)[1]

    def with_users(self, n: Array) -> tuple[Array, Array]:
        """Standard error and degrees of freedom with so many users of the same kind."""
        factor = n / np.maximum(self.n_users, 1)
        users = self.users_variance / factor
        df = np.maximum((self.users_df + 1) * factor - 1, 1.0)
        variance = users + self.seeds_variance
        combined = variance**2 / (users**2 / df + self.seeds_uncertainty)
        return np.sqrt(variance), np.maximum(combined, 1.0)

    def users_needed(self, effects: Array, power: _Power, target: float) -> Array:
        """Users for each pair and effect, shape (pair, effect)."""
        there = np.flatnonzero(self.known)
        needed = np.full((len(self.known), len(effects)), np.nan)
        one = _ErrorByUsers(*(getattr(self, name)[there] for name in self.__dataclass_fields__))
        for column, effect in enumerate(effects):
            needed[there, column] = smallest_number(
                lambda n, effect=effect: power(effect, *one.with_users(n)),  # type: ignore[misc]
                (len(there),),
                target=target,
            )
        return needed


def _check(differences: Sequence[float], margins: Sequence[float], target: float) -> None:
    problems = [
        Problem(f"holds {value!r}", "take positive numbers in the metric's units", variable=name)
        for name, values in (("differences", differences), ("margins", margins))
        for value in values
        if not (value > 0 and np.isfinite(value))
    ]
    if not 0 < target < 1:
        problems.append(
            Problem(
                f"is {target!r}", "take a share between 0 and 1, such as 0.8", variable="target"
            )
        )
    if problems:
        raise InputError(problems)

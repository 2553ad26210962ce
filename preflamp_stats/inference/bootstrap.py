"""Estimates of metrics with bootstrap intervals."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preflamp_stats.choices import Resample
from preflamp_stats.inference.floors import NO_ENDS, NO_VARIATION
from preflamp_stats.inference.intervals import percentile_interval
from preflamp_stats.inference.method_metrics import MethodMetric
from preflamp_stats.inference.resampled import study_of_call
from preflamp_stats.inference.sums import UserSums
from preflamp_stats.io.select import Results
from preflamp_stats.kernels.betting import betting_limits
from preflamp_stats.kernels.unlike_units import unlike_units
from preflamp_stats.metrics.options import MetricOptions

__all__ = ["bootstrap", "estimate_with_interval"]


def bootstrap(
    ds: Results,
    metric: str,
    *,
    resample: Resample = "users",
    n_resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
    options: MetricOptions | None = None,
    include_seeds: bool = True,
    anytime: bool = False,
) -> xr.Dataset:
    """Estimate a metric of every method, with a percentile interval.

    Parameters
    ----------
    ds : Dataset
        One benchmark dataset of a results file.
    metric : str
        Name of a metric, such as ``rm_accuracy``, ``policy_accuracy`` or ``rouge1``, or of a curve:
        ``weight_curve``, ``prefix_accuracy``, ``length_difference`` (accuracy by bins of length).
    resample : {"users", "examples"}
        Unit drawn with replacement. Users keep all their examples together; a file without users
        has its examples drawn. ("methods" and "both" rank methods; here they mean "users".)
    n_resamples : int
        Resamples.
    seed : int
        Seed of the random numbers.
    level : float
        Confidence level in (0, 1).
    options : MetricOptions, optional
        How the metric is computed.
    include_seeds : bool
        Resample training seeds too, where the file has them.
    anytime : bool
        An interval that holds whenever one looks, as :func:`preflamp_stats.compare_methods`.

    Returns
    -------
    Dataset, dims ([model], method), and that of a curve
        ``estimate, low, high, n_examples, n_users`` and, where the file has training seeds,
        ``n_seeds``. Attributes name the metric, level, unit and whether seeds were resampled.

    Raises
    ------
    InputError
        If the dataset lacks the metric or some examples lack a user.

    Examples
    --------
    >>> import preflamp_stats as pls
    >>> ds = next(iter(pls.datasets(pls.simulate(n_users=40, n_examples=5, seed=1)).values()))
    >>> found = bootstrap(ds, "rm_accuracy", n_resamples=500)
    >>> bool((found.low <= found.estimate).any() and (found.estimate <= found.high).any())
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
    found = estimate_with_interval(study.drawn[metric], level, anytime=anytime)
    return found.assign_attrs(
        metric=metric,
        level=level,
        resample=study.units.kind,
        n_resamples=n_resamples,
        seed=seed,
        seeds="resampled" if include_seeds and "n_seeds" in found else "not resampled",
        interval="anytime" if anytime else "percentile",
    )


def estimate_with_interval(
    metric: MethodMetric, level: float, *, anytime: bool = False
) -> xr.Dataset:
    """Estimate and percentile limits of a drawn metric, dims ([model], method).

    A number known only per method, and one that rests on a single user, get no interval: nothing
    in the file tells how far off they are. Where few users differ from all others the percentiles
    are too narrow, and have no width at all where none does: in a metric within [0, 1] the limits
    then reach at least as far as what the users not seen might say
    (:class:`~preflamp_stats.kernels.unlike_units.UnlikeUnits`); in another there is no interval
    where all users are alike, and ``note`` says so.

    With ``anytime`` limits hold whenever one looks, see :func:`preflamp_stats.compare_methods`;
    ``users_times`` says how many times as many users they need for the width of the others.
    """
    if metric.draws is None:
        raise ValueError(f"metric {metric.info.name} has not been drawn")
    found = xr.Dataset(
        {
            "estimate": metric.estimate,
            "low": xr.full_like(metric.estimate, np.nan, dtype=np.float64),
            "high": xr.full_like(metric.estimate, np.nan, dtype=np.float64),
            "n_examples": metric.n_examples,
            "n_users": metric.n_users,
        }
    )
    if metric.sums is not None:
        low, high = percentile_interval(metric.draws, level)
        enough = (metric.n_users > 1) & low.notnull()
        if metric.info.values != "free":
            # The stretch of training seeds can leave the range.
            low, high = low.clip(0, 1), high.clip(0, 1)
            wider = few_users_limits(metric.sums, (1 - level) / 2)
            low, high = _hull(low, high, *wider)
        else:
            alike = enough & (low == high)
            enough &= ~alike
            if alike.any():
                found["note"] = alike.copy(data=np.where(alike, NO_VARIATION, ""))
        low, high = _hull(low, high, metric.estimate, metric.estimate)
        if anytime:
            fixed = high - low
            low, high = anytime_limits(metric, (1 - level) / 2)
            low, high = _hull(low, high, metric.estimate, metric.estimate)
            found["users_times"] = (((high - low) / fixed) ** 2).where(enough & (fixed > 0))
            if metric.info.values == "free":
                enough = xr.zeros_like(enough)
                found["note"] = xr.full_like(metric.estimate, NO_ENDS, dtype=object)
        found = found.assign(low=low.where(enough), high=high.where(enough))
        if "seed" in metric.sums.sums.dims:
            found = found.assign(n_seeds=metric.n_seeds)
    return found


def few_users_limits(sums: UserSums, tail: float) -> tuple[xr.DataArray, xr.DataArray]:
    """Limits of means in [0, 1] in which few users differ; NaN where many do."""
    values, weight, like = _by_unit(sums)
    limits = unlike_units(values, weight, 0.0, 1.0).few.limits(tail)
    low, high = (like.copy(data=limit.reshape(like.shape)) for limit in limits)
    return low, high


def anytime_limits(metric: MethodMetric, tail: float) -> tuple[xr.DataArray, xr.DataArray]:
    """Limits of means in [0, 1] that hold whenever one looks; NaN on a scale without ends."""
    sums = metric.sums
    if sums is None or sums.arrival is None:
        raise ValueError(f"metric {metric.info.name} has no units in the order of the file")
    values, weight, like = _by_unit(sums)
    if metric.info.values == "free":
        values = np.full_like(values, np.nan)
    share = weight / np.maximum(weight.max(axis=0), 1.0)
    limits = betting_limits(values[sums.arrival], share[sums.arrival], 0.0, 1.0, tail)
    low, high = (like.copy(data=limit.reshape(like.shape)) for limit in limits)
    return low, high


def _by_unit(
    sums: UserSums,
) -> tuple[NDArray[np.float64], NDArray[np.float64], xr.DataArray]:
    """Means and weights, shape (unit, column), and an array of the columns' labels and dims."""
    order = [d for d in sums.sums.dims if d not in ("unit", "seed")]
    means = sums.sums / sums.counts.where(sums.counts > 0)
    weights = sums.counts
    if "seed" in sums.sums.dims:
        means, weights = means.mean("seed"), weights.sum("seed")
    like = means.isel(unit=0, drop=True).transpose(*order)
    values, weight = (
        v.transpose("unit", *order).values.reshape(v.sizes["unit"], -1)
        for v in (means.fillna(0.0), weights)
    )
    return values, weight, like


def _hull(
    low: xr.DataArray, high: xr.DataArray, lower: xr.DataArray, upper: xr.DataArray
) -> tuple[xr.DataArray, xr.DataArray]:
    """Smallest interval that holds two; one that is not there is left out."""
    ends = xr.apply_ufunc(np.fmin, low, lower), xr.apply_ufunc(np.fmax, high, upper)
    return ends[0].transpose(*low.dims), ends[1].transpose(*high.dims)

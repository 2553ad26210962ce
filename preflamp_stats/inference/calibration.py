"""Calibration of rewards: is a reward model as often right as it is sure?"""

from __future__ import annotations

from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import expit, ndtri, stdtrit

from preflamp_stats.choices import Resample
from preflamp_stats.errors import InputError, Problem
from preflamp_stats.inference.bootstrap import estimate_with_interval
from preflamp_stats.inference.floors import NO_VARIATION, enough_users
from preflamp_stats.inference.intervals import percentile_interval
from preflamp_stats.inference.method_metrics import MethodMetric, as_method_metric, draw_metrics
from preflamp_stats.inference.resampled import ResampledStudy, study_of_call
from preflamp_stats.inference.sums import ExampleValues, collect_sums
from preflamp_stats.io.select import Results
from preflamp_stats.io.variables import pairwise_methods
from preflamp_stats.kernels.calibration import bin_edges, bin_gaps
from preflamp_stats.metric import OWN_UNITS, Metric
from preflamp_stats.metrics.discrimination import compared_pair
from preflamp_stats.metrics.options import MetricOptions
from preflamp_stats.metrics.policy import require

__all__ = ["calibration_of", "reward_calibration"]

_ONE_SIDED = "nearly all pairs came out alike, too few {unit} show another: no interval can be made"


def reward_calibration(
    ds: Results,
    *,
    n_bins: int = 10,
    resample: Resample = "users",
    n_resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
    options: MetricOptions | None = None,
    include_seeds: bool = True,
) -> xr.Dataset:
    """Expected calibration error, Brier score and mean margin of rewards as Bradley–Terry models.

    The reward gives the chosen response the probability σ(r(chosen) − r(rejected)) of winning,
    which it does. Only rewards that are log-odds (trained as Bradley–Terry models) claim that; of
    another scale the numbers say how far off it would be to read it so. Equal rewards are the
    probability ½, right half of the time, whatever ``options.ties``.

    Parameters
    ----------
    ds : Dataset
        One benchmark dataset of a results file, with ``reward``. Its attribute ``log_odds``, a JSON
        list of methods, says whose rewards are log-odds.
    n_bins : int
        Bins of equal mass over the confidence, σ of the size of the margin.
    resample : {"users", "examples"}
    n_resamples, seed, level, options, include_seeds
        As for :func:`bootstrap`; of the options, the average.

    Returns
    -------
    Dataset, dims ([model], method)
        ``estimate, low, high``: the expected calibration error (ECE), the mean over bins of the
        distance between accuracy and confidence, weighted by their pairs. Noise alone makes it
        positive: ``by_chance`` is what these users would show of a calibrated reward on average.
        Its interval is the estimate ± the ``level`` quantile of the bins' summed absolute errors
        over resamples: it holds however small the true error of these bins is, and is too wide
        where it is large. It is for the trained models at hand, over whose training seeds the ECE
        is averaged.

        ``brier, brier_low, brier_high``: mean of (1 − σ(margin))², ¼ for a reward that knows
        nothing and says so. ``mean_margin`` with ``mean_margin_low, mean_margin_high``. Both with
        percentiles of the bootstrap. ``n_examples, n_users``; ``reward_scale``, "log-odds" or "not
        known"; ``note`` says why there is no interval: units whose pairs all came out alike show
        nothing of how often the reward is wrong, and so few as not to be evidence are none.

    Raises
    ------
    InputError
        If rewards of ``chosen`` and ``rejected`` are missing or infinite, or for bad ``n_bins``.

    References
    ----------
    Bradley and Terry (1952), Biometrika 39:324-345; Brier (1950), Monthly Weather Review 78:1-3;
    Bröcker and Smith (2007), Increasing the reliability of reliability diagrams, Weather and
    Forecasting 22:651-661 (what chance shows of a calibrated forecast); Kumar, Liang and Ma (2019),
    Verified uncertainty calibration, NeurIPS (bins hide part of the error).

    Examples
    --------
    >>> reward = xr.DataArray(
    ...     [[[1.0, 0.0], [0.0, 0.0]]],
    ...     dims=("method", "example", "candidate"),
    ...     coords={"method": ["rm"], "candidate": ["chosen", "rejected"]},
    ... )
    >>> found = reward_calibration(xr.Dataset({"reward": reward}), n_resamples=100)
    >>> round(found["estimate"].item(), 4), round(found["brier"].item(), 4)
    (0.1345, 0.1612)
    """
    asked = {"resample": resample, "n_resamples": n_resamples, "seed": seed, "level": level}
    study = study_of_call(ds, [], options, include_seeds=include_seeds, **asked)
    return calibration_of(study, n_bins)


def calibration_of(study: ResampledStudy, n_bins: int = 10) -> xr.Dataset:
    """Calibration of the rewards of a study; see :func:`reward_calibration`."""
    if not isinstance(n_bins, int | np.integer) or n_bins < 1:
        mend = "give a whole number from 1; 10 is usual"
        raise InputError(Problem(f"is {n_bins!r}", mend, variable="n_bins"))
    asked = study.settings
    reward = require(study.ds, "reward", "for calibration")
    margin = _margin(study.ds).load().transpose(..., "example")
    like = margin.isel(example=0, drop=True).expand_dims(edge=n_bins - 1, axis=-1)
    edges = like.copy(data=bin_edges(margin.values, int(n_bins)))
    drawn = _drawn(study, edges)
    found, margins = (estimate_with_interval(drawn[n], asked.level) for n in ("brier", "margin"))
    ends = ("estimate", "low", "high")
    for name, of in (("brier", found), ("mean_margin", margins)):
        columns = {f"{name}_{end}".removesuffix("_estimate"): of[end] for end in ends}
        found = found.assign(columns)
    gaps = drawn["gaps"]
    if gaps.draws is None:
        raise ValueError("the gaps have not been drawn")
    ece = _over_bins(gaps.estimate)
    errors = _over_bins(gaps.draws - gaps.estimate)
    # Errors of few users are larger than the bootstrap's, as Student's t is than the normal's.
    n, tail = found["n_users"].where(found["n_users"] > 1), (1 - asked.level) / 2
    stretch = np.sqrt(n / (n - 1)) * xr.apply_ufunc(stdtrit, n - 1, tail) / ndtri(tail)
    reach = stretch * percentile_interval(errors, 2 * asked.level - 1)[1]
    reach = reach.where(reach > 0)
    alike = ece.notnull() & reach.isnull() & n.notnull()
    few = ece.notnull() & n.notnull() & ~_both_sides(margin, study)
    try:
        told = pairwise_methods(reward, "log_odds")
    except ValueError as error:
        mend = "write the methods whose rewards are log-odds as a JSON list"
        raise InputError(Problem("attribute log_odds is no list", mend, "", "reward")) from error
    methods = found["method"].astype(str)
    limits = [name for name in found if str(name).endswith(("_low", "_high"))]
    found, reach = found.assign(found[limits].where(~few)), reach.where(~few)
    one_sided = _ONE_SIDED.format(unit=study.units.kind)
    return found.assign(
        estimate=ece,
        low=(ece - reach).clip(0, 1),
        high=(ece + reach).clip(0, 1),
        by_chance=errors.mean("resample"),
        reward_scale=methods.copy(data=np.where(methods.isin(told), "log-odds", "not known")),
        note=alike.copy(data=np.select([alike, few], [NO_VARIATION, one_sided], "")),
    ).assign_attrs(n_bins=int(n_bins), level=asked.level, resample=study.units.kind)


def _both_sides(margin: xr.DataArray, study: ResampledStudy) -> xr.DataArray:
    """Whether enough units have a right pair, and enough a wrong one, for resampling to see both.

    A reward that was wrong once or never looks certain to every resample, whatever it claims.
    """

    def units(pairs: NDArray[np.bool_]) -> int:
        return int(np.count_nonzero(np.bincount(study.units.codes[pairs], minlength=1)))

    sides = (
        xr.apply_ufunc(units, side, input_core_dims=[["example"]], vectorize=True)
        for side in (margin > 0, margin < 0)
    )
    fewest = np.minimum(*sides)
    each = fewest.min("seed") if "seed" in fewest.dims else fewest
    level = study.settings.level
    enough: xr.DataArray = xr.apply_ufunc(lambda n: enough_users(n, level), each, vectorize=True)
    return enough


def _drawn(study: ResampledStudy, edges: xr.DataArray) -> dict[str, MethodMetric]:
    """Brier score, margin, and the gap of each bin, on the same resamples as all metrics."""
    quantities = {
        "brier": ExampleValues(("reward",), lambda block: expit(-_margin(block)) ** 2, "share"),
        "margin": ExampleValues(("reward",), _margin, "free"),
        "gaps": ExampleValues(("reward",), partial(_gaps, edges=edges), "share"),
    }
    sums = collect_sums(study.ds, quantities, study.units, average=study.settings.average)
    metrics = {
        name: as_method_metric(
            study.ds,
            Metric(name, "curve", one.needs, one.scale, name, OWN_UNITS, "unknown"),
            sums[name],
        )
        for name, one in quantities.items()
    }
    return draw_metrics(metrics, study.settings, study.name)


def _margin(ds: xr.Dataset) -> xr.DataArray:
    chosen, rejected = compared_pair(ds["reward"].astype(np.float64))
    return chosen - rejected


def _gaps(block: xr.Dataset, edges: xr.DataArray) -> xr.DataArray:
    """Gaps by bin; each training seed keeps its own, lest one that is too sure hide another."""
    gaps: xr.DataArray = xr.apply_ufunc(
        bin_gaps,
        _margin(block),
        edges,
        input_core_dims=[["example"], ["edge"]],
        output_core_dims=[["example", "bin"]],
    )
    if "seed" not in gaps.dims:
        return gaps
    ordered = gaps.sortby("seed") if "seed" in gaps.coords else gaps
    return ordered.rename(seed="training")


def _over_bins(gaps: xr.DataArray) -> xr.DataArray:
    total = abs(gaps).sum("bin", skipna=False)
    return total.mean("training") if "training" in total.dims else total

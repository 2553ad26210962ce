"""Best of k by reward: the curve over k, its gap to an oracle, and where more samples do harm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from preflamp_stats.choices import Resample
from preflamp_stats.errors import InputError, Problem
from preflamp_stats.inference.bootstrap import estimate_with_interval
from preflamp_stats.inference.floors import cannot_be_judged, unknown_direction
from preflamp_stats.inference.method_metrics import MethodMetric, as_method_metric, draw_metrics
from preflamp_stats.inference.resampled import ResampledStudy, study_of_call
from preflamp_stats.inference.sums import ExampleValues, collect_sums
from preflamp_stats.io.select import Results
from preflamp_stats.metric import Metric
from preflamp_stats.metrics.best_of_k import best_of_k_by_example, sampled_variables
from preflamp_stats.metrics.options import MetricOptions
from preflamp_stats.metrics.values import sampled_metric_info

__all__ = ["best_of_k", "best_of_k_between", "some_ks"]

Array = NDArray[np.float64]

_COMMON = 0.9
"""Share of the examples that must have so many samples where one k is compared with another."""
_ALL, _STEPS = 16, 4


def some_ks(n: int) -> list[int]:
    """Every k up to 16, then four to each doubling, and n.

    Examples
    --------
    >>> some_ks(24)[-4:]
    [16, 19, 22, 24]
    """
    steps = int(_STEPS * np.log2(max(n, _ALL) / _ALL)) + 1
    beyond = (int(_ALL * 2 ** (step / _STEPS)) for step in range(steps))
    return sorted({*range(1, min(n, _ALL) + 1), *(k for k in beyond if k <= n), n})


def best_of_k(
    ds: Results,
    metric: str,
    *,
    ks: Sequence[int] | None = None,
    resample: Resample = "users",
    n_resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
    options: MetricOptions | None = None,
    include_seeds: bool = True,
) -> xr.Dataset:
    """Quality of the sample that a reward chooses among k, for every k from one set of n samples.

    Parameters
    ----------
    ds : Dataset
        One benchmark dataset of a results file, with ``sample_reward`` over ``method, example,
        sample`` and the metric over ``[method], example, sample``; or with ``reward`` and the
        metric over several ``candidate``. Samples that lack either do not count, and examples may
        have different numbers of them.
    metric : str
        Quality of each sample. For the oracle and the peak its direction must be known.
    ks : sequence of int, optional
        By default every k.
    resample : {"users", "examples"}
    n_resamples, seed, level, options, include_seeds
        As for :func:`bootstrap`.

    Returns
    -------
    Dataset, dims ([model], method, k)
        ``estimate``: mean over the examples that have k samples of the expected quality of the one
        with the highest reward (a tie is broken at random), without bias (see
        :func:`~preflamp_stats.kernels.best_of_k.best_of_k_values`); ``oracle`` where the best by
        quality is taken; ``gap``, what choosing by reward lacks of it; ``random``, the quality of
        any sample of the same examples, and ``gain`` over it, both gap and gain positive for
        better; each with ``low, high`` (``oracle_low``, …), percentiles of the bootstrap over
        users; ``n_examples, n_users``.

        And over ([model], method): ``peak``, the k of the highest quality, with ``peak_low,
        peak_high``, the range of the k not significantly below another (each k is tested against
        all others at once by max-T; the true peak is among them with the probability ``level``);
        ``p_value`` that no k is better than ``largest``, the largest k that 90 % of the examples
        have: where it is small, more samples do harm (over-optimisation of the reward). k are
        compared on the examples that have ``largest``. ``note`` says why these are NaN.

    Raises
    ------
    InputError
        If the dataset lacks the metric or a reward of each sample, or the metric is one value an
        example.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> reward = rng.normal(size=(1, 60, 4))
    >>> ds = xr.Dataset(
    ...     {"sample_reward": (("method", "example", "sample"), reward),
    ...      "judge": (("example", "sample"), reward[0] + rng.normal(size=(60, 4)))},
    ...     {"method": ["rm"]},
    ... )
    >>> ds["judge"].attrs["direction"] = "higher"
    >>> found = best_of_k(ds, "judge", n_resamples=500)
    >>> found["estimate"].sizes["k"], found["peak"].item()
    (4, 4.0)
    """
    asked = {"resample": resample, "n_resamples": n_resamples, "seed": seed, "level": level}
    study = study_of_call(ds, [], options, include_seeds=include_seeds, **asked)
    return best_of_k_between(study, metric, ks)


def best_of_k_between(
    study: ResampledStudy, metric: str, ks: Sequence[int] | None = None
) -> xr.Dataset:
    """Best-of-k curve of a metric of a study; see :func:`best_of_k`."""
    name, reward, dim = sampled_variables(study.ds, metric)
    info = replace(sampled_metric_info(study.ds, name, study.settings), kind="curve")
    every = np.unique(ks) if ks is not None else np.arange(1, study.ds.sizes[dim] + 1)
    if not every.size or every.dtype.kind not in "iu" or every[0] < 1:
        mend = "give whole numbers from 1, or leave it out for every k"
        raise InputError(Problem(f"is {ks!r}", mend, variable="ks"))
    whole = _summed(study, info, (name, reward), every)
    sizes = _sizes(whole)
    there = every[(sizes > 0).any([d for d in sizes.dims if d != "k"]).values]
    if not there.size:
        mend = f"give {reward} and {name} for the same samples, and k up to their number"
        raise InputError(Problem("no example has k samples with both", mend, variable=name))
    whole = _at_k(whole, there)
    sizes = sizes.sel(k=there)
    largest = there[(sizes >= _COMMON * sizes.max("k")).sum("k") - 1]
    common = sizes.isel(k=0, drop=True).copy(data=largest)
    alike = bool((sizes.where(sizes.k <= common) == sizes.max("k")).where(sizes.k <= common).all())
    compared = whole if alike else _summed(study, info, (name, reward), there, common)
    found = [
        _of_method(study, _of(whole, m), _of(compared, m), common.isel(method=[m]))
        for m in range(common.sizes["method"])
    ]
    joined = xr.concat(found, dim="method", coords="minimal", compat="override")
    order = [d for d in ("model", "method") if d in joined.dims]
    return joined.transpose(*order, "k").assign_attrs(
        metric=metric,
        level=study.settings.level,
        resample=study.units.kind,
        interval="percentile",
    )


def _summed(
    study: ResampledStudy,
    info: Metric,
    needs: tuple[str, str],
    ks: NDArray[np.intp],
    common: xr.DataArray | None = None,
) -> MethodMetric:
    """All parts of the curve, summed by user; of examples with ``common`` samples where given."""

    def values(block: xr.Dataset) -> xr.DataArray:
        found = best_of_k_by_example(block, info.name, ks, sign=info.sign or 1)
        if common is None:
            return found
        return found.where(found.sel(part="chosen", drop=True).sel(k=common).notnull())

    asked = {info.name: ExampleValues(needs, values, "free")}
    sums = collect_sums(study.ds, asked, study.units, average=study.settings.average)
    return as_method_metric(study.ds, info, sums[info.name])


def _sizes(curve: MethodMetric) -> xr.DataArray:
    """Examples with at least k samples, dims ([model], method, k)."""
    sizes = curve.n_examples.sel(part="chosen", drop=True)
    return sizes.transpose(*(d for d in ("model", "method") if d in sizes.dims), "k")


def _at_k(curve: MethodMetric, ks: NDArray[np.intp]) -> MethodMetric:
    return _select(curve, {"k": np.flatnonzero(np.isin(curve.estimate["k"], ks))})


def _of(curve: MethodMetric, method: int) -> MethodMetric:
    return _select(curve, {"method": [method]})


def _select(curve: MethodMetric, at: dict[str, object]) -> MethodMetric:
    sums = curve.sums
    if sums is None:
        return curve
    chosen = {name: getattr(sums, name).isel(at) for name in ("sums", "counts", "n_examples")}
    return replace(curve, estimate=curve.estimate.isel(at), sums=replace(sums, **chosen))


def _of_method(
    study: ResampledStudy, curve: MethodMetric, compared: MethodMetric, largest: xr.DataArray
) -> xr.Dataset:
    """One method at a time: draws of every k and part would not fit the memory for all."""
    draw = partial(draw_metrics, settings=study.settings, dataset=study.name)
    drawn = draw({"curve": curve} if compared is curve else {"curve": curve, "peak": compared})
    sign = curve.info.sign
    limits = estimate_with_interval(drawn["curve"], study.settings.level)
    found = xr.Dataset()
    for part, column in zip(("chosen", "oracle", "gap", "random", "gain"), _COLUMNS, strict=True):
        here = limits.sel(part=part, drop=True)
        known = sign or part in ("chosen", "random")
        ends = ("estimate", "low", "high") if part != "random" else ("estimate",)
        for end in ends:
            name = end if part == "chosen" else f"{column}_{end}".removesuffix("_estimate")
            found[name] = here[end] if known else here[end] * np.nan
    sizes = limits.sel(part="chosen", drop=True)
    found = found.assign(n_examples=sizes["n_examples"], n_users=sizes["n_users"])
    peaks = drawn.get("peak", drawn["curve"])
    return found.assign(_peaks(peaks, largest, sizes["n_users"].max("k"), study))


_COLUMNS = ("", "oracle", "gap", "random", "gain")


def _peaks(
    curve: MethodMetric, largest: xr.DataArray, n_users: xr.DataArray, study: ResampledStudy
) -> dict[str, xr.DataArray]:
    """Peak of each model's curve, and whether it falls after."""
    names = ("peak", "peak_low", "peak_high", "p_value")
    found = {name: xr.full_like(largest, np.nan, dtype=np.float64) for name in names}
    found |= {"largest": largest, "note": xr.full_like(largest, "", dtype=object)}
    if curve.draws is None:
        raise ValueError("the curve has not been drawn")
    order = (*largest.dims, "k")
    estimate = curve.estimate.sel(part="chosen").transpose(*order)
    draws = curve.draws.sel(part="chosen").transpose("resample", *order)
    ks = estimate["k"].values
    for at in np.ndindex(*largest.shape):
        asked = study.settings
        n_units = float(n_users.transpose(*largest.dims).values[at])
        note = unknown_direction(curve.info)
        note = note or cannot_be_judged(n_units, level=asked.level, unit=study.units.kind)
        kept = ks <= largest.values[at]
        values = curve.info.sign * estimate.values[at][kept]
        if not note and kept.sum() < 2:
            note = "a single k: there is nothing to compare"
        if not note:
            drawn = curve.info.sign * draws.values[(slice(None), *at)][:, kept]
            inside, p_value = may_be_highest(values, drawn, asked.level, n_units)
            told = ks[values.argmax()], ks[kept][inside].min(), ks[kept][inside].max(), p_value
            for name, value in zip(names, told, strict=True):
                found[name].values[at] = value
        found["note"].values[at] = note
    return found


def may_be_highest(
    values: Array, draws: Array, level: float, n_units: float
) -> tuple[NDArray[np.bool_], float]:
    """Which of several dependent estimates may be the highest, and how sure the last is not.

    Each is tested against all others at once: the largest studentised lead of another over it,
    beside the distribution of that largest lead in the bootstrap (max-T). The one that is truly
    highest is left out with probability 1 − level at most, whichever it is.

    Parameters
    ----------
    values : ndarray, shape (k,)
    draws : ndarray, shape (resample, k)
        Bootstrap draws of them; rows with a NaN are left out.
    level : float
    n_units : int
        Units behind the draws: the errors of few of them are larger than the bootstrap's, as
        Student's t is wider than the normal distribution and a variance has n − 1.

    Returns
    -------
    inside : ndarray of bool, shape (k,)
    p_value : float
        That none is higher than the last.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> draws = rng.normal(size=(999, 3))
    >>> inside, p_value = may_be_highest(np.array([0.0, 2.0, 0.1]), draws, 0.95, 100)
    >>> inside
    array([ True,  True,  True])
    """
    draws = draws[~np.isnan(draws).any(axis=1)]
    p_values = np.full(len(values), np.nan)
    tail = (1 - level) / 2
    stretch = np.sqrt(n_units / (n_units - 1)) * stdtrit(n_units - 1, tail) / ndtri(tail)
    for k in range(len(values)):
        lead, errors = values - values[k], draws - draws[:, [k]]
        errors = errors - lead
        spread = errors.std(axis=0) if len(errors) else np.zeros(len(values))
        known = spread > 0
        if not known.any():
            continue
        largest = stretch * (errors[:, known] / spread[known]).max(axis=1)
        observed = (lead[known] / spread[known]).max()
        p_values[k] = (1 + (largest >= observed).sum()) / (1 + len(largest))
    return ~(p_values <= 1 - level) | (values == values.max()), float(p_values[-1])

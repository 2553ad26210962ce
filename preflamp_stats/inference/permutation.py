"""Permutation tests of an association over methods, and of which metric predicts better."""

from __future__ import annotations

from typing import Any, Literal, cast, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preflamp_stats.choices import Variant
from preflamp_stats.errors import InputError, Problem
from preflamp_stats.inference.alignment import AlignedModel, align_metrics, over_models
from preflamp_stats.inference.method_metrics import MethodMetric
from preflamp_stats.inference.resampled import ResampledStudy, study_of_call
from preflamp_stats.inference.streams import stream
from preflamp_stats.io.select import Results
from preflamp_stats.kernels.kendall import kendall_tau
from preflamp_stats.kernels.permutation import Alternative, tau_permutation_test
from preflamp_stats.kernels.swaps import Cells, SwapScheme, common_scale, swap_test
from preflamp_stats.metrics.options import MetricOptions

__all__ = ["Scheme", "permutation_between", "permutation_test"]

Scheme = Literal["methods", "perm-inputs", "perm-systems", "perm-both-rows", "perm-both-cells"]


def permutation_test(
    ds: Results,
    upstream: str = "rm_accuracy",
    downstream: str = "policy_accuracy",
    *,
    other: str | None = None,
    scheme: Scheme | None = None,
    resample: Literal["users", "examples"] = "users",
    n_resamples: int = 10_000,
    seed: int = 0,
    alternative: Alternative = "two-sided",
    variant: Variant = "b",
    options: MetricOptions | None = None,
) -> xr.Dataset:
    """Test an association over methods, or whether one metric predicts better than another.

    Without ``other``: is tau(upstream, downstream) further from 0 than if the downstream values
    stood beside the methods at random? With ``other``: does tau(upstream, downstream) differ from
    tau(other, downstream) by more than if upstream and other were interchangeable?

    Parameters
    ----------
    ds : Dataset
        One benchmark dataset of a results file.
    upstream, downstream : str
        Metrics that predict and that are to be predicted; turned round where lower is better, as
        for :func:`preflamp_stats.tau_test`.
    other : str, optional
        A second metric that predicts.
    scheme : str, optional
        What is permuted. Without ``other``: "methods". With it, what is swapped between the two:
        whole methods ("perm-systems", the default), whole units ("perm-inputs"), whole methods and
        then whole units ("perm-both-rows"), or each cell of method and unit ("perm-both-cells").
        They test different null hypotheses; see the notes.
    resample : {"users", "examples"}
        Units that are swapped.
    n_resamples : int
        Permutations at most; where there are no more, all are visited.
    seed : int
        Seed of the random numbers.
    alternative : {"two-sided", "greater", "less"}
        "two-sided" compares sizes.
    variant : {"a", "b", "c", "weighted"}
        Kendall's tau.
    options : MetricOptions, optional
        How the metrics are computed.

    Returns
    -------
    Dataset, dims ([model])
        ``estimate`` (tau or the difference), ``p_value, n_methods, n_examples, n_users,
        n_permutations``, ``null`` ("exact", "enumerated" or "sampled") and ``note``, which says why
        a result is undefined. With ``other`` also ``tau`` and ``tau_other``.

    Raises
    ------
    InputError
        If the dataset lacks a metric, or the scheme does not fit the question or the metrics.

    Notes
    -----
    "perm-systems" asks about methods in general: it holds where the two predictors of each method
    could be exchanged. The other schemes ask about these very methods: they hold where each
    *value* could be exchanged, so that every method has the same standardised true value in both
    metrics. They reject, rightly, where two metrics rank these methods differently, even if in
    methods at large neither predicts better.

    References
    ----------
    Deutsch, Dror and Roth (2021), TACL 9:1132-1146; Phipson and Smyth (2010), Statistical
    Applications in Genetics and Molecular Biology 9:39.

    Examples
    --------
    >>> import preflamp_stats as pls
    >>> ds = next(iter(pls.datasets(pls.simulate(n_users=40, n_examples=5, seed=1)).values()))
    >>> found = permutation_test(ds, "rm_accuracy", "rouge1")
    >>> found["n_methods"].item(), bool(0 < found["p_value"] <= 1)
    (8, True)
    """
    study = study_of_call(
        ds,
        [upstream, downstream, *([other] if other else [])],
        options,
        resample=resample,
        n_resamples=n_resamples,
        seed=seed,
        variant=variant,
    )
    return permutation_between(
        study, upstream, downstream, other=other, scheme=scheme, alternative=alternative
    )


def permutation_between(
    study: ResampledStudy,
    upstream: str,
    downstream: str,
    *,
    other: str | None = None,
    scheme: Scheme | None = None,
    alternative: Alternative = "two-sided",
) -> xr.Dataset:
    """Permutation test between metrics of a study; see :func:`permutation_test`."""
    used: Scheme = scheme or ("perm-systems" if other else "methods")
    names = {"x": upstream, "y": downstream} | ({"other": other} if other else {})
    metrics = {place: study.summed[name] for place, name in names.items()}
    predictors = [metrics[place] for place in ("x", "other") if place in metrics]
    _check(predictors, used, alternative)
    aligned = align_metrics(metrics)
    cells = [_by_unit(metric, used) for metric in predictors]
    asked = study.settings
    how: dict[str, Any] = {
        "n_resamples": asked.resamples,
        "alternative": alternative,
        "variant": asked.variant,
    }

    def row(here: AlignedModel) -> dict[str, Any]:
        there = np.logical_and.reduce([~np.isnan(here.estimates[place]) for place in metrics])
        methods = here.methods[there]
        values = {
            place: (metric.info.sign or 1) * here.estimates[place][there]
            for place, metric in metrics.items()
        }
        labels = [] if here.model is None else [str(here.model)]
        rng = np.random.default_rng(stream(asked.seed, study.name, "permutation", used, *labels))
        told = {}
        if other is None:
            test = tau_permutation_test(values["x"], values["y"], rng=rng, **how)
        else:
            for name, predictor in zip(_TAUS, ("x", "other"), strict=True):
                told[name] = kendall_tau(values[predictor], values["y"], variant=asked.variant)
            pair = [_cells(*parts, methods, here) for parts in cells]
            first, second = common_scale(*pair) if len(methods) else pair
            chosen = cast("SwapScheme", used)
            test = swap_test(first, second, values["y"], scheme=chosen, rng=rng, **how)
        return told | {
            "estimate": test.statistic,
            "p_value": test.p_value,
            "n_methods": len(methods),
            "n_permutations": test.n_permutations,
            "null": test.null,
            "note": _note(test.statistic, len(methods)),
        }

    taus = dict.fromkeys(_TAUS if other else (), np.nan)
    return over_models(aligned, {**_COLUMNS, **taus}, row).assign_attrs(
        upstream=upstream,
        downstream=downstream,
        other=other or "",
        scheme=used,
        alternative=alternative,
        variant=asked.variant,
    )


_TAUS = ("tau", "tau_other")
_COLUMNS: dict[str, object] = {
    "estimate": np.nan,
    "p_value": np.nan,
    "n_methods": 0,
    "n_permutations": 0,
    "null": "",
    "note": "",
}


def _check(predictors: list[MethodMetric], scheme: Scheme, alternative: Alternative) -> None:
    several = len(predictors) > 1
    problems = []
    allowed = [s for s in get_args(Scheme) if (s == "methods") != several]
    if scheme not in allowed:
        case = "two metrics are compared" if several else "one metric predicts"
        what = f"is {scheme!r} where {case}"
        mend = f"choose one of {', '.join(allowed)}"
        problems.append(Problem(what, mend, variable="scheme"))
    if alternative not in get_args(Alternative):
        mend = f"choose one of {', '.join(get_args(Alternative))}"
        problems.append(Problem(f"is {alternative!r}", mend, variable="alternative"))
    if several and scheme != "perm-systems":
        problems += [
            Problem(
                "is known only per method, so that there is nothing to swap by unit",
                "choose the scheme perm-systems",
                variable=metric.info.name,
            )
            for metric in predictors
            if metric.sums is None
        ]
    if problems:
        raise InputError(problems)


def _by_unit(metric: MethodMetric, scheme: Scheme) -> tuple[xr.DataArray, xr.DataArray]:
    """Sums and counts, dims (unit, [model], method), whose ratio is the metric's estimate.

    Where whole methods are swapped, a method is a single unit: the scale that makes methods
    comparable is then that of their estimates.
    """
    sign, metric = metric.info.sign or 1, metric.ranked
    if scheme == "perm-systems" or metric.sums is None:
        values = metric.estimate.expand_dims("unit")
        return sign * values.fillna(0.0), values.notnull().astype(np.float64)
    sums, counts = metric.sums.sums, metric.sums.counts
    if "seed" in sums.dims:
        # Each training seed weighs the same in the estimate, however many examples it has.
        total = counts.sum("unit")
        weight = (total.max("seed") / total.where(total > 0)).fillna(0.0)
        sums, counts = (sums * weight).sum("seed"), (counts * weight).sum("seed")
    return sign * sums, counts


def _cells(
    sums: xr.DataArray, counts: xr.DataArray, methods: NDArray[np.object_], here: AlignedModel
) -> Cells:
    """Cells of the methods compared, for the model at hand."""
    chosen: dict[str, object] = {"method": methods}
    chosen |= {"model": here.model} if "model" in sums.dims else {}
    arrays = [part.sel(chosen).transpose("unit", "method").values for part in (sums, counts)]
    return Cells(*arrays)


def _note(statistic: float, n_methods: int) -> str:
    if n_methods < 2:
        return "fewer than two methods have all metrics"
    return "all methods have the same value in one metric" if np.isnan(statistic) else ""

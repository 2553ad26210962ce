"""Permutation tests of an association over methods, and of which metric predicts better."""

from __future__ import annotations

from typing import Literal, cast, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preflamp_stats.choices import Variant
from preflamp_stats.errors import InputError, Problem
from preflamp_stats.inference.alignment import align_metrics, each_model, joined_notes
from preflamp_stats.inference.method_metrics import (
    MethodMetric,
    method_metrics,
    resampling_units,
)
from preflamp_stats.inference.streams import stream
from preflamp_stats.kernels.kendall import kendall_tau
from preflamp_stats.kernels.permutation import Alternative, tau_permutation_test
from preflamp_stats.kernels.swaps import Cells, SwapScheme, common_scale, swap_test
from preflamp_stats.metrics.options import MetricOptions
from preflamp_stats.schema import dataset_name

__all__ = ["Scheme", "permutation_between", "permutation_test"]

Scheme = Literal["methods", "perm-inputs", "perm-systems", "perm-both-rows", "perm-both-cells"]


def permutation_test(
    ds: xr.Dataset,
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
    names = list(dict.fromkeys([upstream, downstream, *([other] if other else [])]))
    metrics = method_metrics(
        ds, names, units=resampling_units(ds, resample), options=options or MetricOptions()
    )
    return permutation_between(
        metrics[upstream],
        metrics[downstream],
        other=metrics[other] if other else None,
        scheme=scheme,
        n_resamples=n_resamples,
        seed=seed,
        dataset=dataset_name(ds),
        alternative=alternative,
        variant=variant,
    )


def permutation_between(
    x: MethodMetric,
    y: MethodMetric,
    *,
    other: MethodMetric | None = None,
    scheme: Scheme | None = None,
    n_resamples: int = 10_000,
    seed: int = 0,
    dataset: str = "",
    alternative: Alternative = "two-sided",
    variant: Variant = "b",
) -> xr.Dataset:
    """Permutation test between metrics at hand; see :func:`permutation_test`.

    Parameters
    ----------
    x, y : MethodMetric
        Upstream and downstream metric.
    other : MethodMetric, optional
        Second upstream metric, over the same units as x.
    scheme, n_resamples, alternative, variant
        As for :func:`permutation_test`.
    seed, dataset
        Name the random stream.

    Returns
    -------
    Dataset, dims ([model])
    """
    used: Scheme = scheme or ("perm-systems" if other else "methods")
    _check(x, other, used, n_resamples, alternative)
    metrics = {"x": x, "y": y} | ({"other": other} if other else {})
    aligned = align_metrics(metrics)
    found = _empty_result(aligned)
    if other:
        found = found.assign({name: xr.full_like(found["estimate"], np.nan) for name in _TAUS})
        cells = [_by_unit(m, used) for m in (x, other)]
    for at in each_model(aligned):
        here = aligned.isel(at)
        methods = here["method"].values[
            np.logical_and.reduce([here[name].notnull().values for name in metrics])
        ]
        values = {
            name: (m.info.sign or 1) * here[name].sel({"method": methods}).values
            for name, m in metrics.items()
        }
        labels = [str(aligned[dim].values[place]) for dim, place in at.items()]
        rng = np.random.default_rng(stream(seed, dataset, "permutation", used, *labels))
        if other is None:
            test = tau_permutation_test(
                values["x"],
                values["y"],
                n_resamples=n_resamples,
                rng=rng,
                alternative=alternative,
                variant=variant,
            )
        else:
            for name, predictor in zip(_TAUS, ("x", "other"), strict=True):
                found[name][at] = kendall_tau(values[predictor], values["y"], variant=variant)
            pair = (_cells(*cells[0], methods, here), _cells(*cells[1], methods, here))
            first, second = common_scale(*pair) if len(methods) else pair
            test = swap_test(
                first,
                second,
                values["y"],
                scheme=cast("SwapScheme", used),
                n_resamples=n_resamples,
                rng=rng,
                alternative=alternative,
                variant=variant,
            )
        found["estimate"][at] = test.statistic
        found["p_value"][at] = test.p_value
        found["n_methods"][at] = len(methods)
        found["n_permutations"][at] = test.n_permutations
        found["null"][at] = test.null
        note = _note(test.statistic, len(methods))
        found["note"][at] = joined_notes(note, here["note"].item())
    return found.assign_attrs(
        upstream=x.info.name,
        downstream=y.info.name,
        other=other.info.name if other else "",
        scheme=used,
        alternative=alternative,
        variant=variant,
    )


_TAUS = ("tau", "tau_other")


def _empty_result(aligned: xr.Dataset) -> xr.Dataset:
    like = aligned["n_users"]
    return xr.Dataset(
        {
            "estimate": xr.full_like(like, np.nan, dtype=np.float64),
            "p_value": xr.full_like(like, np.nan, dtype=np.float64),
            "n_methods": xr.zeros_like(like),
            "n_examples": aligned["n_examples"],
            "n_users": aligned["n_users"],
            "n_permutations": xr.zeros_like(like),
            "null": xr.full_like(like, "", dtype=object),
            "note": xr.full_like(like, "", dtype=object),
        }
    )


def _check(
    x: MethodMetric,
    other: MethodMetric | None,
    scheme: Scheme,
    n_resamples: int,
    alternative: Alternative,
) -> None:
    allowed = [s for s in get_args(Scheme) if (s == "methods") == (other is None)]
    problems = []
    if scheme not in allowed:
        case = "one metric predicts" if other is None else "two metrics are compared"
        problems.append(
            Problem(
                f"is {scheme!r} where {case}",
                f"choose one of {', '.join(allowed)}",
                variable="scheme",
            )
        )
    if alternative not in get_args(Alternative):
        problems.append(
            Problem(
                f"is {alternative!r}",
                f"choose one of {', '.join(get_args(Alternative))}",
                variable="alternative",
            )
        )
    if n_resamples < 1:
        problems.append(Problem(f"is {n_resamples}", "take at least 1", variable="n_resamples"))
    if other is not None and scheme != "perm-systems":
        problems += [
            Problem(
                "is known only per method, so that there is nothing to swap by unit",
                "choose the scheme perm-systems",
                variable=metric.info.name,
            )
            for metric in (x, other)
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
    sums: xr.DataArray, counts: xr.DataArray, methods: NDArray[np.object_], here: xr.Dataset
) -> Cells:
    """Cells of the methods compared, for the model at hand."""
    chosen: dict[str, object] = {"method": methods}
    chosen |= {dim: here[dim] for dim in ("model",) if dim in sums.dims}
    arrays = [part.sel(chosen).transpose("unit", "method").values for part in (sums, counts)]
    return Cells(*arrays)


def _note(statistic: float, n_methods: int) -> str:
    if n_methods < 2:
        return "fewer than two methods have all metrics"
    return "all methods have the same value in one metric" if np.isnan(statistic) else ""

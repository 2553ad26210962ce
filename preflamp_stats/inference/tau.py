"""Kendall's tau between two metrics over methods, with its interval."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preflamp_stats.choices import Resample, Variant
from preflamp_stats.errors import InputError, Problem
from preflamp_stats.inference.method_metrics import (
    MethodMetric,
    draw_metrics,
    method_metrics,
    resampling_units,
)
from preflamp_stats.inference.streams import stream
from preflamp_stats.inference.tau_intervals import DEFAULT_INTERVAL, INTERVALS, TauEvidence
from preflamp_stats.metrics.options import MetricOptions

__all__ = ["tau_between", "tau_test"]


def tau_test(
    ds: xr.Dataset,
    upstream: str = "rm_accuracy",
    downstream: str = "policy_accuracy",
    *,
    resample: Resample = "users",
    n_resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
    variant: Variant = "b",
    interval: str | None = None,
    options: MetricOptions | None = None,
    include_seeds: bool = True,
) -> xr.Dataset:
    """Kendall's tau between an upstream and a downstream metric over the methods.

    Parameters
    ----------
    ds : Dataset
        One benchmark dataset of a results file.
    upstream, downstream : str
        Metrics that predict and that are to be predicted.
    resample : {"users", "examples", "methods", "both"}
        What is drawn: users or examples for the tau of these very methods; methods, or methods and
        users, for that of the population from which they came.
    n_resamples, seed, level, options, include_seeds
        As for :func:`bootstrap`.
    variant : {"a", "b", "c", "weighted"}
        Kendall's tau.
    interval : {"percentile"}, optional
        Kind of interval.

    Returns
    -------
    Dataset, dims ([model])
        ``estimate, low, high, n_methods, n_examples, n_users``. Tau is NaN where fewer than two
        methods have both metrics or one metric is constant; the variable ``note`` says so.

    Raises
    ------
    InputError
        If the dataset lacks a metric or the interval is unknown.

    Examples
    --------
    >>> import preflamp_stats as pls
    >>> ds = next(iter(pls.datasets(pls.simulate(n_users=40, n_examples=5, seed=1)).values()))
    >>> found = tau_test(ds, n_resamples=500)
    >>> bool(((found.low <= found.high) & (found.high <= 1)).all())
    True
    """
    units = resampling_units(ds, resample)
    names = list(dict.fromkeys([upstream, downstream]))
    metrics = method_metrics(ds, names, units=units, options=options or MetricOptions())
    dataset = str(ds.attrs.get("dataset", ""))
    drawn = draw_metrics(
        metrics, n_resamples=n_resamples, seed=seed, dataset=dataset, include_seeds=include_seeds
    )
    return tau_between(
        drawn[upstream],
        drawn[downstream],
        resample=resample,
        unit=units.kind,
        seed=seed,
        dataset=dataset,
        level=level,
        variant=variant,
        interval=interval,
    )


def tau_between(
    x: MethodMetric,
    y: MethodMetric,
    *,
    resample: Resample,
    unit: str,
    seed: int,
    dataset: str = "",
    level: float = 0.95,
    variant: Variant = "b",
    interval: str | None = None,
) -> xr.Dataset:
    """Kendall's tau between two drawn metrics; see :func:`tau_test`.

    Parameters
    ----------
    x, y : MethodMetric
        Upstream and downstream metric, drawn on the same resamples.
    resample : {"users", "examples", "methods", "both"}
        What is drawn.
    unit : {"users", "examples"}
        What the draws of the metrics drew.
    seed, dataset
        Name the stream of the methods' draws.
    level, variant, interval
        As for :func:`tau_test`.

    Returns
    -------
    Dataset, dims ([model])
    """
    kind = interval or DEFAULT_INTERVAL
    if kind not in INTERVALS:
        raise InputError(
            Problem(f"is {kind!r}", f"choose one of {', '.join(INTERVALS)}", variable="interval")
        )
    pair = _aligned(x, y)
    methods_drawn = resample in ("methods", "both")
    n_resamples = pair.sizes["resample"]
    draws = pair if resample != "methods" else _without_sampling_error(pair)

    lead = [dim for dim in pair["x"].dims if dim != "method"]
    like = pair["x"].isel(method=0, drop=True)
    found = xr.Dataset(
        {name: xr.full_like(like, fill, dtype=dtype) for name, fill, dtype in _COLUMNS}
    )
    for where in np.ndindex(*like.shape):
        at = dict(zip(lead, where, strict=True))
        x_here, y_here = pair["x"][at].values, pair["y"][at].values
        evidence = TauEvidence(
            x_here,
            y_here,
            draws["x_draws"][at].values,
            draws["y_draws"][at].values,
            n_units=int(pair["n_users"][at]),
            level=level,
            variant=variant,
            picks=_picks(x_here, y_here, n_resamples, stream(seed, dataset, "methods"))
            if methods_drawn
            else None,
        )
        found["estimate"][at] = evidence.tau
        found["n_methods"][at] = evidence.compared.sum()
        found["note"][at] = evidence.obstacle
        if not evidence.obstacle:
            found["low"][at], found["high"][at] = INTERVALS[kind](evidence)
    return found.assign(n_examples=pair["n_examples"], n_users=pair["n_users"]).assign_attrs(
        upstream=x.info.name,
        downstream=y.info.name,
        variant=variant,
        level=level,
        resample=resample if methods_drawn else unit,
        target=POPULATION if methods_drawn else THESE_METHODS,
        interval=kind,
    )


THESE_METHODS, POPULATION = "these methods", "population of methods"

_COLUMNS: tuple[tuple[str, object, type], ...] = (
    ("estimate", np.nan, float),
    ("low", np.nan, float),
    ("high", np.nan, float),
    ("n_methods", 0, int),
    ("note", "", object),
)


def _picks(
    x: NDArray[np.float64], y: NDArray[np.float64], n_resamples: int, seed: np.random.SeedSequence
) -> NDArray[np.intp]:
    """Methods of each resample, drawn among those that have both metrics."""
    there = np.flatnonzero(~(np.isnan(x) | np.isnan(y)))
    uniforms = np.random.default_rng(seed).random((n_resamples, len(there)))
    return there[(uniforms * len(there)).astype(np.intp)]


def _aligned(x: MethodMetric, y: MethodMetric) -> xr.Dataset:
    """Both metrics over the methods that they share, in canonical order, and what they rest on.

    The smaller sample behind the two metrics, over the methods compared, is the one that counts.
    """
    if x.draws is None or y.draws is None:
        raise ValueError("draw the metrics first (draw_metrics)")
    ds = xr.Dataset({"x": x.estimate, "y": y.estimate}).sortby("method")
    shared = set(x.estimate["method"].values) & set(y.estimate["method"].values)
    # sel() has a parameter named method, so the dim is named in a dict.
    ds = ds.sel({"method": [m for m in ds["method"].values if m in shared]})
    ds = xr.Dataset(dict(zip("xy", xr.broadcast(ds["x"], ds["y"]), strict=True)))
    ds = ds.transpose(..., "method")
    for name, draws in (("x_draws", x.draws), ("y_draws", y.draws)):
        draws = draws.sel({"method": ds["method"]})
        ds[name] = draws.broadcast_like(ds["x"]).transpose("resample", *ds["x"].dims)
    both = ds["x"].notnull() & ds["y"].notnull()
    for size in ("n_examples", "n_users"):
        behind = [getattr(m, size) for m in (x, y) if m.sums is not None]
        sizes = (
            xr.concat(
                [
                    b.sel({"method": ds["method"]}).broadcast_like(ds["x"]).where(both)
                    for b in behind
                ],
                dim="metric",
            )
            if behind
            else xr.zeros_like(ds["x"]).expand_dims("metric")
        )
        ds[size] = sizes.min(["metric", "method"]).fillna(0).astype(np.int64)
    return ds


def _without_sampling_error(pair: xr.Dataset) -> xr.Dataset:
    """Estimates in place of their draws: only methods are drawn."""
    return pair.assign(
        x_draws=pair["x"].broadcast_like(pair["x_draws"]).transpose(*pair["x_draws"].dims),
        y_draws=pair["y"].broadcast_like(pair["y_draws"]).transpose(*pair["y_draws"].dims),
    )

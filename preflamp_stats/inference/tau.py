"""Kendall's tau between two metrics over methods, with its interval."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

import numpy as np
import xarray as xr

from preflamp_stats.choices import Resample, Variant
from preflamp_stats.errors import InputError, Problem
from preflamp_stats.inference.alignment import align_metrics, each_model, joined_notes
from preflamp_stats.inference.checks import check_level
from preflamp_stats.inference.method_metrics import (
    MethodMetric,
    draw_metrics,
    method_metrics,
    resampling_units,
)
from preflamp_stats.inference.tau_evidence import model_evidence
from preflamp_stats.inference.tau_intervals import DEFAULT_INTERVAL, INTERVALS
from preflamp_stats.inference.tau_noise import TauNoise, tau_noise
from preflamp_stats.kernels.permutation import tau_permutation_test
from preflamp_stats.metrics.options import MetricOptions
from preflamp_stats.schema import dataset_name

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
        Metrics that predict and that are to be predicted. Of a metric of which lower values are
        better (attribute ``direction``) the ranks are turned round: tau is agreement on what is
        good. One whose direction is not known is taken as it is.
    resample : {"users", "examples", "methods", "both"}
        What is drawn: users or examples for the tau of these very methods; methods, or methods and
        users, for that of the population from which they came.
    n_resamples, seed, level, options, include_seeds
        As for :func:`bootstrap`.
    variant : {"a", "b", "c", "weighted"}
        Kendall's tau.
    interval : {"model", "guaranteed", "percentile"}, optional
        Kind of interval; by default the calibrated one, "model". "guaranteed" needs no model of how
        methods are spread and is wide; "percentile" is the usual bootstrap, which misses a strong
        association between methods that lie close together.

    Returns
    -------
    Dataset, dims ([model])
        ``estimate, low, high, n_methods, p_value, n_examples, n_users``; the fields of
        :class:`~preflamp_stats.inference.tau_noise.TauNoise`, among them ``tau_corrected`` and
        ``ceiling``; and ``note``, which says why tau or its interval is undefined: fewer than two
        methods have both metrics, one is constant, nothing is known of the sampling error. The
        attribute ``target`` names the target, ``seeds`` says whether the interval includes the
        variance between training seeds. ``p_value`` is of the permutation test that the downstream
        metric is exchangeable over methods.

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
    dataset = dataset_name(ds)
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
        include_seeds=include_seeds,
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
    include_seeds: bool = True,
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
    level, variant, interval, include_seeds
        As for :func:`tau_test`.

    Returns
    -------
    Dataset, dims ([model])
    """
    check_level(level)
    kind = interval or DEFAULT_INTERVAL
    if kind not in INTERVALS:
        raise InputError(
            Problem(f"is {kind!r}", f"choose one of {', '.join(INTERVALS)}", variable="interval")
        )
    if x.draws is None or y.draws is None:
        raise ValueError("draw the metrics first (draw_metrics)")
    pair = align_metrics({"x": x, "y": y})
    like = pair["x"].isel(method=0, drop=True) if pair.sizes["method"] else pair["n_users"]
    found = xr.Dataset(
        {name: xr.full_like(like, fill, dtype=dtype) for name, fill, dtype in _COLUMNS}
    )
    found = found.assign(n_examples=pair["n_examples"], n_users=pair["n_users"])
    methods_drawn = resample in ("methods", "both")
    for at in each_model(pair):
        here = pair.isel(at)
        evidence = model_evidence(
            here,
            x,
            y,
            resample=resample,
            level=level,
            variant=variant,
            include_seeds=include_seeds,
            seed=seed,
            dataset=dataset,
        )
        row: dict[str, Any] = {
            "estimate": evidence.tau,
            "n_methods": int(evidence.compared.sum()),
            "note": joined_notes(evidence.obstacle, here["note"].item()),
        }
        if not np.isnan(evidence.tau):
            row["p_value"] = tau_permutation_test(
                evidence.x,
                evidence.y,
                n_resamples=here.sizes["resample"],
                rng=evidence.generator(3),
                variant=variant,
            ).p_value
        if not evidence.obstacle:
            low, high = INTERVALS[kind](evidence)
            # Noise can pull the estimate beyond what it leaves likely of the true tau.
            row["low"], row["high"] = np.minimum(low, evidence.tau), np.maximum(high, evidence.tau)
            row |= asdict(tau_noise(evidence))
        for name, value in row.items():
            found[name][at] = value
    seeds = [m.n_seeds.max().item() for m in (x, y)]
    return found.assign_attrs(
        upstream=x.info.name,
        downstream=y.info.name,
        variant=variant,
        level=level,
        resample=resample if methods_drawn else unit,
        target=POPULATION if methods_drawn else THESE_METHODS,
        interval=kind,
        seeds="included" if include_seeds and max(seeds) > 1 else "not included",
    )


THESE_METHODS, POPULATION = "these methods", "population of methods"

_COLUMNS: tuple[tuple[str, object, type], ...] = (
    ("estimate", np.nan, float),
    ("low", np.nan, float),
    ("high", np.nan, float),
    ("n_methods", 0, int),
    ("p_value", np.nan, float),
    *((field.name, np.nan, float) for field in fields(TauNoise)),
    ("note", "", object),
)

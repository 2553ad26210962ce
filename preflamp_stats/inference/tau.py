"""Kendall's tau between two metrics over methods, with its interval."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

import numpy as np
import xarray as xr

from preflamp_stats.choices import Agreement, Interval, Resample, Variant
from preflamp_stats.inference.agreement import agreement_between
from preflamp_stats.inference.alignment import AlignedModel, align_metrics, over_models
from preflamp_stats.inference.association_test import association_p_value
from preflamp_stats.inference.resampled import ResampledStudy, study_of_call
from preflamp_stats.inference.tau_evidence import model_evidence
from preflamp_stats.inference.tau_intervals import COVERAGE, DEFAULT_INTERVAL, INTERVALS
from preflamp_stats.inference.tau_noise import TauNoise, tau_noise
from preflamp_stats.io.select import Results
from preflamp_stats.kernels.kendall import kendall_tau
from preflamp_stats.metrics.options import MetricOptions

__all__ = ["tau_between", "tau_test"]


def tau_test(
    ds: Results,
    upstream: str = "rm_accuracy",
    downstream: str = "policy_accuracy",
    *,
    resample: Resample = "users",
    n_resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
    variant: Variant = "b",
    agreement: Agreement = "tau",
    interval: Interval | None = None,
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
        What is drawn: users or examples for the tau of these methods; methods, or methods and
        users, for that of the population from which they came.
    n_resamples, seed, level, options, include_seeds
        As for :func:`bootstrap`.
    variant : {"a", "b", "c", "weighted"}
        Kendall's tau.
    agreement : {"tau", "soft-pairwise", "pairwise-tie"}
        Another measure of agreement in place of tau; the result is then that of
        :func:`~preflamp_stats.inference.agreement.agreement_between`.
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
        attribute ``target`` names the target, ``coverage_kind`` says what the level holds for,
        ``seeds`` whether the interval includes the variance between training seeds. ``p_value`` is
        the larger of a permutation's, in blocks, and of the population's limits inverted.

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
    study = study_of_call(
        ds,
        [upstream, downstream],
        options,
        resample=resample,
        n_resamples=n_resamples,
        seed=seed,
        level=level,
        variant=variant,
        agreement=agreement,
        interval=interval,
        include_seeds=include_seeds,
    )
    between = tau_between if agreement == "tau" else agreement_between
    return between(study, upstream, downstream)


def tau_between(study: ResampledStudy, upstream: str, downstream: str) -> xr.Dataset:
    """Kendall's tau between two metrics of a study; see :func:`tau_test`."""
    asked, x, y = study.settings, study.drawn[upstream], study.drawn[downstream]
    kind = asked.interval or DEFAULT_INTERVAL
    aligned = align_metrics({"x": x, "y": y})
    methods_drawn = asked.resample in ("methods", "both")

    def row(here: AlignedModel) -> dict[str, Any]:
        evidence = model_evidence(here, x, y, asked, study.name)
        told: dict[str, Any] = {"n_methods": evidence.compared.sum(), "note": evidence.obstacle}
        if not np.isnan(evidence.tau):
            told["p_value"] = association_p_value(evidence, asked.resamples)
        if not evidence.obstacle:
            low, high = INTERVALS[kind](evidence)
            if methods_drawn and kind == DEFAULT_INTERVAL and told["p_value"] > 1 - asked.level:
                low, high = min(low, 0.0), max(high, 0.0)  # as the test says of the same target
            # Noise can pull the estimate beyond what it leaves likely of the true tau.
            told["low"], told["high"] = (
                np.minimum(low, evidence.tau),
                np.maximum(high, evidence.tau),
            )
            told |= asdict(tau_noise(evidence, (told["low"], told["high"]), told["p_value"]))
        return told

    values = (
        [(m.info.sign or 1) * here.estimates[name] for here in aligned.by_model]
        for name, m in (("x", x), ("y", y))
    )
    tau = np.asarray(kendall_tau(*values, variant=asked.variant))
    found = over_models(aligned, _COLUMNS, row)
    seeds = max(m.n_seeds.max().item() for m in (x, y))
    return found.assign(aligned.labelled({"estimate": tau})).assign_attrs(
        upstream=upstream,
        downstream=downstream,
        variant=asked.variant,
        level=asked.level,
        resample=asked.resample if methods_drawn else study.units.kind,
        target=POPULATION if methods_drawn else THESE_METHODS,
        interval=kind,
        coverage_kind="methods drawn anew" if methods_drawn else COVERAGE[kind],
        seeds="included" if asked.include_seeds and seeds > 1 else "not included",
    )


THESE_METHODS, POPULATION = "these methods", "population of methods"

_COLUMNS: dict[str, object] = {
    "estimate": np.nan,
    "low": np.nan,
    "high": np.nan,
    "n_methods": 0,
    "p_value": np.nan,
    **{field.name: "" if field.type == "str" else np.nan for field in fields(TauNoise)},
    "note": "",
}

"""One description of each metric for all datasets of an analysis, with its decimals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.inference.method_metrics import MethodMetric
from preflamp_stats.inference.resampled import ResampledStudy
from preflamp_stats.io.variables import sampled_metrics
from preflamp_stats.metric import ECE, PAIRS, TAU, Metric
from preflamp_stats.metrics.values import sampled_metric_info

__all__ = ["shared_metrics"]


def shared_metrics(evidence: Sequence[ResampledStudy]) -> dict[str, Metric]:
    """Describe every metric of an analysis once.

    The first dataset that tells words and a unit tells them for all. A direction is known only
    where every dataset that has the metric tells it.

    Parameters
    ----------
    evidence : sequence of ResampledStudy
        Drawn.

    Returns
    -------
    dict of str to Metric
        By name; the curves and tau are among them.

    Raises
    ------
    InputError
        If two datasets give a metric different units or opposite directions.
    """
    found = {each.name: each for each in (TAU, PAIRS, ECE)}
    for study in evidence:  # qualities of samples that all methods share are of no method
        of_samples = (n for n in sampled_metrics(study.ds) if n not in study.metrics)
        found |= {n: sampled_metric_info(study.ds, n, study.settings) for n in of_samples}
    names = dict.fromkeys(name for each in evidence for name in {**each.metrics, **each.curves})
    for name in names:
        having = {
            each.name: {**each.metrics, **each.curves}[name]
            for each in evidence
            if name in each.metrics or name in each.curves
        }
        infos = {dataset: metric.info for dataset, metric in having.items()}
        _refuse_contradictions(name, infos)
        told = [info for info in infos.values() if info.words != name or info.scale.unit]
        shared = next(iter(told or infos.values()))
        if any(info.direction == "unknown" for info in infos.values()):
            shared = replace(shared, direction="unknown")
        found[name] = shared.with_precision(_typical_error(list(having.values())))
    return found


def _refuse_contradictions(name: str, infos: dict[str, Metric]) -> None:
    for what, told in (
        ("direction", {d: i.direction for d, i in infos.items() if i.direction != "unknown"}),
        ("units", {d: i.scale.unit for d, i in infos.items() if i.scale.unit}),
    ):
        if len(set(told.values())) > 1:
            each = ", ".join(f"{value} in {dataset}" for dataset, value in told.items())
            mend = f"give it the same {what} in every dataset, or another name where it differs"
            raise InputError(Problem(f"has contradicting {what}: {each}", mend, variable=name))


def _typical_error(metrics: Sequence[MethodMetric]) -> float:
    """Median standard error over methods, models and datasets; NaN where none is known."""
    errors = [
        np.std(metric.draws.values, axis=0).ravel()
        for metric in metrics
        if metric.sums is not None and metric.draws is not None
    ]
    known = np.concatenate(errors) if errors else np.array([])
    known = known[known > 0]
    return float(np.median(known)) if known.size else np.nan

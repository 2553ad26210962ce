"""Tables that ask whether an upstream metric predicts a downstream one."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from preflamp_stats.analysis.evidence import DatasetEvidence
from preflamp_stats.analysis.tidy import tidy
from preflamp_stats.inference.method_metrics import MethodMetric
from preflamp_stats.inference.tau import tau_between

__all__ = ["metric_pairs", "tau"]


def metric_pairs(evidence: DatasetEvidence) -> Iterator[tuple[MethodMetric, MethodMetric]]:
    """Upstream and downstream metrics of the settings that the dataset has."""
    metrics = evidence.metrics
    for upstream in evidence.settings.upstream:
        for downstream in evidence.settings.downstream:
            if upstream != downstream and {upstream, downstream} <= set(metrics):
                yield metrics[upstream], metrics[downstream]


def tau(evidence: DatasetEvidence) -> pd.DataFrame:
    """Kendall's tau of every pair of metrics, by model."""
    settings = evidence.settings
    frames = []
    for upstream, downstream in metric_pairs(evidence):
        found = tau_between(
            upstream,
            downstream,
            resample=settings.resample,
            unit=evidence.units.kind,
            seed=settings.seed,
            dataset=evidence.name,
            level=settings.level,
            variant=settings.variant,
            interval=settings.interval,
        )
        keys = {
            name: found.attrs[name]
            for name in ("upstream", "downstream", "variant", "resample", "target", "interval")
        }
        frames.append(tidy(found, evidence, keys))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

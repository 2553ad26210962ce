"""Tables that ask whether an upstream metric predicts a downstream one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import pandas as pd
import xarray as xr

from preflamp_stats.analysis.evidence import DatasetEvidence
from preflamp_stats.analysis.tidy import tidy
from preflamp_stats.inference.decoupling import decoupling_between
from preflamp_stats.inference.example_level import example_association
from preflamp_stats.inference.method_metrics import MethodMetric
from preflamp_stats.inference.pooled import pooled_between
from preflamp_stats.inference.regret import regret_between
from preflamp_stats.inference.slope import slope_between
from preflamp_stats.inference.tau import tau_between
from preflamp_stats.settings import Settings

__all__ = ["decoupling", "example_level", "metric_pairs", "pooled_tau", "regret", "slope", "tau"]


def metric_pairs(evidence: DatasetEvidence) -> Iterator[tuple[MethodMetric, MethodMetric]]:
    """Upstream and downstream metrics of the settings that the dataset has."""
    metrics = evidence.metrics
    for upstream, downstream in _asked(evidence.settings):
        if {upstream, downstream} <= set(metrics):
            yield metrics[upstream], metrics[downstream]


def tau(evidence: DatasetEvidence) -> pd.DataFrame:
    """Kendall's tau of every pair of metrics, by model."""
    frames = []
    for upstream, downstream in metric_pairs(evidence):
        found = tau_between(evidence, upstream.info.name, downstream.info.name)
        told = ("variant", "resample", "target", "interval", "seeds")
        frames.append(_rows(found, evidence, {name: found.attrs[name] for name in told}))
    return _joined(frames)


def pooled_tau(evidence: Sequence[DatasetEvidence]) -> pd.DataFrame:
    """Tau of every pair of metrics, pooled over datasets and models."""
    frames = []
    for upstream, downstream in _asked(evidence[0].settings) if evidence else ():
        both = _having(evidence, upstream, downstream)
        pairs = [(each.summed[upstream], each.summed[downstream]) for each in both]
        if not any(metric.sums is not None for pair in pairs for metric in pair):
            continue
        found = pooled_between(both, upstream, downstream)
        if found["n_strata"] > 1:
            found = found.drop_dims("stratum")
            keys = {"upstream": upstream, "downstream": downstream, "level": both[0].settings.level}
            row = {str(name): value.item() for name, value in found.data_vars.items()}
            frames.append(pd.DataFrame([keys | row]))
    return _joined(frames)


def decoupling(evidence: Sequence[DatasetEvidence]) -> pd.DataFrame:
    """Verdict on every pair of methods: does a gain upstream come with one downstream?"""
    by_name = {each.name: each for each in evidence}
    frames: dict[str, list[pd.DataFrame]] = {name: [] for name in by_name}
    settings = evidence[0].settings
    for upstream, downstream in _asked(settings):
        # The margins are for a share of pairs and for generation quality.
        both = [
            each
            for each in _having(evidence, upstream, downstream)
            if each.summed[upstream].info.kind == "discrimination"
            and each.summed[downstream].info.kind == "generation"
        ]
        judged = decoupling_between(
            both,
            upstream,
            downstream,
            margin=settings.margin,
            discrimination_margin=settings.discrimination_margin,
        )
        for name, found in judged.items():
            frame = _rows(found, by_name[name])
            frames[name].append(frame[frame["upstream_difference"].notna()])
    return _joined(list(chain.from_iterable(frames.values())))


def slope(evidence: DatasetEvidence) -> pd.DataFrame:
    """What twenty points of the upstream accuracy buy downstream, by model."""
    frames = []
    for upstream, downstream in metric_pairs(evidence):
        if upstream.info.kind == "discrimination":
            found = slope_between(evidence, upstream.info.name, downstream.info.name)
            frames.append(_rows(found, evidence, {"step": found.attrs["step"]}))
    return _joined(frames)


def regret(evidence: DatasetEvidence) -> pd.DataFrame:
    """What choosing the method by the upstream metric costs downstream, by model."""
    frames = []
    for upstream, downstream in metric_pairs(evidence):
        if downstream.sums is not None:
            found = regret_between(evidence, upstream.info.name, downstream.info.name)
            frames.append(_rows(found, evidence))
    return _joined(frames)


def example_level(evidence: DatasetEvidence) -> pd.DataFrame:
    """How much better a text is where its pair is ranked right, by model."""
    settings = evidence.settings
    frames = []
    for upstream, downstream in metric_pairs(evidence):
        if (upstream.info.kind, downstream.info.kind) == ("discrimination", "generation"):
            found = example_association(
                evidence.ds,
                downstream.info.name,
                upstream=upstream.info.name,
                level=settings.level,
                options=settings.metric_options,
            )
            keys = {"upstream": upstream.info.name, "downstream": downstream.info.name}
            frames.append(tidy(found, evidence, keys))
    return _joined(frames)


def _asked(settings: Settings) -> Iterator[tuple[str, str]]:
    for upstream in settings.upstream:
        for downstream in settings.downstream:
            if upstream != downstream:
                yield upstream, downstream


def _rows(
    found: xr.Dataset, evidence: DatasetEvidence, keys: dict[str, object] | None = None
) -> pd.DataFrame:
    pair = {name: found.attrs[name] for name in ("upstream", "downstream")}
    return tidy(found, evidence, {**pair, **(keys or {})})


def _having(
    evidence: Sequence[DatasetEvidence], upstream: str, downstream: str
) -> list[DatasetEvidence]:
    """Datasets that have both metrics."""
    return [each for each in evidence if {upstream, downstream} <= set(each.metrics)]


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

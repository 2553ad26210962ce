"""Tables of estimates: accuracies, generation quality, and the views of discrimination."""

from __future__ import annotations

import itertools

import pandas as pd

from preflamp_stats.analysis.evidence import DatasetEvidence
from preflamp_stats.analysis.tidy import metric_rows

__all__ = [
    "generation",
    "length_difference",
    "method_metrics",
    "policy_accuracy",
    "prefix_accuracy",
    "rm_accuracy",
    "weight_curve",
]


def rm_accuracy(evidence: DatasetEvidence) -> pd.DataFrame:
    """RM accuracy of every method with rewards."""
    metric = evidence.metrics.get("rm_accuracy")
    return pd.DataFrame() if metric is None else metric_rows(evidence, metric)


def policy_accuracy(evidence: DatasetEvidence) -> pd.DataFrame:
    """Policy accuracy at the reward weight of the settings."""
    metric = evidence.metrics.get("policy_accuracy")
    if metric is None:
        return pd.DataFrame()
    keys = {"scoring": evidence.settings.scoring, "weight": _weight(evidence)}
    return metric_rows(evidence, metric, keys)


def generation(evidence: DatasetEvidence) -> pd.DataFrame:
    """Every generation metric, one below the other."""
    return _by_kind(evidence, "generation")


def method_metrics(evidence: DatasetEvidence) -> pd.DataFrame:
    """Numbers known only per method, without intervals."""
    return _by_kind(evidence, "method")


def weight_curve(evidence: DatasetEvidence) -> pd.DataFrame:
    """Policy accuracy over the reward weight, from the base model (0) to the reward alone (inf)."""
    return _curve(evidence, "weight_curve", scoring=evidence.settings.scoring)


def prefix_accuracy(evidence: DatasetEvidence) -> pd.DataFrame:
    """Accuracy of the prefix reward by share of the response read."""
    return _curve(evidence, "prefix_accuracy")


def length_difference(evidence: DatasetEvidence) -> pd.DataFrame:
    """RM accuracy by difference in length, chosen minus rejected, in tokens."""
    frame = _curve(evidence, "length_difference")
    if frame.empty:
        return frame
    upper = dict(itertools.pairwise(evidence.length_edges.tolist()))
    frame.insert(list(frame).index("bin_low") + 1, "bin_high", frame["bin_low"].map(upper))
    return frame


def _by_kind(evidence: DatasetEvidence, kind: str) -> pd.DataFrame:
    frames = [
        metric_rows(evidence, metric, {"metric": name})
        for name, metric in evidence.metrics.items()
        if metric.info.kind == kind
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _curve(evidence: DatasetEvidence, name: str, **keys: str) -> pd.DataFrame:
    metric = evidence.curves.get(name)
    return pd.DataFrame() if metric is None else metric_rows(evidence, metric, keys)


def _weight(evidence: DatasetEvidence) -> float:
    """Reward weight of the policy score; unknown where the file stores a score without one."""
    if evidence.settings.scoring in ("stored", "renormalised"):
        score = evidence.ds["policy_score"]
        if "weight" not in score.dims:
            return float(score.attrs.get("weight", "nan"))
    return evidence.settings.weight

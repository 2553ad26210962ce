"""Tables that compare methods with each other."""

from __future__ import annotations

import pandas as pd

from preflamp_stats.analysis.evidence import DatasetEvidence
from preflamp_stats.analysis.tidy import tidy
from preflamp_stats.inference.contrasts import contrasts_between
from preflamp_stats.inference.in_context import in_context_between
from preflamp_stats.inference.method_metrics import MethodMetric

__all__ = ["contrasts", "in_context"]


def contrasts(evidence: DatasetEvidence) -> pd.DataFrame:
    """Difference of every two methods in the metrics asked for, adjusted for their number."""
    frames = []
    for name, metric in _asked_metrics(evidence).items():
        if metric.estimate["method"].size > 1:
            found = contrasts_between(evidence, name)
            frame = tidy(found, evidence, {"metric": name})
            frames.append(frame[frame["estimate"].notna()])
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def in_context(evidence: DatasetEvidence) -> pd.DataFrame:
    """Lead of methods without a reward model over the best with one, by model size."""
    labels = evidence.ds.coords.get("method_family")
    if labels is None:
        return pd.DataFrame()
    families = dict(
        zip(labels["method"].values.tolist(), labels.values.astype(str).tolist(), strict=True)
    )
    if "reward-guided" not in families.values() or set(families.values()) == {"reward-guided"}:
        return pd.DataFrame()
    frames = []
    for name, metric in _asked_metrics(evidence).items():
        if metric.info.kind != "generation":
            continue
        found = in_context_between(evidence, name)
        parameters = evidence.ds.coords.get("parameters")
        frame = tidy(found, evidence, {"metric": name})
        if parameters is not None and "model" in frame:
            sizes = dict(zip(parameters["model"].values, parameters.values, strict=True))
            frame["parameters"] = frame["model"].map(sizes)
        frames.append(frame[frame["estimate"].notna()])
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _asked_metrics(evidence: DatasetEvidence) -> dict[str, MethodMetric]:
    """Metrics of the settings that the dataset has and whose sampling error is known."""
    names = dict.fromkeys([*evidence.settings.upstream, *evidence.settings.downstream])
    found = {name: evidence.metrics[name] for name in names if name in evidence.metrics}
    return {name: metric for name, metric in found.items() if metric.sums is not None}

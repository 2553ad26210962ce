"""Discrimination along an axis: the reward weight, the share that was read, the length."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pandas as pd

from preflamp_stats.analysis.evidence import DatasetEvidence
from preflamp_stats.tables.rows import each_dataset, metric_rows
from preflamp_stats.tables.table import Table

__all__ = ["LENGTH_DIFFERENCE", "PREFIX_ACCURACY", "WEIGHT_CURVE"]


@each_dataset
def _weight_rows(evidence: DatasetEvidence) -> Iterator[pd.DataFrame]:
    yield from _curve(evidence, "weight_curve", scoring=evidence.settings.scoring)


@each_dataset
def _prefix_rows(evidence: DatasetEvidence) -> Iterator[pd.DataFrame]:
    yield from _curve(evidence, "prefix_accuracy")


@each_dataset
def _length_rows(evidence: DatasetEvidence) -> Iterator[pd.DataFrame]:
    upper = dict(itertools.pairwise(evidence.length_edges.tolist()))
    for frame in _curve(evidence, "length_difference"):
        frame.insert(list(frame).index("bin_low") + 1, "bin_high", frame["bin_low"].map(upper))
        yield frame


def _curve(evidence: DatasetEvidence, name: str, **keys: str) -> Iterator[pd.DataFrame]:
    if name in evidence.curves:
        yield metric_rows(evidence, evidence.curves[name], keys)


WEIGHT_CURVE = Table(
    name="weight_curve",
    title="Policy accuracy over the reward weight",
    question="discriminate",
    rows=_weight_rows,
    caption="Policy accuracy as a function of the reward weight w: w = 0 is the base model's own "
    "likelihood, w = inf the reward alone ({counting}). "
    "{intervals}",
    reading="Left end: the language model alone. Right end: the reward alone. A curve that is "
    "highest in between gains from both.",
    estimate_of="weight_curve",
)
PREFIX_ACCURACY = Table(
    name="prefix_accuracy",
    title="When does the reward know?",
    question="discriminate",
    rows=_prefix_rows,
    caption="Accuracy of the reward when only a share of each response has been read "
    "({counting}). {intervals}",
    reading="Guided decoding uses the reward of unfinished responses. A curve that stays near 50 "
    "points until the end means that the reward steers blindly on the way.",
    estimate_of="prefix_accuracy",
)
LENGTH_DIFFERENCE = Table(
    name="length_difference",
    title="Is it only length?",
    question="discriminate",
    rows=_length_rows,
    caption="RM accuracy among pairs whose difference in length, chosen minus rejected response in "
    "tokens, lies from bin_low up to but not including bin_high: a reward model that reads "
    "more than length is right in every bin. {intervals}",
    reading="A reward that reads more than length is above 50 points in every bin. One that counts "
    "tokens is right where the chosen response is longer and wrong where it is shorter.",
    estimate_of="length_difference",
)

"""Discrimination along an axis: the reward weight, the share that was read, the length."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import pandas as pd

from preflamp_stats.inference.resampled import ResampledStudy
from preflamp_stats.tables.rows import metric_rows
from preflamp_stats.tables.table import Table

__all__ = ["LENGTH_DIFFERENCE", "PREFIX_ACCURACY", "WEIGHT_CURVE"]


def _weight_rows(studies: Sequence[ResampledStudy]) -> Iterator[pd.DataFrame]:
    for study in studies:
        yield from _curve(study, "weight_curve", scoring=study.settings.scoring)


def _prefix_rows(studies: Sequence[ResampledStudy]) -> Iterator[pd.DataFrame]:
    for study in studies:
        yield from _curve(study, "prefix_accuracy")


def _length_rows(studies: Sequence[ResampledStudy]) -> Iterator[pd.DataFrame]:
    for study in studies:
        upper = dict(itertools.pairwise(study.length_edges.tolist()))
        for frame in _curve(study, "length_difference"):
            frame.insert(list(frame).index("bin_low") + 1, "bin_high", frame["bin_low"].map(upper))
            yield frame


def _curve(study: ResampledStudy, name: str, **keys: str) -> Iterator[pd.DataFrame]:
    if name in study.curves:
        yield metric_rows(study, study.curves[name], keys)


WEIGHT_CURVE = Table(
    name="weight_curve",
    title="Policy accuracy over the reward weight",
    question="discriminate",
    rows=_weight_rows,
    caption="Policy accuracy as a function of the reward weight w: w = 0 is the base model's own "
    "likelihood, w = inf the reward alone ({counting}). "
    "{intervals}",
    reading="A curve that is highest in between gains from both.",
    estimate_of="weight_curve",
)
PREFIX_ACCURACY = Table(
    name="prefix_accuracy",
    title="When does the reward know?",
    question="discriminate",
    rows=_prefix_rows,
    caption="Accuracy of the reward when only a share of each response has been read "
    "({counting}). {intervals}",
    reading="Guided decoding uses the reward of unfinished responses: near 50 points it steers "
    "blindly.",
    estimate_of="prefix_accuracy",
)
LENGTH_DIFFERENCE = Table(
    name="length_difference",
    title="Is it only length?",
    question="discriminate",
    rows=_length_rows,
    caption="RM accuracy among pairs whose difference in length, chosen minus rejected response in "
    "tokens, lies from bin_low up to but not including bin_high. {intervals}",
    reading="A reward that reads more than length is above 50 points in every bin.",
    estimate_of="length_difference",
)

"""Whether rewards are as often right as they are sure, where it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from preflamp_stats.inference.calibration import calibration_of
from preflamp_stats.inference.resampled import ResampledStudy
from preflamp_stats.metric import ECE
from preflamp_stats.tables.rows import tidy
from preflamp_stats.tables.table import Table

__all__ = ["REWARD_CALIBRATION"]


def _rows(studies: Sequence[ResampledStudy]) -> Iterator[pd.DataFrame]:
    for study in studies:
        if study.settings.calibration and "reward" in study.ds:
            frame = tidy(calibration_of(study), study)
            yield frame[frame["estimate"].notna()].reset_index(drop=True)


REWARD_CALIBRATION = Table(
    name="reward_calibration",
    title="Calibration of the rewards",
    question="discriminate",
    rows=_rows,
    caption="Expected calibration error (ten bins of equal mass) of the probability that Bradley "
    "and Terry's model gives the preferred response, its Brier score, and the mean margin "
    "r(chosen) − r(rejected) ({mean}). The interval of the error holds even where the true one is "
    "0; it is for the trained models at hand. By chance is what a calibrated reward would show "
    "with these {unit}s. {intervals}",
    reading="Only rewards that are log-odds claim to be probabilities; where the file does not say "
    "so, the scale is not known. A Brier score of 0.25 is that of a reward that knows nothing.",
    estimate_of=ECE.name,
)

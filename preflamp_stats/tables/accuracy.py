"""How often a reward model, and the policy that it guides, rank a user's pair right."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import pandas as pd

from preflamp_stats.choices import STORED
from preflamp_stats.inference.resampled import ResampledStudy
from preflamp_stats.results import ResultTable, table_frame
from preflamp_stats.tables import words
from preflamp_stats.tables.rows import metric_rows
from preflamp_stats.tables.table import Table

__all__ = ["BEST_OF_ACCURACY", "POLICY_ACCURACY", "RM_ACCURACY"]


def _rows_of(name: str) -> Callable[[Sequence[ResampledStudy]], Iterator[pd.DataFrame]]:
    def rows(studies: Sequence[ResampledStudy]) -> Iterator[pd.DataFrame]:
        for study in studies:
            if name in study.summed:
                yield metric_rows(study, study.metrics[name])

    return rows


def _policy_rows(studies: Sequence[ResampledStudy]) -> Iterator[pd.DataFrame]:
    for study in studies:
        if "policy_accuracy" in study.summed:
            keys = {"scoring": study.settings.scoring, "weight": _weight(study)}
            yield metric_rows(study, study.metrics["policy_accuracy"], keys)


def _weight(evidence: ResampledStudy) -> float:
    """Reward weight of the policy score; unknown where the file stores a score without one."""
    if evidence.settings.scoring in STORED:
        score = evidence.ds["policy_score"]
        if "weight" not in score.dims:
            return float(score.attrs.get("weight", "nan"))
    return evidence.settings.weight


def _beats_chance(name: str, who: str) -> Callable[[Mapping[str, ResultTable]], str]:
    """Say of how many methods a table shows that they are above chance."""

    def answer(tables: Mapping[str, ResultTable]) -> str:
        frame = table_frame(tables, name)
        frame = frame[frame["low"].notna()] if "low" in frame else frame[:0]
        if frame.empty:
            return ""
        frame, too_few = words.judgeable(frame)
        if frame.empty:
            return f"Cannot be judged: {too_few}."
        better, worse = frame[frame["low"] > 0.5], frame[frame["high"] < 0.5]
        several = frame[[k for k in ("dataset", "model", "seed") if k in frame]].drop_duplicates()
        cases = words.counted(len(frame), "case" if len(several) > 1 else "method")
        if len(better) == len(frame):
            text = f"Yes: {who} is shown to beat chance in all {cases}"
        elif len(better):
            text = f"In part: {who} is shown to beat chance in {len(better)} of {cases}"
        else:
            text = f"Not shown: {who} is shown to beat chance in none of {cases}"
        text += f", and to fall below it in {len(worse)}" if len(worse) else ""
        return f"{text}, each judged on its own ({words.sample(frame)})."

    return answer


POLICY_ACCURACY = Table(
    name="policy_accuracy",
    title="Policy accuracy",
    question="discriminate",
    rows=_policy_rows,
    caption="Share of pairs in which the guided policy scores the chosen response above the "
    "rejected one, by {scoring} ({counting}). {intervals}",
    reading="50 points, the dashed line, is a coin toss. This is what the guided policy prefers; "
    "RM accuracy is what the reward prefers.",
    answer=_beats_chance("policy_accuracy", "the guided policy"),
    estimate_of="policy_accuracy",
    ranked=True,
)
RM_ACCURACY = Table(
    name="rm_accuracy",
    title="Reward model accuracy",
    question="discriminate",
    rows=_rows_of("rm_accuracy"),
    caption="Share of pairs in which the reward model scores the chosen response above the "
    "rejected one ({counting}). {intervals}",
    reading="50 points, the dashed line, is a coin toss. Two methods whose intervals overlap may "
    "still differ, since they saw the same users: see the comparison of methods.",
    answer=_beats_chance("rm_accuracy", "the reward"),
    estimate_of="rm_accuracy",
    ranked=True,
)
BEST_OF_ACCURACY = Table(
    name="best_of_accuracy",
    title="Accuracy among all responses",
    question="discriminate",
    rows=_rows_of("best_of_accuracy"),
    caption="Share of examples whose chosen response has the highest reward of all its candidates "
    "({counting}; where ties count half, each of k counts 1/k). {intervals}",
    reading="By chance it is 100 divided by the number of candidates, such as 25 among four.",
    estimate_of="best_of_accuracy",
    ranked=True,
)

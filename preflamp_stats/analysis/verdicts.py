"""What the tests say in words: pairs of methods, in-context methods, choices by a metric."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from preflamp_stats.analysis.words import (
    MOST_PAIRS,
    Names,
    by_dataset,
    counted,
    listed,
    members,
    span,
)
from preflamp_stats.quantities import metric_quantity, number, scale_of

__all__ = [
    "decoupling_sentences",
    "in_context_sentences",
    "regret_sentences",
    "slope_sentences",
]


def decoupling_sentences(frame: pd.DataFrame, names: Names) -> Iterator[str]:
    """Count the verdicts on pairs of methods, for each dataset and pair of metrics."""
    for dataset, rows in by_dataset(frame):
        for (above, below), group in rows.groupby(["upstream", "downstream"], sort=False):
            counts = group["verdict"].value_counts()
            shown = [
                f"{verdict} in {counts.get(verdict, 0)}"
                for verdict in ("decoupled", "reversed", "coupled")
            ]
            open_ = int(counts.get("inconclusive", 0))
            text = (
                f"{dataset}{names[str(above)]} and {names[str(below)]} are {listed(shown)} of "
                f"{counted(len(group), 'comparison')} of two methods"
            )
            yield f"{text}; {open_} inconclusive, which shows nothing either way."


def in_context_sentences(frame: pd.DataFrame, names: Names) -> Iterator[str]:
    """Say how each method without a reward model stands to the best with one, over the models."""
    for dataset, rows in by_dataset(frame[frame["estimate"].notna()]):
        for (method, metric), group in rows.groupby(["method", "metric"], sort=False):
            scale = metric_quantity(str(metric), group).scale
            unit = f" {scale.unit}" if scale.unit else ""
            text = (
                f"{dataset}{method} minus the best reward-guided method in "
                f"{names[str(metric)]} is {span(group['estimate'], scale)}{unit}"
            )
            if len(group) > 1:
                text += f" over {counted(len(group), 'model')}"
            better = group[group["p_adjusted"] <= 1 - group["level"]]
            worse = group[group["high"] < 0]
            parts = [
                _shown(side, some, group, names)
                for side, some in (("better", better), ("worse", worse))
                if len(some)
            ]
            left = len(group) - len(better) - len(worse)
            if left:
                where = "" if len(group) == 1 else "elsewhere " if parts else "everywhere "
                parts.append(f"{where}the data leave open which is better")
            yield f"{text}; {', '.join(parts)}."


def _shown(side: str, some: pd.DataFrame, group: pd.DataFrame, names: Names) -> str:
    which = members(some, group, names)
    if len(some) == len(group):
        return f"shown to be {side}{' with every model' if len(group) > 1 else ''}"
    return f"shown to be {side} with {listed(which)}"


def regret_sentences(frame: pd.DataFrame, names: Names) -> Iterator[str]:
    """Say what choosing a method by a metric costs, beside picking one at random."""
    for dataset, rows in by_dataset(_deployed(frame[frame["estimate"].notna()])):
        merged = len(rows.drop_duplicates(["upstream", "downstream"])) > MOST_PAIRS
        keys = ["downstream"] if merged else ["upstream", "downstream"]
        for _, group in rows.groupby(keys, sort=False):
            above, below = group["upstream"].iloc[0], group["downstream"].iloc[0]
            by = names[str(above)]
            if merged:
                by = f"one of {counted(group['upstream'].nunique(), 'metric')}"
            values = group["estimate"]
            if "random" in group:
                values = pd.concat([values, group["random"]])
            scale = scale_of(str(below), values)
            unit = f" {scale.unit}" if scale.unit else ""
            text = (
                f"{dataset}choosing the method by {by} costs "
                f"{span(group['estimate'], scale)}{unit} of {names[str(below)]}"
            )
            if "model" in group and group["model"].nunique() > 1:
                text += f" over {counted(group['model'].nunique(), 'model')}"
            if "random" in group and group["random"].notna().any():
                text += f", picking one at random {span(group['random'].dropna(), scale)}"
            yield f"{text}."


def slope_sentences(frame: pd.DataFrame, names: Names) -> Iterator[str]:
    """Say what a step of the upstream accuracy goes with downstream, over the models."""
    for dataset, rows in by_dataset(_deployed(frame[frame["estimate"].notna()])):
        for (above, below), group in rows.groupby(["upstream", "downstream"], sort=False):
            scale = metric_quantity(str(below), group).scale
            unit = f" {scale.unit}" if scale.unit else ""
            step = f"{100 * group['step'].iloc[0]:g} points"
            values = span(group["estimate"], scale)
            text = f"{dataset}{step} of {names[str(above)]} go with {values}"
            if len(group) == 1:
                low, high = (number(group[end].iloc[0], scale) for end in ("low", "high"))
                text += f" [{low}, {high}]"
            text += f"{unit} of {names[str(below)]}"
            if len(group) > 1:
                text += f" over {counted(len(group), 'model')}"
                away = group[(group["low"] > 0) | (group["high"] < 0)]
                text += f"; {len(away)} of {len(group)} intervals exclude 0"
            yield f"{text}."


def _deployed(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows whose downstream metric is what users get, where there are any, rather than accuracy."""
    accuracy = frame["downstream"].astype(str).str.endswith("accuracy")
    return frame[~accuracy] if (~accuracy).any() else frame

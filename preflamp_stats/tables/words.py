"""Pieces of captions and sentences that tables share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from preflamp_stats.inference.floors import cannot_be_judged
from preflamp_stats.metric import POINTS, Metric, Scale, number
from preflamp_stats.results import ResultTable, distinct
from preflamp_stats.settings import Settings

MOST_PAIRS = 6
"""A dataset with more pairs of metrics gets one sentence for each downstream metric."""
_MOST_NAMED = 3

_TIES = {
    "half": "ties count half",
    "strict": "a tie is wrong",
    "drop": "ties are left out",
}
_INTERVALS = {
    "percentile": "percentile bootstrap",
    "model": "model-based",
    "guaranteed": "guaranteed by the signs of all differences",
}
_UNITS = {
    "users": "users resampled whole",
    "examples": "examples resampled",
    "methods": "methods resampled",
    "both": "users and methods resampled",
}


def fill(template: str, settings: Settings, frame: pd.DataFrame) -> str:
    """Fill the places of a caption with the choices of the settings and what the rows tell.

    Parameters
    ----------
    template : str
        With places such as ``{level}``, ``{intervals}`` or ``{margin}``; the function's own code is
        their list.
    settings : Settings
    frame : DataFrame
    """
    # Where a file names no users, its examples are the units of every row.
    users = "resample" not in frame or bool((frame["resample"] != "examples").any())
    weight = "infinite" if math.isinf(settings.weight) else f"{settings.weight:g}"
    scoring = {
        "sequence": f"log-probability plus weight {weight} times the reward of the response",
        "accumulated": f"token log-probabilities plus weight {weight} times every prefix's reward",
        "renormalised": f"its renormalised likelihood at weight {weight}",
        "stored": "the score stored in the file",
    }[settings.scoring]
    mean = (
        "mean of the users' means"
        if settings.average == "macro" and users
        else "mean over examples"
    )
    return template.format(
        level=f"{settings.level * 100:g}%",
        intervals=_intervals(settings, frame),
        scoring=scoring + (", per token" if settings.length_normalise else ""),
        mean=mean,
        counting=f"{_TIES[settings.ties]}; {mean}",
        unit="user" if users else "example",
        at_hand="user were asked" if users else "example were at hand",
        reference="the user's own completion" if users else "the reference",
        estimators=", ".join(sorted(distinct(frame, "estimator"))),
        variant=settings.variant,
        margin=f"{settings.margin:g}",
        least=f"{settings.discrimination_margin:g}",
    )


def _intervals(settings: Settings, frame: pd.DataFrame) -> str:
    """Say in a sentence how the intervals were made."""
    kinds = distinct(frame, "resample") or [settings.resample]
    unit = " or ".join(words for kind, words in _UNITS.items() if kind in kinds)
    made = [_INTERVALS.get(kind, kind) for kind in distinct(frame, "interval") if kind]
    seeds = ", training seeds included" if "n_seeds" in frame else ""
    return (
        f"Intervals: {settings.level * 100:g}% {' and '.join(made) or 'percentile bootstrap'}, "
        f"{unit}{seeds}, {settings.resamples} resamples."
    )


def by_dataset(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Rows of each dataset, with its name as the beginning of a sentence."""
    if "dataset" not in frame:
        yield "", frame
        return
    for name, rows in frame.groupby("dataset", sort=False, dropna=False):
        yield (f"{name}: " if isinstance(name, str) and name else ""), rows


def metric_groups(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame, int]]:
    """Rows of each dataset and pair of metrics, or downstream metric where there are many pairs.

    Yields
    ------
    str
        The dataset, as the beginning of a sentence.
    DataFrame
        Its rows.
    int
        Upstream metrics that stand in them; 1 where pairs are told one by one.
    """
    for dataset, rows in by_dataset(frame):
        pairs = rows[["upstream", "downstream"]].drop_duplicates()
        merged = len(pairs) > MOST_PAIRS and pairs["upstream"].nunique() > 1
        keys = ["downstream"] if merged else ["upstream", "downstream"]
        for _, group in rows.groupby(keys, sort=False):
            yield dataset, group, group["upstream"].nunique()


def members(rows: pd.DataFrame, group: pd.DataFrame, table: ResultTable) -> list[str]:
    """Call rows by what tells them apart within their group: the model, the upstream metric.

    Examples
    --------
    >>> group = pd.DataFrame({"model": ["1B", "8B"], "upstream": ["rm_accuracy"] * 2})
    >>> members(group[1:], group, ResultTable("tau", group, "", ""))
    ['8B']
    """
    keys = [key for key in ("upstream", "model") if key in group and group[key].nunique() > 1]
    return [
        ", ".join(
            table.metric(row[key]).words if key == "upstream" else str(row[key]) for key in keys
        )
        for row in rows.to_dict("records")
        if keys
    ]


def spread(frame: pd.DataFrame, metric: Metric) -> Iterator[str]:
    """How far methods differ in a metric, over all models of a dataset, and which is highest."""
    for dataset, rows in by_dataset(frame[frame["estimate"].notna()]):
        if rows["method"].nunique() < 2:
            continue
        places = rows["model"].fillna("") if "model" in rows else pd.Series("", index=rows.index)
        tops = {
            str(place): str(group["method"].to_numpy()[group["estimate"].to_numpy().argmax()])
            for place, group in rows.groupby(places, sort=False)
        }
        values, unit = span(rows["estimate"], metric.scale), metric.scale.unit
        what = f"{metric.words} runs from {values} {unit}"
        if metric.scale != POINTS:
            what = f"{metric.words}{f' ({unit})' if unit else ''} runs from {values}"
        text = f"{dataset}{what} over {rows['method'].nunique()} methods"
        text += f" and {counted(len(tops), 'model')}" if len(tops) > 1 else ""
        tied = rows["estimate"].nunique() == 1
        yield f"{text}; all methods are equal." if tied else f"{text}; highest: {_highest(tops)}."


def _highest(tops: Mapping[str, str]) -> str:
    winners = list(dict.fromkeys(tops.values()))
    if len(winners) == 1:
        return f"{winners[0]}{f' in all {len(tops)}' if len(tops) > 1 else ''}"
    return "; ".join(
        f"{winner} ({listed([place for place, top in tops.items() if top == winner])})"
        for winner in winners
    )


def direction_unknown(metric: Metric) -> str:
    """Say that nobody has told which values of a metric are better, and how to tell it.

    Examples
    --------
    >>> direction_unknown(Metric.of_file("edits", "generation", {"long_name": "edits needed"}))
    'whether more edits needed is better is not known: give --lower-is-better edits or \
--higher-is-better edits, or the attribute direction'
    """
    return (
        f"whether more {metric.words} is better is not known: give --lower-is-better "
        f"{metric.name} or --higher-is-better {metric.name}, or the attribute direction"
    )


def deployed(frame: pd.DataFrame, table: ResultTable) -> pd.DataFrame:
    """Estimates downstream in what users get, where there are any, rather than in accuracy."""
    frame = frame[frame["estimate"].notna()]
    gets = [table.metric(name).kind != "discrimination" for name in frame["downstream"]]
    return frame[gets] if any(gets) else frame


def judged(frame: pd.DataFrame, table: ResultTable, *columns: str) -> tuple[pd.DataFrame, str]:
    """Rows whose metrics have a known direction, and a remark on those that have none.

    Parameters
    ----------
    frame : DataFrame
    table : ResultTable
        Knows the metrics.
    *columns : str
        Columns that name a metric of which better and worse are to be said.

    Returns
    -------
    DataFrame, str
        The remark is empty where every direction is known.
    """
    named = {name for column in columns for name in distinct(frame, column)}
    unknown = sorted(name for name in named if not table.metric(name).sign)
    known = ~frame[list(columns)].isin(unknown).any(axis=1)
    remark = "; ".join(direction_unknown(table.metric(name)) for name in unknown)
    return frame[known], f"{capital(remark)}." if remark else ""


def counted(count: int, noun: str) -> str:
    """A number of things.

    Examples
    --------
    >>> counted(1, "model"), counted(3, "model")
    ('1 model', '3 models')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"


def listed(names: Sequence[str], joint: str = "and") -> str:
    """Names in a row.

    Examples
    --------
    >>> listed(["a", "b", "c"]), listed(["a", "b"], "or")
    ('a, b and c', 'a or b')
    """
    return f" {joint} ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def some(names: Sequence[str], joint: str = "or") -> str:
    """Names in a row, the later ones of many counted.

    Examples
    --------
    >>> some(["a", "b", "c", "d", "e"])
    'a, b, c and 2 others'
    """
    if len(names) <= _MOST_NAMED:
        return listed(names, joint)
    return f"{', '.join(names[:_MOST_NAMED])} and {counted(len(names) - _MOST_NAMED, 'other')}"


def span(values: Iterable[float], scale: Scale) -> str:
    """Least and greatest value, as printed; one where they print alike.

    Examples
    --------
    >>> span([0.21, 0.5, 0.14], Scale(1.0, 2)), span([0.2], Scale(100.0, 1, "points"))
    ('0.14 to 0.50', '20.0')
    """
    known = [float(value) for value in values]
    low, high = number(min(known), scale), number(max(known), scale)
    return low if low == high else f"{low} to {high}"


def bracketed(row: Mapping[Any, Any] | pd.Series[Any], scale: Scale) -> str:
    """Estimate with its interval, if it has one.

    Examples
    --------
    >>> bracketed({"estimate": 0.5, "low": 0.4, "high": 0.6}, POINTS)
    '50.0 [40.0, 60.0]'
    """
    value, low, high = (number(float(row[key]), scale) for key in ("estimate", "low", "high"))
    return f"{value} [{low}, {high}]" if low and high else value


def in_unit(metric: Metric) -> str:
    """Unit and name of a metric behind a number, as ``" points of ROUGE-1"``."""
    return f"{f' {metric.scale.unit}' if metric.scale.unit else ''} of {metric.words}"


def capital(text: str) -> str:
    """Text that begins with a capital letter."""
    return f"{text[:1].upper()}{text[1:]}"


def too_few(rows: pd.DataFrame) -> str:
    """Why no verdict can be given on any of the rows; empty where one can on some.

    Examples
    --------
    >>> too_few(pd.DataFrame({"n_users": [2], "level": [0.95]}))
    'cannot be judged: with 2 users not even unanimity is evidence at the level 0.95'
    """
    if not {"n_users", "level"} <= {*rows} or not len(rows):
        return ""
    counts = zip(rows["n_users"], rows["level"], strict=True)
    reasons = [cannot_be_judged(n, level=level) if n > 0 else "" for n, level in counts]
    return reasons[0] if all(reasons) else ""

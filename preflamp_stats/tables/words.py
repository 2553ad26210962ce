"""Pieces of captions and sentences that tables share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from preflamp_stats.inference.floors import cannot_be_judged
from preflamp_stats.metric import POINTS, Metric, Scale, number
from preflamp_stats.results import ResultTable, distinct
from preflamp_stats.settings import Settings

_MOST_PAIRS = 3
"""Pairs of metrics of which sentences speak; the tables have all."""
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
        "renormalised": f"its likelihood under the guided policy at weight {weight}",
        "renormalised_with_target": f"likelihood over top tokens and its own, at weight {weight}",
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
        anytime=_anytime(settings, frame),
        margin=f"{settings.margin:g}",
        least=f"{settings.discrimination_margin:g}",
    ).rstrip()


def _intervals(settings: Settings, frame: pd.DataFrame) -> str:
    """Say in a sentence how the intervals were made."""
    if settings.anytime and "users_times" in frame:
        return f"Intervals: {settings.level * 100:g}%. {_anytime(settings, frame)}"
    kinds = distinct(frame, "resample") or [settings.resample]
    unit = " or ".join(words for kind, words in _UNITS.items() if kind in kinds)
    made = [_INTERVALS.get(kind, kind) for kind in distinct(frame, "interval") if kind]
    seeds = ", training seeds included" if "n_seeds" in frame else ""
    return (
        f"Intervals: {settings.level * 100:g}% {' and '.join(made) or 'percentile bootstrap'}, "
        f"{unit}{seeds}, {settings.resamples} resamples."
    )


def _anytime(settings: Settings, frame: pd.DataFrame) -> str:
    """Say that users may be added until something is decided, and what that costs."""
    if not settings.anytime:
        return ""
    times = frame["users_times"].median() if "users_times" in frame else math.nan
    cost = "" if math.isnan(times) else f", for {times:.1f} times as many users at their width"
    return f"They hold whenever one looks and stops adding users, in the order of the file{cost}."


def by_dataset(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Rows of each dataset, with its name, where there are several, as beginning of a sentence."""
    if "dataset" not in frame or frame["dataset"].nunique() < 2:
        if len(frame):
            yield "", frame
        return
    for name, rows in frame.groupby("dataset", sort=False, dropna=False):
        yield (f"{name}: " if isinstance(name, str) and name else ""), rows


def metric_groups(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Rows of each dataset and pair of metrics, the first few pairs, with its name as above."""
    for dataset, rows in by_dataset(frame):
        pairs = list(rows.groupby(["upstream", "downstream"], sort=False))
        yield from ((dataset, group) for _, group in pairs[:_MOST_PAIRS])


def placed(rows: pd.DataFrame, group: pd.DataFrame, table: ResultTable | None = None) -> str:
    """Tell rows by what varies in their group: dataset, model and, with a table, metrics.

    Examples
    --------
    >>> group = pd.DataFrame({"model": ["1B", "8B"], "dataset": ["tldr"] * 2})
    >>> placed(group[1:], group), placed(group, group)
    (' (8B)', '')
    """
    if len(rows) == len(group):
        return ""
    keys = [key for key in ("dataset", "model") if key in group and group[key].nunique() > 1]
    metrics = [k for k in ("upstream", "downstream") if table and group[k].nunique() > 1]
    names = [
        " · ".join(
            table.metric(row[key]).words if table and key in metrics else str(row[key])
            for key in [*metrics, *keys]
        )
        for row in rows.to_dict("records")
    ]
    return f" ({some(names, 'and')})" if any(names) else ""


def sample(rows: pd.DataFrame) -> str:
    """Methods and users (or examples, where they are the units) behind each of some rows.

    Examples
    --------
    >>> sample(pd.DataFrame({"n_methods": [6, 6], "n_users": [50, 60]}))
    '6 methods, 50 to 60 users'
    """
    parts = []
    for column in ("n_methods", "n_users"):
        values = rows[column].dropna() if column in rows else pd.Series(dtype=float)
        if len(values) and values.max() > 0:
            low, high = f"{values.min():,.0f}", f"{values.max():,.0f}"
            noun = _unit(rows) if column == "n_users" else "methods"
            noun = noun.removesuffix("s") if high == "1" else noun
            parts.append(f"{low if low == high else f'{low} to {high}'} {noun}")
    return ", ".join(parts)


def _unit(rows: pd.DataFrame) -> str:
    """What was resampled; where examples were, their number stands under users too."""
    return "examples" if (distinct(rows, "resample") or [""]) == ["examples"] else "users"


def judgeable(rows: pd.DataFrame, of: str = "n_users") -> tuple[pd.DataFrame, str]:
    """Rows whose sample is large enough to show anything, and why the others are not judged.

    Parameters
    ----------
    rows : DataFrame
    of : {"n_users", "n_methods"}
        What there must be enough of.
    """
    why, unit = [], _unit(rows)
    for row in rows.to_dict("records"):
        # Where no sampling error is claimed there are no users either, and nothing to judge by.
        n_users = row.get("n_users", np.nan) or np.nan
        n_methods = int(row["n_methods"]) if of == "n_methods" else None
        sampled = np.inf if of == "n_methods" or np.isnan(n_users) else n_users
        told = cannot_be_judged(sampled, n_methods, level=row["level"], unit=unit)
        why.append(told.removeprefix("cannot be judged: "))
    return rows[[not reason for reason in why]], next(filter(None, why), "")


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
        values = span(rows["estimate"], metric.scale)
        values += " points" if metric.scale == POINTS else ""
        text = (
            f"{dataset}{metric.heading} runs from {values} over {rows['method'].nunique()} methods"
        )
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
    """Say that nobody has told which values of a metric are better.

    Examples
    --------
    >>> direction_unknown(Metric.of_file("edits", "generation", {"long_name": "edits needed"}))
    'whether more edits needed is better is not known'
    """
    return f"whether more {metric.words} is better is not known"


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


def capital(text: str, dataset: str = "") -> str:
    """Text that begins with a capital letter, or behind the name of its dataset."""
    return f"{dataset}{text}" if dataset else f"{text[:1].upper()}{text[1:]}"

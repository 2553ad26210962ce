"""The picture at the head of the report: methods on the plane of accuracy and quality, named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from preflamp_stats.io.schema import UNNAMED_DATASET
from preflamp_stats.metric import Metric
from preflamp_stats.results import Analysis, distinct, table_frame

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 52, 628, 10, 356
"""Edges of the plane within the picture."""
Box = tuple[float, float, float, float]
_LETTER, _LINE, _LONGEST = 7.0, 14.0, 26
_PLACES = [(x, y, a) for y in (-7, 17) for x, a in ((6, "start"), (-6, "end"))]
_PLACES += [(9, 4, "start"), (-9, 4, "end"), (0, -10, "middle"), (0, 20, "middle")]


@dataclass(frozen=True)
class Mark:
    """A method: its point, the ends of both intervals and the place of its name, in pixels.

    ``x`` is NaN for a method without an accuracy, whose quality is a line across. ``anchor`` is
    empty where the name has no room.
    """

    name: str
    x: float
    y: float
    x_ends: tuple[float, float]
    y_ends: tuple[float, float]
    name_x: float = 0.0
    name_y: float = 0.0
    anchor: str = ""


@dataclass(frozen=True)
class Plane:
    """What the picture shows: one dataset and model, an accuracy across and a quality upwards."""

    across: Metric
    up: Metric
    place: list[str]
    left: int
    marks: list[Mark]
    x_ticks: dict[str, float]
    y_ticks: dict[str, float]
    tau: dict[str, Any]


def plane(analysis: Analysis) -> Plane | None:
    """Place the methods of the first dataset and model that has both metrics.

    Parameters
    ----------
    analysis : Analysis

    Returns
    -------
    Plane, optional
        None where no two methods have an accuracy and a quality. ``tau`` is the row of these two
        metrics in the table of tau, empty where there is none.
    """
    accuracies = [n for n in ("rm_accuracy", "policy_accuracy") if n in analysis.tables]
    qualities = distinct(table_frame(analysis.tables, "generation"), "metric")
    if not accuracies or not qualities:
        return None
    up_name = next((n for n in analysis.settings.downstream if n in qualities), qualities[0])
    y = table_frame(analysis.tables, "generation")
    y = y[y["metric"] == up_name]
    x = table_frame(analysis.tables, accuracies[0])
    keys = [k for k in ("dataset", "model", "method", "seed") if k in x and k in y]
    both = y.merge(x, how="left", on=keys, suffixes=("_y", ""))
    where = [k for k in ("dataset", "model", "seed") if k in both]
    found = [rows for _, rows in both.groupby(where, sort=False, dropna=False)]
    found = [rows for rows in found if rows["estimate"].count() >= 2]
    if not found:
        return None
    across = analysis.tables[accuracies[0]].metric(accuracies[0])
    up = analysis.tables["generation"].metric(up_name)
    place = {k: str(found[0][k].iloc[0]) for k in where}
    tau = table_frame(analysis.tables, "tau")
    for key, value in {"upstream": accuracies[0], "downstream": up_name, **place}.items():
        tau = tau[tau[key].astype(str) == value] if key in tau else tau
    x_at, x_ticks = _axis(found[0], "", across, LEFT, RIGHT)
    y_at, y_ticks = _axis(found[0], "_y", up, BOTTOM, TOP)
    names = map(_cut, found[0]["method"].astype(str))
    marks = [
        Mark(name, here[0], there[0], (here[1], here[2]), (there[1], there[2]))
        for name, here, there in zip(names, x_at, y_at, strict=True)
    ]
    told: Any = tau.to_dict("records")[0] if len(tau) else {}
    named = [value for value in place.values() if value != UNNAMED_DATASET]
    ticks = (x_ticks, y_ticks)
    return Plane(across, up, named, len(found) - 1, list(_named(marks)), *ticks, told)


def _axis(
    rows: pd.DataFrame, side: str, metric: Metric, first: float, last: float
) -> tuple[list[list[float]], dict[str, float]]:
    """Pixels of estimate, low and high, shape (method, 3), and of round numbers."""
    values = rows[[f"{c}{side}" for c in ("estimate", "low", "high")]].to_numpy(np.float64)
    values = np.where(np.isnan(values), values[:, :1], values) * metric.scale.factor
    low, high = np.nanmin(values), np.nanmax(values)
    span = (high - low) or abs(high) or 1.0
    low, high = low - 0.06 * span, high + 0.06 * span
    raw = (high - low) / 5
    step = 10.0 ** np.floor(np.log10(raw))
    step *= next(times for times in (1, 2, 5, 10) if times * step >= raw)
    ticks = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step

    def pixels(value: Any) -> Any:
        return np.round(first + (value - low) / (high - low) * (last - first), 1)

    return pixels(values).tolist(), {f"{tick:.10g}": float(pixels(tick)) for tick in ticks}


def _cut(name: str) -> str:
    half = _LONGEST // 2
    return name if len(name) <= _LONGEST else f"{name[:half]}…{name[1 - half :]}"


def _named(marks: list[Mark]) -> Iterator[Mark]:
    """Give each name the first place at its point that is free, of bars too where that can be."""
    taken = [(m.x - 6, m.y - 6, m.x + 6, m.y + 6) for m in marks if not np.isnan(m.x)]
    bars = [(m.x_ends[0], m.y - 1, m.x_ends[1], m.y + 1) for m in marks if not np.isnan(m.x)]
    bars += [(m.x - 1, m.y_ends[1], m.x + 1, m.y_ends[0]) for m in marks]
    for mark in marks:
        wide, line = len(mark.name) * _LETTER, np.isnan(mark.x)
        tried = [(LEFT + 4.0, mark.y + down, "start") for down in (-4, 14)]
        if not line:
            tried = [(mark.x + right, mark.y + down, anchor) for right, down, anchor in _PLACES]
        free = (each for w in (bars, []) for each in tried if _free(each, wide, [*taken, *w]))
        for x, y, anchor in islice(free, 1):
            taken.append(_box(x, y, anchor, wide))
            mark = replace(mark, name_x=x, name_y=y, anchor=anchor)
        yield mark


def _box(x: float, y: float, anchor: str, wide: float) -> Box:
    left = x - wide * {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor]
    return left, y - _LINE + 3, left + wide, y + 3


def _free(at: tuple[float, float, str], wide: float, taken: list[Box]) -> bool:
    """Whether a name fits into the plane there and meets nothing."""
    left, top, right, bottom = _box(*at, wide)
    inside = left >= LEFT and right <= WIDTH and top >= 0 and bottom <= BOTTOM
    return inside and not any(
        left < box[2] and box[0] < right and top < box[3] and box[1] < bottom for box in taken
    )

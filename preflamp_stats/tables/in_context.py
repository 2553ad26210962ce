"""Does in-context learning win, and from which model size?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import xarray as xr

from preflamp_stats.inference.in_context import in_context_between
from preflamp_stats.inference.resampled import ResampledStudy
from preflamp_stats.results import ResultTable, distinct, table_frame
from preflamp_stats.settings import Settings
from preflamp_stats.tables import words
from preflamp_stats.tables.rows import asked_metrics, tidy
from preflamp_stats.tables.table import Table

__all__ = ["IN_CONTEXT"]

_MOST_NAMED = 3


def _rows(studies: Sequence[ResampledStudy]) -> Iterator[pd.DataFrame]:
    for study, metric in asked_metrics(studies):
        told = study.ds.coords.get("method_family")
        families = set() if told is None else set(told.astype(str).values.tolist())
        if metric.info.kind == "generation" and len(families) > 1 and "reward-guided" in families:
            found = in_context_between(study, metric.info.name)
            frame = tidy(found, study, {"metric": metric.info.name})
            if "parameters" in study.ds.coords and "model" in frame:
                frame["parameters"] = frame["model"].map(_by_label(study.ds["parameters"], "model"))
            yield frame[frame["estimate"].notna()]


def _by_label(values: xr.DataArray, dim: str) -> dict[Any, Any]:
    return dict(zip(values[dim].values.tolist(), values.values.tolist(), strict=True))


def _finding(table: ResultTable, settings: Settings) -> Iterator[str]:
    """Say how each method without a reward model stands to the best with one, over the models."""
    frame, remark = words.judged(table.frame, table, "metric")
    for dataset, rows in words.by_dataset(frame):
        for (method, name), group in rows.groupby(["method", "metric"], sort=False):
            metric = table.metric(name)
            unit = f" {metric.scale.unit}" if metric.scale.unit else ""
            text = (
                f"{dataset}{method} minus the best reward-guided method in {metric.words} is "
                f"{words.span(metric.sign * group['estimate'], metric.scale)}{unit}"
            )
            if len(group) > 1:
                text += f" over {words.counted(len(group), 'model')}"
            better, worse = _better(group), group[group["high"] < 0]
            parts = []
            for side, there in (("better", better), ("worse", worse)):
                if len(there) == len(group):
                    every = " with every model" if len(group) > 1 else ""
                    parts.append(f"shown to be {side}{every}")
                elif len(there):
                    which = words.listed(words.members(there, group, table))
                    parts.append(f"shown to be {side} with {which}")
            if len(better) + len(worse) < len(group):
                where = "" if len(group) == 1 else "elsewhere " if parts else "everywhere "
                parts.append(f"{where}the data leave open which is better")
            yield f"{text}; {', '.join(parts)}."
    if remark:
        yield remark


def _better(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows that are shown to be ahead, corrected for all that were compared."""
    return rows[rows["p_adjusted"] <= 1 - rows["level"]]


def _answer(tables: Mapping[str, ResultTable]) -> str:
    """Say from which model on in-context learning is ahead of the best reward-guided method.

    Other methods without guidance are told of where there is no in-context one. Those that are
    shown to lead come first.
    """
    frame = table_frame(tables, "in_context")
    if frame.empty:
        return ""
    table = tables["in_context"]
    frame, remark = words.judged(frame, table, "metric")
    if frame.empty:
        return remark
    name = frame["metric"].iloc[0]
    asked = frame[frame["metric"] == name]
    if "method_family" in asked and (asked["method_family"] == "in-context").any():
        asked = asked[asked["method_family"] == "in-context"]
    keys = [key for key in ("dataset", "method") if key in asked]
    leads = [_lead(rows) for _, rows in asked.groupby(keys, sort=False)]
    leads.sort(key=lambda lead: not lead[0])
    winners = sum(wins for wins, _ in leads)
    start = "Yes" if winners == len(leads) else "In part" if winners else "Not shown"
    text = "; ".join(words for _, words in leads[:_MOST_NAMED])
    left = len(leads) - _MOST_NAMED
    more = f"; {left} more below" if left > 0 else ""
    return f"{start}, in {table.metric(name).words}: {text}{more}. {remark}".rstrip()


def _lead(rows: pd.DataFrame) -> tuple[bool, str]:
    """Whether a method is shown to lead with any model, and where."""
    first = rows.iloc[0]
    who = str(first["method"])
    if isinstance(first.get("dataset"), str) and first["dataset"]:
        who += f" on {first['dataset']}"
    from_model = first.get("dominates_from")
    wins = _better(rows)
    if isinstance(from_model, str) and from_model:
        where = "with every model" if len(wins) == len(rows) else f"from {from_model} on"
        return True, f"{who} beats every reward-guided method {where}"
    if (rows["high"] < 0).all():
        return False, f"{who} is behind with every model"
    if wins.empty:
        return False, f"{who} is not shown to be ahead with any model"
    models = words.listed(distinct(wins, "model")) or "the model at hand"
    return True, f"{who} beats every reward-guided method with {models}"


IN_CONTEXT = Table(
    name="in_context",
    title="Does in-context learning win, and from which size?",
    question="in-context",
    rows=_rows,
    caption="A method without a reward model minus the best reward-guided one, whichever that "
    "truly is: the luck of looking best is taken out. Intervals: {level}; p-values "
    "adjusted for all models and methods compared.",
    reading="Above 0: the method without a reward model is ahead of the best with one. An interval "
    "wholly above 0 shows it; the size named is the smallest from which it holds for every larger "
    "model.",
    finding=_finding,
    answer=_answer,
)

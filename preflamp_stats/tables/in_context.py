"""Does in-context learning win, and from which model size?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import xarray as xr

from preflamp_stats.inference.in_context import in_context_between
from preflamp_stats.inference.resampled import ResampledStudy
from preflamp_stats.results import ResultTable, distinct
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
            # A row that says why it has no estimate stays.
            told = frame["note"].fillna("") != "" if "note" in frame else False
            yield frame[frame["estimate"].notna() | told]


def _by_label(values: xr.DataArray, dim: str) -> dict[Any, Any]:
    return dict(zip(values[dim].values.tolist(), values.values.tolist(), strict=True))


def _answer(tables: Mapping[str, ResultTable]) -> str:
    """Say from which model on in-context learning is ahead of the best reward-guided method.

    Other methods without guidance are told of where there is no in-context one. Those that are
    shown to lead come first.
    """
    if "in_context" not in tables:
        return ""
    table = tables["in_context"]
    frame, remark = words.judged(table.frame, table, "metric")
    if frame.empty:
        return remark
    frame, too_few = words.judgeable(frame)
    if frame.empty:
        return f"Cannot be judged: {too_few}."
    name = frame["metric"].iloc[0]
    asked = frame[frame["metric"] == name]
    if "method_family" in asked and (asked["method_family"] == "in-context").any():
        asked = asked[asked["method_family"] == "in-context"]
    keys = [key for key in ("dataset", "method") if key in asked]
    several = "dataset" in asked and asked["dataset"].nunique() > 1
    leads = [_lead(rows, several) for _, rows in asked.groupby(keys, sort=False)]
    leads.sort(key=lambda lead: not lead[0])
    winners = sum(wins for wins, _ in leads)
    start = "Yes" if winners == len(leads) else "In part" if winners else "Not shown"
    text = "; ".join(told for _, told in leads[:_MOST_NAMED])
    left = len(leads) - _MOST_NAMED
    more = f"; {left} more below" if left > 0 else ""
    metric = table.metric(name).words
    return f"{start}, in {metric}: {text}{more} ({words.sample(asked)}). {remark}".rstrip()


def _lead(rows: pd.DataFrame, several: bool) -> tuple[bool, str]:
    """Whether a method is shown to lead with any model, and where, corrected for all compared."""
    first = rows.iloc[0]
    who = f"{first['method']} on {first['dataset']}" if several else str(first["method"])
    every = " with every model" if len(rows) > 1 else ""
    wins = rows[rows["p_adjusted"] <= 1 - rows["level"]]
    if len(wins) == len(rows):
        return True, f"{who} beats every reward-guided method{every}"
    if wins.empty:
        if (rows["high"] < 0).all():
            return False, f"{who} is shown to be behind{every}"
        return False, f"{who} is not shown to be ahead{every.replace('every', 'any')}"
    from_model = first.get("dominates_from")
    where = f"with {words.listed(distinct(wins, 'model'))}"
    if isinstance(from_model, str) and from_model:
        where = f"from {from_model} on"
    return True, f"{who} beats every reward-guided method {where}"


IN_CONTEXT = Table(
    name="in_context",
    title="Does in-context learning win, and from which size?",
    question="in-context",
    rows=_rows,
    caption="A method without a reward model minus the best reward-guided one, whichever that "
    "truly is: the luck of looking best is taken out. Intervals: {level}; p-values "
    "adjusted for all models and methods compared. {anytime}",
    reading="An interval wholly above 0 shows a lead; the size named is the smallest from which it "
    "holds for every larger model.",
    answer=_answer,
)

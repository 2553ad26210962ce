"""Does a metric upstream predict one downstream? Kendall's tau over methods, by model or pooled."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from preflamp_stats.inference.floors import (
    above_ceiling,
    p_against_interval,
)
from preflamp_stats.inference.pooled import pooled_between
from preflamp_stats.inference.resampled import ResampledStudy
from preflamp_stats.inference.tau import THESE_METHODS, tau_between
from preflamp_stats.inference.tau_intervals import DEFAULT_INTERVAL
from preflamp_stats.metric import COEFFICIENT, TAU, number
from preflamp_stats.results import ResultTable, distinct
from preflamp_stats.settings import Settings
from preflamp_stats.tables import words
from preflamp_stats.tables.rows import asked_pairs, having, metric_pairs, pair_rows
from preflamp_stats.tables.table import Table

__all__ = ["POOLED_TAU", "TAU_BY_MODEL", "predict_title"]


def _rows(studies: Sequence[ResampledStudy]) -> Iterator[pd.DataFrame]:
    for study, upstream, downstream in metric_pairs(studies):
        found = tau_between(study, upstream.info.name, downstream.info.name)
        yield pair_rows(found, study, "variant", "resample", "target", "interval", "seeds")


def _pooled_rows(studies: Sequence[ResampledStudy]) -> Iterator[pd.DataFrame]:
    settings = studies[0].settings
    for upstream, downstream in asked_pairs(settings):
        both = having(studies, upstream, downstream)
        metrics = [each.summed[name] for each in both for name in (upstream, downstream)]
        if any(metric.sums is not None for metric in metrics):
            found = pooled_between(both, upstream, downstream)
            if found["n_strata"] > 1:
                keys = {"upstream": upstream, "downstream": downstream, "level": settings.level}
                values = found.drop_dims("stratum").data_vars.items()
                yield pd.DataFrame([keys | {str(name): value.item() for name, value in values}])


_COLUMNS = {
    "tau_corrected": "corrected is tau with half of what sampling noise is thought to take from it",
    "ceiling": "the ceiling is what noise alone would leave of a perfect agreement",
    "reliability_upstream": "reliability is the share of the variance between methods that is no "
    "noise",
    "population_tau": "population tau and p are about methods like these",
    "users_needed": "users needed would bring the interval within ±0.2",
}


def _caption(frame: pd.DataFrame) -> str:
    target = "these methods, as if every {at_hand}"
    if "interval" in frame and (frame["interval"] == DEFAULT_INTERVAL).all():
        target += "; its level is an average over methods like these"
    if "target" in frame and not (frame["target"] == THESE_METHODS).any():
        target = "the population of methods from which these were drawn"
    told = "; ".join(w for c, w in _COLUMNS.items() if c in frame and frame[c].notna().any())
    return (
        "Kendall's tau-{variant} between an upstream and a downstream metric over methods. "
        f"The interval is for {target}.{f' {words.capital(told)}.' if told else ''} "
        "{intervals}"
    )


def _finding(table: ResultTable, settings: Settings) -> Iterator[str]:
    """Tell the taus of these methods where there are several, then why numbers seem at odds."""
    for dataset, rows in words.metric_groups(table.frame[table.frame["low"].notna()]):
        if len(rows) > 1:
            sides = [
                f"{side} 0 in {len(there)} of {len(rows)}{words.placed(there, rows)}"
                for side, there in zip(("above", "below"), _sides(rows), strict=True)
                if len(there)
            ]
            text = (
                f"tau of {' with '.join(_words(rows, table))} is "
                f"{words.span(rows['estimate'], COEFFICIENT)} ({words.sample(rows)} each), its "
                f"interval {' and '.join(sides) or 'around 0 throughout'}."
            )
            yield words.capital(text, dataset)
    reasons: dict[str, list[int]] = {}
    for place, row in enumerate(table.frame.to_dict("records")):
        for reason in filter(None, _at_odds(row)):
            reasons.setdefault(reason, []).append(place)
    for reason, places in reasons.items():
        which = words.placed(table.frame.iloc[places], table.frame, table)
        yield f"{words.capital(reason)}{which}."


def _at_odds(row: Mapping[Hashable, Any]) -> Iterator[str]:
    """Why numbers of one row seem to contradict each other; empty where they do not."""
    if row["target"] == THESE_METHODS:
        yield p_against_interval(row["p_value"], row["low"], row["high"], row["level"])
    yield above_ceiling(row["estimate"], row["ceiling"])
    yield row["users_needed_note"]


def _words(rows: pd.DataFrame, table: ResultTable) -> tuple[str, str]:
    """What the upstream and the downstream metric of rows are called."""
    first = rows.iloc[0]
    return table.metric(first["upstream"]).words, table.metric(first["downstream"]).words


def _sides(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows whose interval lies above 0, and those whose interval lies below."""
    return rows[rows["low"] > 0], rows[rows["high"] < 0]


_MOST_ANSWERS = 3
_TELLING = 0.6
"""That a tau is not above this is worth saying."""


def predict_title(tables: Mapping[str, ResultTable]) -> str:
    """Name what is asked to predict, and what is to be predicted."""
    table = next(tables[n] for n in ("tau", "pooled_tau", "slope", "example_level") if n in tables)
    above, below = (
        [table.metric(name).words for name in distinct(table.frame, side)]
        for side in ("upstream", "downstream")
    )
    if not 0 < max(len(above), len(below)) <= _MOST_ANSWERS:
        return "Do the upstream metrics predict the downstream ones?"
    does = "Does" if len(above) == 1 else "Do"
    return f"{does} {words.listed(above)} predict {words.listed(below)}?"


def _answer(tables: Mapping[str, ResultTable]) -> str:
    """Say of each pair of metrics whether it ranks alike, first methods like these, then these."""
    if "tau" not in tables:
        return ""
    table = tables["tau"]
    pooled = tables["pooled_tau"].frame if "pooled_tau" in tables else pd.DataFrame()
    groups = list(table.frame.groupby(["upstream", "downstream"], sort=False))
    told: dict[tuple[str, str], list[str]] = {}
    for pair, rows in groups:
        of_pair = pooled
        if len(pooled):
            of_pair = pooled[(pooled["upstream"] == pair[0]) & (pooled["downstream"] == pair[1])]
        above, below = _words(rows, table)
        by = f" by {above}" if table.frame["upstream"].nunique() > 1 else ""
        told.setdefault(_judged(rows, of_pair, table), []).append(f"{below}{by}")
    several = len(told) > 1 or len(groups) > _MOST_ANSWERS
    texts = ["The metrics disagree."] if {"Yes", "No"} <= {verdict for verdict, _ in told} else []
    for (verdict, text), names in list(told.items())[:_MOST_ANSWERS]:
        of = f" for {words.some(names, 'and')}" if several else ""
        texts.append(f"{verdict}{of}. {text}.")
    left = len(told) - _MOST_ANSWERS
    if left > 0:
        texts.append(f"{words.counted(left, 'further pair')} of metrics: see the table.")
    return " ".join(texts)


def _judged(rows: pd.DataFrame, pooled: pd.DataFrame, table: ResultTable) -> tuple[str, str]:
    """Verdict on a pair of metrics, and what it rests on.

    Strata (a model of a dataset) share their methods, in a way that nobody knows. So their
    population limits are averaged as they stand: the error of a mean is never larger than the mean
    of the errors, and as large where strata rise and fall together. The interval rests on a model
    of how methods are spread and errs in a little over 5 % of studies of few unrelated methods;
    the permutation test errs in no more. So a verdict takes both: where strata rise and fall
    together, their mean p is the p of each.
    """
    bounded = rows[rows["population_low"].notna()]
    seen, too_few = words.judgeable(bounded)
    if seen.empty:
        notes = [note.removeprefix("no interval: ") for note in distinct(rows, "note") if note]
        return "Cannot be judged", words.capital(too_few or "; ".join(notes) or "no interval")
    up, down = _sides(seen)
    if len(up) and len(down):
        sides = f"above 0{words.placed(up, seen)} and below 0{words.placed(down, seen)}"
        return "Cases disagree", f"Tau is {sides}: no mean is told ({words.sample(seen)} each)"
    of_these = ""
    if len(seen) > 1 and len(pooled) and not too_few:
        tau_here = words.bracketed(pooled.iloc[0], COEFFICIENT)
        of_these = f". For these methods, pooled tau is {tau_here}"
    elif len(seen) == 1 and seen["target"].iloc[0] == THESE_METHODS:
        of_these = f". For these methods, tau is {words.bracketed(seen.iloc[0], COEFFICIENT)}"
    judged, too_few = words.judgeable(seen, "n_methods")
    if judged.empty:
        return "Cannot be judged", f"{words.capital(too_few)} ({words.sample(seen)}){of_these}"
    columns = ("population_tau", "population_low", "population_high")
    tau, low, high = (float(judged[column].mean()) for column in columns)
    like = words.bracketed({"estimate": tau, "low": low, "high": high}, COEFFICIENT)
    basis = f"{words.sample(judged)} each, mean of {len(judged)} taus"
    if len(judged) == 1:
        basis = f"p {_p(judged['p_value'].iloc[0])}; {words.sample(judged)}"
    ruled_out = ""
    if low <= 0 <= high < _TELLING:
        ruled_out = f", so that a tau above {number(high, COEFFICIENT)} is ruled out"
    text = f"For methods like these, tau is {like} ({basis}){ruled_out}{of_these}"
    metrics = [table.metric(rows[side].iloc[0]) for side in ("upstream", "downstream")]
    unknown = [words.direction_unknown(metric) for metric in metrics if not metric.sign]
    if unknown:
        return "Direction unknown", f"{text}; {'; '.join(unknown)}"
    if judged["p_value"].mean() > 1 - judged["level"].iloc[0]:
        return "Open", text
    return "Yes" if low > 0 else "No" if high < 0 else "Open", text


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


TAU_BY_MODEL = Table(
    name="tau",
    title="Are methods ranked alike?",
    question="predict",
    rows=_rows,
    caption=_caption,
    reading="Tau is 1 where two metrics rank methods alike, −1 where they rank them in reverse, "
    "0 where half of all pairs agree. Dot and line: tau as observed, with its interval; hollow "
    "diamond: tau half freed from noise; upright mark: its ceiling, to be compared with "
    "rather than 1. "
    "An interval that includes 0 leaves the question open: it is no sign of no association.",
    finding=_finding,
    answer=_answer,
    estimate_of=TAU.name,
)
POOLED_TAU = Table(
    name="pooled_tau",
    title="Are methods ranked alike, over all datasets and models?",
    question="predict",
    rows=_pooled_rows,
    caption="Kendall's tau-{variant} over all pairs of methods of one dataset and model, "
    "those of different datasets or models never compared. Intervals: {level}.",
    reading="One tau of these methods; only methods of the same dataset and model are compared.",
    estimate_of=TAU.name,
)

"""Does a metric upstream predict one downstream? Kendall's tau over methods, by model or pooled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import pandas as pd

from preflamp_stats.inference.pooled import pooled_between
from preflamp_stats.inference.resampled import ResampledStudy
from preflamp_stats.inference.tau import tau_between
from preflamp_stats.metric import COEFFICIENT, TAU, number
from preflamp_stats.results import ResultTable, distinct, table_frame
from preflamp_stats.settings import Settings
from preflamp_stats.tables import words
from preflamp_stats.tables.rows import (
    asked_pairs,
    having,
    metric_pairs,
    pair_rows,
)
from preflamp_stats.tables.table import Table

__all__ = ["POOLED_TAU", "TAU_BY_MODEL"]


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
    "tau_corrected": "corrected is tau with sampling noise taken out",
    "ceiling": "the ceiling is what noise alone would leave of a perfect agreement",
    "reliability_upstream": "reliability is the share of the variance between methods that is no "
    "noise",
    "population_tau": "population tau holds for methods like these",
    "users_needed": "users needed would bring the interval within ±0.2",
}


def _caption(frame: pd.DataFrame) -> str:
    target = "these very methods, as if every {at_hand}"
    if "target" in frame and not (frame["target"] == "these methods").any():
        target = "the population of methods from which these were drawn"
    told = "; ".join(w for c, w in _COLUMNS.items() if c in frame and frame[c].notna().any())
    return (
        "Kendall's tau-{variant} between an upstream and a downstream metric over methods. "
        f"The interval is for {target}.{f' {words.capital(told)}.' if told else ''} "
        "{intervals}"
    )


def _finding(table: ResultTable, settings: Settings) -> Iterator[str]:
    """Say for each dataset and pair of metrics whether the rankings agree, over its models."""
    for dataset, group, upstreams in words.metric_groups(table.frame):
        above, below = _words(group, table)
        between = f"between {above} and {below}"
        if upstreams > 1:
            between = f"of {upstreams} upstream metrics with {below}"
        yield f"{dataset}Kendall's tau {between} {_verdict(group, table)}"


def _pooled_finding(table: ResultTable, settings: Settings) -> Iterator[str]:
    """Say for each pair of metrics whether the rankings agree over all datasets and models."""
    for row in range(len(table.frame)) if len(table.frame) <= words.MOST_PAIRS else ():
        one = table.frame.iloc[[row]].drop(columns="n_methods", errors="ignore")
        strata = f"{words.counted(int(one['n_strata'].iloc[0]), 'pair')} of dataset and model"
        pair = " and ".join(_words(one, table))
        yield f"Pooled over {strata}, Kendall's tau between {pair} {_verdict(one, table)}"


def _words(rows: pd.DataFrame, table: ResultTable) -> tuple[str, str]:
    """What the upstream and the downstream metric of rows are called."""
    first = rows.iloc[0]
    return table.metric(first["upstream"]).words, table.metric(first["downstream"]).words


def _sign(rows: pd.DataFrame, table: ResultTable) -> int:
    """1 where a positive tau means that the better upstream is the better downstream.

    -1 where a negative one means that, since less of one metric is better; 0 where it is not known.
    """
    signs = {
        table.metric(up).sign * table.metric(down).sign
        for up, down in zip(rows["upstream"], rows["downstream"], strict=True)
    }
    return signs.pop() if len(signs) == 1 else 0


def _verdict(group: pd.DataFrame, table: ResultTable) -> str:
    """The rest of a sentence about taus: their range, and what their intervals leave open."""
    known = group[group["estimate"].notna()]
    undefined = group[group["estimate"].isna()]
    if known.empty:
        return f"is undefined{_reasons(undefined)}."
    bounded = known[known["low"].notna() & known["high"].notna()]
    text = f"is {words.span(known['estimate'], COEFFICIENT)}"
    if len(known) == 1:
        text = f"is {words.bracketed(known.iloc[0], COEFFICIENT)}"
    text += _basis(known)
    if len(bounded) < len(known):
        which = words.listed(words.members(known.drop(bounded.index), group, table))
        text += f"; no interval{f' for {which}' if which else ''}{_reasons(known)}"
    text += _intervals_say(bounded, group, table) if len(bounded) else ""
    if lacking := words.members(undefined, group, table):
        text += f"; undefined for {words.listed(lacking)}{_reasons(undefined)}"
    return f"{text}.{_noise(known)}"


def _basis(known: pd.DataFrame) -> str:
    counts = sorted(set(known["n_methods"].astype(int))) if "n_methods" in known else []
    methods = f"{' to '.join(map(str, counts[:: max(len(counts) - 1, 1)]))} methods"
    if len(known) == 1 or "model" not in known or known["model"].nunique() < 2:
        return f" over {methods}" if counts else ""
    noun = "model" if known["upstream"].nunique() == 1 else "comparison"
    each = f" ({methods}{' each' if len(counts) == 1 else ''})" if counts else ""
    return f" over {words.counted(len(known), noun)}{each}"


def _intervals_say(bounded: pd.DataFrame, group: pd.DataFrame, table: ResultTable) -> str:
    """What the intervals settle. One that includes 0 settles nothing, and is told so."""
    above, below = bounded[bounded["low"] > 0], bounded[bounded["high"] < 0]
    alike = "they rank methods alike more often than not"
    opposite = "they rank methods in opposite ways more often than not"
    leave_open = "the data leave open whether they rank methods alike"
    sign = _sign(group, table)
    if sign < 0:
        alike, opposite = opposite, alike
    elif not sign:
        alike = "higher values of one go with higher values of the other"
        opposite = "higher values of one go with lower values of the other"
    total = len(bounded)
    if few := words.too_few(bounded):
        return f"; whether they rank methods alike {few}"
    if total == 1:
        return f": {alike if len(above) else opposite if len(below) else leave_open}"
    if len(above) == total:
        return f"; every interval lies above 0: {alike}"
    if len(below) == total:
        return f"; every interval lies below 0: {opposite}"
    if not len(above) and not len(below):
        return f"; every interval includes 0: {leave_open}"
    parts = []
    for side, rows in (("above", above), ("below", below)):
        if len(rows):
            which = words.members(rows, group, table)
            named = f" ({words.listed(which)})" if 0 < len(which) <= 3 else ""
            parts.append(f"{side} 0 in {len(rows)} of {total}{named}")
    text = f"; the interval lies {' and '.join(parts)}"
    return text + ("; elsewhere " + leave_open if len(above) + len(below) < total else "")


def _noise(known: pd.DataFrame) -> str:
    """A further sentence on what noise does to tau, where that is known."""
    told = {
        "tau_corrected": "corrected for noise it is",
        "ceiling": "noise alone would leave rankings that truly agree a tau of",
    }
    parts = [
        f"{text} {words.span(known[column].dropna(), COEFFICIENT)}"
        for column, text in told.items()
        if column in known and known[column].notna().any()
    ]
    return f" {words.capital('; '.join(parts))}." if parts else ""


def _reasons(rows: pd.DataFrame) -> str:
    told: Iterable[str] = distinct(rows, "note")
    found = [note.removeprefix("no interval: ") for note in told if note]
    return f" ({'; '.join(found)})" if found else ""


_MOST_ANSWERS = 3
_STRONG, _MODERATE = 0.6, 0.3


def _answer(tables: Mapping[str, ResultTable]) -> str:
    """Say whether methods that rank higher upstream rank higher downstream: pooled, else plain."""
    if "tau" not in tables:
        return ""
    pooled, plain = (table_frame(tables, name) for name in ("pooled_tau", "tau"))
    frame, table = (plain, tables["tau"]) if pooled.empty else (pooled, tables["pooled_tau"])
    if frame.empty:
        reasons = [note for note in distinct(table.frame, "note") if note]
        return f"Tau is undefined{f': {reasons[0]}' if reasons else ''}."
    pairs = [rows for _, rows in frame.groupby(["upstream", "downstream"], sort=False)]
    told = [_prediction(rows, table) for rows in pairs[:_MOST_ANSWERS]]
    left = len(pairs) - len(told)
    return " ".join(told) + (f" {left} more pairs of metrics are below." if left else "")


def _prediction(rows: pd.DataFrame, table: ResultTable) -> str:
    above, below = _words(rows, table)
    bounded = rows[rows["low"].notna() & rows["high"].notna()]
    if few := words.too_few(bounded):
        return f"Whether {above} predicts {below} {few}."
    if bounded.empty:
        return f"Whether {above} predicts {below} cannot be told: there is no interval."
    sign = _sign(rows, table)
    up, down = (bounded["low"] > 0).sum(), (bounded["high"] < 0).sum()
    unknown = [
        words.direction_unknown(metric)
        for metric in (table.metric(rows[side].iloc[0]) for side in ("upstream", "downstream"))
        if not metric.sign
    ]
    if len(rows) > 1 and not unknown:
        alike, opposite = (down, up) if sign < 0 else (up, down)
        return (
            f"{words.capital(above)} and {below} are shown to rank methods alike in {alike} of "
            f"{len(bounded)} comparisons and in opposite ways in {opposite}; the rest leave it "
            "open."
        )
    if len(rows) > 1:
        return (
            f"Higher {above} is shown to go with higher {below} in {up} of {len(bounded)} "
            f"comparisons and with lower in {down}; {'; '.join(unknown)}."
        )
    row = bounded.iloc[0]
    tau = f"(tau {words.bracketed(row, COEFFICIENT)})"
    tend = f"methods with higher {above} tend to have {'higher' if up else 'lower'} {below} {tau}"
    if not up and not down:
        text = f"Open for {below}: the data do not tell whether {above} ranks methods alike {tau}"
        most = row["high"] if sign >= 0 else -row["low"]
        if sign and most < _STRONG:
            text += f"; more than {number(most, COEFFICIENT)} is ruled out"
        return f"{text}{''.join(f'; {each}' for each in unknown)}."
    if unknown:
        return f"{words.capital(tend)}; {'; '.join(unknown)}."
    if (up if sign > 0 else down) == 0:
        return f"No for {below}: {tend}."
    size = abs(row["estimate"])
    how = "strongly" if size >= _STRONG else "moderately" if size >= _MODERATE else "weakly"
    means = f"{above} ranks methods as {below} does {tau}" if up else f"{tend}, which is better"
    return f"Yes for {below}, {how}: {means}."


TAU_BY_MODEL = Table(
    name="tau",
    title="Does accuracy predict?",
    question="predict",
    rows=_rows,
    caption=_caption,
    reading="Tau is 1 where two metrics rank the methods alike, −1 where one ranking is the other "
    "turned round, and 0 where half of all pairs agree. The dot is tau as observed, the line its "
    "interval, the hollow diamond tau freed from sampling noise. An interval that includes 0 "
    "leaves the question open: it is no sign that there is no association. Compare a tau with its "
    "noise ceiling (upright mark) rather than with 1.",
    finding=_finding,
    answer=_answer,
    estimate_of=TAU.name,
)
POOLED_TAU = Table(
    name="pooled_tau",
    title="Does accuracy predict, over all datasets and models?",
    question="predict",
    rows=_pooled_rows,
    caption="Kendall's tau-{variant} over all pairs of methods of one dataset and model, "
    "those of different datasets or models never compared. Intervals: {level}.",
    reading="One tau over all datasets and models; only methods of the same dataset and model are "
    "compared with each other.",
    finding=_pooled_finding,
    estimate_of=TAU.name,
)

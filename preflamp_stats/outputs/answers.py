"""Short answers in plain words to the questions of a report; each follows from tables alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import pandas as pd

from preflamp_stats.analysis.words import Names, counted, listed, span
from preflamp_stats.outputs.facets import distinct, table_frame
from preflamp_stats.outputs.formatting import interval
from preflamp_stats.quantities import COEFFICIENT, metric_quantity, number, scale_of
from preflamp_stats.results import ResultTable

__all__ = [
    "Answer",
    "answer_discrimination",
    "answer_in_context",
    "answer_prediction",
    "answer_regret",
    "answer_writing",
]

Tables: TypeAlias = Mapping[str, ResultTable]
Answer: TypeAlias = str
"""A sentence or two; empty where no table answers."""

_MOST_METRICS = 3
_MOST_NAMED = 3
_STRONG, _MODERATE = 0.6, 0.3


def answer_prediction(tables: Tables) -> Answer:
    """Say whether methods that rank higher upstream rank higher downstream.

    Parameters
    ----------
    tables : mapping of str to ResultTable
        ``pooled_tau`` where there is one, else ``tau``.

    Returns
    -------
    str
    """
    pooled, plain = (table_frame(tables, name) for name in ("pooled_tau", "tau"))
    frame = plain if pooled.empty else pooled
    if frame.empty:
        if "tau" not in tables:
            return ""
        reasons = [note for note in distinct(tables["tau"].frame, "note") if note]
        return f"Tau is undefined{f': {reasons[0]}' if reasons else ''}."
    names = _names(tables)
    pairs = [rows for _, rows in frame.groupby(["upstream", "downstream"], sort=False)]
    told = [_prediction(rows, names) for rows in pairs[:_MOST_METRICS]]
    left = len(pairs) - len(told)
    return " ".join(told) + (f" {left} more pairs of metrics are below." if left else "")


def _prediction(rows: pd.DataFrame, names: Names) -> str:
    above, below = (names[str(rows[key].iloc[0])] for key in ("upstream", "downstream"))
    bounded = rows[rows["low"].notna() & rows["high"].notna()]
    if bounded.empty:
        return f"Whether {above} predicts {below} cannot be told: there is no interval."
    if len(rows) > 1:
        up, down = (bounded["low"] > 0).sum(), (bounded["high"] < 0).sum()
        total = len(bounded)
        return (
            f"{_capital(above)} and {below} are shown to rank methods alike in {up} of {total} "
            f"comparisons and in opposite ways in {down}; the rest leave it open."
        )
    row = bounded.iloc[0]
    tau = f"tau {_bracketed(row, 'estimate', COEFFICIENT)}"
    if row["low"] > 0:
        size = row["estimate"]
        how = "strongly" if size >= _STRONG else "moderately" if size >= _MODERATE else "weakly"
        return f"Yes for {below}, {how}: {above} ranks methods as {below} does ({tau})."
    if row["high"] < 0:
        return f"No for {below}: methods with higher {above} tend to have lower {below} ({tau})."
    text = f"Open for {below}: the data do not tell whether {above} ranks methods alike ({tau})"
    most = number(row["high"], COEFFICIENT)
    return f"{text}; more than {most} is ruled out." if row["high"] < _STRONG else f"{text}."


def answer_discrimination(tables: Tables) -> Answer:
    """Say how many methods are above chance, by the policy or else by the reward."""
    for name, who in (("policy_accuracy", "the guided policy"), ("rm_accuracy", "the reward")):
        frame = table_frame(tables, name)
        frame = frame[frame["low"].notna()] if "low" in frame else frame[:0]
        if frame.empty:
            continue
        better, worse = frame[frame["low"] > 0.5], frame[frame["high"] < 0.5]
        quantity = metric_quantity(name, frame)
        values = f"{span(frame['estimate'], quantity.scale)} {quantity.scale.unit}"
        several = frame[[k for k in ("dataset", "model", "seed") if k in frame]].drop_duplicates()
        cases = counted(len(frame), "case" if len(several) > 1 else "method")
        if len(better) == len(frame):
            text = f"Yes: {who} prefers the chosen response more often than chance in all {cases}"
        elif len(better):
            text = f"In part: {who} is shown to beat chance in {len(better)} of {cases}"
        else:
            text = f"Not shown: {who} is shown to beat chance in none of {cases}"
        text += f", and to fall below it in {len(worse)}" if len(worse) else ""
        return f"{text} ({quantity.words} {values})."
    return ""


def answer_writing(tables: Tables) -> Answer:
    """Say whether gains upstream come with better text, by the verdicts on pairs of methods."""
    frame = tables["decoupling"].frame if "decoupling" in tables else pd.DataFrame()
    if "verdict" in frame and not frame.empty:
        names = _names(tables)
        counts = frame["verdict"].value_counts()
        coupled, turned, apart = (counts.get(v, 0) for v in ("coupled", "reversed", "decoupled"))
        above, below = (listed([names[m] for m in distinct(frame, side)])
                        for side in ("upstream", "downstream"))  # fmt: skip
        start = (
            "Mostly open" if coupled + turned + apart < len(frame) / 2
            else "Often" if coupled > turned + apart
            else "Not as a rule"
        )  # fmt: skip
        return (
            f"{start}: of {counted(len(frame), 'comparison')} of two methods, the one with higher "
            f"{above} is shown to have better {below} in {coupled}, worse in {turned}, "
            f"and equal within the margin in {apart}."
        )
    frame = table_frame(tables, "generation")
    if frame.empty:
        return ""
    return "There is no accuracy to set beside the quality of the text; the table has the methods."


def answer_in_context(tables: Tables) -> Answer:
    """Say from which model on in-context learning is ahead of the best reward-guided method.

    Other methods without guidance are told of where there is no in-context one. Those that are
    shown to lead come first.
    """
    frame = table_frame(tables, "in_context")
    if frame.empty:
        return ""
    names = _names(tables)
    metrics = distinct(frame, "metric")
    asked = frame[frame["metric"] == metrics[0]]
    if "method_family" in asked and (asked["method_family"] == "in-context").any():
        asked = asked[asked["method_family"] == "in-context"]
    told = sorted(map(_lead, _cases(asked)), key=lambda lead: not lead[0])
    winners = sum(wins for wins, _ in told)
    start = "Yes" if winners == len(told) else "In part" if winners else "Not shown"
    text = "; ".join(words for _, words in told[:_MOST_NAMED])
    left = len(told) - _MOST_NAMED
    return f"{start}, in {names[metrics[0]]}: {text}{f'; {left} more below' if left > 0 else ''}."


def _cases(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    keys = [key for key in ("dataset", "method") if key in frame]
    for _, rows in frame.groupby(keys, sort=False):
        yield rows


def _lead(rows: pd.DataFrame) -> tuple[bool, str]:
    """Whether a method is shown to lead with any model, and where."""
    first = rows.iloc[0]
    who = str(first["method"])
    if isinstance(first.get("dataset"), str) and first["dataset"]:
        who += f" on {first['dataset']}"
    from_model = first.get("dominates_from")
    wins = rows[rows["p_adjusted"] <= 1 - rows["level"]]
    if isinstance(from_model, str) and from_model:
        every = len(wins) == len(rows)
        where = "with every model" if every else f"from {from_model} on"
        return True, f"{who} beats every reward-guided method {where}"
    if (rows["high"] < 0).all():
        return False, f"{who} is behind with every model"
    if wins.empty:
        return False, f"{who} is not shown to be ahead with any model"
    models = listed(distinct(wins, "model")) or "the model at hand"
    return True, f"{who} beats every reward-guided method with {models}"


def answer_regret(tables: Tables) -> Answer:
    """Say which method the upstream metric chooses, what that costs, and what chance would."""
    frame = table_frame(tables, "regret")
    frame = frame[frame["n_methods"] > 1] if "n_methods" in frame else frame
    if frame.empty:
        return ""
    accuracy = frame["downstream"].astype(str).str.endswith("accuracy")
    frame = frame[~accuracy] if (~accuracy).any() else frame
    names = _names(tables)
    rows = next(rows for _, rows in frame.groupby(["upstream", "downstream"], sort=False))
    above, below = str(rows["upstream"].iloc[0]), str(rows["downstream"].iloc[0])
    scale = scale_of(below, rows["estimate"])
    unit = f" {scale.unit}" if scale.unit else ""
    # Methods that tie for the first place stand in one text.
    chosen = list(dict.fromkeys(m for text in distinct(rows, "chosen") for m in text.split(", ")))
    text = f"By {names[above]} you would choose {_some(chosen, 'or')}. "
    if len(rows) == 1:
        text += f"It loses {_bracketed(rows.iloc[0], 'estimate', scale)}{unit}"
    else:
        text += f"That loses {span(rows['estimate'], scale)}{unit}"
    text += f" of {names[below]} against the best ({_some(distinct(rows, 'best'), 'or')})"
    known = rows[rows["random"].notna()] if "random" in rows else rows[:0]
    if len(known):
        text += f"; a method picked at random loses {span(known['random'], scale)}"
    return f"{text}."


def _names(tables: Tables) -> Names:
    return Names.of(table.frame for table in tables.values())


def _some(names: Sequence[str], joint: str) -> str:
    if len(names) <= _MOST_NAMED:
        return listed(names).replace(" and ", f" {joint} ")
    more = len(names) - _MOST_NAMED
    return f"{', '.join(names[:_MOST_NAMED])} and {more} other{'s' if more > 1 else ''}"


def _bracketed(row: Any, column: str, scale: Any) -> str:
    limits = interval(row["low"], row["high"], scale)
    return f"{number(row[column], scale)} {limits}".rstrip()


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"

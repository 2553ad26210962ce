"""What choosing the method by the upstream metric would cost downstream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from preflamp_stats.inference.regret import regret_between
from preflamp_stats.inference.resampled import ResampledStudy
from preflamp_stats.results import ResultTable, distinct
from preflamp_stats.tables import words
from preflamp_stats.tables.rows import metric_pairs, pair_rows
from preflamp_stats.tables.table import Table

__all__ = ["REGRET"]


def _rows(studies: Sequence[ResampledStudy]) -> Iterator[pd.DataFrame]:
    for study, upstream, downstream in metric_pairs(studies):
        if downstream.sums is not None:
            found = regret_between(study, upstream.info.name, downstream.info.name)
            yield pair_rows(found, study)


def _answer(tables: Mapping[str, ResultTable]) -> str:
    """Say which method each upstream metric chooses, what that costs, and what chance would."""
    if "regret" not in tables:
        return ""
    table = tables["regret"]
    frame = table.frame[table.frame["n_methods"] > 1]
    frame, remark = words.judged(frame, table, "upstream", "downstream")
    frame = words.deployed(frame, table).drop(columns="dataset", errors="ignore")
    told = [_cost(rows, table) for _, rows in words.metric_groups(frame)]
    return " ".join(filter(None, [*told, remark]))


def _cost(rows: pd.DataFrame, table: ResultTable) -> str:
    above, below = (table.metric(rows[side].iloc[0]) for side in ("upstream", "downstream"))
    # Methods that tie for the first place stand in one text.
    chosen = distinct(rows, "chosen")
    names = list(dict.fromkeys(name for text in chosen for name in text.split(", ")))
    text = f"By {above.words} you would choose {words.some(names)}"
    text += ", each in some cases" if len(chosen) > 1 else ""
    judged, too_few = words.judgeable(rows)
    if judged.empty:
        return f"{text}; what that costs cannot be judged: {too_few}."
    loses = words.span(judged["estimate"], below.scale)
    if len(judged) == 1:
        loses = words.bracketed(judged.iloc[0], below.scale)
    text += (
        f": {'on average over the tie, ' if len(names) > len(chosen) else ''}it loses {loses}"
        f"{words.in_unit(below)} against the best ({words.some(distinct(judged, 'best'))})"
    )
    if judged["random"].notna().any():
        by_chance = words.span(judged["random"].dropna(), below.scale)
        text += f"; a method picked at random loses {by_chance}"
    return f"{text} ({words.sample(judged)})."


REGRET = Table(
    name="regret",
    title="What would choosing by the upstream metric cost?",
    question="choose",
    rows=_rows,
    caption="Downstream loss from choosing the method that the upstream metric ranks first: the "
    "best method's value less that of the one chosen, beside the loss to expect from picking at "
    "random. Intervals: {level}, valid although the choice used the same data.",
    reading="Compare the loss with that of a method picked at random, the hollow mark: a metric "
    "that is no better than chance does not help to choose.",
    answer=_answer,
    estimate_of="downstream",
)

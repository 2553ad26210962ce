"""What choosing the method by the upstream metric would cost downstream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from preflamp_stats.inference.regret import regret_between
from preflamp_stats.inference.resampled import ResampledStudy
from preflamp_stats.results import ResultTable, distinct
from preflamp_stats.settings import Settings
from preflamp_stats.tables import words
from preflamp_stats.tables.rows import metric_pairs, pair_rows
from preflamp_stats.tables.table import Table

__all__ = ["REGRET"]


def _rows(studies: Sequence[ResampledStudy]) -> Iterator[pd.DataFrame]:
    for study, upstream, downstream in metric_pairs(studies):
        if downstream.sums is not None:
            found = regret_between(study, upstream.info.name, downstream.info.name)
            yield pair_rows(found, study)


def _finding(table: ResultTable, settings: Settings) -> Iterator[str]:
    """Say what choosing a method by a metric costs, beside picking one at random."""
    frame, _ = words.judged(table.frame, table, "upstream", "downstream")
    frame = words.deployed(frame, table)
    # One row is told by the answer.
    for dataset, group in words.metric_groups(frame) if len(frame) > 1 else ():
        above, below = (table.metric(group[s].iloc[0]) for s in ("upstream", "downstream"))
        text = (
            f"{dataset}choosing the method by {above.words} costs "
            f"{words.span(group['estimate'], below.scale)}{words.in_unit(below)}"
        )
        if "model" in group and group["model"].nunique() > 1:
            text += f" over {words.counted(group['model'].nunique(), 'model')}"
        if group["random"].notna().any():
            text += f", picking one at random {words.span(group['random'].dropna(), below.scale)}"
        yield f"{words.capital(text)}."


def _answer(tables: Mapping[str, ResultTable]) -> str:
    """Say which method the upstream metric chooses, what that costs, and what chance would."""
    table = tables.get("regret")
    if table is None:
        return ""
    frame = table.frame[table.frame["n_methods"] > 1]
    frame, remark = words.judged(frame, table, "upstream", "downstream")
    frame = words.deployed(frame, table)
    if frame.empty:
        return remark
    rows = next(rows for _, rows in frame.groupby(["upstream", "downstream"], sort=False))
    above, below = (table.metric(rows[side].iloc[0]) for side in ("upstream", "downstream"))
    # Methods that tie for the first place stand in one text.
    chosen = distinct(rows, "chosen")
    tied = [text for text in chosen if ", " in text]
    names = list(dict.fromkeys(name for text in chosen for name in text.split(", ")))
    loses = words.span(rows["estimate"], below.scale)
    if len(rows) == 1:
        loses = words.bracketed(rows.iloc[0], below.scale)
    average = " (on average over the tie)" if tied else ""
    text = (
        f"By {above.words} you would choose {words.some(names)}: it loses {loses}"
        f"{words.in_unit(below)} against the best ({words.some(distinct(rows, 'best'))}){average}"
    )
    if rows["random"].notna().any():
        by_chance = words.span(rows["random"].dropna(), below.scale)
        text += f"; a method picked at random loses {by_chance}"
    return f"{text} ({words.sample(rows)}). {remark}".rstrip()


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
    finding=_finding,
    answer=_answer,
    estimate_of="downstream",
)

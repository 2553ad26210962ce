"""Will it hold elsewhere? What a difference upstream predicts where something is new."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from preflamp_stats.inference.resampled import ResampledStudy
from preflamp_stats.inference.surrogacy import surrogacy_between
from preflamp_stats.metric import COEFFICIENT, number
from preflamp_stats.results import ResultTable
from preflamp_stats.tables import words
from preflamp_stats.tables.rows import asked_pairs, having
from preflamp_stats.tables.table import Table

__all__ = ["SURROGACY"]

_MOST_ANSWERS = 3


def _rows(studies: Sequence[ResampledStudy]) -> Iterator[pd.DataFrame]:
    for upstream, downstream in asked_pairs(studies[0].settings):
        both = having(studies, upstream, downstream)
        metrics = [each.summed[name] for each in both for name in (upstream, downstream)]
        strata = [m.estimate.sizes.get("model", 1) for m in metrics]
        if len(both) < 2 and max(strata, default=0) < 2:
            continue
        if any(metric.sums is not None for metric in metrics):
            found = surrogacy_between(both, upstream, downstream)
            if found["n_strata"] > 1:
                keys = {side: found.attrs[side] for side in ("upstream", "downstream")}
                frame = found.drop_dims("stratum").to_dataframe().reset_index()
                columns = ["new", "estimate", "low", "high"]
                rest = [c for c in frame if c not in columns]
                yield frame[columns + rest].assign(**keys, level=found.attrs["level"])[
                    [*keys, *columns, "level", *rest]
                ]


def _answer(tables: Mapping[str, ResultTable]) -> str:
    """Say of the first pairs of metrics what a difference upstream predicts elsewhere."""
    table = tables.get("surrogacy")
    if table is None:
        return ""
    # Rows without a prediction too, for they say why there is none.
    frame = table.frame.loc[words.deployed(table.frame.assign(estimate=0.0), table).index]
    groups = [rows for _, rows in frame.groupby(["upstream", "downstream"], sort=False)]
    told = [text for rows in groups[:_MOST_ANSWERS] if (text := _judged(rows, table))]
    return " ".join(told)


def _judged(rows: pd.DataFrame, table: ResultTable) -> str:
    elsewhere = rows[rows["new"] != "method"]
    enough, few_users = words.judgeable(elsewhere)
    enough, few_methods = words.judgeable(enough, "n_methods")
    above, below = (table.metric(rows[side].iloc[0]) for side in ("upstream", "downstream"))
    if enough.empty:
        why = few_users or few_methods
        return f"Cannot be judged for {below.words}. {words.capital(why)}." if why else ""
    row = enough.iloc[-1]
    if pd.isna(row["low"]):
        return f"Cannot be judged for {below.words}. {words.capital(row['new_note'])}."
    sign = above.sign * below.sign
    low, high = sign * row["low"], sign * row["high"]
    verdict = "Yes" if min(low, high) > 0 else "No" if max(low, high) < 0 else "Open"
    unit = f" {above.scale.unit}" if above.scale.unit else ""
    text = (
        f"{verdict if sign else 'Direction unknown'}. In a new {row['new']}, a method whose "
        f"{above.words} is {number(row['step'], above.scale)}{unit} higher than another's has "
        f"{words.bracketed(row, below.scale)}{words.in_unit(below)} more "
        f"({row['level'] * 100:g}% prediction interval; {row['n_strata']} datasets and models, "
        f"{words.sample(enough.iloc[-1:])})"
    )
    threshold = number(row["threshold"], above.scale)
    least = f"a difference of {threshold}{unit} is the least that" if threshold else "no difference"
    return f"{text}; {least} would tell which has more."


def _finding(table: ResultTable, settings: object) -> Iterator[str]:
    """Say how much of the differences is explained, over methods and over examples."""
    for _, rows in words.metric_groups(table.frame):
        row = rows.iloc[0]
        above, below = (table.metric(row[side]).words for side in ("upstream", "downstream"))
        levels = [
            f"{share} over {what}"
            for of, what in (("r2_trial", "methods"), ("r2_individual", "examples"))
            if (share := _squared(row, of))
        ]
        if levels:
            yield f"R² of {above} with {below} is {words.listed(levels)}."


def _squared(row: pd.Series, of: str) -> str:
    values = {"estimate": row[of], "low": row[f"{of}_low"], "high": row[f"{of}_high"]}
    return words.bracketed(values, COEFFICIENT) if pd.notna(row[of]) else ""


SURROGACY = Table(
    name="surrogacy",
    title="What does a difference upstream predict elsewhere?",
    question="elsewhere",
    rows=_rows,
    caption="True downstream difference of two methods, one of which is better upstream by the "
    "step, with its {level} prediction interval, where a method, a model or a dataset is new; the "
    "threshold is the least upstream difference whose interval leaves 0 out. "
    "R², trial: squared correlation over methods, freed from noise; R², individual: "
    "that over examples within a method, as observed.",
    reading="An interval that includes 0 leaves open which of the two methods is better downstream "
    "in what is new. Methods, models and datasets to come are taken to be like these.",
    finding=_finding,
    answer=_answer,
    estimate_of="downstream",
)

"""What an analysis says in words; every sentence follows from numbers in a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import pandas as pd

from preflamp_stats.analysis.evidence import DatasetEvidence
from preflamp_stats.analysis.verdicts import (
    decoupling_sentences,
    in_context_sentences,
    regret_sentences,
    slope_sentences,
)
from preflamp_stats.analysis.words import (
    MOST_PAIRS,
    Names,
    by_dataset,
    counted,
    listed,
    members,
    span,
)
from preflamp_stats.quantities import (
    COEFFICIENT,
    POINTS,
    Quantity,
    metric_quantity,
    metric_words,
    number,
)
from preflamp_stats.results import ResultTable
from preflamp_stats.settings import Settings

__all__ = ["findings", "metric_words", "notes", "summary"]

_MOST_METRICS = 6
"""Metrics whose spread is told; the tables have all."""


def summary(tables: Mapping[str, ResultTable], settings: Settings) -> list[str]:
    """Sum up the tables, one sentence for each question and dataset, over all its models.

    Parameters
    ----------
    tables : mapping of str to ResultTable
    settings : Settings

    Returns
    -------
    list of str
        First whether the rankings agree, then what the tests of pairs, of in-context methods and
        of choices say, last how far methods differ.
    """
    return [text for told in findings(tables, settings).values() for text in told]


def findings(tables: Mapping[str, ResultTable], settings: Settings) -> dict[str, list[str]]:
    """Sentences of :func:`summary` by the table that they follow from, in the same order."""
    frames = {name: table.frame for name, table in tables.items() if not table.frame.empty}
    names = Names.of(frames.values())
    told: dict[str, list[str]] = {}
    tellers = {
        "pooled_tau": _pooled_sentences,
        "tau": tau_sentences,
        "slope": slope_sentences,
        "decoupling": decoupling_sentences,
        "in_context": in_context_sentences,
        "regret": regret_sentences,
    }
    for name, tell in tellers.items():
        if name in frames:
            told[name] = list(tell(frames[name], names))
    for name in ("rm_accuracy", "policy_accuracy"):
        if name in frames:
            told[name] = list(_spread_sentences(frames[name], metric_quantity(name, frames[name])))
    asked = [*settings.downstream, *settings.upstream]
    for name in ("generation", "method_metrics"):
        if name in frames:
            frame = frames[name]
            for metric in [m for m in asked if m in set(frame["metric"])][:_MOST_METRICS]:
                rows = frame[frame["metric"] == metric]
                spread = _spread_sentences(rows, metric_quantity(metric, rows))
                told.setdefault(name, []).extend(spread)
    return told


def notes(evidence: Sequence[DatasetEvidence], settings: Settings) -> list[str]:
    """List what was left out and why, and what a reader must mind."""
    found = []
    asked = dict.fromkeys([*settings.upstream, *settings.downstream])
    for dataset in evidence:
        absent = [metric_words(name) for name in asked if name not in dataset.metrics]
        if absent:
            found.append(f"{dataset.name}: not in the file and left out: {', '.join(absent)}.")
        if dataset.units.kind == "examples" and settings.resample != "examples":
            found.append(
                f"{dataset.name}: the file names no users, so each example is taken as its own "
                "unit; if users wrote several examples each, the intervals are too narrow."
            )
        elif dataset.units.kind == "users" and len(dataset.units.labels) < 20:
            found.append(
                f"{dataset.name}: only {counted(len(dataset.units.labels), 'user')}; intervals "
                "that resample so few are rough."
            )
    return found


def tau_sentences(frame: pd.DataFrame, names: Names) -> Iterator[str]:
    """Say for each dataset and pair of metrics whether the rankings agree, over its models."""
    for dataset, rows in by_dataset(frame):
        pairs = rows.drop_duplicates(["upstream", "downstream"])
        upstreams = rows["upstream"].nunique()
        merged = len(pairs) > MOST_PAIRS and upstreams > 1
        keys = ["downstream"] if merged else ["upstream", "downstream"]
        for _, group in rows.groupby(keys, sort=False):
            first = group.iloc[0]
            below = names[first["downstream"]]
            if merged:
                between = f"of {upstreams} upstream metrics with {below}"
            else:
                between = f"between {names[first['upstream']]} and {below}"
            yield f"{dataset}Kendall's tau {between} {_tau_verdict(group, names)}"


def _pooled_sentences(frame: pd.DataFrame, names: Names) -> Iterator[str]:
    """Say for each pair of metrics whether the rankings agree over all datasets and models."""
    for _, row in frame.iterrows() if len(frame) <= MOST_PAIRS else ():
        pair = f"{names[row['upstream']]} and {names[row['downstream']]}"
        one = frame.loc[[row.name]].drop(columns="n_methods", errors="ignore")
        strata = f"{counted(int(row['n_strata']), 'pair')} of dataset and model"
        verdict = _tau_verdict(one, names)
        yield f"Pooled over {strata}, Kendall's tau between {pair} {verdict}"


def _tau_verdict(group: pd.DataFrame, names: Names) -> str:
    """The rest of a sentence about taus: their range, and what their intervals leave open."""
    known = group[group["estimate"].notna()]
    lacking = members(group[group["estimate"].isna()], group, names)
    reasons = _reasons(group[group["estimate"].isna()])
    if known.empty:
        return f"is undefined{reasons}."
    text = f"is {span(known['estimate'], COEFFICIENT)}"
    bounded = known[known["low"].notna() & known["high"].notna()]
    one = known.iloc[0]
    if len(known) == 1 and len(bounded):
        text += f" [{number(one['low'], COEFFICIENT)}, {number(one['high'], COEFFICIENT)}]"
    text += _tau_basis(known)
    if len(bounded) < len(known):
        which = listed(members(known.drop(bounded.index), group, names))
        text += f"; no interval{f' for {which}' if which else ''}{_reasons(known)}"
    text += _intervals_say(bounded, group, names) if len(bounded) else ""
    if lacking:
        text += f"; undefined for {listed(lacking)}{reasons}"
    return f"{text}.{_noise(known)}"


def _tau_basis(known: pd.DataFrame) -> str:
    counts = sorted(set(known["n_methods"].astype(int))) if "n_methods" in known else []
    methods = f"{span_of(counts)} methods" if counts else ""
    if len(known) == 1:
        return f" over {methods}" if methods else ""
    if "model" not in known or known["model"].nunique() < 2:
        return f" over {methods}" if methods else ""
    noun = "model" if known["upstream"].nunique() == 1 else "comparison"
    each = f" ({methods}{' each' if len(counts) == 1 else ''})" if methods else ""
    return f" over {counted(len(known), noun)}{each}"


def span_of(counts: Sequence[int]) -> str:
    """Least and greatest of some counts, as ``"6 to 8"``."""
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _intervals_say(bounded: pd.DataFrame, group: pd.DataFrame, names: Names) -> str:
    """What the intervals settle. One that includes 0 settles nothing, and is told so."""
    above, below = bounded[bounded["low"] > 0], bounded[bounded["high"] < 0]
    alike = "they rank methods alike more often than not"
    opposite = "they rank methods in opposite ways more often than not"
    leave_open = "the data leave open whether they rank methods alike"
    total = len(bounded)
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
            parts.append(f"{side} 0 in {len(rows)} of {total}{_named(rows, group, names)}")
    text = f"; the interval lies {' and '.join(parts)}"
    return text + ("; elsewhere " + leave_open if len(above) + len(below) < total else "")


def _named(rows: pd.DataFrame, group: pd.DataFrame, names: Names) -> str:
    which = members(rows, group, names)
    return f" ({listed(which)})" if 0 < len(which) <= 3 else ""


def _noise(known: pd.DataFrame) -> str:
    """A further sentence on what noise does to tau, where that is known."""
    parts = []
    if "tau_corrected" in known and known["tau_corrected"].notna().any():
        values = known["tau_corrected"].dropna()
        parts.append(f"corrected for noise it is {span(values, COEFFICIENT)}")
    if "ceiling" in known and known["ceiling"].notna().any():
        ceilings = known["ceiling"].dropna()
        parts.append(
            "noise alone would leave rankings that truly agree a tau of "
            f"{span(ceilings, COEFFICIENT)}"
        )
    text = "; ".join(parts)
    return f" {text[0].upper()}{text[1:]}." if text else ""


def _reasons(rows: pd.DataFrame) -> str:
    told: Iterable[object] = rows["note"].dropna().unique() if "note" in rows else []
    found = [str(note).removeprefix("no interval: ") for note in told if note]
    return f" ({'; '.join(found)})" if found else ""


def _spread_sentences(frame: pd.DataFrame, metric: Quantity) -> Iterator[str]:
    """How far methods differ in a metric, over all models of a dataset, and which is highest."""
    for dataset, rows in by_dataset(frame[frame["estimate"].notna()]):
        if rows["method"].nunique() < 2:
            continue
        places = rows["model"] if "model" in rows else pd.Series("", index=rows.index)
        tops = {
            str(place): str(group["method"].to_numpy()[group["estimate"].to_numpy().argmax()])
            for place, group in rows.fillna({"model": ""}).groupby(places.fillna(""), sort=False)
        }
        unit = metric.scale.unit
        values = span(rows["estimate"], metric.scale)
        if metric.scale == POINTS:
            text = f"{dataset}{metric.words} runs from {values} {unit}"
        else:
            text = f"{dataset}{metric.words}{f' ({unit})' if unit else ''} runs from {values}"
        text += f" over {rows['method'].nunique()} methods"
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

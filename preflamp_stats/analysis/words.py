"""Pieces of sentences: counts, lists, ranges, and the names of metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from preflamp_stats.quantities import Scale, metric_words, number

__all__ = ["MOST_PAIRS", "Names", "by_dataset", "counted", "listed", "members", "span"]

MOST_PAIRS = 6
"""A dataset with more pairs of metrics gets one sentence for each downstream metric."""


class Names(dict[str, str]):
    """Words for metrics; one that no table describes keeps its name.

    Examples
    --------
    >>> names = Names.of([pd.DataFrame({"metric": ["len"], "long_name": ["Length of the text"]})])
    >>> names["len"], names["rouge1"], names["other"]
    ('Length of the text', 'ROUGE-1', 'other')
    """

    @classmethod
    def of(cls, frames: Iterable[pd.DataFrame]) -> Names:
        """Names that the tables tell."""
        found = cls()
        for frame in frames:
            if {"metric", "long_name"} <= set(frame):
                told = frame.drop_duplicates("metric")
                for metric, words in zip(told["metric"], told["long_name"], strict=True):
                    found[str(metric)] = metric_words(str(metric), words)
        return found

    def __missing__(self, name: str) -> str:
        return metric_words(name)


def by_dataset(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Rows of each dataset, with its name as the beginning of a sentence."""
    if "dataset" not in frame:
        yield "", frame
        return
    for name, rows in frame.groupby("dataset", sort=False, dropna=False):
        yield (f"{name}: " if isinstance(name, str) and name else ""), rows


def counted(number: int, noun: str) -> str:
    """A number of things.

    Examples
    --------
    >>> counted(1, "model"), counted(3, "model")
    ('1 model', '3 models')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """Names in a row.

    Examples
    --------
    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else list(names))


def span(values: Iterable[float], scale: Scale) -> str:
    """Least and greatest value, as printed; one where they print alike.

    Examples
    --------
    >>> span([0.21, 0.5, 0.14], Scale(1.0, 2)), span([0.2], Scale(100.0, 1, "points"))
    ('0.14 to 0.50', '20.0')
    """
    known = [float(value) for value in values]
    low, high = number(min(known), scale), number(max(known), scale)
    return low if low == high else f"{low} to {high}"


def members(rows: pd.DataFrame, group: pd.DataFrame, names: Names) -> list[str]:
    """Call rows by what tells them apart within their group: the model, the upstream metric.

    Examples
    --------
    >>> group = pd.DataFrame({"model": ["1B", "8B"], "upstream": ["rm_accuracy"] * 2})
    >>> members(group[1:], group, Names())
    ['8B']
    """
    keys = [key for key in ("upstream", "model") if key in group and group[key].nunique() > 1]
    return [
        ", ".join(names[str(row[key])] if key == "upstream" else str(row[key]) for key in keys)
        for row in rows.to_dict("records")
        if keys
    ]

"""The steps of the study between the commands: choosing weights, and reference points."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from preflamp_backend.data.examples import Example
from preflamp_backend.data.lamp import TASKS
from preflamp_backend.study.study import GUIDING

import preflamp_stats as pls
from preflamp_stats.metrics.generation import generation_quality

__all__ = ["choose_weights", "guided", "latest", "reference_points", "search_methods"]

_AT = " at w = "


def guided(methods: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Names of the methods whose weight is to be chosen."""
    return [
        name
        for name, method in methods.items()
        if method["kind"] in GUIDING
        and method.get("decode", True)
        and method.get("strategy", "guided") == "guided"
    ]


def search_methods(
    methods: Mapping[str, Mapping[str, Any]], weights: Sequence[float]
) -> dict[str, dict[str, Any]]:
    """Each guided method at each weight, as methods of their own."""
    return {
        f"{name}{_AT}{weight:g}": {
            **{key: value for key, value in methods[name].items() if key != "train"},
            "weight": weight,
        }
        for name in guided(methods)
        for weight in weights
    }


def choose_weights(results: Path, metric: str = "rouge1") -> pd.DataFrame:
    """Choose the weight of the highest mean quality on held-out users.

    Of equal ones the smallest weight is taken.

    Returns
    -------
    DataFrame
        A row a model, method and weight: ``quality``, and whether it is ``chosen``.
    """
    with pls.open_results(results) as tree:
        (ds,) = pls.datasets(tree).values()
        found = generation_quality(ds, metric).mean("example")
        frame = found.to_dataframe(name="quality").reset_index()
    split = frame["method"].astype(str).str.rsplit(_AT, n=1, expand=True)
    frame = frame.assign(method=split[0], weight=split[1].astype(float))
    frame = frame[["model", "method", "weight", "quality"]]
    frame = frame.sort_values(["model", "method", "weight"], ignore_index=True)
    best = frame.groupby(["model", "method"])["quality"].transform("max")
    first = frame["quality"].eq(best).groupby([frame["model"], frame["method"]]).cumsum()
    return frame.assign(chosen=frame["quality"].eq(best) & first.eq(1))


def latest(examples: Sequence[Example], count: int) -> list[Example]:
    """Keep the latest examples of each user; a user's stand in order of time."""
    left = Counter(example.user for example in examples)
    kept = []
    for example in examples:
        if left[example.user] <= count:
            kept.append(example)
        left[example.user] -= 1
    return kept


def reference_points(examples: Sequence[Example]) -> pd.DataFrame:
    """Quality of texts that no model wrote, against the users' own titles.

    The abstract's first sentence and first ten words, and the author's own title whose abstract
    is the latest.
    """
    abstracts = [each.prompt.removeprefix(TASKS["LaMP_5"].instruction) for each in examples]
    texts = {
        "first sentence of the abstract": [
            re.split(r"(?<=[.!?])\s", each)[0] for each in abstracts
        ],
        "first ten words of the abstract": [" ".join(each.split()[:10]) for each in abstracts],
        "own latest title": [each.history[-1].output for each in examples],
        "rejected title": [each.candidates["rejected"] for each in examples],
    }
    references = [each.reference for each in examples]
    rows = []
    for name, said in texts.items():
        scores = {key: np.asarray(value) for key, value in pls.rouge(references, said).items()}
        rows.append({"text": name, **{key: float(value.mean()) for key, value in scores.items()}})
    return pd.DataFrame(rows)

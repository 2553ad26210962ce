"""Closed sets of choices that several layers share."""

from __future__ import annotations

from typing import Any, Literal, get_args

from preflamp_stats.errors import Problem

__all__ = [
    "Average",
    "Format",
    "Interval",
    "Resample",
    "Scoring",
    "Ties",
    "TokenizerName",
    "Values",
    "Variant",
    "choice_problems",
]

Average = Literal["micro", "macro"]
Format = Literal["csv", "md", "tex", "html"]
Interval = Literal["model", "guaranteed", "percentile"]
Resample = Literal["users", "examples", "methods", "both"]
Values = Literal["credit", "share", "free"]
"""Values of a metric: multiples of a half in [0, 1], any number in [0, 1], or any number."""
Scoring = Literal["sequence", "accumulated", "renormalised", "stored"]
Ties = Literal["half", "strict", "drop"]
TokenizerName = Literal["rouge-score", "unicode"]
Variant = Literal["a", "b", "c", "weighted"]

_KINDS: dict[str, Any] = {
    "average": Average,
    "interval": Interval,
    "resample": Resample,
    "scoring": Scoring,
    "ties": Ties,
    "tokenizer": TokenizerName,
    "variant": Variant,
}


def choice_problems(**chosen: str) -> list[Problem]:
    """Find options that are none of their choices, by the option's name.

    Examples
    --------
    >>> [str(problem) for problem in choice_problems(average="micro", ties="third")]
    ["variable ties: is 'third'; choose one of half, strict, drop"]
    """
    return [
        Problem(f"is {value!r}", f"choose one of {', '.join(allowed)}", variable=name)
        for name, value, allowed in ((n, v, get_args(_KINDS[n])) for n, v in chosen.items())
        if value not in allowed
    ]

"""The choices of an analysis, checked once, recorded in every output."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from numbers import Integral, Real
from typing import Any, get_args

from preflamp_stats.choices import (
    Average,
    Format,
    Resample,
    Scoring,
    Ties,
    TokenizerName,
    Variant,
    choice_problems,
)
from preflamp_stats.errors import InputError, Problem
from preflamp_stats.metrics.options import MetricOptions

__all__ = ["Settings"]

_CHOICES = ("resample", "scoring", "ties", "average", "tokenizer", "variant")
_LISTS = ("upstream", "downstream", "formats")
_NUMBERS: tuple[tuple[str, type, Callable[[Any], bool], str], ...] = (
    (
        "resamples",
        Integral,
        lambda value: value >= 1,
        "take a whole number from 1; 10000 gives stable 95 % limits",
    ),
    ("seed", Integral, lambda value: value >= 0, "take a whole number from 0"),
    ("level", Real, lambda value: 0 < value < 1, "take a share between 0 and 1, such as 0.95"),
    (
        "weight",
        Real,
        lambda value: value >= 0,
        "take 0 (base model) or more; inf is the reward alone",
    ),
    (
        "margin",
        Real,
        lambda value: 0 < value < math.inf,
        "take a positive number in the metric's units",
    ),
    ("discrimination_margin", Real, lambda value: 0 < value < 1, "take a share in (0, 1)"),
)
"""Name, type, range, and what to take instead."""


@dataclass(frozen=True)
class Settings:
    """Choices of an analysis; the defaults are those that a referee would ask for.

    Parameters
    ----------
    resamples : int
        Bootstrap resamples.
    seed : int
        Seed of every random number of the analysis.
    level : float
        Confidence level of every interval, in (0, 1).
    resample : {"users", "examples", "methods", "both"}
        Unit that is drawn with replacement. "users" keeps all examples of a user together; "both"
        draws users and methods.
    scoring : {"sequence", "accumulated", "renormalised", "stored"}
        Score of the guided policy that policy accuracy compares.
    weight : float
        Weight w of the reward in the guided policy; 0 is the base model, ``inf`` the reward alone.
    length_normalise : bool
        Divide the policy's score by the number of tokens.
    ties : {"half", "strict", "drop"}
        Credit of a pair with equal scores: a half, none, or the pair is left out.
    average : {"micro", "macro"}
        Mean over examples, or mean of the users' means.
    tokenizer : {"rouge-score", "unicode"}
        How texts are split where ROUGE is computed from them.
    variant : {"a", "b", "c", "weighted"}
        Kendall's tau.
    interval : str, optional
        Interval of tau; None takes the default of :func:`preflamp_stats.tau_test`.
    margin : float
        Equivalence margin of generation quality (F1 in [0, 1] for ROUGE).
    discrimination_margin : float
        Least difference in discrimination that counts, as a share of pairs in [0, 1].
    upstream : tuple of str
        Metrics that are asked to predict.
    downstream : tuple of str
        Metrics that are to be predicted; those a dataset lacks are skipped with a note.
    formats : tuple of {"csv", "md", "tex", "html"}
        What is written. CSV and analysis.json are written always.

    Raises
    ------
    InputError
        For a value outside its range, naming the setting and what is allowed.

    Examples
    --------
    >>> Settings(weight=2.0).scoring
    'sequence'
    >>> Settings(ties="third")
    Traceback (most recent call last):
    ...
    preflamp_stats.errors.InputError: variable ties: is 'third'; choose one of half, strict, drop
    """

    resamples: int = 10_000
    seed: int = 0
    level: float = 0.95
    resample: Resample = "users"
    scoring: Scoring = "sequence"
    weight: float = 1.0
    length_normalise: bool = False
    ties: Ties = "half"
    average: Average = "micro"
    tokenizer: TokenizerName = "rouge-score"
    variant: Variant = "b"
    interval: str | None = None
    margin: float = 0.01
    discrimination_margin: float = 0.05
    upstream: tuple[str, ...] = ("rm_accuracy",)
    downstream: tuple[str, ...] = ("policy_accuracy", "rouge1")
    formats: tuple[Format, ...] = ("tex", "md", "csv", "html")

    def __post_init__(self) -> None:
        problems = choice_problems(**{name: getattr(self, name) for name in _CHOICES})
        problems += [
            Problem(f"is {getattr(self, name)!r}", mend, variable=name)
            for name, kind, good, mend in _NUMBERS
            if not _is_number(getattr(self, name), kind) or not good(getattr(self, name))
        ]
        single = [name for name in _LISTS if isinstance(getattr(self, name), str)]
        problems += [
            Problem(f"is the single text {value!r}", f"write ({value!r},)", variable=name)
            for name, value in ((name, getattr(self, name)) for name in single)
        ]
        problems += [
            Problem(f"has {value!r}", "choose among csv, md, tex, html", variable="formats")
            for value in self.formats
            if "formats" not in single and value not in get_args(Format)
        ]
        problems += [
            Problem("is empty", "name at least one metric", variable=name)
            for name in ("upstream", "downstream")
            if not getattr(self, name)
        ]
        if problems:
            raise InputError(problems)

    @property
    def metric_options(self) -> MetricOptions:
        """Settings that define a metric's value."""
        return MetricOptions(
            weight=self.weight,
            scoring=self.scoring,
            length_normalise=self.length_normalise,
            ties=self.ties,
            average=self.average,
            tokenizer=self.tokenizer,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; an infinite weight becomes the text ``"inf"``."""
        values = asdict(self)
        if math.isinf(self.weight):
            values["weight"] = "inf"
        return {field.name: values[field.name] for field in fields(self)}


def _is_number(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)

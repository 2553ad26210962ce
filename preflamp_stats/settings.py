"""The options of an analysis, checked once, recorded in every output."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from numbers import Integral
from typing import Any
from urllib.parse import quote, unquote

from preflamp_stats.choices import (
    Agreement,
    Figures,
    Format,
    Interval,
    Option,
    Resample,
    Variant,
    declared_options,
    number_option,
)
from preflamp_stats.errors import InputError, Problem
from preflamp_stats.metrics.options import MetricOptions

__all__ = ["Settings"]

OUTPUTS = ("formats", "figures")
"""Options that say what is written and move no number."""
_ALWAYS = ("resamples", "seed")
_SHARE = "take a share between 0 and 1, such as 0.95"


@dataclass(frozen=True)
class Settings(MetricOptions):
    """Options of an analysis; the defaults are those that a referee would ask for.

    They are those of :class:`preflamp_stats.MetricOptions`, and:

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
    include_seeds : bool
        Include the variance between training seeds, where the file has them. Without it intervals
        hold for the trained models at hand.
    anytime : bool
        Intervals and tests of metrics and their differences hold whenever one looks, so that users
        may be added, in the order of the file, until something is decided. Metrics whose scale has
        no ends get none.
    variant : {"a", "b", "c", "weighted"}
        Kendall's tau.
    agreement : {"tau", "soft-pairwise", "pairwise-tie"}
        A measure of agreement of rankings beside tau, in a table of its own: "soft-pairwise" minds
        how sure each metric is of each pair of methods, "pairwise-tie" counts ties of both.
    calibration : bool
        A table of the calibration of rewards, read as log-odds: calibration error, Brier score,
        margins.
    interval : {"model", "guaranteed", "percentile"}, optional
        Interval of tau; by default the calibrated one.
    margin : float
        Equivalence margin of generation quality (F1 in [0, 1] for ROUGE).
    discrimination_margin : float
        Least difference in discrimination that counts, as a share of pairs in [0, 1].
    upstream : tuple of str
        Metrics that are asked to predict.
    downstream : tuple of str
        Metrics that are to be predicted; those a dataset lacks are skipped with a note.
    formats : tuple of {"csv", "md", "tex", "html"}
        What is written; CSV and analysis.json are written always.
    figures : {"auto", "pdf", "png", "none"}
        What figures are drawn as: by default PDF for LaTeX, PNG for Markdown and HTML, none for CSV
        alone. A report shows them where there are PNGs.

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

    resamples: int = number_option(
        10_000,
        lambda n: n >= 1,
        "take a whole number from 1; 10000 gives stable 95 % limits",
        Integral,
    )
    seed: int = number_option(0, lambda n: n >= 0, "take a whole number from 0", Integral)
    level: float = number_option(0.95, lambda share: 0 < share < 1, _SHARE)
    resample: Resample = "users"
    include_seeds: bool = True
    anytime: bool = False
    variant: Variant = "b"
    agreement: Agreement = "tau"
    calibration: bool = False
    interval: Interval | None = None
    margin: float = number_option(
        0.01, lambda m: 0 < m < math.inf, "take a positive number in the metric's units"
    )
    discrimination_margin: float = number_option(
        0.05, lambda share: 0 < share < 1, "take a share in (0, 1)"
    )
    upstream: tuple[str, ...] = ("rm_accuracy",)
    downstream: tuple[str, ...] = ("policy_accuracy", "rouge1")
    formats: tuple[Format, ...] = ("tex", "md", "csv", "html")
    figures: Figures = "auto"

    @classmethod
    def of_call(cls, options: MetricOptions | None, **chosen: Any) -> Settings:
        """Settings of one call of a function, which names its resamples ``n_resamples``."""
        given = options or MetricOptions()
        kept = {one.name: getattr(given, one.name) for one in fields(MetricOptions)}
        if "n_resamples" in chosen:
            kept["resamples"] = chosen.pop("n_resamples")
        try:
            return cls(**kept, **chosen)
        except InputError as error:
            problems = [
                replace(one, variable="n_resamples")
                if isinstance(one, Problem) and one.variable == "resamples"
                else one
                for one in error.problems
            ]
            raise InputError(problems) from None

    @property
    def signature(self) -> str:
        """Seed, resamples and every other choice that is not the default, in a line.

        Examples
        --------
        >>> Settings(ties="drop", upstream=("judge score", "len")).signature
        'ties:drop|resamples:10000|seed:0|upstream:judge%20score,len'
        """
        told = []
        for option in _declared():
            name, value = option.name, getattr(self, option.name)
            if name not in OUTPUTS and (name in _ALWAYS or value != option.default):
                values = value if option.several else (value,)
                told.append(f"{name}:{','.join(quote(str(each), safe='') for each in values)}")
        return "|".join(told)

    @classmethod
    def from_signature(cls, text: str, **outputs: Any) -> Settings:
        """Settings that a signature names; ``outputs`` say what is written.

        Parameters
        ----------
        text : str
            Of :attr:`signature`, or of an analysis; what else stands in it is passed over.
        **outputs
            Options that a signature leaves out, such as ``formats``.

        Raises
        ------
        InputError
            For what is no signature, or is out of range.

        Examples
        --------
        >>> Settings.from_signature("ties:drop|resamples:200|seed:0").ties
        'drop'
        """
        told = dict(part.partition(":")[::2] for part in text.strip().split("|"))
        known = {option.name: option for option in _declared()}
        foreign = sorted(told.keys() - known.keys() - {"preflamp-stats", "data"})
        if foreign or not told.keys() >= {*_ALWAYS}:
            what = f"is no signature: {', '.join(foreign) or 'no seed'}"
            mend = "copy the whole line from report.html or analysis.json"
            raise InputError(Problem(what, mend, variable="signature"))
        found: dict[str, Any] = dict(outputs)
        for name in told.keys() & known.keys():
            given: list[Any] = [unquote(each) for each in told[name].split(",") if each]
            kind = known[name].kind
            # What cannot be read is refused below, in the option's own words.
            with suppress(ValueError):
                given = [each == "True" if kind is bool else kind(each) for each in given]
            found[name] = tuple(given) if known[name].several else given[0] if given else ""
        return cls(**found)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; an infinite weight becomes the text ``"inf"``."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return values | ({"weight": "inf"} if math.isinf(self.weight) else {})


def _declared() -> tuple[Option, ...]:
    return declared_options(Settings)

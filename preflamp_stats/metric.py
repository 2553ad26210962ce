"""What is known of a metric: made once when a file is read, and carried to every output."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from preflamp_stats.choices import Values

__all__ = ["COEFFICIENT", "ECE", "OWN_UNITS", "PAIRS", "POINTS", "TAU", "Metric", "Scale", "number"]

Direction = Literal["higher", "lower", "unknown"]
"""Which values of a metric are better; "unknown" where nobody has said."""

_MOST_DECIMALS = 6


@dataclass(frozen=True)
class Scale:
    """How a quantity is printed.

    Parameters
    ----------
    factor : float
        Multiplies the value before printing.
    decimals : int
        Digits after the point.
    unit : str
        Written behind a number or on an axis; empty for a quantity without one.
    """

    factor: float
    decimals: int
    unit: str = ""


POINTS = Scale(100.0, 1, "points")
"""Shares that are ours: accuracies and ROUGE."""
COEFFICIENT = Scale(1.0, 2)
"""Kendall's tau and its like."""
OWN_UNITS = Scale(1.0, 3)
"""A metric of the file's own, until its sampling error tells how many decimals it deserves."""


@dataclass(frozen=True)
class Metric:
    """A metric, as computed and as read.

    Parameters
    ----------
    name : str
        Name in tables and on the command line.
    kind : {"discrimination", "generation", "method", "curve", "agreement", "pairs", "calibration"}
        A share of pairs, a quality of a generated text, a number known only per method, shares
        of pairs along an axis, how alike two metrics rank the methods, by tau or by pairs, or how
        far confidence is from accuracy.
    needs : tuple of str
        Variables of the file that it is computed from.
    values : {"credit", "share", "free"}
        Which values an example can have.
    words : str
        Its name in a sentence or heading; the name where nothing better is known.
    scale : Scale
        How its values, and differences of its values, are printed.
    direction : {"higher", "lower", "unknown"}
        Which values are better.
    source : str
        Where words, unit and direction come from: ``"definition"`` for our own metrics, ``"file"``
        for one that the file brings.

    Examples
    --------
    >>> told = {"long_name": "Edits needed", "units": "edits", "direction": "lower"}
    >>> metric = Metric.of_file("edit_distance", "generation", told)
    >>> metric.words, metric.scale.unit, metric.direction, metric.sign
    ('Edits needed', 'edits', 'lower', -1)
    >>> Metric.of_file("inaccuracy", "generation", {}).direction
    'unknown'
    """

    name: str
    kind: str
    needs: tuple[str, ...]
    values: Values
    words: str
    scale: Scale
    direction: Direction
    source: str = "definition"

    @classmethod
    def of_file(cls, name: str, kind: str, attrs: Mapping[str, Any]) -> Metric:
        """Describe a metric that the file brings, by the attributes of its variable.

        Parameters
        ----------
        name : str
        kind : {"generation", "method"}
        attrs : mapping
            ``long_name``, ``units``, and ``direction`` ("higher" or "lower") or
            ``higher_is_better`` (1 or 0); each may be absent.
        """
        words, units = (str(attrs.get(key, "")).strip() for key in ("long_name", "units"))
        scale = replace(OWN_UNITS, unit="" if units == "1" else units)
        return cls(
            name, kind, (name,), "free", words or name, scale, _told_direction(attrs), "file"
        )

    @property
    def heading(self) -> str:
        """Its name at the top of a column or on an axis, with its unit unless that is points.

        Examples
        --------
        >>> Metric.of_file("len", "method", {"long_name": "length", "units": "tokens"}).heading
        'length (tokens)'
        """
        words = self.words
        if self.source == "definition":
            words = f"{words[:1].upper()}{words[1:]}"
        unit = "" if self.scale == POINTS else self.scale.unit
        return f"{words} ({unit})" if unit else words

    @property
    def sign(self) -> int:
        """1 where higher is better, -1 where lower is, 0 where nobody has said."""
        return {"higher": 1, "lower": -1, "unknown": 0}[self.direction]

    def with_precision(self, error: float) -> Metric:
        """The same metric, with the decimals that a typical standard error leaves meaningful.

        Two digits of the error are kept. A metric of ours keeps its decimals, and so does any
        metric whose error is not known.

        Examples
        --------
        >>> Metric.of_file("words", "generation", {}).with_precision(31.0).scale.decimals
        0
        """
        if self.source != "file" or not math.isfinite(error) or error <= 0:
            return self
        decimals = min(max(1 - math.floor(math.log10(error)), 0), _MOST_DECIMALS)
        return replace(self, scale=replace(self.scale, decimals=decimals))


TAU = Metric("Kendall's tau", "agreement", (), "free", "Kendall's tau", COEFFICIENT, "unknown")
"""Agreement of two rankings; neither more nor less of it is better."""

PAIRS = replace(TAU, name="agreement on pairs", kind="pairs", words="agreement on pairs")
"""Share of the pairs of methods on which two rankings agree."""

ECE = Metric("ece", "calibration", (), "share", "expected calibration error", POINTS, "lower")
"""How far a reward is from as often right as it is sure."""


def number(value: float, scale: Scale) -> str:
    """Print a number with the decimals of its scale; empty for NaN.

    Examples
    --------
    >>> number(0.7123, POINTS), number(-0.001, COEFFICIENT), number(142976.4, Scale(1.0, 0))
    ('71.2', '0.00', '142,976')
    """
    if math.isnan(value):
        return ""
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    scaled = value * scale.factor
    text = f"{scaled:{',' if abs(scaled) >= 10_000 else ''}.{scale.decimals}f}"
    # "-0.0" says nothing that "0.0" does not.
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text


def _told_direction(attrs: Mapping[str, Any]) -> Direction:
    told = str(attrs.get("direction", "")).strip().lower()
    if told in ("higher", "lower"):
        return "higher" if told == "higher" else "lower"
    if "higher_is_better" in attrs:
        told = str(attrs["higher_is_better"]).lower()
        return "higher" if told in ("1", "1.0", "true") else "lower"
    return "unknown"

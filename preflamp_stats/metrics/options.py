"""How metrics are computed, apart from what is resampled."""

from __future__ import annotations

from dataclasses import dataclass

from preflamp_stats.choices import Average, Scoring, Ties

__all__ = ["MetricOptions"]


@dataclass(frozen=True)
class MetricOptions:
    """Choices that define a metric's value for a file.

    Parameters
    ----------
    weight : float
        Weight w of the reward in the guided policy.
    scoring : {"sequence", "accumulated", "renormalised", "stored"}
        Score of the guided policy.
    length_normalise : bool
        Divide the policy's score by the number of tokens.
    ties : {"half", "strict", "drop"}
        Credit of equal scores.
    average : {"micro", "macro"}
        Mean over examples, or of the users' means.

    Examples
    --------
    >>> MetricOptions(weight=2.0).scoring
    'sequence'
    """

    weight: float = 1.0
    scoring: Scoring = "sequence"
    length_normalise: bool = False
    ties: Ties = "half"
    average: Average = "micro"

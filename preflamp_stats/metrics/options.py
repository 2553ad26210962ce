"""How metrics are computed, apart from what is resampled."""

from __future__ import annotations

from dataclasses import dataclass

from preflamp_stats.choices import Average, Scoring, Ties, TokenizerName, choice_problems
from preflamp_stats.errors import InputError, Problem

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
    tokenizer : {"rouge-score", "unicode"}
        How texts are split where ROUGE is computed; "unicode" for other languages than English.

    Raises
    ------
    InputError
        With every option that is out of range.

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
    tokenizer: TokenizerName = "rouge-score"

    def __post_init__(self) -> None:
        problems = choice_problems(
            scoring=self.scoring,
            ties=self.ties,
            average=self.average,
            tokenizer=self.tokenizer,
        )
        if not self.weight >= 0:
            mend = "take 0 (base model) or more; inf is the reward alone"
            problems.append(Problem(f"is {self.weight!r}", mend, variable="weight"))
        if problems:
            raise InputError(problems)

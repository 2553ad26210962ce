"""How metrics are computed, apart from what is resampled."""

from __future__ import annotations

from dataclasses import dataclass

from preflamp_stats.choices import (
    Average,
    Scoring,
    Ties,
    TokenizerName,
    check_options,
    number_option,
)
from preflamp_stats.errors import InputError, Problem

__all__ = ["MetricOptions"]


@dataclass(frozen=True)
class MetricOptions:
    """Choices that define a metric's value for a file, and which of its values are better.

    Parameters
    ----------
    weight : float
        Weight w of the reward in the guided policy; 0 is the base model, ``inf`` the reward alone.
    scoring : {"sequence", "accumulated", "renormalised", "renormalised_with_target", "stored"}
        Score of the guided policy that policy accuracy compares.
    length_normalise : bool
        Divide the policy's score by the number of tokens.
    ties : {"half", "strict", "drop"}
        Credit of a pair with equal scores: a half, none, or the pair is left out.
    average : {"micro", "macro"}
        Mean over examples, or of the users' means.
    tokenizer : {"rouge-score", "unicode"}
        How texts are split where ROUGE is computed; unicode for other languages than English.
    lower_is_better : tuple of str
        Metrics whose lower values are better, where the file does not say it.
    higher_is_better : tuple of str
        Metrics whose higher values are better, where the file does not say it.

    Raises
    ------
    InputError
        With every option that is out of range.

    Examples
    --------
    >>> MetricOptions(weight=2.0).scoring
    'sequence'
    """

    weight: float = number_option(
        1.0, lambda w: w >= 0, "take 0 (base model) or more; inf is the reward alone"
    )
    scoring: Scoring = "sequence"
    length_normalise: bool = False
    ties: Ties = "half"
    average: Average = "micro"
    tokenizer: TokenizerName = "rouge-score"
    lower_is_better: tuple[str, ...] = ()
    higher_is_better: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_options(self)
        if both := sorted(set(self.lower_is_better) & set(self.higher_is_better)):
            what = f"names {', '.join(both)}, as does higher_is_better"
            mend = "say which way is better once"
            raise InputError(Problem(what, mend, variable="lower_is_better"))

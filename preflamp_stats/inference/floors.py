"""What a study is too small to say, and why numbers that seem at odds are not."""

from __future__ import annotations

import math

import numpy as np

from preflamp_stats.metric import Metric

__all__ = [
    "NO_ENDS",
    "NO_VARIATION",
    "above_ceiling",
    "cannot_be_judged",
    "enough_methods",
    "enough_users",
    "p_against_interval",
    "unknown_direction",
]

NO_ENDS = "no interval that holds whenever one looks: the scale of the metric has no ends"
NO_VARIATION = "no variation among users: no interval can be made"


def enough_users(n_users: float, level: float = 0.95) -> bool:
    """Whether so many users can show anything at all.

    Users who all say the same are a sign test: its p-value is 2 · 2⁻ᵁ, so that under six users not
    even unanimity reaches 5 %. What fewer seem to show leans on assumptions about people unseen.

    Parameters
    ----------
    n_users : int
        Users, or other units of resampling.
    level : float
        Confidence level in (0, 1).

    Examples
    --------
    >>> enough_users(5), enough_users(6), enough_users(5, level=0.9)
    (False, True, True)
    """
    return bool(2.0 ** (1 - n_users) <= 1 - level + 1e-12)


def enough_methods(n_methods: int, level: float = 0.95) -> bool:
    """Whether so many methods can show an association in methods like them.

    Of M! orders two agree or disagree perfectly: under five methods the smallest p-value of the
    permutation test, 2/M!, is above 5 %. Of *these* methods a tau may be known with fewer.

    Examples
    --------
    >>> enough_methods(4), enough_methods(5)
    (False, True)
    """
    return n_methods > 1 and 2 / math.factorial(min(int(n_methods), 20)) <= 1 - level + 1e-12


def cannot_be_judged(
    n_users: float, n_methods: int | None = None, *, level: float = 0.95, unit: str = "users"
) -> str:
    """Why no verdict can be given; empty where one can.

    Parameters
    ----------
    n_users : int
        Users, or other units of resampling; 0 where no sampling error is claimed.
    n_methods : int, optional
        Methods, for a question about methods like these.
    level : float
        Confidence level in (0, 1).
    unit : str
        What the units are called.

    Examples
    --------
    >>> cannot_be_judged(3)
    'cannot be judged: with 3 users not even unanimity is evidence at the level 0.95'
    >>> cannot_be_judged(60, 4)
    'cannot be judged: 4 methods are too few to show anything of methods like them'
    """
    if not enough_users(n_users, level):
        few = f"with {int(n_users)} {unit} not even unanimity is evidence at the level {level:g}"
        return f"cannot be judged: {few}"
    if n_methods is not None and not enough_methods(n_methods, level):
        return (
            f"cannot be judged: {n_methods} methods are too few to show anything of methods "
            "like them"
        )
    return ""


def unknown_direction(*metrics: Metric) -> str:
    """Why it cannot be told which method is better; empty where every direction is known.

    Examples
    --------
    >>> unknown_direction(Metric.of_file("win_rate", "generation", {}))
    'direction unknown: the file does not say whether higher or lower win_rate is better'
    """
    names = [metric.words for metric in dict.fromkeys(metrics) if not metric.sign]
    if not names:
        return ""
    told = " or ".join(names)
    return f"direction unknown: the file does not say whether higher or lower {told} is better"


def above_ceiling(tau: float, ceiling: float) -> str:
    """Why a tau can lie above its noise ceiling; empty where it does not."""
    if not tau > ceiling:
        return ""
    return (
        "tau lies above its ceiling: the ceiling is what noise leaves of perfect agreement on "
        "average, and one study may be luckier"
    )


def p_against_interval(p_value: float, low: float, high: float, level: float = 0.95) -> str:
    """Why a p-value and an interval of tau say different things; empty where they agree.

    The p-value is of the hypothesis that methods like these are ranked at random; the interval is
    of the tau of these methods.
    """
    excludes = low > 0 or high < 0
    if np.isnan(p_value) or np.isnan(low) or excludes == (p_value <= 1 - level):
        return ""
    if excludes:
        return (
            f"these methods are ranked {'alike' if low > 0 else 'in reverse'} beyond the noise of "
            "the users, but so few might be by chance: p is about methods like these"
        )
    return (
        "p asks whether the observed order could be chance; the interval, which allows for the "
        "noise of the users, leaves the order of these methods open"
    )

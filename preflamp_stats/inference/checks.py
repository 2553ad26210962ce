"""Checks of numbers that many functions of inference take."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from preflamp_stats.errors import InputError, Problem

__all__ = ["check_level", "check_resampling"]


def check_level(level: float) -> None:
    """Refuse a confidence level outside (0, 1)."""
    if not 0 < level < 1:
        mend = "take a share between 0 and 1, such as 0.95"
        raise InputError(Problem(f"is {level!r}", mend, variable="level"))


def check_resampling(n_resamples: Any, seed: Any) -> None:
    """Refuse a number of resamples under 1 and a seed under 0."""
    problems = [
        Problem(f"is {value!r}", f"take a whole number from {least}", variable=name)
        for name, value, least in (("n_resamples", n_resamples, 1), ("seed", seed, 0))
        if not isinstance(value, Integral) or value < least
    ]
    if problems:
        raise InputError(problems)

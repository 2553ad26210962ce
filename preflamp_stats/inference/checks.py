"""A check of a number that functions outside a study take."""

from __future__ import annotations

from preflamp_stats.errors import InputError, Problem

__all__ = ["check_level"]


def check_level(level: float) -> None:
    """Refuse a confidence level outside (0, 1)."""
    if not 0 < level < 1:
        mend = "take a share between 0 and 1, such as 0.95"
        raise InputError(Problem(f"is {level!r}", mend, variable="level"))

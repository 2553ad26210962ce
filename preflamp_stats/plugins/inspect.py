"""A metric of inspect_ai: the mean of a scorer's values with an interval over users."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from inspect_ai.scorer import SampleScore, metric, value_to_float

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.plugins.interval import mean_with_interval

__all__ = ["by_user"]


@metric  # type: ignore[untyped-decorator]  # as inspect_ai may be absent
def by_user(
    user: str = "user", level: float = 0.95, n_resamples: int = 10_000, seed: int = 0
) -> Callable[[list[SampleScore]], dict[str, float]]:
    """Mean, limits and number of users, for ``metrics=`` of a scorer or a task.

    Parameters
    ----------
    user : str
        Key of a sample's metadata that names its user.
    level, n_resamples, seed
        As of :func:`preflamp_stats.bootstrap`.

    Returns
    -------
    callable
        From the scores of an evaluation to ``mean, low, high, users``, see
        :func:`~preflamp_stats.plugins.interval.mean_with_interval`. A sample without a user is an
        InputError.
    """
    number: Any = value_to_float()

    def compute(scores: list[SampleScore]) -> dict[str, float]:
        users = [(each.sample_metadata or {}).get(user) for each in scores]
        for each, who in zip(scores, users, strict=True):
            if who is None or who != who:
                where, mend = f"sample {each.sample_id}", "name the key: by_user(user=…)"
                raise InputError(Problem(f"has no {user!r} in its metadata", mend, variable=where))
        values = [number(each.score.value) for each in scores]
        options: Any = {"level": level, "n_resamples": n_resamples, "seed": seed}
        return mean_with_interval(values, users, **options)

    return compute

"""What the users of a planned study are expected to contribute to a metric."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from preflamp_stats.errors import InputError, Problem

__all__ = ["MetricDesign"]

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class MetricDesign:
    """A metric in a planned study: how its values vary over examples, users and methods.

    Parameters
    ----------
    mean : float
        Centre of the methods' true values, as a share in (0, 1): an accuracy or a mean F1.
    sd : float, optional
        Standard deviation of one example's value; that of a pair ranked right or wrong,
        √(mean (1 − mean)), by default.
    examples : float
        Mean number of examples of a user.
    examples_cv : float
        Coefficient of variation of that number over users; 0 for users of equal size.
    pairing : float
        Correlation of two methods' values on the same example, which cancels in their difference.
    icc : float
        Intraclass correlation within users of what is left in a difference between two methods:
        how much a user favours one method throughout.

    Raises
    ------
    InputError
        With every number that is out of range.

    Examples
    --------
    Two methods, 100 users of 20 examples each: were all examples independent, √(2 · .2275 / 2000).

    >>> plain = MetricDesign(mean=0.65, pairing=0, icc=0)
    >>> round(float(plain.difference_se(100)), 4)
    0.0151
    >>> round(float(MetricDesign(mean=0.65, pairing=0, icc=0.05).difference_se(100)), 4)
    0.0211
    """

    mean: float = 0.65
    sd: float | None = None
    examples: float = 20
    examples_cv: float = 0.0
    pairing: float = 0.15
    icc: float = 0.02

    def __post_init__(self) -> None:
        rules = {
            "mean": (0 < self.mean < 1, "take a share between 0 and 1"),
            "sd": (self.sd is None or self.sd > 0, "take a positive number in the metric's units"),
            "examples": (self.examples >= 1, "take 1 or more examples a user"),
            "examples_cv": (self.examples_cv >= 0, "take 0 or more"),
            "pairing": (0 <= self.pairing < 1, "take a correlation of 0 or more, below 1"),
            "icc": (0 <= self.icc <= 1, "take a correlation between 0 and 1"),
        }
        problems = [
            Problem(f"is {getattr(self, name)!r}", mend, variable=name)
            for name, (good, mend) in rules.items()
            if not good
        ]
        if problems:
            raise InputError(problems)

    @property
    def own_sd(self) -> float:
        """Standard deviation of a value without what all methods share on its example."""
        sd = np.sqrt(self.mean * (1 - self.mean)) if self.sd is None else self.sd
        return float(sd * np.sqrt(1 - self.pairing))

    @property
    def design_effect(self) -> float:
        """How many times the variance is that of independent examples (Kish 1965)."""
        return 1 + ((1 + self.examples_cv**2) * self.examples - 1) * self.icc

    def method_se(self, users: ArrayLike) -> Array:
        """Standard error of a method's mean, without what all methods share."""
        n = np.asarray(users, dtype=np.float64) * self.examples
        return np.asarray(self.own_sd * np.sqrt(self.design_effect / n))

    def difference_se(self, users: ArrayLike) -> Array:
        """Standard error of the difference between two methods."""
        return np.asarray(np.sqrt(2) * self.method_se(users))

    def df(self, users: ArrayLike) -> Array:
        """Degrees of freedom: users of equal size that are worth as much, less one."""
        effective = np.asarray(users, dtype=np.float64) / (1 + self.examples_cv**2)
        return np.maximum(effective - 1, 1.0)

    def user_sizes(self, users: int) -> Array:
        """Examples of each user: equal numbers, or quantiles of a log-normal distribution."""
        if self.examples_cv == 0:
            return np.full(users, float(self.examples))
        sigma = np.sqrt(np.log1p(self.examples_cv**2))
        sizes = np.exp(sigma * ndtri((np.arange(users) + 0.5) / users))
        return np.asarray(sizes * self.examples / sizes.mean())

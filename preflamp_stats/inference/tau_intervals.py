"""Intervals of tau: one evidence, several ways to bound what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from preflamp_stats.choices import Variant
from preflamp_stats.inference.intervals import percentile_limits
from preflamp_stats.kernels.kendall import kendall_tau

__all__ = ["DEFAULT_INTERVAL", "INTERVALS", "TauEvidence"]


@dataclass(frozen=True)
class TauEvidence:
    """What is known of two metrics over the same methods.

    Parameters
    ----------
    x, y : ndarray, shape (method,)
        Estimates; NaN where a method lacks the metric.
    x_draws, y_draws : ndarray, shape (resample, method)
        Bootstrap draws, paired.
    n_units : int
        Units of resampling behind them.
    level : float
        Confidence level.
    variant : {"a", "b", "c", "weighted"}
        Kendall's tau.
    picks : ndarray of int, shape (resample, method), optional
        Methods of each resample, where methods are drawn.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    x_draws: NDArray[np.float64]
    y_draws: NDArray[np.float64]
    n_units: int
    level: float
    variant: Variant
    picks: NDArray[np.intp] | None = None

    @cached_property
    def tau(self) -> float:
        """Tau of the estimates; NaN where undefined."""
        return float(kendall_tau(self.x, self.y, variant=self.variant))

    @property
    def compared(self) -> NDArray[np.bool_]:
        """Methods that have both metrics."""
        return ~(np.isnan(self.x) | np.isnan(self.y))

    @property
    def obstacle(self) -> str:
        """Why tau or its interval is undefined; empty where both are defined."""
        there = self.compared
        if there.sum() < 2:
            return "fewer than two methods have both metrics"
        if np.isnan(self.tau):
            return "all methods have the same value in one metric"
        if self.n_units < 2 and self.picks is None:
            return "no interval: fewer than two units to resample"
        return ""

    def tau_draws(self) -> NDArray[np.float64]:
        """Tau of each resample; NaN where a resample leaves it undefined."""
        x, y = self.x_draws, self.y_draws
        if self.picks is not None:
            x = np.take_along_axis(x, self.picks, axis=1)
            y = np.take_along_axis(y, self.picks, axis=1)
        return np.asarray(kendall_tau(x, y, variant=self.variant))


TauLimits = Callable[[TauEvidence], tuple[float, float]]


def percentile(evidence: TauEvidence) -> tuple[float, float]:
    """Percentiles of the bootstrapped tau.

    Every draw adds the sampling noise of the metrics once more, which pulls tau towards 0: where
    methods lie close together the interval misses a strong true association. It is offered for
    comparison with other tools.
    """
    low, high = percentile_limits(evidence.tau_draws(), evidence.level)
    return float(low), float(high)


INTERVALS: dict[str, TauLimits] = {"percentile": percentile}
"""Kinds of interval by name."""

DEFAULT_INTERVAL = "percentile"

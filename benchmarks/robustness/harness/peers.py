"""The same number by somebody else's code: what is computed, and how near it must be.

What the tests of ``preflamp_stats`` hold against another package already (tau and
its permutations by scipy, Holm and power by statsmodels, ROUGE by rouge-score, covariances by
numpy, paired differences by scipy and by a jackknife) is not computed here once more.

Where no package computes a thing the peer is its definition written out in loops.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pingouin
import statsmodels.api as sm
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW

from harness.random_cases import (
    Draw,
    complete_scores,
    credits_and_seed,
    credits_of_users,
    differences,
    p_values,
    rows_of_users,
    two_metrics,
)
from preflamp_stats.inference.intervals import percentile_limits
from preflamp_stats.kernels.clustered import clustered_slope, user_products
from preflamp_stats.kernels.covariance import means_covariance
from preflamp_stats.kernels.equivalence import equivalence_test, minimum_effect_test, t_interval
from preflamp_stats.kernels.kendall import kendall_tau
from preflamp_stats.kernels.multiplicity import holm
from preflamp_stats.kernels.paired import paired_differences
from preflamp_stats.kernels.reliability import reliability
from preflamp_stats.kernels.resampling import bootstrap_counts, resampled_ratios

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """A quantity that two programs compute.

    Attributes
    ----------
    quantity, peer : str
    draw : callable
        A random case.
    ours : callable
        Numbers of a case.
    theirs : callable or str
        Numbers of equal shape, NaN where undefined; or an R expression of a data frame ``d``.
    tolerance : float
        Largest difference, relative to a peer's number above 1.
    columns : callable, optional
        Columns of the data frame that R sees of a case; all cases go to one process of R.
    """

    quantity: str
    peer: str
    draw: Draw
    ours: Callable[..., ArrayLike]
    theirs: Any
    tolerance: float = 1e-10
    columns: Callable[..., dict[str, Any]] | None = None


def _moments(values: Array) -> tuple[float, float, int]:
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))), len(values) - 1


def _ours_t(values: Array) -> Array:
    mean, se, df = _moments(values)
    limits = t_interval(mean, se, df)
    return np.array([minimum_effect_test(mean, se, df, margin=0.0), *limits])


def _scipy_t(values: Array) -> Array:
    found = stats.ttest_1samp(values, 0.0)
    return np.array([found.pvalue, *found.confidence_interval(0.95)])


_MARGIN = 0.4


def _ours_equivalent(values: Array) -> Array:
    return equivalence_test(*_moments(values), margin=_MARGIN)


def _statsmodels_equivalent(values: Array) -> float:
    return float(DescrStatsW(values).ttost_mean(-_MARGIN, _MARGIN)[0])


def _ours_reliability(values: Array) -> Array:
    found = means_covariance(values, np.ones_like(values), shrink=False)
    return reliability(found.estimates, found.covariance)


def _pingouin_alpha(values: Array) -> Array:
    """Users are the items and methods the subjects of Cronbach's alpha."""
    halves = np.split(values, 2, axis=1)
    return np.array([max(0.0, pingouin.cronbach_alpha(pd.DataFrame(half.T))[0]) for half in halves])


def _ours_slope(ratio: float) -> Callable[..., Array]:
    def ours(x: Array, y: Array, codes: NDArray[np.intp]) -> Array:
        fit = clustered_slope(user_products(x, y, codes, int(codes.max()) + 1), ratio)
        return np.array([fit.slope, fit.error])

    return ours


def _statsmodels_slope(users: bool) -> Callable[..., Array]:
    """Least squares with indicators, refitted without each user."""

    def slope(x: Array, y: Array, codes: NDArray[np.intp], column: NDArray[np.intp]) -> float:
        indicators = pd.get_dummies(pd.Series(column), dtype=float).to_numpy()
        parts = [x[:, None], indicators]
        if users:
            parts.append(pd.get_dummies(pd.Series(codes), dtype=float).to_numpy()[:, 1:])
        design = np.hstack(parts)
        others = design[:, 1:]
        left = x - others @ np.linalg.lstsq(others, x, rcond=None)[0]
        if np.sum(left**2) < 1e-8 * max(np.sum((x - x.mean()) ** 2), 1e-300):
            return np.nan
        return float(sm.OLS(y, design).fit().params[0])

    def theirs(x: Array, y: Array, codes: NDArray[np.intp]) -> Array:
        column = np.tile(np.arange(x.shape[1]), len(x))
        rows, values, targets = np.repeat(codes, x.shape[1]), x.ravel(), y.ravel()
        there = ~np.isnan(targets)
        rows, values, targets, column = (each[there] for each in (rows, values, targets, column))
        whole = slope(values, targets, rows, column)
        left = []
        for user in np.unique(rows):
            keep = rows != user
            left.append(slope(values[keep], targets[keep], rows[keep], column[keep]))
        n = len(left)
        return np.array([whole, np.sqrt((n - 1) / n * np.sum((np.array(left) - whole) ** 2))])

    return theirs


def _ours_limits(sums: Array, counts: Array, seed: int) -> Array:
    draws = resampled_ratios(
        sums, counts, 60, np.random.SeedSequence(seed), denominators=np.arange(sums.shape[1])
    )
    return np.stack(percentile_limits(draws, 0.9))


def _repeated(sums: Array, counts: Array, seed: int) -> Array:
    """The same resamples, each user's rows repeated as often as the user was drawn."""
    draws = np.full((60, sums.shape[1]), np.nan)
    for where, times in bootstrap_counts(len(sums), 60, np.random.SeedSequence(seed)):
        for row, drawn in zip(range(where.start, where.stop), times, strict=True):
            users = np.repeat(np.arange(len(sums)), drawn.astype(int))
            for column in range(sums.shape[1]):
                n = counts[users, column].sum()
                if n > 0:
                    draws[row, column] = sums[users, column].sum() / n
    series = pd.DataFrame(draws)
    return np.stack([series.quantile(0.05).to_numpy(), series.quantile(0.95).to_numpy()])


COMPARISONS: tuple[Comparison, ...] = (
    Comparison(
        "t-test and interval", "scipy.stats.ttest_1samp", differences, _ours_t, _scipy_t, 1e-9
    ),
    Comparison(
        "equivalence (TOST)", "statsmodels ttost_mean", differences, _ours_equivalent,
        _statsmodels_equivalent,
    ),
    Comparison(
        "reliability", "pingouin.cronbach_alpha", complete_scores, _ours_reliability,
        _pingouin_alpha,
        1e-9,
    ),
    Comparison(
        "slope with method effects, clustered", "statsmodels OLS, refitted", rows_of_users,
        _ours_slope(0.0), _statsmodels_slope(False), 1e-6,
    ),
    Comparison(
        "slope within users, clustered", "statsmodels OLS, refitted", rows_of_users,
        _ours_slope(np.inf),
        _statsmodels_slope(True), 1e-6,
    ),
    Comparison(
        "bootstrap limits, unequal users", "users repeated, pandas quantile", credits_and_seed,
        _ours_limits, _repeated,
    ),
)  # fmt: skip
"""Against Python packages, or a definition."""


def _ratio_jackknife(sums: Array, counts: Array) -> Array:
    """Error of one method, as the difference from a method that is always 0."""
    nothing = np.zeros_like(sums[:, :1])
    s, n = np.hstack([sums[:, :1], nothing]), np.repeat(counts[:, :1], 2, axis=1)
    found = paired_differences(s[:, :, None], n[:, :, None])
    return np.array([found.estimate[0], found.se[0]])


def _r_columns(*names: str) -> Callable[..., dict[str, Any]]:
    return lambda *values: dict(zip(names, values, strict=True))


R_COMPARISONS: tuple[Comparison, ...] = (
    Comparison(
        "tau-b", "R cor", two_metrics(40), kendall_tau,
        'if (sum(complete.cases(d)) < 2) NaN else suppressWarnings(cor(d$x, d$y, method="kendall",'
        ' use="complete.obs"))',
        columns=_r_columns("x", "y"),
    ),
    Comparison(
        "Holm", "R p.adjust", p_values, holm, 'p.adjust(d$p, "holm")', columns=_r_columns("p")
    ),
    Comparison(
        "t-test and interval", "R t.test", differences, _ours_t,
        "{t <- t.test(d$v); c(t$p.value, t$conf.int)}", 1e-9, _r_columns("v"),
    ),
    Comparison(
        "equivalence (TOST)", "R t.test, twice", differences, _ours_equivalent,
        f'max(t.test(d$v, mu=-{_MARGIN}, alternative="greater")$p.value,'
        f' t.test(d$v, mu={_MARGIN}, alternative="less")$p.value)',
        columns=_r_columns("v"),
    ),
    Comparison(
        "reliability", "R psych::alpha", complete_scores,
        lambda values: _ours_reliability(values)[0],
        "max(0, suppressMessages(suppressWarnings(psych::alpha(d[colSums(!is.na(d)) > 0],"
        " check.keys=FALSE, warnings=FALSE)))$total$raw_alpha)",
        1e-8,
        lambda values: {f"u{i}": row for i, row in enumerate(values[:, : values.shape[1] // 2])},
    ),
    Comparison(
        "jackknife of a ratio", "R boot::empinf", credits_of_users, _ratio_jackknife,
        '{d <- d[d$n > 0, ]; l <- boot::empinf(data=d, statistic=function(d, i)'
        ' sum(d$s[i]) / sum(d$n[i]), type="jack", stype="i"); n <- nrow(d);'
        ' c(sum(d$s) / sum(d$n), sqrt(sum(l^2) / (n * (n - 1))))}',
        1e-9,
        lambda s, n: {"s": s[:, 0], "n": n[:, 0]},
    ),
)  # fmt: skip
"""Against R, with the packages boot and psych."""

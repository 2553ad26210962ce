"""The same number by somebody else's code: what is computed, and how near it must be.

What the tests of ``preflamp_stats`` hold against another package already is not computed here once
more: tau and its permutations by scipy, Holm, power and clustered slopes by statsmodels, ROUGE by
rouge-score, covariances by numpy, paired differences by scipy, jackknife and bootstrap by loops.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pingouin
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW

from preflamp_stats.kernels.covariance import means_covariance
from preflamp_stats.kernels.equivalence import equivalence_test
from preflamp_stats.kernels.kendall import kendall_tau
from preflamp_stats.kernels.multiplicity import holm
from preflamp_stats.kernels.paired import paired_differences
from preflamp_stats.kernels.reliability import reliability
from preflamp_stats.kernels.scoring import credit_by_weight

Array = NDArray[np.float64]
Case = tuple[Any, ...]
Draw = Callable[[np.random.Generator], Case]


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


def _values(rng: np.random.Generator, size: int) -> Array:
    """Numbers with ties (few levels) or without, in a third of the cases with NaN."""
    levels = rng.choice([2, 4, 8, 0])
    values = rng.normal(size=size) if levels == 0 else rng.integers(levels, size=size) / levels
    if rng.random() < 1 / 3:
        values = np.where(rng.random(size) < 0.2, np.nan, values)
    return np.asarray(values, dtype=np.float64)


def two_metrics(largest: int) -> Draw:
    def draw(rng: np.random.Generator) -> Case:
        size = int(rng.integers(2, largest + 1))
        return _values(rng, size), _values(rng, size)

    return draw


def differences(rng: np.random.Generator) -> Case:
    size = int(rng.integers(2, 60))
    values = rng.normal(rng.normal(0, 0.5), rng.lognormal(0, 1), size)
    return (np.round(values, int(rng.integers(1, 8))) + 1e-3 * rng.normal(size=size),)


def p_values(rng: np.random.Generator) -> Case:
    size = int(rng.integers(1, 30))
    p = rng.random(size) ** rng.choice([1.0, 3.0])
    p = np.round(p, int(rng.choice([1, 2, 12])))
    return (np.where(rng.random(size) < 0.1, np.nan, p),)


def _sizes(rng: np.random.Generator, users: int) -> NDArray[np.int64]:
    """Examples of each user: from one to hundreds."""
    return np.maximum(1, rng.lognormal(1.5, rng.choice([0.1, 1.5]), users)).astype(np.int64)


def credits_of_users(rng: np.random.Generator) -> Case:
    """Credits of unequal users: sums and counts, shape (user, method)."""
    users, methods = int(rng.integers(3, 40)), int(rng.integers(2, 7))
    counts = np.repeat(_sizes(rng, users)[:, None], methods, axis=1)
    if rng.random() < 0.5:
        counts = np.where(rng.random(counts.shape) < 0.15, 0, counts)
        counts[:2] = 3
    sums = rng.binomial(2 * counts, rng.beta(4, 3, counts.shape)) / 2
    return sums.astype(np.float64), counts.astype(np.float64)


def complete_scores(rng: np.random.Generator) -> Case:
    """Scores of equal users: two metrics of each method, shape (user, 2 x method)."""
    users, methods = int(rng.integers(3, 40)), int(rng.integers(2, 7))
    shared = rng.normal(size=(users, 1)) * rng.choice([0.0, 2.0])
    effects = rng.normal(size=2 * methods) * rng.choice([0.1, 1.0])
    return (shared + effects + rng.normal(size=(users, 2 * methods)),)


def paired_scores(rng: np.random.Generator) -> Case:
    size = int(rng.integers(1, 20))
    base, reward = ([_values(rng, size) for _ in range(2)] for _ in range(2))
    weights = np.array([0.0, 0.5, 1.0, float(rng.lognormal()), np.inf])
    return base, reward, weights, rng.choice(["half", "strict", "drop"])


def _moments(values: Array) -> tuple[float, float, int]:
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))), len(values) - 1


def _ours_t(values: Array) -> Array:
    both = np.stack([values, np.zeros_like(values)], axis=1)[:, :, None]
    found = paired_differences(both, np.ones_like(both))
    limits = found.limits(float(stats.norm.isf(0.025)))
    return np.concatenate([found.beyond(0.0), *limits])


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


def _by_definition(base: Any, reward: Any, weights: Array, ties: str) -> Array:
    """Each pair at each weight: the definition, without arrays."""
    rule = {"half": 0.5, "strict": 0.0, "drop": np.nan}
    found = np.empty((len(weights), len(base[0])))
    for i, weight in enumerate(weights):
        for j in range(len(base[0])):
            parts = [(base[k][j], reward[k][j]) for k in range(2)]
            if np.isnan(parts).any():
                found[i, j] = np.nan
                continue
            scores = [
                gain if np.isinf(weight) else logprob + weight * gain for logprob, gain in parts
            ]
            chosen, rejected = scores
            if chosen == rejected:
                found[i, j] = rule[ties]
            else:
                found[i, j] = float(chosen > rejected)
    return found


def _ours_credit(base: Any, reward: Any, weights: Array, ties: Any) -> Array:
    return credit_by_weight(base, reward, weights, ties=ties)


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
        "credit by reward weight", "its definition", paired_scores, _ours_credit, _by_definition,
        0.0
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

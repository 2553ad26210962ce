"""Means on which nearly all users agree, and users added until it is decided.

Each ``*_study`` function draws one study with known truth and returns the shares of tests that
rejected and of intervals that covered.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import ndtri

from preflamp_stats.inference.bootstrap import bootstrap
from preflamp_stats.kernels.betting import betting_p_values
from preflamp_stats.kernels.equivalence import equivalence_test
from preflamp_stats.kernels.paired import paired_differences

Array = NDArray[np.float64]
Outcomes = dict[str, float]

LEVEL, ALPHA, MARGIN = 0.95, 0.05, 0.01
AT_ONCE = 40
"""Independent methods of a study, so that a cell of 25 studies is one of 1,000."""
_LOOK_EVERY = 10


@dataclass(frozen=True)
class AlikeCell:
    """A design.

    Parameters
    ----------
    n_users : int
    share : float
        Of users who see a difference (an accuracy: the probability of a wrong example).
    kind : {"same", "normal", "exponential", "two sizes"}
        How far those differ: all equally, about their mean with 0.15, exponentially, or a fifth of
        them six times as far as the others.
    unequal : bool
        Log-normal numbers of examples instead of equal ones.
    n_examples : int
        Of a user, of an accuracy.
    bounded : bool
        Whether the scale of the metric is known to end.
    """

    n_users: int
    share: float
    kind: str = "same"
    unequal: bool = False
    n_examples: int = 5
    bounded: bool = True


def _differences(rng: np.random.Generator, cell: AlikeCell, mean: float, columns: int) -> Array:
    """What users see, shape (user, column), on average the mean unless cut by the scale's end."""
    shape, far = (cell.n_users, columns), mean / cell.share
    if cell.kind == "normal":
        size = far + 0.15 * rng.standard_normal(shape)
    elif cell.kind == "exponential":
        size = rng.exponential(far, shape)
    elif cell.kind == "two sizes":
        size = far / 2 * np.where(rng.random(shape) < 0.2, 6.0, 1.0)
    else:
        size = np.full(shape, far)
    return np.asarray((rng.random(shape) < cell.share) * np.clip(size, -1.0, 1.0))


def _around(rng: np.random.Generator, cell: AlikeCell, true: float, columns: int) -> Array:
    """Differences of mean ``true``, or as large ones in both directions where that is 0."""
    values = _differences(rng, cell, true or MARGIN, columns)
    return values if true else values * rng.choice([-1.0, 1.0], values.shape)


def _sizes(rng: np.random.Generator, cell: AlikeCell, median: float) -> Array:
    if not cell.unequal:
        return np.full(cell.n_users, median)
    drawn = median * np.exp(1.2 * rng.standard_normal(cell.n_users))
    return np.asarray(np.maximum(1.0, np.rint(drawn)))


def alike_study(rng: np.random.Generator, cell: AlikeCell, *, true: float = MARGIN) -> Outcomes:
    """Equivalence of methods with one that they lie ``true`` from, and intervals of the difference.

    Shares of as many independent methods as a study has at once.
    """
    values = _around(rng, cell, true, AT_ONCE)
    with_other = np.concatenate([values, np.zeros((cell.n_users, 1))], axis=1)[:, :, None]
    counts = np.broadcast_to(_sizes(rng, cell, 10.0)[:, None, None], with_other.shape)
    pairs = paired_differences(counts * with_other, counts, bounded=cell.bounded)
    found = pairs.oriented(np.flatnonzero(pairs.second == AT_ONCE), np.ones(AT_ONCE))
    low, high = found.limits(-float(ndtri((1 - LEVEL) / 2)))
    known, covers = low <= high, (low <= true) & (true <= high)
    alone = equivalence_test(found.estimate, found.se, found.df, margin=MARGIN)
    return {
        "equivalent": float(np.mean(found.within(MARGIN) <= ALPHA)),
        "t alone": float(np.mean(alone <= ALPHA)),
        "covers": float(covers[known].mean()) if known.any() else np.nan,
    }


def accuracy_study(rng: np.random.Generator, cell: AlikeCell) -> Outcomes:
    """Intervals of accuracies of 1 less the share; users differ in their own."""
    accuracy, sizes = 1 - cell.share, _sizes(rng, cell, float(cell.n_examples)).astype(int)
    own = np.ones((AT_ONCE, cell.n_users))
    if cell.share:
        own = rng.beta(3 * accuracy, 3 * cell.share, own.shape)
    right = rng.random((AT_ONCE, sizes.sum())) < np.repeat(own, sizes, axis=1)
    ds = xr.Dataset(
        {
            "reward": (("method", "example", "candidate"), np.stack([right, ~right], -1) * 1.0),
            "user": ("example", np.repeat([f"u{i:04}" for i in range(cell.n_users)], sizes)),
        },
        coords={"method": np.arange(AT_ONCE).astype(str), "candidate": ["chosen", "rejected"]},
    )
    found = bootstrap(ds, "rm_accuracy", n_resamples=500, seed=int(rng.integers(2**31)))
    covers = (found["low"] - 1e-9 <= accuracy) & (accuracy <= found["high"] + 1e-9)
    return {"covers": covers.mean().item(), "width": (found["high"] - found["low"]).mean().item()}


def stopping_study(rng: np.random.Generator, cell: AlikeCell, *, true: float = MARGIN) -> Outcomes:
    """Looks after every ten users, stopping at the first p of 5 %: by bets, and by t as if fixed.

    ``users`` is how many it took, of those studies in which the bets decided.
    """
    column, weight = _around(rng, cell, true, 1), np.ones((cell.n_users, 1))
    values = column[:, 0]
    looks = range(_LOOK_EVERY, cell.n_users + 1, _LOOK_EVERY)
    by_t, by_bets = [], []
    for n in looks:
        mean, se = values[:n].mean(), values[:n].std(ddof=1) / np.sqrt(n)
        by_t.append(float(equivalence_test(mean, se, n - 1, margin=MARGIN)))
        ends = (betting_p_values(way * column[:n], weight[:n], -1.0, -MARGIN)[0] for way in (1, -1))
        by_bets.append(max(ends))
    decided = np.flatnonzero(np.array(by_bets) <= ALPHA)
    return {
        "bets": float(decided.size > 0),
        "t at every look": float((np.array(by_t) <= ALPHA).any()),
        "users": float(looks[decided[0]]) if decided.size else np.nan,
    }

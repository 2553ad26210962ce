"""Size of the tests of association and coverage of the regret, one simulated study at a time.

Each ``*_study`` function draws one study with known truth and returns 0 or 1 for every test that
rejected (under a null that is true: its size) and every interval that covered. The customary ways
stand beside ours: percentiles for the regret, and a mixed model's own standard error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preflamp_stats.inference.regret import choice_regret
from preflamp_stats.kernels.clustered import UserProducts, clustered_slope, user_products
from preflamp_stats.kernels.permutation import tau_permutation_test
from preflamp_stats.kernels.swaps import Cells, common_scale, swap_test

Array = NDArray[np.float64]
Outcomes = dict[str, int]

LEVEL, ALPHA = 0.95, 0.05
N_PERMUTATIONS, N_RESAMPLES = 499, 1000

# Standard deviation of a user's mean about the method's true value, and the share of its variance
# that all methods share, in units in which methods spread by AssociationCell.spread.
_USER_SD, _SHARED = 1.0, 0.2
_EXAMPLES = 5


@dataclass(frozen=True)
class AssociationCell:
    """A design.

    Parameters
    ----------
    n_users, n_methods : int
    spread : float
        Standard deviation of the methods' true values, in units of that of one user's mean: the
        standard error of a method's mean is 1/√n_users.
    correlation : float
        Correlation over methods of the true values of the two metrics (regret), or of either
        predictor with the downstream metric (two predictors).
    noise_correlation : float
        Correlation of the errors of the two metrics.
    same_methods : bool
        Two predictors: every method has the same true value in both (else they are drawn apart,
        with equal correlations to the downstream metric).
    unequal : bool
        Log-normal weights of the users instead of equal ones.
    user_sd, example_sd : float
        Example level: effects of users and of examples, in units of the residuals.
    """

    n_users: int
    n_methods: int
    spread: float = 0.15
    correlation: float = 0.5
    noise_correlation: float = 0.0
    same_methods: bool = False
    unequal: bool = False
    user_sd: float = 0.3
    example_sd: float = 0.4


def _noise(rng: np.random.Generator, cell: AssociationCell) -> Array:
    """Errors of two metrics by user and method, shape (2, user, method)."""
    shape = (2, cell.n_users, cell.n_methods)
    common = rng.normal(size=(2, cell.n_users, 1))
    noise = np.sqrt(1 - _SHARED) * rng.normal(size=shape) + np.sqrt(_SHARED) * common
    r = cell.noise_correlation
    noise[1] = r * noise[0] + np.sqrt(1 - r**2) * noise[1]
    return np.asarray(_USER_SD * noise)


def _weights(rng: np.random.Generator, cell: AssociationCell) -> Array:
    if not cell.unequal:
        return np.ones(cell.n_users)
    return np.asarray(np.maximum(1, np.rint(rng.lognormal(np.log(10), 1.2, cell.n_users))))


def _correlated(rng: np.random.Generator, with_: Array, correlation: float) -> Array:
    own = rng.normal(size=with_.shape)
    return np.asarray(correlation * with_ + np.sqrt(1 - correlation**2) * own)


def no_association_study(rng: np.random.Generator, cell: AssociationCell) -> Outcomes:
    """Two metrics of methods whose true values are independent, as measured and with ties."""
    true = cell.spread * rng.normal(size=(2, cell.n_methods))
    x, y = true + _noise(rng, cell).mean(axis=1)
    settings = {"n_resamples": N_PERMUTATIONS, "rng": rng}
    tied = [np.round(v / (2 * v.std())) for v in (x, y)]
    return {
        "tau": _rejects(tau_permutation_test(x, y, **settings).p_value),
        "tau, ties": _rejects(tau_permutation_test(*tied, **settings).p_value),
        "tau, weighted": _rejects(
            tau_permutation_test(x, y, variant="weighted", **settings).p_value
        ),
    }


def two_predictors_study(rng: np.random.Generator, cell: AssociationCell) -> Outcomes:
    """Two predictors of which neither is better, by every way of swapping."""
    downstream = rng.normal(size=cell.n_methods)
    first = _correlated(rng, downstream, cell.correlation)
    second = first if cell.same_methods else _correlated(rng, downstream, cell.correlation)
    values = cell.spread * np.stack([first, second])[:, None] + _noise(rng, cell)
    counts = np.broadcast_to(_weights(rng, cell)[:, None], values.shape[1:])
    x, y = Cells(values[0] * counts, counts), Cells((3 * values[1] + 1) * counts, counts)
    by_unit = common_scale(x, y)
    one = np.ones((1, cell.n_methods))
    by_method = common_scale(Cells(x.means()[None], one), Cells(y.means()[None], one))
    found = {}
    for scheme in ("perm-systems", "perm-inputs", "perm-both-rows", "perm-both-cells"):
        pair = by_method if scheme == "perm-systems" else by_unit
        test = swap_test(*pair, downstream, scheme=scheme, n_resamples=N_PERMUTATIONS, rng=rng)
        found[scheme] = _rejects(test.p_value)
    return found


def regret_study(rng: np.random.Generator, cell: AssociationCell) -> Outcomes:
    """Coverage of the regret of the choice made, and of its gain over a random pick."""
    x_true = rng.normal(size=cell.n_methods)
    true = cell.spread * np.stack([x_true, _correlated(rng, x_true, cell.correlation)])
    values = true[:, None] + _noise(rng, cell)
    weights = _weights(rng, cell)
    drawn = (
        rng.multinomial(cell.n_users, np.full(cell.n_users, 1 / cell.n_users), N_RESAMPLES)
        * weights
    )
    drawn = drawn / drawn.sum(axis=1, keepdims=True)
    x, y = np.average(values, axis=1, weights=weights)
    x_draws, y_draws = drawn @ values
    found = choice_regret(x, y, x_draws, y_draws, n_units=cell.n_users, level=LEVEL)
    regret = true[1].max() - found.chosen @ true[1]
    gain = found.chosen @ true[1] - true[1].mean()
    fixed = y_draws.max(axis=1) - y_draws @ found.chosen
    redrawn = y_draws.max(axis=1) - y_draws[np.arange(N_RESAMPLES), x_draws.argmax(axis=1)]
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    return {
        "regret": _covers(found.low, regret, found.high),
        "gain over a random pick": _covers(found.gain_low, gain, found.gain_high),
        "regret, percentile, choice fixed": _covers(*_around(np.quantile(fixed, tails), regret)),
        "regret, percentile, choice redrawn": _covers(
            *_around(np.quantile(redrawn, tails), regret)
        ),
    }


def example_level_study(rng: np.random.Generator, cell: AssociationCell) -> Outcomes:
    """Credit and quality that are independent, with effects of users and examples in both."""
    sizes = _weights(rng, cell) if cell.unequal else np.full(cell.n_users, float(_EXAMPLES))
    codes = np.repeat(np.arange(cell.n_users), sizes.astype(np.intp))
    latent = rng.normal(size=(2, codes.size, cell.n_methods))
    latent += cell.example_sd * rng.normal(size=(2, codes.size, 1))
    latent += cell.user_sd * rng.normal(size=(2, cell.n_users, 1))[:, codes]
    x, y = (latent[0] > 0).astype(np.float64), latent[1]
    products = user_products(x, y, codes, cell.n_users)
    fits = {
        "within users": clustered_slope(products),
        "random intercept": clustered_slope(products, cell.user_sd**2),
    }
    found = {name: _rejects(fit.p_value) for name, fit in fits.items()}
    own = _own_standard_error(products, x.size, y)
    slope = fits["within users"].slope
    return found | {"within users, rows taken as independent": int(abs(slope) > 1.96 * own)}


def _own_standard_error(products: UserProducts, n_rows: int, y: Array) -> float:
    """Customary standard error within users, which takes residuals as independent."""
    within = products.xx.sum() - (products.x.sum(axis=1) ** 2 / products.n.sum(axis=1)).sum()
    return float(np.sqrt(np.mean((y - y.mean(axis=0)) ** 2) / within * n_rows / (n_rows - 1)))


def _rejects(p_value: float) -> int:
    return int(p_value <= ALPHA)


def _covers(low: float, truth: float, high: float) -> int:
    return int(low - 1e-12 <= truth <= high + 1e-12)


def _around(limits: Array, truth: float) -> tuple[float, float, float]:
    return float(limits[0]), truth, float(limits[1])

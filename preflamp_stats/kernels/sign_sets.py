"""Which methods' order is certain, and what that guarantees about Kendall's tau."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preflamp_stats.kernels.covariance import MeansCovariance

__all__ = ["SignSet", "certain_signs", "tau_range"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SignSet:
    """Signs of all pairwise differences in two metrics, as far as they are certain together.

    Parameters
    ----------
    x, y : ndarray of int8, shape (pair,)
        Sign of method i minus method j in each metric, pairs as in ``numpy.triu_indices(M, 1)``;
        0 where undetermined.
    critical_value : float
        Studentised differences beyond it are certain.
    """

    x: NDArray[np.int8]
    y: NDArray[np.int8]
    critical_value: float

    @property
    def undetermined(self) -> int:
        """Pairs whose order is not certain in both metrics."""
        return int(np.count_nonzero(self.x * self.y == 0))


def certain_signs(
    means: MeansCovariance,
    *,
    level: float = 0.95,
    rng: np.random.Generator,
    n_draws: int = 2000,
) -> SignSet:
    """Determine the signs of all pairwise differences of both metrics simultaneously (max-T).

    The largest studentised difference over all 2·M(M−1)/2 pairs is simulated from the multivariate
    t distribution with the estimates' covariance and degrees of freedom; its quantile at ``level``
    bounds them all at once. With probability ``level`` no sign that is called certain is wrong.

    Parameters
    ----------
    means : MeansCovariance
        Unshrunk: shrinkage would make the errors of similar methods look independent.
    level : float
        Probability that all certain signs are right.
    rng : numpy.random.Generator
        Source of the simulation.
    n_draws : int
        Draws behind the critical value.

    Returns
    -------
    SignSet

    References
    ----------
    Hothorn, Bretz and Westfall (2008), Simultaneous inference in general parametric models,
    Biometrical Journal 50:346-363; Mogstad, Romano, Shaikh and Wilhelm (2024), Inference for ranks,
    Review of Economic Studies 91:476-518.

    Examples
    --------
    >>> means = MeansCovariance(np.array([0.0, 5, 0, 9]), np.eye(4), 100.0, 0.0, False)
    >>> signs = certain_signs(means, rng=np.random.default_rng(0))
    >>> signs.x, signs.y, signs.undetermined
    (array([-1], dtype=int8), array([-1], dtype=int8), 0)
    """
    covariance = means.covariance
    n_methods = len(covariance) // 2
    i, j = np.triu_indices(n_methods, 1)
    first, second = np.concatenate([i, i + n_methods]), np.concatenate([j, j + n_methods])
    variance = np.diagonal(covariance)
    squared = variance[first] + variance[second] - 2 * covariance[first, second]
    # Rounding leaves about 1e-16 of the variances where a difference has no noise at all.
    noisy = squared > 1e-12 * (variance[first] + variance[second])
    error = np.sqrt(np.where(noisy, squared, 0.0))
    values, vectors = np.linalg.eigh(covariance)
    noise = (
        rng.standard_normal((n_draws, len(values))) @ (vectors * np.sqrt(np.maximum(values, 0))).T
    )
    noise /= np.sqrt(rng.chisquare(means.df, (n_draws, 1)) / means.df)
    studentised = np.abs(noise[:, first[noisy]] - noise[:, second[noisy]]) / error[noisy]
    critical = float(np.quantile(studentised.max(axis=1, initial=0.0), level))
    difference = means.estimates[first] - means.estimates[second]
    signs = np.where(np.abs(difference) > critical * error, np.sign(difference), 0).astype(np.int8)
    x, y = np.split(signs, 2)
    return SignSet(x, y, critical)


def tau_range(signs: SignSet) -> tuple[float, float]:
    """Smallest and largest tau that the certain signs allow.

    Every pair that is undetermined in either metric may agree or disagree. This bounds the range
    over orders that are possible as a whole, and holds for true values with ties too: tau-b is the
    cosine of the two vectors of signs, and putting ±1 in agreement for a 0 only raises it.

    Returns
    -------
    low, high : float
        NaN with fewer than two methods.

    Examples
    --------
    Three pairs, one of them agreeing, one not, one open.

    >>> one = np.array([1, 1, 1], dtype=np.int8)
    >>> tau_range(SignSet(one, np.array([1, -1, 0], dtype=np.int8), 3.0))
    (-0.3333333333333333, 0.3333333333333333)
    """
    n_pairs = len(signs.x)
    if n_pairs == 0:
        return np.nan, np.nan
    agreement = float(np.sum(signs.x * signs.y))
    return (agreement - signs.undetermined) / n_pairs, (agreement + signs.undetermined) / n_pairs

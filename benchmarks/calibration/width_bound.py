"""Lower bound of the mean width of any interval of tau that covers under every design of a list.

A study is M methods with true values normal in both metrics (mean 0) and normal noise of variance
1/r - 1, r being the reliability at the design whose mean width is made small. Methods may also
stand in two groups far apart, of which everything is known; r is then the reliability within a
group. The interval may know the noise, the form of the distribution and the list of designs; it
does not know which one holds.
Among all rules x -> I(x), randomised ones too, the least mean width under design 0 subject to
coverage of at least c under each design k has the Lagrange dual

    D(λ) = c Σ λ_k + E_0[ min over I of |I| - Σ λ_k f_k(x)/f_0(x) P_k(tau in I | x) ],

and D(λ) is a lower bound for every λ ≥ 0 (weak duality). λ is chosen on some studies and D computed
on others. The minimum over intervals is found exactly, by the longest run of gains; the posteriors
P_k are simulated, whose noise can only make the bound smaller.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_SIGNS_AT_ONCE = 2_000_000
_FAR = 1000.0
"""Half of the distance between two groups of methods: their order is never in doubt."""
_OF_DESIGN_0 = 1 / 3
"""Share of the simulated studies that come from the design whose width counts."""


@dataclass(frozen=True)
class Design:
    """Correlation of the methods' true values, and their standard deviation in both metrics."""

    correlation: float
    spread: float

    @property
    def covariance(self) -> Array:
        """Of the two true values of a method."""
        return self.spread**2 * np.array([[1, self.correlation], [self.correlation, 1]])


@dataclass(frozen=True)
class Setting:
    """What an interval knows.

    Attributes
    ----------
    n_methods : int
    noise : float
        Variance of the estimates of a method's true value.
    groups : {"one", "two", "two shared"}
        Whether all methods belong together, or to two groups far apart: chance decides in each
        metric to which, or half of the methods are in the upper group of both.
    """

    n_methods: int
    noise: float
    groups: str = "one"

    @property
    def pairs(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """First and second method of each pair."""
        return np.triu_indices(self.n_methods, 1)

    def draw_levels(self, rng: np.random.Generator, n_studies: int) -> Array:
        """Means of the groups that the methods belong to, (study, method, metric)."""
        shape = (n_studies, self.n_methods, 2)
        if self.groups == "two":
            return _FAR * rng.choice([-1.0, 1.0], shape)
        if self.groups == "two shared":
            half = np.where(np.arange(self.n_methods) % 2, _FAR, -_FAR)
            return np.broadcast_to(half[:, None], shape)
        return np.zeros(shape)


@dataclass(frozen=True)
class Studies:
    """Simulated studies as the dual sees them.

    Attributes
    ----------
    weights : ndarray, (study, design)
        f_k(x) over the density that the studies were drawn from.
    posteriors : ndarray, (study, design, value)
        Probability of each value of tau, from -1 to 1, given the estimates.
    """

    weights: Array
    posteriors: NDArray[np.float32]


@dataclass(frozen=True)
class Bound:
    """A lower bound and what it rests on.

    Attributes
    ----------
    width, error : float
        The bound, and its standard error.
    multipliers : ndarray, (design,)
    """

    width: float
    error: float
    multipliers: Array


def concordance(values: Array, setting: Setting) -> NDArray[np.intp]:
    """Concordant minus discordant pairs of methods, from (…, method, metric)."""
    i, j = setting.pairs
    signs = np.sign(values[..., i, :] - values[..., j, :])
    return signs.prod(axis=-1).sum(axis=-1).astype(np.intp)


def draw_estimates(
    rng: np.random.Generator, n_studies: int, setting: Setting, design: Design
) -> Array:
    """Estimates of both metrics less the means of groups, (study, method, metric)."""
    factor = np.linalg.cholesky(design.covariance + setting.noise * np.eye(2))
    return rng.standard_normal((n_studies, setting.n_methods, 2)) @ factor.T


def log_density(estimates: Array, setting: Setting, design: Design) -> Array:
    """Of studies under a design, (study,), up to a constant."""
    covariance = design.covariance + setting.noise * np.eye(2)
    squares = np.einsum("nmi,ij,nmj->n", estimates, np.linalg.inv(covariance), estimates)
    return -(squares + estimates.shape[1] * np.linalg.slogdet(covariance)[1]) / 2


def posterior(
    rng: np.random.Generator,
    estimates: Array,
    levels: Array,
    setting: Setting,
    design: Design,
    n_draws: int,
) -> Array:
    """Probability of each value of tau given the estimates, (study, value), from draws."""
    n_studies, n_methods = estimates.shape[:2]
    n_pairs = len(setting.pairs[0])
    values, step = n_pairs + 1, max(1, _SIGNS_AT_ONCE // (n_draws * n_pairs))
    gain = design.covariance @ np.linalg.inv(design.covariance + setting.noise * np.eye(2))
    left = design.covariance - gain @ design.covariance
    factor = np.linalg.cholesky(left + 1e-12 * np.eye(2)).T.astype(np.float32)
    centres = (levels + estimates @ gain.T).astype(np.float32)
    found = np.empty((n_studies, values))
    for at in range(0, n_studies, step):
        # Shared by few studies only, so that its noise averages out.
        normal = rng.standard_normal((n_draws, n_methods, 2), dtype=np.float32)
        true = centres[at : at + step, None] + normal @ factor
        place = (concordance(true, setting) + n_pairs) // 2
        place += np.arange(len(place))[:, None] * values
        counts = np.bincount(place.ravel(), minlength=len(place) * values)
        found[at : at + step] = counts.reshape(len(place), values) / n_draws
    return found


def simulate(
    rng: np.random.Generator, n_studies: int, setting: Setting, designs: list[Design], n_draws: int
) -> Studies:
    """Draw studies from a mixture of the designs, and compute what each design says of them."""
    share = np.full(len(designs), (1 - _OF_DESIGN_0) / len(designs))
    share[0] += _OF_DESIGN_0
    of = np.sort(rng.choice(len(designs), n_studies, p=share))
    estimates = np.concatenate(
        [
            draw_estimates(rng, int((of == k).sum()), setting, design)
            for k, design in enumerate(designs)
        ]
    )
    levels = setting.draw_levels(rng, n_studies)
    logs = np.stack([log_density(estimates, setting, each) for each in designs], axis=1)
    density = np.exp(logs - logs.max(axis=1, keepdims=True))
    posteriors = [posterior(rng, estimates, levels, setting, each, n_draws) for each in designs]
    return Studies(
        density / (density @ share)[:, None], np.stack(posteriors, axis=1).astype(np.float32)
    )


def best_intervals(gains: Array, cost: Array) -> tuple[Array, NDArray[np.intp], NDArray[np.intp]]:
    """Find the interval of most gain in each row: values first to before-last; empty has gain 0.

    ``gains`` (row, value) are added up over an interval and ``cost`` (row,) is paid for each step
    between two values of it.
    """
    rows, values = gains.shape
    best, running = np.zeros(rows), np.full(rows, -np.inf)
    first, last, start = (np.zeros(rows, np.intp) for _ in range(3))
    for value in range(values):
        longer = running - cost
        anew = longer < 0
        running = np.where(anew, 0, longer) + gains[:, value]
        start = np.where(anew, value, start)
        better = running > best
        best = np.where(better, running, best)
        first, last = np.where(better, start, first), np.where(better, value + 1, last)
    return best, first, last


def dual(multipliers: Array, studies: Studies, cover: float) -> tuple[float, float, Array]:
    """Return D(λ), its standard error, and its gradient: what coverage lacks in each design."""
    weights, posteriors = studies.weights, studies.posteriors
    step = 2 / (posteriors.shape[2] - 1)
    gains = np.einsum("nk,nkv->nv", weights * multipliers, posteriors, optimize=True)
    best, first, last = best_intervals(gains, step * weights[:, 0])
    value = np.arange(posteriors.shape[2])
    inside = (value >= first[:, None]) & (value < last[:, None])
    covered = (weights * np.einsum("nkv,nv->nk", posteriors, inside, optimize=True)).mean(axis=0)
    error = best.std() / np.sqrt(len(best))
    return float(multipliers.sum() * cover - best.mean()), float(error), cover - covered


def choose_multipliers(
    studies: Studies, designs: list[Design], cover: float, n_steps: int = 150
) -> Array:
    """Ascend D from equal multipliers; a design and its mirror image (-ρ), if any, have one."""
    images = [Design(-each.correlation or 0.0, each.spread) for each in designs]
    mirror = [
        designs.index(image if image in designs else each)
        for image, each in zip(images, designs, strict=True)
    ]
    multipliers = np.array([0.5 if each.spread == designs[0].spread else 0.05 for each in designs])
    best = -np.inf, multipliers
    for step in range(n_steps):
        found, _, gradient = dual(multipliers, studies, cover)
        if found > best[0]:
            best = found, multipliers
        rise = (gradient + gradient[mirror]) / 2
        multipliers = np.maximum(0, multipliers + 3 / (1 + step / 40) * rise)
    return best[1]


def least_width(
    rng: np.random.Generator,
    setting: Setting,
    correlations: list[float],
    spreads: list[float],
    *,
    at: float = 0.0,
    cover: float = 0.93,
    n_studies: int = 15_000,
    n_draws: int = 150,
) -> Bound:
    """Compute the bound for the design of correlation ``at`` and spread 1.

    All ``correlations`` and ``at`` must be covered at each of the ``spreads``, multiples of
    design 0's.
    """
    zero = Design(at, 1.0)
    others = [Design(each, spread) for spread in spreads for each in sorted({at, *correlations})]
    designs = [zero, *(each for each in dict.fromkeys(others) if each != zero)]

    def draw() -> Studies:
        return simulate(rng, n_studies, setting, designs, n_draws)

    multipliers = choose_multipliers(draw(), designs, cover)
    width, error, _ = dual(multipliers, draw(), cover)
    return Bound(width, error, multipliers)

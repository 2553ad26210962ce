"""How narrow can an interval of tau be that covers whatever the true correlation is?

    python benchmarks/least_width.py                     # the designs of docs/calibration.md
    python benchmarks/least_width.py --methods 6 --reliability 0.7 --spreads 1

The percentile interval is narrow and covers where the true tau happens to be near 0; an interval
that must also cover where it is not has to be wider, since the same data can come from either. This
script computes a lower bound of its mean width, so that no interval, however clever, is asked to be
narrower.

A study is M methods with true values normal in both metrics (mean 0) and normal noise of variance
1/r - 1, r being the reliability at the design whose mean width is made small. The interval may know
the noise, the form of the distribution and the list of designs; it does not know which one holds.
Among all rules x -> I(x), randomised ones too, the least mean width under design 0 subject to
coverage of at least c under each design k has the Lagrange dual

    D(λ) = c Σ λ_k + E_0[ min over I of |I| - Σ λ_k f_k(x)/f_0(x) P_k(tau in I | x) ],

and D(λ) is a lower bound for every λ ≥ 0 (weak duality). λ is chosen on some studies and D computed
on others. The minimum over intervals is found exactly, by the longest run of gains; the posteriors
P_k are simulated, whose noise can only make the bound smaller.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_SIGNS_AT_ONCE = 2_000_000
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
    percentile, percentile_error : float
        Mean width of the percentile interval under design 0, and its standard error.
    multipliers : ndarray, (design,)
    """

    width: float
    error: float
    percentile: float
    percentile_error: float
    multipliers: Array

    @property
    def ratio(self) -> tuple[float, float]:
        """Bound over percentile interval, and its standard error."""
        found = self.width / self.percentile
        parts = self.error / self.width, self.percentile_error / self.percentile
        return found, abs(found) * float(np.hypot(*parts))


def concordance(x: Array, y: Array, pairs: tuple[Array, Array]) -> NDArray[np.intp]:
    """Concordant minus discordant pairs, over the last axis."""
    i, j = pairs
    signs = np.sign(x[..., i] - x[..., j]) * np.sign(y[..., i] - y[..., j])
    return signs.sum(axis=-1).astype(np.intp)


def draw_estimates(
    rng: np.random.Generator, n_studies: int, n_methods: int, noise: float, design: Design
) -> Array:
    """Estimates of both metrics, (study, method, 2)."""
    factor = np.linalg.cholesky(design.covariance + noise * np.eye(2))
    return rng.standard_normal((n_studies, n_methods, 2)) @ factor.T


def log_density(estimates: Array, noise: float, design: Design) -> Array:
    """Of studies under a design, (study,), up to a constant."""
    covariance = design.covariance + noise * np.eye(2)
    squares = np.einsum("nmi,ij,nmj->n", estimates, np.linalg.inv(covariance), estimates)
    return -(squares + estimates.shape[1] * np.linalg.slogdet(covariance)[1]) / 2


def posterior(
    rng: np.random.Generator, estimates: Array, noise: float, design: Design, n_draws: int
) -> Array:
    """Probability of each value of tau given the estimates, (study, value), from draws."""
    n_studies, n_methods = estimates.shape[:2]
    pairs = np.triu_indices(n_methods, 1)
    gain = design.covariance @ np.linalg.inv(design.covariance + noise * np.eye(2))
    left = design.covariance - gain @ design.covariance
    factor = np.linalg.cholesky(left + 1e-12 * np.eye(2)).T.astype(np.float32)
    centres = (estimates @ gain.T).astype(np.float32)
    values, step = len(pairs[0]) + 1, max(1, _SIGNS_AT_ONCE // (n_draws * len(pairs[0])))
    found = np.empty((n_studies, values))
    for at in range(0, n_studies, step):
        # Shared by few studies only, so that its noise averages out.
        normal = rng.standard_normal((n_draws, n_methods, 2), dtype=np.float32)
        true = centres[at : at + step, None] + normal @ factor
        place = (concordance(true[..., 0], true[..., 1], pairs) + values - 1) // 2
        place += np.arange(len(place))[:, None] * values
        counts = np.bincount(place.ravel(), minlength=len(place) * values)
        found[at : at + step] = counts.reshape(len(place), values) / n_draws
    return found


def simulate(
    rng: np.random.Generator,
    n_studies: int,
    n_methods: int,
    noise: float,
    designs: list[Design],
    n_draws: int,
) -> Studies:
    """Draw studies from a mixture of the designs, and compute what each design says of them."""
    share = np.full(len(designs), (1 - _OF_DESIGN_0) / len(designs))
    share[0] += _OF_DESIGN_0
    of = np.sort(rng.choice(len(designs), n_studies, p=share))
    estimates = np.concatenate(
        [
            draw_estimates(rng, int((of == k).sum()), n_methods, noise, design)
            for k, design in enumerate(designs)
        ]
    )
    logs = np.stack([log_density(estimates, noise, each) for each in designs], axis=1)
    density = np.exp(logs - logs.max(axis=1, keepdims=True))
    posteriors = [posterior(rng, estimates, noise, each, n_draws) for each in designs]
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
    """Ascend D from equal multipliers; a design and its mirror image (-ρ) have one."""
    mirror = [designs.index(Design(-each.correlation or 0.0, each.spread)) for each in designs]
    multipliers = np.array([0.5 if each.spread == designs[0].spread else 0.05 for each in designs])
    best = -np.inf, multipliers
    for step in range(n_steps):
        found, _, gradient = dual(multipliers, studies, cover)
        if found > best[0]:
            best = found, multipliers
        rise = (gradient + gradient[mirror]) / 2
        multipliers = np.maximum(0, multipliers + 3 / (1 + step / 40) * rise)
    return best[1]


def percentile_width(
    rng: np.random.Generator, n_methods: int, noise: float, at: Design
) -> tuple[float, float]:
    """Mean width of the percentile interval, where noise is added once more, and its error."""
    pairs = np.triu_indices(n_methods, 1)
    widths = []
    for estimates in draw_estimates(rng, 1000, n_methods, noise, at):
        again = estimates + np.sqrt(noise) * rng.standard_normal((1000, n_methods, 2))
        tau = concordance(again[..., 0], again[..., 1], pairs) / len(pairs[0])
        widths.append(np.subtract(*np.quantile(tau, [0.975, 0.025])))
    return float(np.mean(widths)), float(np.std(widths) / np.sqrt(len(widths)))


def least_width(
    n_methods: int,
    reliability: float,
    correlations: list[float],
    spreads: list[float],
    *,
    at: float = 0.0,
    cover: float = 0.93,
    n_studies: int = 15_000,
    n_draws: int = 150,
    seed: int = 0,
) -> Bound:
    """Compute the bound for the design of correlation ``at`` and spread 1.

    ``correlations`` are covered with either sign, and ``spreads`` are multiples of design 0's.
    """
    rng = np.random.default_rng(seed)
    noise = 1 / reliability - 1
    signed = {0.0, at, -at, *correlations, *(-each for each in correlations)}
    zero = Design(at, 1.0)
    others = [Design(each + 0.0, spread) for spread in spreads for each in sorted(signed)]
    designs = [zero, *(each for each in dict.fromkeys(others) if each != zero)]

    def draw() -> Studies:
        return simulate(rng, n_studies, n_methods, noise, designs, n_draws)

    multipliers = choose_multipliers(draw(), designs, cover)
    width, error, _ = dual(multipliers, draw(), cover)
    return Bound(width, error, *percentile_width(rng, n_methods, noise, zero), multipliers)


def main() -> None:
    """Print the bound of one design, or of those in docs/calibration.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", type=int)
    parser.add_argument("--reliability", type=float, default=0.7)
    parser.add_argument("--at", type=float, default=0.0, help="true correlation of design 0")
    parser.add_argument("--correlations", type=float, nargs="+", default=[0.5, 0.8, 0.95])
    parser.add_argument("--spreads", type=float, nargs="+", help="multiples of design 0's")
    parser.add_argument("--cover", type=float, default=0.93)
    parser.add_argument("--studies", type=int, default=15_000)
    parser.add_argument("--seed", type=int, default=0)
    choices = parser.parse_args()
    # The noise of 200 users at a spread of 0.03 probit makes a reliability of 0.70.
    methods = [choices.methods] if choices.methods else [4, 6, 12, 24]
    spreads = [choices.spreads] if choices.spreads else [[1.0], [1.0, 0.7, 0.5]]
    print("| M | reliability | spreads covered | least width | percentile | ratio |")
    print("|---:|---:|---|---:|---:|---:|")
    for n_methods in methods:
        for some in spreads:
            found = least_width(
                n_methods,
                choices.reliability,
                choices.correlations,
                some,
                at=choices.at,
                cover=choices.cover,
                n_studies=choices.studies,
                seed=choices.seed,
            )
            width = f"{found.width:.3f} ± {found.error:.3f}"
            peer = f"{found.percentile:.3f} ± {found.percentile_error:.3f}"
            ratio = "{:.2f} ± {:.2f}".format(*found.ratio)
            cells = (", ".join(map(str, some)), width, peer, ratio)
            print(f"| {n_methods} | {choices.reliability} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

"""How narrow can an interval of tau be that covers whatever the true correlation is?

    python benchmarks/calibration/least_width.py    # the designs of docs/calibration.md
    python benchmarks/calibration/least_width.py --methods 6 --reliability 0.7 --correlations 0.5

The percentile interval is narrow and covers where the true tau happens to be near 0; an interval
that must also cover where it is not has to be wider, since the same data can come from either. This
script computes a lower bound of its mean width, so that no interval, however clever, is asked to be
narrower.

The bound is computed in ``width_bound.py``; here it stands beside the percentile interval.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from width_bound import Design, Setting, concordance, least_width

_PERCENTILE_STUDIES = 10_000
_PERCENTILE_RESAMPLES = 600


@dataclass(frozen=True)
class Peer:
    """Coverage and mean width of the percentile interval under design 0, with standard errors."""

    coverage: float
    coverage_error: float
    width: float
    width_error: float


def percentile_interval(rng: np.random.Generator, setting: Setting, at: Design) -> Peer:
    """Simulate the percentile interval, where noise is added once more."""
    n_pairs = len(setting.pairs[0])
    own = np.linalg.cholesky(at.covariance)
    widths, covers = np.empty((2, _PERCENTILE_STUDIES))
    for study in range(_PERCENTILE_STUDIES):
        true = setting.draw_levels(rng, 1)[0]
        true = true + rng.standard_normal((setting.n_methods, 2)) @ own.T
        shape = (_PERCENTILE_RESAMPLES, setting.n_methods, 2)
        estimates = true + np.sqrt(setting.noise) * rng.standard_normal(shape[1:])
        again = estimates + np.sqrt(setting.noise) * rng.standard_normal(shape, dtype=np.float32)
        low, high = np.quantile(concordance(again, setting) / n_pairs, [0.025, 0.975])
        widths[study] = high - low
        covers[study] = low - 1e-9 <= concordance(true, setting) / n_pairs <= high + 1e-9
    coverage, root = float(covers.mean()), float(np.sqrt(_PERCENTILE_STUDIES))
    return Peer(
        coverage, float(covers.std()) / root, float(widths.mean()), float(widths.std()) / root
    )


def noise_of(reliability: float) -> float:
    """Variance of the noise beside true values of variance 1."""
    return 1 / reliability - 1


_GRID = [-0.5, 0.5, 0.95]
"""Correlations of the calibration's grid, beside 0."""
_ANY = [-0.95, -0.8, -0.5, 0.5, 0.8, 0.95]
_FINER = [-0.95, -0.9, -0.8, -0.65, -0.5, -0.3, 0.3, 0.5, 0.65, 0.8, 0.9, 0.95]
_OF_200 = noise_of(0.698)
"""Of 200 users, where the standard deviation of true values is 0.03 probit."""
_OF_50 = 4 * _OF_200
_WITHIN = (0.15 / 0.03) ** 2 * 0.3**2 / 1.09
"""Variance within two groups of methods at a spread of 0.15, over that of methods spread 0.03."""
_TABLE: list[tuple[Setting, list[float], list[float]]] = [
    (Setting(6, _OF_50), _GRID, [1.0]),
    (Setting(6, _OF_50), _ANY, [1.0]),
    (Setting(6, _OF_50), _ANY, [1.0, 0.7, 1.4, 2.0]),
    *((Setting(n, _OF_200), _ANY, some) for n in (4, 6, 12) for some in ([1.0], [1.0, 0.7, 0.5])),
    (Setting(12, _OF_200), _FINER, [1.0, 0.85, 0.7, 0.5, 0.35]),
    (Setting(12, _OF_200 / _WITHIN, "two"), _ANY, [1.0, 0.7, 0.5]),
    (Setting(12, _OF_200 / _WITHIN, "two shared"), _ANY, [1.0, 0.7, 0.5]),
    (Setting(24, _OF_50 / _WITHIN, "two"), _ANY, [1.0, 0.7, 0.5]),
]


def main() -> None:
    """Print the bound of one design, or of those in docs/calibration.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", type=int)
    parser.add_argument("--reliability", type=float, default=0.7)
    parser.add_argument("--groups", choices=["one", "two", "two shared"], default="one")
    parser.add_argument("--at", type=float, default=0.0, help="true correlation of design 0")
    parser.add_argument("--correlations", type=float, nargs="+", default=_ANY)
    parser.add_argument("--spreads", type=float, nargs="+", default=[1.0], help="of design 0's")
    parser.add_argument("--cover", type=float, default=0.93)
    parser.add_argument("--studies", type=int, default=15_000)
    parser.add_argument("--seed", type=int, default=0)
    choices = parser.parse_args()
    rows = _TABLE
    if choices.methods:
        setting = Setting(choices.methods, noise_of(choices.reliability), choices.groups)
        rows = [(setting, choices.correlations, choices.spreads)]
    print(
        "| M | reliability | groups | correlations covered | spreads covered "
        "| percentile covers | its mean width | least mean width | ratio at least |"
    )
    print("|---:|---:|---|---|---|---:|---:|---:|---:|")
    for setting, correlations, spreads in rows:
        rng = np.random.default_rng(choices.seed)
        found = least_width(
            rng,
            setting,
            correlations,
            spreads,
            at=choices.at,
            cover=choices.cover,
            n_studies=choices.studies,
        )
        peer = percentile_interval(rng, setting, Design(choices.at, 1.0))
        ratio = found.width / peer.width
        error = ratio * np.hypot(found.error / found.width, peer.width_error / peer.width)
        cells = (
            str(setting.n_methods),
            f"{1 / (1 + setting.noise):.2f}",
            setting.groups,
            ", ".join(f"{each:g}" for each in sorted({choices.at, *correlations})),
            ", ".join(f"{each:g}" for each in spreads),
            f"{peer.coverage:.3f} ± {peer.coverage_error:.3f}",
            f"{peer.width:.3f} ± {peer.width_error:.3f}",
            f"{found.width:.3f} ± {found.error:.3f}",
            f"{ratio:.2f} ± {abs(error):.2f}",
        )
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

"""Worlds that nobody chose: designs of studies drawn at random, and one study of a design.

``draw_world(rng)`` draws a :class:`World`; ``world.study(rng)`` draws true values of its methods
and a dataset that the public functions of the package take, as it lies in memory. Nothing here
calls the package, so that the same seed makes the same studies whichever build of it is measured.

>>> import numpy as np
>>> ds, truth = World(n_methods=6, correlation=1.0).study(np.random.default_rng(1))
>>> dict(ds.sizes), truth
({'method': 6, 'example': 4000}, 1.0)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ndtr

Array = NDArray[Any]

UPSTREAM, DOWNSTREAM = "upstream", "downstream"
_EXAMPLE_SD, _USER_SD, _OWN_SD = 0.5, 0.3, 0.1
_TOTAL_SD = np.sqrt(1 + _USER_SD**2 + _OWN_SD**2 + _EXAMPLE_SD**2)
_CUTS = np.array([-1.2, -0.4, 0.4, 1.2])
_MOST_EXAMPLES = 8_000
_TAIL_DF = 2.2

# What is measured, from a latent response of unit variance. Each has a mean that rises with that of
# the latent, so that the true tau is that of the latent means.
METRICS: dict[str, Callable[[Array], Array]] = {
    "binary": lambda z: z > 0,
    "five points": lambda z: np.digitize(z, _CUTS),
    "share": ndtr,
    "normal": lambda z: z,
    "t2.2": lambda z: z,
    "lognormal": np.exp,
}


@dataclass(frozen=True, kw_only=True)
class World:
    """A design: which methods there are, who uses them and what is measured.

    Parameters
    ----------
    n_methods, n_users, n_examples : int
        ``n_examples`` of a user, on average.
    users : {"equal", "lognormal", "zipf"}
        How unequal the users' numbers of examples are.
    correlation : float
        Of the true values of the methods in the two metrics, within families.
    spread : float
        Standard deviation of true values over methods; a response has that of 1.
    effects : {"normal", "t3", "skewed", "clusters"}
        Distribution of the true values.
    shape : {"line", "convex", "concave", "hump"}
        Of the downstream truth along the upstream one.
    n_families : int
    family_share, family_correlation : float
        Share of the variance of true values that lies between families, and its correlation.
    families_told : bool
        Whether the dataset names the family of each method.
    shared_models : bool
        Methods of a family share one upstream score: a reward model under several decoders.
    clones : int
        Methods that repeat another in all they do.
    outlier : bool
        One method lies eight standard deviations off in both metrics.
    upstream, downstream : str
        Of METRICS.
    level : float
        Mean of the latent responses: 0.4 is an accuracy of .66, 2.3 one of .99.
    shared_noise : float
        Correlation between the errors of the two metrics.
    missing : float
        Share of responses that are absent, at random.
    """

    n_methods: int = 12
    n_users: int = 200
    n_examples: int = 20
    users: str = "equal"
    correlation: float = 0.5
    spread: float = 0.15
    effects: str = "normal"
    shape: str = "line"
    n_families: int = 1
    family_share: float = 0.0
    family_correlation: float = 0.0
    families_told: bool = True
    shared_models: bool = False
    clones: int = 0
    outlier: bool = False
    upstream: str = "binary"
    downstream: str = "binary"
    level: float = 0.4
    shared_noise: float = 0.0
    missing: float = 0.0

    @property
    def null(self) -> bool:
        """Whether the true values in the two metrics are independent."""
        between = self.n_families > 1 and self.family_correlation
        return not (self.correlation or between or self.outlier)

    @property
    def reliability(self) -> float:
        """About the share of the variance of the observed upstream means that is true."""
        signal = self.spread**2
        return float(signal / (signal + _noise(self.n_users, self.n_examples, self.users)))

    def true_values(self, rng: np.random.Generator) -> Array:
        """Draw latent true values of all methods in both metrics, shape (2, method)."""
        shape = (2, self.n_methods)
        x, own = _EFFECTS[self.effects](rng, shape)
        if self.shape == "hump":  # as much variance as a line has
            y = _correlated((x**2 - 1) / np.sqrt(2), own, self.correlation)
        else:
            y = _correlated(x, own, self.correlation)
        values = np.stack([x, y])
        if self.n_families > 1:
            first, second = rng.standard_normal((2, self.n_families))
            between = np.stack([first, _correlated(first, second, self.family_correlation)])
            share = self.family_share
            values = np.sqrt(1 - share) * values + np.sqrt(share) * between[:, self._family]
        if self.shape in ("convex", "concave"):
            sign = 1 if self.shape == "convex" else -1
            values[1] = sign * (np.exp(sign * values[1]) - np.exp(0.5)) / np.sqrt(np.e**2 - np.e)
        if self.outlier:
            values[:, 0] = 8.0, 8.0 * rng.choice([-1, 1])
        return np.stack([row[of] for row, of in zip(values, self._copied, strict=True)])

    def study(
        self, rng: np.random.Generator, methods: np.random.Generator | None = None
    ) -> tuple[xr.Dataset, float]:
        """Draw a study.

        Parameters
        ----------
        rng : numpy.random.Generator
        methods : numpy.random.Generator, optional
            Draws the methods, where those stay the same from study to study.

        Returns
        -------
        ds : Dataset, dims (method, example)
            ``upstream``, ``downstream`` and ``user``.
        truth : float
            Tau-b of the true values of the methods that were measured at all.
        """
        values = self.true_values(methods or rng)
        users = np.repeat(np.arange(self.n_users), self._numbers(rng))
        own = self._errors(rng, self.n_users)
        errors = self._errors(rng, len(users))
        measured = []
        for place, name in enumerate((self.upstream, self.downstream)):
            latent = errors[place]
            if name == "t2.2":
                latent = latent / np.sqrt(rng.chisquare(_TAIL_DF, latent.shape) / _TAIL_DF)
            latent = latent + _OWN_SD * own[place][users]
            latent += _USER_SD * rng.standard_normal(self.n_users)[users, None]
            latent += _EXAMPLE_SD * rng.standard_normal((len(users), 1))
            centre = self.level + self.spread * values[place]
            response = METRICS[name](centre + latent[:, self._copied[place]] / _TOTAL_SD)
            measured.append(response.astype(np.float64).T)
        if self.missing:
            absent = rng.random(measured[0].shape) < self.missing
            for response in measured:
                response[absent] = np.nan
        there = ~np.isnan(measured).all(axis=2).any(axis=0)
        truth = stats.kendalltau(*values[:, there]).statistic
        return self._dataset(measured, users), float(truth)

    @property
    def _family(self) -> Array:
        return np.arange(self.n_methods) % self.n_families

    @property
    def _copied(self) -> tuple[Array, Array]:
        """Which method each method repeats in either metric: itself, but for clones."""
        of = np.arange(self.n_methods)
        if self.clones:
            of[-self.clones :] = of[: self.clones]
        return (self._family if self.shared_models else of), of

    def _numbers(self, rng: np.random.Generator) -> Array:
        """Examples of each user."""
        if self.users == "equal":
            return np.full(self.n_users, self.n_examples)
        if self.users == "zipf":
            weights = 1 / np.arange(1, self.n_users + 1)
        else:
            weights = rng.lognormal(0.0, 1.5, self.n_users)
        numbers = self.n_users * self.n_examples * weights / weights.sum()
        return np.maximum(1, np.rint(numbers)).astype(np.intp)

    def _errors(self, rng: np.random.Generator, n: int) -> Array:
        first, second = rng.standard_normal((2, n, self.n_methods))
        return np.stack([first, _correlated(first, second, self.shared_noise)])

    def _dataset(self, measured: list[Array], users: Array) -> xr.Dataset:
        width = len(str(self.n_users))
        names = [f"u{u:0{width}d}" for u in range(self.n_users)]
        attrs = {"role": "generation_metric", "direction": "higher"}
        coords: dict[str, Any] = {"method": [f"m{place:02d}" for place in range(self.n_methods)]}
        if self.n_families > 1 and self.families_told:
            coords["family"] = ("method", [f"family {place}" for place in self._family])
        return xr.Dataset(
            {
                UPSTREAM: (("method", "example"), measured[0], attrs),
                DOWNSTREAM: (("method", "example"), measured[1], attrs),
                "user": ("example", np.array(names)[users]),
            },
            coords=coords,
        )


def draw_world(rng: np.random.Generator) -> World:
    """Draw a design: 4–40 methods, 8–1,000 users, and each complication in some of the worlds.

    Correlations are 0 in a fifth of the worlds, ±1 in a tenth and close to that in another. The
    spread of methods is such that a fifth to 98 % of what separates estimates is true.
    """

    def either(odds: float) -> bool:
        return bool(rng.random() < odds)

    n_methods = _log_uniform(rng, 4, 40)
    n_users = _log_uniform(rng, 8, 1000)
    n_examples = min(int(rng.choice([1, 5, 20])), max(1, _MOST_EXAMPLES // n_users))
    users = str(rng.choice(["equal", "lognormal", "zipf"], p=[0.6, 0.25, 0.15]))
    kind = rng.choice(["any", "none", "perfect", "close"], p=[0.6, 0.2, 0.1, 0.1])
    correlation = {
        "any": rng.uniform(-1, 1),
        "none": 0.0,
        "perfect": rng.choice([-1.0, 1.0]),
        "close": rng.choice([-1, 1]) * rng.uniform(0.95, 0.999),
    }[kind]
    families: dict[str, Any] = {}
    if n_methods >= 6 and either(0.3):
        families = {
            "n_families": int(rng.integers(2, min(6, n_methods // 3) + 1)),
            "family_share": rng.uniform(0.1, 0.9),
            "family_correlation": 0.0 if kind == "none" else rng.uniform(-1, 1),
            "families_told": either(0.7),
            "shared_models": kind != "perfect" and either(0.15),
        }
    reliability = rng.uniform(0.2, 0.98)
    odds = reliability / (1 - reliability)
    metrics = rng.choice(list(METRICS), 2, p=[0.4, 0.12, 0.18, 0.1, 0.1, 0.1])
    shapes = ["line", "convex", "concave", "hump"]
    return World(
        n_methods=n_methods,
        n_users=n_users,
        n_examples=n_examples,
        users=users,
        correlation=float(correlation),
        spread=min(1.0, float(np.sqrt(odds * _noise(n_users, n_examples, users)))),
        effects=str(rng.choice(list(_EFFECTS), p=[0.6, 0.15, 0.15, 0.1])),
        shape=str(rng.choice(shapes, p=[0.7, 0.12, 0.12, 0.06])),
        **families,
        clones=int(rng.integers(1, n_methods // 3 + 1)) if either(0.12) else 0,
        outlier=kind != "perfect" and either(0.06),
        upstream=str(metrics[0]),
        downstream=str(metrics[1]),
        level=float(rng.uniform(1.8, 2.4) if either(0.12) else rng.normal(0.3, 0.4)),
        shared_noise=float(rng.uniform(0.3, 0.95)) if either(0.3) else 0.0,
        missing=float(rng.uniform(0.05, 0.6)) if either(0.2) else 0.0,
    )


def _log_uniform(rng: np.random.Generator, low: int, high: int) -> int:
    return round(np.exp(rng.uniform(np.log(low), np.log(high))))


def _noise(n_users: int, n_examples: int, users: str) -> float:
    """Variance of a method's mean around its truth, for a right-or-wrong metric, latent units."""
    # How many times worse than equal ones unequal users are: E n² / (E n)², about.
    unequal = {"equal": 1.0, "lognormal": 5.0, "zipf": n_users / np.log(n_users + 1) ** 2}[users]
    return float((unequal * _OWN_SD**2 + 1.6 / n_examples) / (_TOTAL_SD**2 * n_users))


def _correlated(first: Array, second: Array, correlation: float) -> Array:
    return correlation * first + np.sqrt(1 - correlation**2) * second


def _clusters(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    return (rng.choice([-1, 1], shape) + 0.3 * rng.standard_normal(shape)) / np.sqrt(1.09)


_EFFECTS: dict[str, Callable[[np.random.Generator, tuple[int, int]], Array]] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "t3": lambda rng, shape: rng.standard_t(3, shape) / np.sqrt(3),
    "skewed": lambda rng, shape: rng.exponential(1.0, shape) - 1,
    "clusters": _clusters,
}

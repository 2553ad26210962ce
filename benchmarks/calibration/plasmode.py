"""Studies drawn from real matrices: every user of a file is the population, and its tau the truth.

``python benchmarks/calibration/calibration.py plasmode FILE --out OUT.jsonl [--users 10,25,50]
[--studies 80] [--pairs a~b,c~d]`` takes a results file or any table that ``preflamp-stats analyze``
takes. A study draws users with replacement, each with all of their examples. Measured are tau
between each pair of metrics, the metric of every method, and the differences between methods.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from pathlib import Path

import numpy as np
import xarray as xr
from cases import Asked, Case, Row, row, tau_row

import preflamp_stats as pls

_MOST_PAIRS = 15
_ANALYSES = Path(__file__).parents[2] / "analyses"

# Of the many pairs of HANNA: human criteria among themselves, and metrics of every kind with them.
HANNA_PAIRS = (
    ("engagement", "coherence"),
    ("relevance", "coherence"),
    ("empathy", "surprise"),
    ("complexity", "engagement"),
    ("surprise", "relevance"),
    ("empathy", "complexity"),
    ("rouge_1_f_score", "coherence"),
    ("rouge_l_f_score", "engagement"),
    ("bleu", "relevance"),
    ("meteor", "complexity"),
    ("chrf", "empathy"),
    ("bertscore_f1", "coherence"),
    ("bartscore_sh", "surprise"),
    ("moverscore", "engagement"),
)
BEST_OF_PAIRS = (("rewardbench_average", "picked_length"), ("win_rate", "picked_length"))
JUDGED_PAIRS = (("rewardbench_average", "gold_preference"), ("gold_preference", "picked_length"))


@dataclass(frozen=True)
class Population:
    """All users of one dataset.

    Parameters
    ----------
    ds : Dataset
    rows : sequence of ndarray
        Examples of each user.
    """

    ds: xr.Dataset
    rows: Sequence[np.ndarray]

    @classmethod
    def of(cls, ds: xr.Dataset) -> Population:
        """Load a dataset and group its examples by user; without users each is its own."""
        ds = ds.load()
        names = ds["user"].values if "user" in ds else np.arange(ds.sizes["example"])
        _, codes = np.unique(names, return_inverse=True)
        order = np.argsort(codes, kind="stable")
        return cls(ds, np.split(order, np.cumsum(np.bincount(codes))[:-1]))

    def draw(self, rng: np.random.Generator, n_users: int) -> xr.Dataset:
        """Draw users with replacement; one who is drawn twice is two people."""
        drawn = [self.rows[place] for place in rng.integers(len(self.rows), size=n_users)]
        examples = np.concatenate(drawn)
        users = np.repeat(np.arange(n_users), [len(rows) for rows in drawn])
        ds = self.ds.isel(example=examples).assign_coords(example=np.arange(len(examples)))
        return ds.assign(user=("example", np.array([f"u{u:06d}" for u in range(n_users)])[users]))


def plasmode_cases(
    name: str,
    ds: xr.Dataset,
    sizes: Sequence[int],
    pairs: Sequence[tuple[str, str]] = (),
    *,
    means: bool = True,
) -> Iterator[Case]:
    """Make a case of each number of users, model and pair of metrics, and of each metric's means.

    Parameters
    ----------
    name : str
        Of the file.
    ds : Dataset
        The population.
    sizes : sequence of int
        Numbers of users of a study.
    pairs : sequence of (str, str), optional
        Metrics; by default the first 15 pairs that the file has.
    means : bool
        Measure means and differences of methods as well.
    """
    if not pairs:
        named = [metric.name for metric in pls.available_metrics(ds)]
        pairs = list(combinations(named, 2))[:_MOST_PAIRS]
    every = {"": ds}
    if "model" in ds.dims:
        every = {f" {model}": ds.isel(model=[at]) for at, model in enumerate(ds["model"].values)}
    metrics = sorted({metric for pair in pairs for metric in pair}) if means else []
    for model, one in every.items():
        population = Population.of(one)
        told = {"file": name, "population": len(population.rows), "n_methods": one.sizes["method"]}
        for size in sizes:
            for pair in pairs:
                of = f"{name}{model} {' ~ '.join(pair)} U={size}"
                features = {**told, "n_users": size, "pair": " ~ ".join(pair)}
                yield Case(of, _TauOf(population, size, pair), features)
            for metric in metrics:
                of = f"{name}{model} means of {metric} U={size}"
                yield Case(of, _MeansOf(population, size, metric), {**told, "n_users": size})


class _TauOf:
    """A study of the tau between two metrics."""

    def __init__(self, population: Population, n_users: int, pair: tuple[str, str]) -> None:
        self.population, self.n_users, self.pair = population, n_users, pair
        whole = pls.tau_test(population.ds, *pair, n_resamples=100, interval="percentile")
        self.truth = float(whole["estimate"].squeeze())

    def __call__(self, _: np.random.Generator, rng: np.random.Generator, asked: Asked) -> list[Row]:
        return [tau_row(self.population.draw(rng, self.n_users), self.truth, asked, self.pair)]


class _MeansOf:
    """A study of the methods' means of a metric: the share of intervals that cover, and tests."""

    def __init__(self, population: Population, n_users: int, metric: str) -> None:
        self.population, self.n_users, self.metric = population, n_users, metric
        self.means, self.gaps = self._estimates(population.ds, 100)

    def _estimates(self, ds: xr.Dataset, n_resamples: int) -> tuple[xr.Dataset, xr.Dataset]:
        means = pls.bootstrap(ds, self.metric, n_resamples=n_resamples)
        return means, pls.compare_methods(ds, self.metric, n_resamples=n_resamples)

    def __call__(self, _: np.random.Generator, rng: np.random.Generator, asked: Asked) -> list[Row]:
        found = self._estimates(self.population.draw(rng, self.n_users), asked.n_resamples)
        rows = []
        for kind, truth, mine in zip(("mean", "gap"), (self.means, self.gaps), found, strict=True):
            values = [np.ravel(mine[name]) for name in ("estimate", "low", "high")]
            each = zip(np.ravel(truth["estimate"]), *values, strict=True)
            names = ("estimate", "low", "high")
            all_rows = [row(kind, float(t), dict(zip(names, v, strict=True))) for t, *v in each]
            covered = [one["covered"] for one in all_rows if not np.isnan(one["covered"])]
            # Limits of differences hold for all pairs at once, those of means one by one.
            share = (np.min if kind == "gap" else np.mean)(covered) if covered else np.nan
            width = float(np.nanmean(values[2] - values[1]))
            what = {"mean": "means", "gap": "all differences"}[kind]
            rows.append(
                {"what": f"{what} of {self.metric}", "covered": float(share), "width": width}
            )
        return rows


def read_populations(path: str) -> dict[str, xr.Dataset]:
    """Datasets of a results file or table by name."""
    from preflamp_stats.io.open_any import open_any  # where builds differ

    found = {}
    for name, tree in open_any([path]).items():
        groups = pls.datasets(tree)
        for group, ds in groups.items():
            found[f"{Path(name).name} {group}" if len(groups) > 1 else Path(name).name] = ds
    return found


@lru_cache
def known_population(name: str, folder: Path) -> xr.Dataset:
    """HANNA or RewardBench's best of 16, as the analyses of this repository read them."""
    module, read, below = {
        "hanna": ("hanna/hanna_benchmark.py", "read_scores", "hanna"),
        "rewardbench": ("rewardbench_bon/best_of_n.py", "read_study", "rb1_bon"),
    }[name]
    spec = importlib.util.spec_from_file_location(f"analysis_{name}", _ANALYSES / module)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    ds: xr.Dataset = getattr(loaded, read)(folder / below)
    return ds

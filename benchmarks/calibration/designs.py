"""Designs outside the grid of which it is known that intervals or tests failed: a name for each.

``python benchmarks/calibration/calibration.py worlds --designs NAME… --out OUT.jsonl`` simulates
those whose names begin with NAME (``all``: every one). Those of real data need ``--data FOLDER``
with HANNA and RewardBench's best-of-16 study in ``hanna`` and ``rb1_bon``; they are left out
without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from cases import Asked, Case, Row, row, world_case
from generator import DOWNSTREAM, UPSTREAM, World
from plasmode import BEST_OF_PAIRS, HANNA_PAIRS, JUDGED_PAIRS, known_population, plasmode_cases

import preflamp_stats as pls

_WORLDS = {
    "true tau 1, M=24 U=200 spread .15": World(n_methods=24, correlation=1.0),
    "true tau 1, M=12 U=50": World(n_users=50, correlation=1.0),
    "true tau 1, M=12 U=200 spread .03": World(correlation=1.0, spread=0.03),
    "true tau -1, M=24 U=200 spread .15": World(n_methods=24, correlation=-1.0),
    **{f"rho {r}, M=24 U=200": World(n_methods=24, correlation=r) for r in (0.99, 0.995, 0.998)},
    **{
        f"3 families -.95/.95, M={m}{'' if told else ', not told'}": World(
            n_methods=m,
            correlation=0.95,
            n_families=3,
            family_share=0.9,
            family_correlation=-0.95,
            families_told=told,
        )
        for m in (24, 12)
        for told in (True, False)
    },
    "convex, M=24 U=200": World(n_methods=24, correlation=1.0, shape="convex"),
    "convex, rho .95, M=24 U=200": World(n_methods=24, correlation=0.95, shape="convex"),
    "accuracy near .99, M=12 U=50x5": World(n_users=50, n_examples=5, correlation=0.95, level=2.33),
    "3 pairs of clones among 12": World(clones=3),
    "small: 8 users": World(n_users=8, n_methods=8),
    "small: 5 methods, 15 users": World(n_users=15, n_methods=5),
    "small: 30 methods, 30 users": World(n_users=30, n_methods=30),
    "small: one example a user": World(n_users=30, n_methods=8, n_examples=1),
    "small: Zipf users": World(n_users=30, n_methods=10, users="zipf"),
    "small: lognormal metric": World(n_users=20, n_methods=10, downstream="lognormal"),
    "small: t2.2 metric": World(n_users=20, n_methods=10, downstream="t2.2"),
    "small: 30 % missing": World(n_users=20, n_methods=10, missing=0.3),
    "small: 60 % missing": World(n_users=30, n_methods=10, missing=0.6),
    "small: an outlier": World(n_users=30, n_methods=10, outlier=True),
    **{
        f"null: errors correlated {r}, M={m}": World(
            n_methods=m, n_users=50, correlation=0.0, spread=0.03, shared_noise=r
        )
        for r in (0.0, 0.9)
        for m in (6, 12)
    },
    **{
        f"null: 3 unrelated families, M={m}{'' if told else ', not told'}": World(
            n_methods=m, correlation=0.0, n_families=3, family_share=0.9, families_told=told
        )
        for m in (12, 24)
        for told in (True, False)
    },
    "null: 4 reward models x 3 decoders": World(
        correlation=0.0, n_families=4, family_share=0.8, shared_models=True, families_told=False
    ),
}
_FIXED = World(n_users=50)
_SETS = 20
_POOLED = World(n_methods=8, n_users=50, spread=0.03)


def designs(data: Path | None) -> Iterator[Case]:
    """Every design."""
    for name, world in _WORLDS.items():
        yield world_case(name, world)
    for number in range(_SETS):
        yield world_case(f"fixed methods, set {number:02d}", _FIXED, fixed=True)
    for correlation in (0.0, 0.5, 0.95, 1.0):
        for n in (2, 4, 8, 16):
            yield _pooled_case(correlation, n)
    for n_users in (20, 50, 100, 200):
        for alike in (0.8, 0.95, 0.98, 0.995):
            yield _alike_case(n_users, alike)
    yield _simulated_null()
    if data is not None:
        hanna = known_population("hanna", data)
        yield from plasmode_cases("hanna", hanna, (10, 15, 25, 50), HANNA_PAIRS, means=False)
        best_of = known_population("rewardbench", data)
        yield from plasmode_cases("rewardbench", best_of, (10, 50), BEST_OF_PAIRS, means=False)
        # Judgements are missing for some candidates. Few users would be ranked on other prompts
        # than all are; here are only those prompts that all methods have.
        judged = best_of.isel(example=best_of["gold_preference"].notnull().all("method").values)
        yield from plasmode_cases("rewardbench", judged, (10, 22), JUDGED_PAIRS, means=False)


def _pooled_case(correlation: float, n: int) -> Case:
    """Tau pooled over datasets with users of their own: the mean of their true taus."""
    world = World(n_methods=8, n_users=50, spread=0.03, correlation=correlation)

    def study(_: np.random.Generator, rng: np.random.Generator, asked: Asked) -> list[Row]:
        datasets, truths = {}, []
        for place in range(n):
            ds, truth = world.study(rng)
            users = np.char.add(f"d{place:02d}", ds["user"].values.astype(str))
            datasets[f"d{place:02d}"] = ds.assign(user=("example", users))
            truths.append(truth)
        kind = {"interval": asked.interval} if asked.interval else {}
        found = pls.pooled_tau(
            datasets, UPSTREAM, DOWNSTREAM, n_resamples=asked.n_resamples, **kind
        )
        return [row("pooled tau", float(np.mean(truths)), found, note=str(found["note"].item()))]

    features: dict[str, Any] = {"correlation": correlation, "n_datasets": n, "n_methods": 8}
    return Case(f"pooled tau, {n} datasets, rho {correlation}", study, features)


def _alike_case(n_users: int, alike: float) -> Case:
    """Two methods that write alike for nearly all users, and differ by the margin on average."""
    gap = min(0.01 / (1 - alike), 0.5)
    margin, n_examples = gap * (1 - alike), 20

    def study(_: np.random.Generator, rng: np.random.Generator, asked: Asked) -> list[Row]:
        right = rng.random((2, n_users * n_examples)) < np.array([[0.9], [0.6]])
        quality = rng.uniform(0.3, 0.7, n_users)
        apart = np.where(rng.random(n_users) < alike, 0.0, gap / 2)
        rouge = np.repeat([quality - apart, quality + apart], n_examples, axis=1)
        reward = np.stack([right - 0.5, 0.5 - right], axis=-1)
        users = np.repeat([f"u{place:04d}" for place in range(n_users)], n_examples)
        ds = xr.Dataset(
            {
                "reward": (("method", "example", "candidate"), reward),
                "rouge1": (("method", "example"), rouge),
                "user": ("example", users),
            },
            coords={"method": ["a", "b"], "candidate": ["chosen", "rejected"]},
        )
        found = pls.decoupling_test(ds, margin=margin, n_resamples=asked.n_resamples).squeeze()
        names = {"estimate": "difference", "low": "low", "high": "high"}
        limits = {name: found[f"downstream_{one}"] for name, one in names.items()}
        p = float(found["p_decoupled"])
        return [row("ROUGE-1 difference", -margin, limits, p=p, verdict=found["verdict"].item())]

    features = {"n_users": n_users, "alike": alike, "margin": margin, "null": True}
    return Case(f"decoupling, alike {alike}, U={n_users}", study, features)


def _simulated_null() -> Case:
    """A study of ``pls.simulate`` without association."""

    def study(_: np.random.Generator, rng: np.random.Generator, asked: Asked) -> list[Row]:
        seed = int(rng.integers(2**31))
        tree = pls.simulate(n_methods=12, correlation=0.0, spread=0.03, n_users=50, seed=seed)
        ds = next(iter(pls.datasets(tree).values()))
        found = pls.tau_test(ds, n_resamples=asked.n_resamples)
        return [row("tau", np.nan, found.squeeze(), p=float(found["p_value"].squeeze()))]

    return Case("null: pls.simulate, spread .03, U=50", study, {"null": True})

"""Analyses of simulated studies that the renderers draw: awkward labels, one row, many methods."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import preflamp_stats as pls
from preflamp_stats.results import Analysis

DATASETS = ("tldr", "prism <script>alert(1)</script>")
MODELS = ("Llama-3.2-1B", "Llama-3.2-3B", "Qwen_2.5 & 7B%")
METHODS = (
    "Bradley–Terry",
    "PAL_a&b|c%",
    "=P-RLHF",
    "VPL (Zoë, π)",
    "in-context 8 shots",
    "in-context RAG",
)
SETTINGS = pls.Settings(resamples=200)


def renamed(ds: xr.Dataset, **labels: tuple[str, ...]) -> xr.Dataset:
    """A dataset with other labels along its dimensions."""
    return ds.assign_coords({dim: (dim, list(names)) for dim, names in labels.items()})


@pytest.fixture(scope="session")
def analysis() -> Analysis:
    """Two datasets, three models, four methods with rewards and two in context; awkward labels."""
    tree = pls.simulate(
        datasets=["a", "b"],
        models=3,
        n_methods=4,
        n_icl=2,
        n_users=24,
        n_examples=(2, 6),
        tokens=6,
        seed=3,
    )
    found = [renamed(ds, model=MODELS, method=METHODS) for ds in pls.datasets(tree).values()]
    rng = np.random.default_rng(3)
    size = found[0].sizes["example"]
    found[0] = found[0].assign(
        sample_reward=(("method", "example", "sample"), rng.normal(size=(6, size, 5))),
        judge=(("example", "sample"), rng.random((size, 5)), {"direction": "higher"}),
    )
    return pls.analyze(dict(zip(DATASETS, found, strict=True)), SETTINGS)


@pytest.fixture(scope="session")
def single() -> Analysis:
    """One dataset, one model, one pair of metrics."""
    study = pls.simulate(n_methods=6, n_users=24, n_examples=4, tokens=6, seed=1)
    return pls.analyze(study, pls.Settings(resamples=200, downstream=("rouge1",)))


@pytest.fixture(scope="session")
def crowd() -> Analysis:
    """Thirty methods whose names have forty letters each, with and without places to break."""
    study = pls.simulate(n_methods=29, n_icl=1, n_users=20, n_examples=4, tokens=6, seed=1)
    stems = ("w" * 40, "org/reward-model-of-eight-billion-weights")
    names = tuple(f"{number:02d}{stems[number % 2]}"[:40] for number in range(30))
    found = {name: renamed(ds, method=names) for name, ds in pls.datasets(study).items()}
    return pls.analyze(found, SETTINGS)

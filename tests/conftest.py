"""Small studies with awkward values, and strategies that draw them."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from hypothesis import settings
from hypothesis import strategies as st

settings.register_profile("dev", deadline=None, max_examples=50)
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

StudyMaker = Callable[..., xr.Dataset]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


METHODS = ("vpl", "lore", "pal", "p-rlhf", "gpo", "bt")
MODELS = ("7B", "0.5B", "1.5B")


def _study(
    seed: int = 0,
    *,
    n_methods: int = 5,
    n_models: int = 2,
    n_users: int = 6,
    n_examples: int = 25,
    n_seeds: int = 0,
    n_tokens: int = 0,
    without_reward: int = 0,
    missing: float = 0.0,
    labelled: bool = True,
) -> xr.Dataset:
    """One benchmark dataset whose scores lie on a coarse grid, so that many of them are equal.

    ``without_reward`` methods, the last ones, have generations only; a share ``missing`` of the
    rewards and of ROUGE is NaN; users own unequally many examples. Neither methods nor models stand
    in alphabetical order.
    """
    rng = np.random.default_rng(seed)

    def grid(*shape: int) -> np.ndarray:
        return rng.integers(-3, 4, shape) / 4

    def with_gaps(values: np.ndarray) -> np.ndarray:
        return np.where(rng.random(values.shape) < missing, np.nan, values)

    seeds = (n_seeds,) if n_seeds else ()
    seed_dim = ("seed",) if n_seeds else ()
    reward = with_gaps(grid(n_methods, *seeds, n_examples, 2))
    reward[n_methods - without_reward :] = np.nan
    rouge = with_gaps(rng.random((n_models, n_methods, *seeds, n_examples)))
    users = rng.choice(n_users, n_examples, p=np.arange(1, n_users + 1) / sum(range(n_users + 1)))
    ds = xr.Dataset(
        {
            "user": ("example", [f"user {u}" for u in users]),
            "reward": (("method", *seed_dim, "example", "candidate"), reward),
            "logprob": (("model", "example", "candidate"), grid(n_models, n_examples, 2) - 20),
            "n_tokens": (("example", "candidate"), rng.integers(1, 40, (n_examples, 2))),
            "rouge1": (("model", "method", *seed_dim, "example"), rouge),
            "helpfulness": (
                ("model", "method", "example"),
                rng.normal(0, 3, (n_models, n_methods, n_examples)),
                {"role": "generation_metric", "direction": "higher"},
            ),
            "leaderboard": (
                "method",
                rng.random(n_methods).round(3),
                {"role": "method_metric", "direction": "higher"},
            ),
        },
        coords={
            "method": list(METHODS[:n_methods]),
            "model": list(MODELS[:n_models]),
            "candidate": ["chosen", "rejected"],
        },
    )
    if n_tokens:
        length = rng.integers(0, n_tokens + 1, (n_examples, 2))
        past_end = np.arange(n_tokens) >= length[..., None]
        dims = ("example", "candidate", "token")
        logprob = np.where(past_end, np.nan, -rng.integers(1, 9, (n_models, *past_end.shape)) / 4)
        trace = np.where(past_end, np.nan, grid(n_methods, *past_end.shape))
        ds = ds.assign(
            token_logprob=(("model", *dims), logprob), reward_trace=(("method", *dims), trace)
        )
    if n_seeds:
        ds = ds.assign_coords(seed=np.arange(n_seeds))
    if labelled:
        ds = ds.assign_coords(example=[f"example {i:04d}" for i in rng.permutation(n_examples)])
    return ds


@pytest.fixture(scope="session")
def make_study() -> StudyMaker:
    """Make one benchmark dataset; see ``_study`` for its options."""
    return _study


@pytest.fixture(scope="session")
def studies() -> st.SearchStrategy[xr.Dataset]:
    """Draw benchmark datasets with ties, gaps, unequal users and edges of one method or user."""
    return st.builds(
        _study,
        st.integers(0, 2**32 - 1),
        n_methods=st.integers(1, 6),
        n_models=st.integers(1, 3),
        n_users=st.integers(1, 8),
        n_examples=st.integers(1, 40),
        n_seeds=st.sampled_from([0, 0, 2]),
        n_tokens=st.sampled_from([0, 0, 5]),
        without_reward=st.integers(0, 1),
        missing=st.sampled_from([0.0, 0.2, 0.9]),
        labelled=st.booleans(),
    )


def _shuffled(ds: xr.Dataset, seed: int, *dims: str) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    chosen = dims or tuple(str(dim) for dim in ds.dims if dim != "token")
    ds = ds.isel({dim: rng.permutation(ds.sizes[dim]) for dim in chosen if dim in ds.dims})
    return ds.transpose(*rng.permutation([str(dim) for dim in ds.dims]).tolist())


@pytest.fixture(scope="session")
def shuffled() -> Callable[..., xr.Dataset]:
    """Permute the labels along the dims named (all but ``token`` if none), and the dims."""
    return _shuffled

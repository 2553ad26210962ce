from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from preflamp_stats.io.variables import annotated


def make_study(
    *, methods: int = 2, examples: int = 5, first_example: int = 0, tokens: int = 4, seed: int = 0
) -> xr.Dataset:
    """A whole, sound study with every variable of the schema but weights."""
    rng = np.random.default_rng(seed)
    length = rng.integers(1, tokens + 1, (1, examples, 2))
    within = np.arange(tokens) < length[..., None]
    pair, written = ("example", "candidate"), ("model", "method", "example")
    logprobs = np.where(within, -rng.gamma(2.0, size=(1, examples, 2, tokens)), np.nan)
    rewards = rng.normal(size=(methods, examples, 2, tokens))
    ids = range(first_example, first_example + examples)
    variables = {
        "user": ("example", [f"usér {i % 3}" for i in ids]),
        "prompt": ("example", [f"prompt {i}" for i in ids]),
        "reference": ("example", [f"réference {i}" for i in ids]),
        "candidate_text": (pair, np.array([[f"good {i}", f"bad {i}"] for i in ids], object)),
        "reward": (("method", *pair), rng.normal(size=(methods, examples, 2))),
        "logprob": (("model", *pair), np.nansum(logprobs, axis=-1)),
        "n_tokens": (("model", *pair), length),
        "token_logprob": (("model", *pair, "token"), logprobs),
        "reward_trace": (("method", *pair, "token"), np.where(within, rewards, np.nan)),
        "generation": (written, np.full((1, methods, examples), "text", object)),
        "rouge1": (written, rng.uniform(size=(1, methods, examples))),
        "judge": (written, rng.uniform(size=(1, methods, examples))),
        "board": ("method", rng.uniform(size=methods)),
    }
    coords = {
        "method": [f"method {i}" for i in range(methods)],
        "method_family": ("method", ["reward-guided"] * methods),
        "model": ["base"],
        "parameters": ("model", [500_000_000]),
        "example": [f"e{i}" for i in ids],
        "candidate": ["chosen", "rejected"],
    }
    return annotated(xr.Dataset(variables, coords=coords, attrs={"preflamp_schema": 1}))


@pytest.fixture
def study() -> xr.Dataset:
    return make_study()


@pytest.fixture
def make() -> Callable[..., xr.Dataset]:
    return make_study

"""Where accuracy and quality have nothing to do with each other, the rendered answer is no verdict.

And a p-value never contradicts the interval beside it without a sentence that says why.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

import preflamp_stats as pls
from preflamp_stats.results import Analysis

VERDICT = re.compile(r"\b(Yes|No)\b")


def study(
    n_methods: int, rng: np.random.Generator, n_users: int = 100, shared: float = 0.0
) -> xr.Dataset:
    """Methods whose quality has a share of their skill in it; five examples a user."""
    n = n_users * 5
    skill = rng.normal(0.8, 0.5, n_methods)
    quality = 5 + 1.5 * (shared * (skill - 0.8) / 0.5 + (1 - shared) * rng.normal(0, 1, n_methods))
    reward = rng.normal(0, 1, (n_methods, n, 2))
    reward[..., 0] += skill[:, None]
    judge = quality[:, None] + rng.normal(0, 1, (n_methods, n))
    told = {"role": "generation_metric", "direction": "higher"}
    return xr.Dataset(
        {
            "reward": (("method", "example", "candidate"), reward),
            "judge": (("method", "example"), judge, told),
            "user": ("example", np.repeat([f"u{i}" for i in range(n_users)], 5)),
        },
        {
            "method": [f"m{i}" for i in range(n_methods)],
            "candidate": ["chosen", "rejected"],
        },
    )


def analysis_of(ds: xr.Dataset) -> Analysis:
    return pls.analyze(ds, pls.Settings(resamples=100, downstream=("judge",)))


def answer(found: Analysis) -> str:
    (text,) = (q.answer for q in found.questions if q.name == "predict")
    return text


@pytest.mark.slow
@pytest.mark.parametrize("n_methods", [3, 6, 10])
def test_unrelated_methods_get_a_verdict_in_one_study_of_twenty_at_most(n_methods: int) -> None:
    """Among 100 studies so many verdicts that 5 % would give more in one run of a thousand."""
    rng = np.random.default_rng(n_methods)
    said = sum(bool(VERDICT.search(answer(analysis_of(study(n_methods, rng))))) for _ in range(100))
    assert said <= stats.binom.ppf(0.999, 100, 0.05)
    assert n_methods > 3 or said == 0


def test_a_strong_association_over_enough_methods_is_a_yes() -> None:
    found = answer(analysis_of(study(10, np.random.default_rng(1), shared=0.9)))
    assert found.startswith("Yes. For methods like these")


@pytest.mark.parametrize("seed", range(8))
def test_p_and_interval_never_contradict_each_other_without_a_word(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ds = study(int(rng.integers(3, 9)), rng, int(rng.integers(6, 40)), float(rng.random()))
    found = analysis_of(ds)
    table = found.tables["tau"]
    row = table.frame.iloc[0]
    small = row["p_value"] <= 0.05
    if pd.isna(row["low"]):
        return
    population = row["population_low"] > 0 or row["population_high"] < 0
    these = row["low"] > 0 or row["high"] < 0
    explained = " ".join(table.findings)
    assert ("p is about methods like these" in explained or "p asks whether" in explained) == (
        these != small
    )
    assert population == small  # the test and the interval of one target
    assert ("above its ceiling" in explained) == (row["estimate"] > row["ceiling"])
    assert ("times as many users" in explained) == np.isnan(row["users_needed"])
    assert (row["users_needed_note"] == "") == np.isfinite(row["users_needed"])

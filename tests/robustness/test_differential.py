"""A hundred cases of each comparison of benchmarks/robustness/differential.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pingouin")

import differential
from harness.peers import COMPARISONS, R_COMPARISONS, Comparison

CASES = range(10**6, 10**6 + 100)
NEEDS_R = pytest.mark.skipif(not differential.HAS_R, reason="needs Rscript with boot and psych")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "of",
    [*COMPARISONS, *(pytest.param(each, marks=NEEDS_R) for each in R_COMPARISONS)],
    ids=lambda of: f"{of.quantity}, {of.peer}",
)
def test_somebody_elses_code_gives_the_same_number(of: Comparison) -> None:
    found = differential.compare(of, CASES)
    assert [wrong for wrong in found["wrong"] if wrong] == []
    assert len(found) == len(CASES)
    # Cases in which nothing is defined would compare nothing.
    assert found["undefined"].sum() < 0.5 * found["numbers"].sum()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("wrong", ["a little more", "undefined", "another shape"])
def test_a_wrong_number_is_seen(wrong: str) -> None:
    of = next(each for each in COMPARISONS if each.quantity == "t-test and interval")

    def spoilt(values: Any) -> Any:
        right = np.asarray(of.ours(values))
        changed = {"a little more": right + 1e-8, "undefined": right * np.nan}
        return changed.get(wrong, np.append(right, 0.0))

    found = differential.compare(replace(of, ours=spoilt), CASES)
    assert (found["wrong"] != "").sum() > 50

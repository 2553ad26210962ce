"""A hundred cases of each comparison of benchmarks/robustness/differential.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pingouin")

import differential
from harness.peers import COMPARISONS, R_COMPARISONS, Comparison, RComparison

CASES = range(10**6, 10**6 + 100)


def _pairs(of: Comparison) -> Any:
    for case in CASES:
        drawn = of.draw(differential.generator(of.quantity, case))
        yield case, of.ours(*drawn), of.theirs(*drawn)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("of", COMPARISONS, ids=lambda of: f"{of.quantity}, {of.peer}")
def test_somebody_elses_code_gives_the_same_number(of: Comparison) -> None:
    result = differential.compared(of, _pairs(of))
    assert result.wrong == []
    assert result.cases == len(CASES)
    # Cases in which nothing is defined would compare nothing.
    assert result.undefined < 0.5 * result.numbers


@pytest.mark.skipif(not differential.HAS_R, reason="needs Rscript with boot and psych")
@pytest.mark.parametrize("of", R_COMPARISONS, ids=lambda of: f"{of.quantity}, {of.peer}")
def test_r_gives_the_same_number(of: RComparison) -> None:
    result = differential.in_r(of, CASES)
    assert result.wrong == []
    assert result.cases == len(CASES)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("wrong", ["a little more", "undefined", "another shape"])
def test_a_wrong_number_is_seen(wrong: str) -> None:
    of = next(each for each in COMPARISONS if each.quantity == "tau-b")

    def spoilt(x: Any, y: Any) -> Any:
        right = np.asarray(of.ours(x, y))
        changed = {"a little more": right + 1e-8, "undefined": right * np.nan}
        return changed.get(wrong, np.append(right, 0.0))

    result = differential.compared(of, _pairs(replace(of, ours=spoilt)))
    assert len(result.wrong) > 50

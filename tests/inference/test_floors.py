"""What too few users and methods cannot show."""

import numpy as np
import pytest
from scipy import stats

from preflamp_stats.inference.floors import (
    above_ceiling,
    cannot_be_judged,
    enough_methods,
    enough_users,
    p_against_interval,
)


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("n", range(1, 12))
def test_floors_are_where_the_exact_tests_can_first_reject(n: int, level: float) -> None:
    assert enough_users(n, level) == (stats.binomtest(n, n).pvalue <= 1 - level + 1e-12)
    if n > 1:
        perfect = stats.kendalltau(range(n), range(n), method="exact").pvalue
        assert enough_methods(n, level) == (perfect <= 1 - level + 1e-12)


def test_too_small_a_study_is_named_and_another_is_not() -> None:
    assert "2 users" in cannot_be_judged(2)
    assert "3 examples" in cannot_be_judged(3, unit="examples")
    assert "3 methods" in cannot_be_judged(100, 3)
    assert cannot_be_judged(6) == cannot_be_judged(6, 5) == ""
    assert not enough_users(0)
    assert not enough_methods(1)


def test_reasons_are_given_only_where_numbers_seem_at_odds() -> None:
    assert above_ceiling(0.5, 0.4)
    assert above_ceiling(0.3, 0.4) == above_ceiling(0.3, np.nan) == ""
    for p, low, agree in ((0.01, 0.1, True), (0.72, 0.07, False), (0.01, -0.1, False)):
        assert (p_against_interval(p, low, 0.9) == "") == agree
    assert p_against_interval(np.nan, 0.1, 0.2) == ""

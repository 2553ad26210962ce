"""The lower bound of an interval's width, where it is known."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from least_width import Design, best_intervals, dual, least_width, simulate


def test_without_information_it_is_the_shortest_range_of_the_null_distribution():
    """Of 24 orders of 4 methods 16 have |tau| <= 1/3 and 22 have |tau| <= 2/3.

    The randomised rule between those two ranges that covers 80 % is 2/3 + 8/3 (.8 - 16/24) wide.
    """
    found = least_width(4, 1e-6, [0.0], [1.0], cover=0.8, n_studies=3000, n_draws=4000)
    assert found.width == pytest.approx(2 / 3 + 8 / 3 * (0.8 - 16 / 24), abs=0.04)


def test_without_noise_tau_is_known_and_no_width_is_needed():
    found = least_width(6, 1 - 1e-7, [0.5], [1.0], n_studies=400, n_draws=50)
    assert abs(found.width) < 0.02


def test_it_grows_with_what_must_be_covered():
    few = least_width(6, 0.5, [0.0], [1.0], n_studies=3000, n_draws=100)
    more = least_width(6, 0.5, [0.5, 0.95], [1.0], n_studies=3000, n_draws=100)
    assert more.width > few.width + 3 * (few.error + more.error)


def test_any_multipliers_give_a_bound_of_the_whole_range():
    rng = np.random.default_rng(0)
    designs = [Design(0.0, 1.0), Design(0.95, 1.0), Design(-0.95, 1.0)]
    studies = simulate(rng, 2000, 5, 1.0, designs, 50)
    for multipliers in (np.zeros(3), np.ones(3), np.array([5.0, 0.1, 0.1])):
        assert dual(multipliers, studies, 0.93)[0] <= 2


def test_best_intervals_equal_trying_all_of_them():
    rng = np.random.default_rng(1)
    gains, cost = rng.random((50, 7)), rng.random(50)
    best, first, last = best_intervals(gains, cost)
    for row in range(50):
        every = {
            (i, j): gains[row, i:j].sum() - cost[row] * (j - i - 1)
            for i in range(7)
            for j in range(i + 1, 8)
        }
        assert best[row] == pytest.approx(max(every.values()))
        assert every[first[row], last[row]] == pytest.approx(best[row])

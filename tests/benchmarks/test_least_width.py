"""The lower bound of an interval's width, where it is known."""

import least_width as benchmark
import numpy as np
import pytest
from cells.tau_intervals import TauCell, draw_examples
from least_width import noise_of, percentile_interval
from scipy.special import ndtr
from width_bound import Design, Setting, best_intervals, dual, least_width, simulate


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_without_information_it_is_the_shortest_range_of_the_null_distribution(rng):
    """Of 24 orders of 4 methods 16 have |tau| <= 1/3 and 22 have |tau| <= 2/3.

    The randomised rule between those two ranges that covers 80 % is 2/3 + 8/3 (.8 - 16/24) wide.
    """
    found = least_width(
        rng, Setting(4, noise_of(1e-6)), [], [1.0], cover=0.8, n_studies=1500, n_draws=2000
    )
    assert found.width == pytest.approx(2 / 3 + 8 / 3 * (0.8 - 16 / 24), abs=0.04)


def test_order_between_groups_is_known_without_information(rng):
    """Two pairs of methods: 4 pairs agree, 2 do by chance; tau is 1/3, 2/3, 1 in 1, 2, 1 of 4.

    Each quarter above the half of the middle value costs a third of width.
    """
    found = least_width(
        rng,
        Setting(4, noise_of(1e-6), "two shared"),
        [],
        [1.0],
        cover=0.8,
        n_draws=2000,
        n_studies=1500,
    )
    assert found.width == pytest.approx((0.8 - 0.5) / 0.25 / 3, abs=0.03)


@pytest.mark.parametrize("groups", ["one", "two", "two shared"])
def test_without_noise_tau_is_known_and_no_width_is_needed(rng, monkeypatch, groups: str):
    setting = Setting(6, noise_of(1 - 1e-7), groups)
    found = least_width(rng, setting, [-0.5, 0.5], [1.0], n_studies=400, n_draws=50)
    assert abs(found.width) < 0.02
    monkeypatch.setattr(benchmark, "_PERCENTILE_STUDIES", 100)
    peer = percentile_interval(rng, setting, Design(0.0, 1.0))
    assert peer.coverage > 0.95
    assert peer.width < 0.02


def test_chance_puts_methods_into_groups_of_each_metric_alone():
    levels = Setting(8, 1.0, "two").draw_levels(np.random.default_rng(0), 4000)
    assert set(np.unique(levels)) == {levels.min(), -levels.min()}
    assert abs(np.sign(levels).mean(axis=0)).max() < 0.07
    assert abs(np.sign(levels).prod(axis=2).mean()) < 0.03


def test_percentile_interval_of_two_methods_is_all_or_one_value(rng, monkeypatch):
    """Tau is 1 or -1: the limits differ in all but those studies where the order is certain."""
    monkeypatch.setattr(benchmark, "_PERCENTILE_STUDIES", 100)
    found = percentile_interval(rng, Setting(2, 1.0), Design(0.0, 1.0))
    assert 1.5 < found.width <= 2
    assert found.coverage > 0.9


@pytest.mark.parametrize(("n_users", "noise"), [(50, benchmark._OF_50), (200, benchmark._OF_200)])
def test_noise_is_that_of_the_calibration(n_users: int, noise: float):
    rng = np.random.default_rng(n_users)
    cell = TauCell(12, n_users, 0.0, 0.03)
    true, error = np.zeros(2)
    for _ in range(60):
        probits, correct, _ = draw_examples(rng, cell)
        accuracies = ndtr(probits)
        missed = correct.mean(axis=0).reshape(2, -1) - accuracies
        true += accuracies.var(axis=1).sum()
        error += missed.var(axis=1).sum()
    # 2 × 60 × 11 contrasts in either sum.
    assert error / true == pytest.approx(noise, rel=0.2)


def test_it_grows_with_what_must_be_covered(rng):
    setting = Setting(6, 1.0)
    few = least_width(rng, setting, [], [1.0], n_studies=1500, n_draws=60)
    more = least_width(rng, setting, [-0.95, 0.5, 0.95], [1.0], n_studies=1500, n_draws=60)
    assert more.width > few.width + 3 * (few.error + more.error)


def test_any_multipliers_give_a_bound_of_the_whole_range():
    rng = np.random.default_rng(0)
    designs = [Design(0.0, 1.0), Design(0.95, 1.0), Design(-0.95, 1.0)]
    studies = simulate(rng, 2000, Setting(5, 1.0), designs, 50)
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

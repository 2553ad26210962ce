"""Limits from draws: equal tails, discrete steps, thin tails left out."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflamp_stats.kernels.posterior_limits import central_limits, surest_disagreements

draws_of_few_values = st.lists(st.integers(-3, 3), min_size=1, max_size=60)


def test_limits_leave_equal_shares_of_the_draws_outside():
    draws = np.random.default_rng(0).exponential(size=20_000)
    low, high = central_limits(draws, 0.9)
    assert np.isin([low, high], draws).all()
    assert low == pytest.approx(-np.log(1 - 0.045), abs=0.005)  # a tenth of 0.1 is held back
    assert high == pytest.approx(-np.log(0.045), abs=0.1)


def test_limits_leave_out_nan():
    assert central_limits([0.2, np.nan, 0.4, 0.6]) == (0.2, 0.6)
    assert np.isnan(central_limits([np.nan, np.nan])).all()


@pytest.mark.parametrize(("share", "low"), [(0.08, 1), (0.10, 0)])
def test_a_value_is_held_if_the_middle_of_its_step_is(share, low):
    # At 0.9 a share of 0.045 lies outside on each side; the middle of the lowest step is share / 2.
    draws = np.repeat([0.0, 1.0, 2.0], [100 * share, 90 - 100 * share, 10])
    assert central_limits(draws, 0.9) == (low, 2)


# Below one half a step that holds the median may have its middle outside.
@given(draws_of_few_values, st.floats(0.5, 0.99))
def test_limits_mirror_their_draws_and_hold_the_median(draws, level):
    low, high = central_limits(draws, level)
    assert central_limits([-draw for draw in draws], level) == (-high, -low)
    below, above = np.mean(np.less(draws, low)), np.mean(np.greater(draws, high))
    assert below <= 0.5
    assert above <= 0.5


@pytest.mark.parametrize(
    ("least_density", "high"),
    [
        (0.0, -np.log(0.045)),  # a tenth of 0.1 is held back, half of the rest is above
        (0.02, -np.log(0.045)),  # the density at that limit is 0.045: nothing to leave out
        (0.06, -np.log(0.06)),
        (0.3, -np.log(0.09)),  # no more than twice as much may be left out
    ],
)
def test_a_tail_ends_where_its_density_falls_short(least_density, high):
    # Quantiles of an exponential distribution, whose density at x is its probability above x.
    draws = -np.log1p(-(np.arange(20_000) + 0.5) / 20_000)
    low, found = central_limits(draws, 0.9, least_density=least_density)
    assert found == pytest.approx(high, abs=0.01)
    assert low == pytest.approx(-np.log(1 - 0.045), abs=0.001)  # dense: not touched


@pytest.mark.parametrize(("price", "limits"), [(1 / 8, (-1, 1)), (0.126, (0, 0))])
def test_a_tail_that_is_just_worth_its_width_is_kept(price, limits):
    draws = np.repeat([-1.0, 0.0, 1.0], [8, 48, 8])
    assert central_limits(draws, 0.9, least_density=price) == limits


@pytest.mark.parametrize(("share", "high"), [(0.05, 1.0), (0.2, 1.0), (0.04, 0.96)])
def test_an_atom_at_the_end_is_no_thin_tail(share, high):
    """Of 2,000 draws at steps of 0.04 in [0.2, 0.96], and an atom at 1."""
    rest = np.linspace(0.2, 0.96, 20).repeat(round(100 * (1 - share)))
    draws = np.append(rest, np.ones(round(2000 * share)))
    assert central_limits(draws, least_density=0.15)[1] == pytest.approx(high)


@given(draws_of_few_values, st.floats(0.5, 0.99), st.floats(0, 0.5), st.floats(0, 0.5))
def test_a_higher_price_of_width_never_widens_and_leaves_twice_the_share_out_at_most(
    draws, level, price, more
):
    wide, dear, dearer = (
        central_limits(draws, level, least_density=each) for each in (0, price, price + more)
    )
    inner = central_limits(draws, max(0.0, 1 - 2 * (1 - level)))
    assert wide[0] <= dear[0] <= dearer[0] <= inner[0]
    assert wide[1] >= dear[1] >= dearer[1] >= inner[1]


@given(draws_of_few_values, st.floats(0.5, 0.99), st.integers(1, 8))
def test_thin_tails_are_left_out_alike_on_both_sides(draws, level, eighths):
    # In binary fractions sums from either end agree to the bit.
    draws = (draws * 64)[:64]
    low, high = central_limits(draws, level, least_density=eighths / 8)
    mirrored = central_limits([-draw for draw in draws], level, least_density=eighths / 8)
    assert mirrored == (-high, -low)


@given(draws_of_few_values, st.floats(0.5, 0.99), st.floats(0.01, 0.5))
def test_a_unit_of_the_draws_is_a_unit_of_the_price(draws, level, price):
    low, high = central_limits(draws, level, least_density=price)
    scaled = central_limits(np.multiply(draws, 4), level, least_density=price / 4)
    assert scaled == (4 * low, 4 * high)


@given(st.integers(0, 2**32 - 1), st.integers(2, 8))
def test_disagreement_is_that_of_the_pairs_one_by_one(seed, n_methods):
    rng = np.random.default_rng(seed)
    both = rng.normal(size=(2, n_methods)).round(1)
    root = rng.normal(size=(2 * n_methods, 2 * n_methods))
    noise = root @ root.T
    expected = {-1: [0.0], 0: [0.0], 1: [0.0]}
    for pair in itertools.combinations(range(n_methods), 2):
        contrasts = np.zeros((2, 2, n_methods))
        for metric in range(2):
            contrasts[metric, metric, pair] = 1, -1
        contrasts = contrasts.reshape(2, -1)
        steps = contrasts @ both.ravel() / np.sqrt(np.diagonal(contrasts @ noise @ contrasts.T))
        expected[int(np.sign(steps[0] * steps[1]))].append(np.abs(steps).min())
    found = surest_disagreements(both.ravel(), noise)
    np.testing.assert_allclose(found, [max(expected[-1]), max(expected[1])], rtol=1e-6)
    signs = np.repeat([1, -1], n_methods)
    turned = surest_disagreements(signs * both.ravel(), np.outer(signs, signs) * noise)
    np.testing.assert_allclose(turned, found[::-1], rtol=1e-6)


def test_disagreement_without_noise_is_sure_and_of_ties_there_is_none():
    assert surest_disagreements([0, 1, 2, 0, 2, 1], np.zeros((6, 6))) == (np.inf, np.inf)
    assert surest_disagreements([0, 1, 1, 5], np.zeros((4, 4))) == (0.0, np.inf)
    assert surest_disagreements([1, 1, 0, 5], np.eye(4)) == (0.0, 0.0)

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from preflamp_stats.kernels import kendall
from preflamp_stats.kernels.kendall import kendall_tau, pair_counts

VARIANTS = ("a", "b", "c", "weighted")


def ranked(n_items: st.SearchStrategy[int], *, gaps: bool = True) -> st.SearchStrategy[np.ndarray]:
    """Pairs of rows whose few distinct values are tied heavily."""
    value = st.sampled_from([-1.5, 0.0, 0.25, 2.0, 7.0, *([np.nan] if gaps else [])])
    return n_items.flatmap(
        lambda n: st.lists(st.lists(value, min_size=n, max_size=n), min_size=2, max_size=2).map(
            np.array
        )
    )


def scipy_tau(x: np.ndarray, y: np.ndarray, variant: str) -> float:
    """The items that both have, through scipy; tau-a by its definition, which scipy lacks."""
    both = ~(np.isnan(x) | np.isnan(y))
    x, y = x[both], y[both]
    if len(x) < 2:
        return np.nan
    if variant == "a":
        pairs = list(itertools.combinations(range(len(x)), 2))
        return float(sum(np.sign(x[i] - x[j]) * np.sign(y[i] - y[j]) for i, j in pairs)) / len(
            pairs
        )
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan
    if variant == "weighted":
        return float(stats.weightedtau(x, y).statistic)
    return float(stats.kendalltau(x, y, variant=variant).statistic)


KENDALL_1970 = ([1, 2, 2, 4, 4, 6, 6, 8, 9, 9], [1, 2, 4, 4, 4, 4, 8, 8, 8, 10])


@pytest.mark.parametrize(
    ("x", "y", "variant", "expected"),
    [
        (*KENDALL_1970, "b", 0.85895569),  # examples of ties in Kendall (1970)
        (*KENDALL_1970, "c", 0.825),
        # 33 pairs agree, none disagrees, 12 of the 45 are tied in x or y.
        (*KENDALL_1970, "a", 33 / 45),
        ([12, 2, 1, 12, 2], [1, 4, 7, 1, 0], "b", -0.47140452079103173),  # -4 / sqrt(8 · 9)
        ([12, 2, 1, 12, 2], [1, 4, 7, 1, 0], "a", -4 / 10),
        ([12, 2, 1, 12, 2], [1, 4, 7, 1, 0], "weighted", -0.56694968153682723),
        ([1, 2, 3, 4], [1, 2, 3, 4], "b", 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], "b", -1.0),
        ([1, 2], [5, 5], "a", 0.0),
        ([1, 2], [5, 5], "b", np.nan),
        ([1, 2], [5, 5], "c", np.nan),
        ([1, 2], [5, 5], "weighted", np.nan),
        ([1], [1], "a", np.nan),
        ([], [], "b", np.nan),
        ([np.nan, 1, 2], [1, np.nan, 2], "a", np.nan),
        ([np.inf, 0, -np.inf], [1, 0, -1], "b", 1.0),
    ],
)
def test_known_answers(x, y, variant, expected):
    tau = kendall_tau(x, y, variant=variant)
    np.testing.assert_allclose(tau, expected, rtol=1e-7, atol=0)


def test_pair_counts_by_hand():
    # Pairs of (x, y): (1,1)(1,2) tied in x; (1,1)(2,2) agrees; (1,2)(2,2) tied in y.
    counts = pair_counts([[1.0, 1.0, 2.0, np.nan]], [[1.0, 2.0, 2.0, 9.0]], distinct=True)
    assert counts.balance == 1
    assert counts.untied_x == 2
    assert counts.untied_y == 2
    assert counts.pairs == 3
    assert counts.items == 3
    assert counts.distinct == 2


@pytest.mark.parametrize("variant", VARIANTS)
@given(pair=ranked(st.integers(2, 15)))
def test_agrees_with_scipy_under_heavy_ties_and_gaps(variant, pair):
    expected = scipy_tau(*pair, variant)
    np.testing.assert_allclose(kendall_tau(*pair, variant=variant), expected, atol=1e-12)


@pytest.mark.parametrize("variant", VARIANTS)
@given(pair=ranked(st.integers(2, 15)))
def test_long_rows_agree_with_short_ones(variant, pair):
    # Not monkeypatch: hypothesis calls the test many times within one fixture.
    limit, kendall._PAIRWISE_LIMIT = kendall._PAIRWISE_LIMIT, 1
    try:
        long = kendall_tau(*pair, variant=variant)
    finally:
        kendall._PAIRWISE_LIMIT = limit
    np.testing.assert_allclose(long, kendall_tau(*pair, variant=variant), atol=1e-12)


@pytest.mark.parametrize("variant", VARIANTS)
def test_rows_over_the_limit_agree_with_the_pairwise_count(variant):
    rng = np.random.default_rng(5)
    x, y = rng.integers(0, 60, (2, 2, 2001)) / 4
    x[0, :50], y[0, 30:90] = np.nan, np.nan
    long = kendall_tau(x, y, variant=variant)
    np.testing.assert_allclose(long, kendall._tau_of_rows(x, y, variant), atol=1e-11)


@pytest.mark.parametrize("variant", VARIANTS)
@given(pair=ranked(st.integers(2, 10)))
def test_bounds_symmetry_and_sign(variant, pair):
    x, y = pair
    tau = kendall_tau(x, y, variant=variant)
    assert np.isnan(tau) or -1 <= tau <= 1
    np.testing.assert_allclose(kendall_tau(y, x, variant=variant), tau, atol=1e-12)
    if variant != "weighted":  # it gives the top of the ranking more weight than the bottom
        np.testing.assert_allclose(kendall_tau(-x, y, variant=variant), -tau, atol=1e-12)


@pytest.mark.parametrize("variant", VARIANTS)
@given(
    pair=ranked(st.integers(2, 10)),
    increasing=st.sampled_from([lambda v: 4 * v - 3, lambda v: v**3, np.arctan]),
    random=st.randoms(),
)
def test_monotone_maps_and_the_order_of_items_change_nothing(variant, pair, increasing, random):
    tau = kendall_tau(*pair, variant=variant)
    np.testing.assert_equal(kendall_tau(increasing(pair[0]), pair[1], variant=variant), tau)
    order = list(range(pair.shape[1]))
    random.shuffle(order)
    np.testing.assert_allclose(kendall_tau(*pair[:, order], variant=variant), tau, atol=1e-12)


@pytest.mark.parametrize("variant", VARIANTS)
@given(pair=ranked(st.integers(2, 10)), gap=st.integers(0, 10), in_x=st.booleans())
def test_an_item_with_a_gap_is_as_if_it_were_not_there(variant, pair, gap, in_x):
    item = np.array([[np.nan], [1.0]] if in_x else [[1.0], [np.nan]])
    longer = np.hstack([pair[:, :gap], item, pair[:, gap:]])
    np.testing.assert_allclose(
        kendall_tau(*longer, variant=variant), kendall_tau(*pair, variant=variant), atol=1e-12
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_many_rankings_at_once_are_those_one_by_one(monkeypatch, variant):
    rng = np.random.default_rng(2)
    x = rng.integers(0, 4, (3, 1, 7, 6)).astype(float)
    y = rng.integers(0, 4, (2, 7, 6)).astype(float)
    x[rng.random(x.shape) < 0.2] = np.nan
    monkeypatch.setattr(kendall, "_CHUNK_ROWS", 5)
    together = kendall_tau(x, y, variant=variant)
    assert together.shape == (3, 2, 7)
    for i, j, k in np.ndindex(3, 2, 7):
        one = kendall_tau(x[i, 0, k], y[j, k], variant=variant)
        np.testing.assert_equal(together[i, j, k], one)


@pytest.mark.parametrize("n_items", [127, 128, 129, 300])
def test_counts_of_one_byte_do_not_overflow(n_items):
    up = np.arange(float(n_items))
    assert kendall_tau(up, up, variant="a") == 1.0
    assert kendall_tau(up, -up, variant="b") == -1.0


@pytest.mark.parametrize("n_items", [3, 2001])
def test_an_unknown_variant_is_refused(n_items):
    with pytest.raises(ValueError, match=r"variant 'tau-b'.*a, b, c, weighted"):
        kendall_tau(np.arange(n_items), np.arange(n_items), variant="tau-b")


def test_a_single_number_has_no_items():
    with pytest.raises(ValueError, match="axis of items"):
        kendall_tau(1.0, 2.0)

"""Tests that swap two metrics, against nlpstats' way by enumeration, and loops."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from preflamp_stats.kernels.kendall import kendall_tau
from preflamp_stats.kernels.swaps import Cells, common_scale, swap_test

SCHEMES = ("perm-inputs", "perm-systems", "perm-both-rows", "perm-both-cells")


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_unknown_scheme_is_refused() -> None:
    one = Cells(np.ones((1, 2)), np.ones((1, 2)))
    with pytest.raises(ValueError, match="scheme 'perm-both'"):
        swap_test(one, one, [1, 2], scheme="perm-both", rng=rng())  # type: ignore[arg-type]


def cells(n_units: int, n_methods: int, seed: int = 3) -> tuple[Cells, Cells, np.ndarray]:
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(2, n_units, n_methods))
    ones = np.ones((n_units, n_methods))
    return *common_scale(Cells(x, ones), Cells(3 * y + 2, ones)), random.normal(size=n_methods)


def masks(scheme: str, n_units: int, n_methods: int) -> list[np.ndarray]:
    """Every mask, shape (unit, method), that a scheme can draw, as often as it can."""
    if scheme == "perm-both-cells":
        bits = itertools.product([False, True], repeat=n_units * n_methods)
        return [np.reshape(b, (n_units, n_methods)) for b in bits]
    rows = list(itertools.product([False, True], repeat=n_methods))
    columns = [np.array(c)[:, None] for c in itertools.product([False, True], repeat=n_units)]
    none = np.zeros((n_units, n_methods), dtype=bool)
    if scheme == "perm-inputs":
        return [none | c for c in columns]
    if scheme == "perm-systems":
        return [none | r for r in rows]
    return [none | (c ^ np.array(r)) for c in columns for r in rows]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_null_distribution_by_enumeration(scheme: str) -> None:
    x, y, z = cells(2, 3)
    found = swap_test(x, y, z, scheme=scheme, rng=rng())
    expected = []
    for mask in masks(scheme, 2, 3):
        swapped_x, swapped_y = np.where(mask, y.sums, x.sums), np.where(mask, x.sums, y.sums)
        taus = [stats.kendalltau(s.mean(axis=0), z).statistic for s in (swapped_x, swapped_y)]
        expected.append(taus[0] - taus[1])
    assert found.null == "enumerated"
    np.testing.assert_allclose(np.sort(found.draws), np.sort(expected), atol=1e-12)
    assert found.p_value == np.mean(np.abs(expected) >= abs(found.statistic) - 1e-9)


@pytest.mark.parametrize(
    ("scheme", "theirs"),
    [("perm-inputs", "inputs"), ("perm-systems", "systems"), ("perm-both-rows", "both")],
)
def test_null_distribution_is_that_of_nlpstats(
    scheme: str, theirs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resampling = pytest.importorskip("nlpstats.correlations.resampling")
    n_units, n_methods = 3, 3
    random = np.random.default_rng(5)
    x, y = random.normal(size=(2, n_units, n_methods))
    z = random.normal(size=n_methods)
    ones = np.ones_like(x)
    ours = swap_test(
        *common_scale(Cells(x, ones), Cells(5 * y - 1, ones)), z, scheme=scheme, rng=rng()
    )
    # Their functions draw one mask a call from the global generator: feed them every mask there is.
    sizes = {"inputs": [n_units], "systems": [n_methods], "both": [n_methods, n_units]}[theirs]
    standard = [((m - m.mean()) / m.std()).T for m in (x, 5 * y - 1)]
    expected = []
    for bits in itertools.product([0.1, 0.9], repeat=sum(sizes)):
        queue = list(np.split(np.array(bits), np.cumsum(sizes)[:-1]))
        monkeypatch.setattr(np.random, "rand", lambda *shape, q=queue: q.pop(0).reshape(shape))
        a, b = resampling.permute(*standard, theirs)
        taus = [stats.kendalltau(m.mean(axis=1), z).statistic for m in (a, b)]
        expected.append(taus[0] - taus[1])
    np.testing.assert_allclose(np.sort(ours.draws), np.sort(expected), atol=1e-12)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_sampled_swaps_are_among_the_enumerated_ones(scheme: str) -> None:
    x, y, z = cells(2, 3)
    enumerated = swap_test(x, y, z, scheme=scheme, rng=rng(), n_resamples=2**14)
    sampled = swap_test(x, y, z, scheme=scheme, rng=rng(), n_resamples=3)
    assert (enumerated.null, sampled.null, sampled.n_permutations) == ("enumerated", "sampled", 3)
    assert set(np.round(sampled.draws, 9)) <= set(np.round(enumerated.draws, 9))
    assert sampled.p_value >= 1 / 4


@pytest.mark.parametrize("scheme", SCHEMES)
def test_large_designs_are_drawn_with_swaps_of_half_the_cells(scheme: str) -> None:
    x, y, z = cells(60, 9)
    found = swap_test(x, y, z, scheme=scheme, rng=rng(), n_resamples=600)
    assert found.null == ("enumerated" if scheme == "perm-systems" else "sampled")
    # x and y are alike, so the null distribution is symmetric about 0.
    assert abs(found.draws.mean()) < 4 * found.draws.std() / np.sqrt(len(found.draws))


@given(st.integers(0, 2**32 - 1), st.sampled_from(SCHEMES))
def test_swapping_the_metrics_flips_the_statistic(seed: int, scheme: str) -> None:
    x, y, z = cells(2, 3, seed)
    one, other = (swap_test(*pair, z, scheme=scheme, rng=rng()) for pair in ((x, y), (y, x)))
    assert one.statistic == -other.statistic
    assert one.p_value == other.p_value


@given(st.integers(0, 2**32 - 1))
def test_scale_and_location_of_a_metric_do_not_matter(seed: int) -> None:
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(2, 4, 3))
    counts = random.integers(0, 4, (4, 3)).astype(float)
    counts[0] = 1
    sums = [np.where(counts > 0, m * counts, 0) for m in (x, y)]
    moved = np.where(counts > 0, (100 * y - 7) * counts, 0)
    plain = common_scale(Cells(sums[0], counts), Cells(sums[1], counts))
    scaled = common_scale(Cells(sums[0], counts), Cells(moved, counts))
    np.testing.assert_allclose(plain[1].sums, scaled[1].sums, atol=1e-4)
    np.testing.assert_allclose(
        [np.average(c.sums / np.maximum(counts, 1), weights=counts) for c in plain], 0, atol=1e-5
    )


def test_methods_that_tie_before_tie_after_scaling() -> None:
    # The same accuracy from other users, and from twice as many examples.
    sums = np.array([[3.0, 1.0, 4.0], [1.0, 3.0, 4.0], [1.5, 1.5, 3.0]])
    counts = np.array([[4.0, 4.0, 8.0], [4.0, 4.0, 8.0], [3.0, 3.0, 6.0]])
    other = Cells(np.pi * counts + np.random.default_rng(0).normal(size=(3, 3)), counts)
    scaled, _ = common_scale(Cells(sums, counts), other)
    assert len(set(scaled.means().tolist())) == 1


def test_counts_travel_with_the_swapped_values() -> None:
    x = Cells(np.array([[1.0, 0.0, 2.0], [3.0, 8.0, 9.0]]), np.array([[1.0, 0, 1], [1, 2, 3]]))
    y = Cells(np.array([[5.0, 2.0, 1.0], [0.0, 1.0, 0.0]]), np.array([[2.0, 1, 1], [0, 1, 0]]))
    z = [1.0, 2.0, 3.0]
    found = swap_test(x, y, z, scheme="perm-inputs", rng=rng())
    expected = []
    for mask in itertools.product([False, True], repeat=2):
        m = np.array(mask)[:, None]
        means = []
        for a, b in ((x, y), (y, x)):
            s, n = np.where(m, b.sums, a.sums).sum(axis=0), np.where(m, b.counts, a.counts).sum(0)
            means.append(s / n)
        expected.append(float(kendall_tau(means[0], z)) - float(kendall_tau(means[1], z)))
    np.testing.assert_allclose(np.sort(found.draws), np.sort(expected))


def test_constant_metric_is_undefined() -> None:
    one = Cells(np.ones((2, 3)), np.ones((2, 3)))
    scaled = common_scale(one, one)
    assert np.isnan(swap_test(*scaled, [1, 2, 3], scheme="perm-inputs", rng=rng()).p_value)


def test_a_mean_of_nothing_is_undefined() -> None:
    cells = Cells(np.array([[1.0, 0.0], [2.0, 0.0]]), np.array([[2.0, 0.0], [2.0, 0.0]]))
    np.testing.assert_array_equal(cells.means(), [0.75, np.nan])


def test_cells_are_standardised_by_what_they_weigh() -> None:
    sums, counts = np.array([[3.0, 0.0], [8.0, 2.0]]), np.array([[1.0, 4.0], [2.0, 1.0]])
    cells = Cells(sums, counts)
    found, _ = common_scale(cells, cells)
    values = np.repeat((sums / counts).ravel(), counts.ravel().astype(int))
    expected = (sums / counts - values.mean()) / values.std()
    np.testing.assert_allclose(found.sums / found.counts, expected, atol=1e-6)

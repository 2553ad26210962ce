"""Permutation tests against scipy, nlpstats' way by enumeration, and loops."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from preflamp_stats.kernels.kendall import kendall_tau
from preflamp_stats.kernels.permutation import (
    Cells,
    common_scale,
    permutation_p_value,
    swap_test,
    tau_permutation_test,
)

SCHEMES = ("perm-inputs", "perm-systems", "perm-both-rows", "perm-both-cells")


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


# --- no association ------------------------------------------------------------------------------


def test_documented_example_of_scipy() -> None:
    # scipy.stats.kendalltau's docstring: tau −0.4714…, p 0.2827… (exact for ties: none there).
    x, y = [12, 2, 1, 12, 2], [1, 4, 7, 1, 0]
    found = tau_permutation_test(x, y, rng=rng())
    assert found.statistic == pytest.approx(-0.471405, abs=1e-6)
    assert (found.null, found.n_permutations) == ("enumerated", math.factorial(5))
    # scipy's asymptotic value there is a normal approximation; its own exact test is this one.
    exact = stats.permutation_test(
        (x,),
        lambda x: abs(stats.kendalltau(x, y).statistic),
        permutation_type="pairings",
        alternative="greater",
        n_resamples=np.inf,
        vectorized=False,
    )
    assert found.p_value == pytest.approx(exact.pvalue)
    assert stats.kendalltau(x, y).pvalue == pytest.approx(0.282745, abs=1e-6)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize("n_items", [2, 3, 6, 12, 40])
def test_without_ties_the_exact_distribution(n_items: int, alternative: str) -> None:
    x, y = rng().random((2, n_items))
    found = tau_permutation_test(x, y, rng=rng(), alternative=alternative)
    expected = stats.kendalltau(x, y, method="exact", alternative=alternative)
    assert found.null == "exact"
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.statistic == pytest.approx(expected.statistic)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=5),
    st.sampled_from(["two-sided", "greater", "less"]),
    st.sampled_from(["a", "b", "c", "weighted"]),
)
def test_enumeration_is_a_loop_over_all_orders(
    pairs: list[tuple[int, int]], alternative: str, variant: str
) -> None:
    x, y = np.array(pairs, dtype=float).T
    found = tau_permutation_test(x, y, rng=rng(), alternative=alternative, variant=variant)
    tau = float(kendall_tau(x, y, variant=variant))
    if np.isnan(tau):
        assert np.isnan(found.p_value)
        return
    draws = [float(kendall_tau(x, np.array(o), variant=variant)) for o in itertools.permutations(y)]
    far = {"two-sided": np.abs(draws), "greater": draws, "less": np.negative(draws)}[alternative]
    here = {"two-sided": abs(tau), "greater": tau, "less": -tau}[alternative]
    assert found.p_value == pytest.approx(np.mean(np.asarray(far) >= here - 1e-9))


def test_sampled_p_value_nears_the_exact_one_and_is_never_zero() -> None:
    x = np.arange(9.0)
    y = np.array([0, 1, 3, 2, 4, 6, 5, 8, 7.0])
    exact = stats.kendalltau(x, y, method="exact").pvalue
    tied = np.append(y, 8.0)  # one tie: no closed form, and 10! orders are too many
    found = tau_permutation_test(np.append(x, 9.0), tied, n_resamples=20_000, rng=rng())
    assert (found.null, found.n_permutations) == ("sampled", 20_000)
    assert 1 / 20_001 <= found.p_value < 10 * exact
    perfect = np.repeat(np.arange(6.0), 2)
    few = tau_permutation_test(perfect, perfect, n_resamples=99, rng=rng())
    assert few.p_value == 0.01


def test_same_seed_same_draws() -> None:
    x = np.array([1, 1, 2, 3, 4, 5, 6, 7, 8.0])
    draws = [tau_permutation_test(x, x[::-1], n_resamples=500, rng=rng()).draws for _ in range(2)]
    np.testing.assert_array_equal(*draws)


@pytest.mark.parametrize("x", [[1.0], [1.0, 1.0, 1.0], [np.nan, 1.0], []])
def test_undefined_tau_has_no_p_value(x: list[float]) -> None:
    assert np.isnan(tau_permutation_test(x, np.arange(len(x)), rng=rng()).p_value)


def test_missing_methods_are_left_out() -> None:
    x, y = [1, 2, np.nan, 4, 5], [2, 1, 7, np.nan, 3]
    found = tau_permutation_test(x, y, rng=rng())
    assert found.p_value == stats.kendalltau([1, 2, 5], [2, 1, 3], method="exact").pvalue


def test_p_value_counts_undefined_draws_as_extreme() -> None:
    assert permutation_p_value(0.5, [0.1, np.nan, 0.5, -0.2], sampled=False) == 0.5
    assert permutation_p_value(-0.5, [0.1, -0.6], alternative="less", sampled=False) == 0.5


def test_unknown_choices_are_refused() -> None:
    with pytest.raises(ValueError, match="alternative 'both'"):
        permutation_p_value(0.0, [0.0], alternative="both", sampled=True)  # type: ignore[arg-type]
    one = Cells(np.ones((1, 2)), np.ones((1, 2)))
    with pytest.raises(ValueError, match="scheme 'perm-both'"):
        swap_test(one, one, [1, 2], scheme="perm-both", rng=rng())  # type: ignore[arg-type]


# --- which of two metrics agrees better ----------------------------------------------------------


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

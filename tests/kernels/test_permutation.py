"""Permutation test of tau against scipy and loops."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from preflamp_stats.kernels import permutation
from preflamp_stats.kernels.kendall import kendall_tau
from preflamp_stats.kernels.permutation import permutation_p_value, tau_permutation_test


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


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


@given(st.integers(2, 9), st.integers(1, 40), st.integers(0, 9))
def test_every_random_order_is_one(n_items: int, n_resamples: int, seed: int) -> None:
    found = np.concatenate(
        list(permutation._random_orders(n_items, n_resamples, np.random.default_rng(seed)))
    )
    assert found.shape == (n_resamples, n_items)
    assert (np.sort(found, axis=1) == np.arange(n_items)).all()


def test_blocks_change_places_and_methods_do_within_them():
    """Two blocks of two: the four orders that keep blocks whole, each as likely."""
    x, y = np.array([1.0, 2, 3, 4]), np.array([10.0, 11, 20, 22])
    found = tau_permutation_test(
        x, y, n_resamples=4000, rng=np.random.default_rng(0), blocks=[np.array([0, 0, 1, 1])]
    )
    # Effects within: ∓.5 and ∓1; means 10.5 and 21: eight arrangements.
    orders = []
    for means in ((10.5, 21.0), (21.0, 10.5)):
        for within in ((0.5, 1.0), (0.5, -1.0), (-0.5, 1.0), (-0.5, -1.0)):
            values = [means[0] - within[0], means[0] + within[0], means[1] - within[1]]
            orders.append(float(kendall_tau(x, np.array([*values, means[1] + within[1]]))))
    expected = np.mean(np.abs(orders) >= abs(found.statistic) - 1e-9)
    assert found.p_value == pytest.approx(expected, abs=0.04)
    assert found.null == "sampled"


@given(st.integers(0, 2**32 - 1), st.integers(4, 9))
def test_blocks_of_one_method_or_of_all_are_no_blocks(seed, n):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, n))
    plain = tau_permutation_test(x, y, n_resamples=50, rng=rng).p_value
    for labels in (np.arange(n), np.zeros(n, dtype=int)):
        assert tau_permutation_test(x, y, n_resamples=50, rng=rng, blocks=[labels]).p_value == plain


def test_a_constant_metric_in_blocks_is_no_association():
    found = tau_permutation_test(
        np.arange(4.0), np.ones(4), n_resamples=9, rng=rng(), variant="a", blocks=[[0, 0, 1, 1]]
    )
    assert (found.statistic, found.p_value) == (0.0, 1.0)

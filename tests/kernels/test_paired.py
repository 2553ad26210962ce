"""Paired differences against loops, leave-one-out and textbook formulas."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special, stats

from preflamp_stats.kernels.multiplicity import max_t_critical
from preflamp_stats.kernels.paired import PairedDifferences, paired_differences


def study(seed: int, n_users: int = 12, n_methods: int = 4, n_seeds: int = 1, missing: float = 0):
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 9, (n_users, n_methods, n_seeds)).astype(float)
    counts[rng.random((n_users, n_methods)) < missing] = 0
    return rng.binomial(counts.astype(int), 0.6).astype(float), counts


def leave_one_out(sums, counts, a: int, b: int) -> tuple[float, float, int]:
    """Difference, jackknife error and users of one pair, the long way."""
    shared = (counts[:, a].sum(axis=1) > 0) & (counts[:, b].sum(axis=1) > 0)
    s, n = sums[shared], counts[shared]

    def difference(keep) -> float:
        totals = n[keep].sum(axis=0)
        ratio = np.where(totals > 0, s[keep].sum(axis=0) / np.maximum(totals, 1), np.nan)
        return float(np.nanmean(ratio[a]) - np.nanmean(ratio[b]))

    users = np.arange(len(s))
    whole = difference(users >= 0)
    moved = [difference(users != u) - whole for u in users]
    n_users = len(users)
    return whole, float(np.sqrt((n_users - 1) / n_users * np.sum(np.square(moved)))), n_users


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from([1, 3]), st.sampled_from([0, 0.2]))
def test_equals_leaving_out_one_user_at_a_time(seed, n_seeds, missing) -> None:
    sums, counts = study(seed, n_seeds=n_seeds, missing=missing)
    found = paired_differences(sums, counts, include_seeds=False)
    for place, (a, b) in enumerate(zip(found.first, found.second, strict=True)):
        difference, error, n_users = leave_one_out(sums, counts, a, b)
        assert_allclose(found.estimate[place], difference)
        assert_allclose(found.se[place], error, atol=1e-9)
        assert found.n_users[place] == n_users


def test_users_alike_in_size_give_the_paired_t_test() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(15, 2))
    found = paired_differences(values[:, :, None], np.ones((15, 2, 1)))
    expected = stats.ttest_rel(values[:, 0], values[:, 1])
    assert_allclose(found.estimate / found.se, expected.statistic)
    assert found.df == pytest.approx(14)
    assert_allclose(2 * stats.norm.sf(abs(found.statistic)), expected.pvalue)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.randoms())
def test_relabelling_users_and_methods(seed, random) -> None:
    sums, counts = study(seed, n_seeds=2, missing=0.1)
    users, methods = list(range(12)), list(range(4))
    random.shuffle(users)
    random.shuffle(methods)
    found = paired_differences(sums, counts)
    again = paired_differences(sums[users][:, methods], counts[users][:, methods])
    whole = {(a, b): k for k, (a, b) in enumerate(zip(found.first, found.second, strict=True))}
    for place, pair in enumerate(zip(again.first, again.second, strict=True)):
        a, b = methods[pair[0]], methods[pair[1]]
        sign = 1 if a < b else -1
        here = whole[min(a, b), max(a, b)]
        assert_allclose(again.estimate[place], sign * found.estimate[here], atol=1e-12)
        assert_allclose(again.se[place], found.se[here], atol=1e-12)
        assert_allclose(again.df[place], found.df[here], rtol=1e-9)


def test_unequal_users_widen_the_error_and_cost_degrees_of_freedom() -> None:
    counts = np.array([40.0, 10, 10, 10, 10])[:, None, None] * np.ones((1, 2, 1))
    means = np.array([[0.9, 0.6], [0.5, 0.5], [0.4, 0.6], [0.7, 0.5], [0.5, 0.6]])
    sums = counts * means[:, :, None]
    found = paired_differences(sums, counts)
    assert_allclose(found.df + 1, 80**2 / (40**2 + 4 * 10**2))
    share = counts[:, 0, 0] / 80
    influence = share * ((sums / counts)[:, 0, 0] - (sums / counts)[:, 1, 0] - found.estimate)
    assert found.se > np.sqrt(5 / 4 * np.sum(influence**2))


def test_training_seeds_add_their_variance() -> None:
    rng = np.random.default_rng(0)
    values = 0.01 * rng.standard_normal((400, 2, 4)) + np.array([[[0.0, 1, 2, 3], [0.0, 2, 0, 2]]])
    found = paired_differences(values, np.ones_like(values))
    own = [np.var([0, 1, 2, 3], ddof=1) / 4, np.var([0, 2, 0, 2], ddof=1) / 4]
    assert_allclose(found.se**2, sum(own), rtol=0.01)
    # Welch: the users' part is negligible.
    assert_allclose(found.df, sum(own) ** 2 / (own[0] ** 2 / 3 + own[1] ** 2 / 3), rtol=0.01)
    fixed = paired_differences(values, np.ones_like(values), include_seeds=False)
    assert fixed.se < 0.01


def test_seeds_that_differ_by_noise_alone_add_little() -> None:
    rng = np.random.default_rng(0)
    ratios = []
    for _ in range(200):
        values = rng.standard_normal((30, 2, 4))
        with_seeds, without = (
            paired_differences(values, np.ones_like(values), include_seeds=include).se[0]
            for include in (True, False)
        )
        ratios.append(with_seeds / without)
    assert np.mean(ratios) < 1.15
    assert np.mean(np.equal(ratios, 1)) > 0.25


def test_a_method_with_one_seed_beside_others_with_three() -> None:
    sums, counts = study(3, n_seeds=3)
    counts[:, 0, 1:] = 0
    found = paired_differences(sums, counts)
    assert_allclose(
        found.estimate[0],
        sums[:, 0, 0].sum() / counts[:, 0, 0].sum()
        - np.mean(sums[:, 1].sum(axis=0) / counts[:, 1].sum(axis=0)),
    )
    assert np.isfinite(found.se).all()


def test_pairs_that_cannot_be_compared() -> None:
    counts = np.ones((4, 4, 1))
    counts[:2, 0], counts[2:, 1], counts[1:, 2] = 0, 0, 0
    found = paired_differences(counts * 0.5, counts)
    assert found.n_users.tolist() == [0, 0, 2, 1, 2, 1]
    assert np.isnan(found.estimate[:2]).all()
    assert np.isnan(found.se[[0, 1, 3, 5]]).all()
    assert found.estimate[3] == 0


def test_a_user_who_is_everything_leaves_the_error_unknown() -> None:
    counts = np.array([[5.0, 5], [0, 5], [5, 5]])[:, :, None]
    alone = paired_differences(counts[:2] / 2, counts[:2])
    assert np.isnan(alone.se).all()


def test_methods_that_never_differ_have_an_error_only_where_the_scale_bounds_it() -> None:
    sums, counts = study(0, n_methods=1)
    both = np.repeat(sums, 2, axis=1), np.repeat(counts, 2, axis=1)
    free, bounded = paired_differences(*both), paired_differences(*both, bounded=True)
    assert np.isnan([free.se[0], free.beyond(0)[0], free.within(0.1)[0], free.statistic[0]]).all()
    assert (bounded.estimate[0], bounded.statistic[0], bounded.beyond(0)[0]) == (0, 0, 1)
    low, high = bounded.limits(1.96)
    assert low[0] == -high[0] < 0


def test_unanimous_users_are_a_sign_test() -> None:
    """Every user gets a right and b wrong: 2 · 2⁻ᵁ, and an equal difference is never certain."""
    for n_users, p_value in ((3, 0.25), (5, 0.0625), (6, 0.03125)):
        values = np.tile([1.0, 0.0], (n_users, 1))[:, :, None]
        found = paired_differences(values, np.ones_like(values), bounded=True)
        assert_allclose(found.beyond(0), p_value)
        low, high = found.limits(1.959963984540054)
        assert (low[0] > 0) == (p_value <= 0.05)
        assert high[0] == 1
        assert_allclose(found.statistic, -special.ndtri(p_value / 2))


def test_few_who_differ_do_not_show_equivalence() -> None:
    """One of 50 users sees half a point of difference: a gap of .01 is not out of the question."""
    values = np.ones((50, 2, 1))
    values[0, 1] = 0.5
    found = paired_differences(values, np.ones_like(values), bounded=True)
    # The one seen and one who was not, each with an exponential share, against 49 who agree.
    rng = np.random.default_rng(0)
    seen, unseen = rng.exponential(size=(2, 200_000))
    beyond = 0.49 * seen + 0.99 * unseen >= 0.01 * rng.gamma(49, size=200_000)
    assert_allclose(found.within(0.01), beyond.mean(), atol=0.005)
    assert found.within(0.2)[0] < 0.05
    assert found.within(0.1)[0] < 0.05 < found.within(0.07)[0]


def equal_pairs(n_methods: int, se: float = 1.0) -> PairedDifferences:
    first, second = np.triu_indices(n_methods, 1)
    ones = np.ones(len(first))
    return PairedDifferences(first, second, 0 * ones, se * ones, 1e9 * ones, 99 + 0 * first)


def test_null_maxima_of_equal_methods_give_tukeys_range() -> None:
    maxima = equal_pairs(5).null_maxima(np.random.default_rng(0), 40_000)
    expected = stats.studentized_range.ppf(0.95, 5, 1e6) / np.sqrt(2)
    assert max_t_critical(maxima, level=0.95) == pytest.approx(expected, abs=0.03)


def test_null_maxima_one_sided_against_one_method() -> None:
    found = equal_pairs(4)
    pairs = np.flatnonzero(found.first == 0)
    maxima = found.null_maxima(np.random.default_rng(0), 40_000, pairs=pairs, signs=np.ones(3))
    # Dunnett's one-sided critical value for 3 comparisons with a control at 5 %, infinite df.
    assert max_t_critical(maxima, level=0.95) == pytest.approx(2.06, abs=0.03)


def test_a_pair_without_noise_of_its_own_counts_as_a_normal() -> None:
    """The errors of methods 2 and 3 explain all others, so that none is left for 0 against 1."""
    pairs = equal_pairs(4)
    variance = np.where((pairs.first == 0) & (pairs.second == 1), 1e-6, 1.0)
    variance[(pairs.first == 2) & (pairs.second == 3)] = 3
    pairs = replace(pairs, se=np.sqrt(variance))
    assert_allclose(pairs.method_variances()[:2], 0)
    maxima = pairs.null_maxima(np.random.default_rng(0), 40_000, pairs=np.array([0]))
    assert np.quantile(maxima, 0.95) == pytest.approx(1.96, abs=0.03)


def test_method_variances_are_recovered() -> None:
    first, second = np.triu_indices(4, 1)
    own = np.array([1.0, 2, 3, 0])
    se = np.sqrt(own[first] + own[second])
    found = PairedDifferences(first, second, 0 * se, se, 9 + 0 * se, 10 + 0 * first)
    assert_allclose(found.method_variances(), own / (se**2).max(), atol=1e-12)


def test_half_widths_are_t_quantiles() -> None:
    found = equal_pairs(3, se=2.0)
    assert_allclose(found.half_widths(1.959963984540054), 2 * 1.959963984540054)
    assert_array_equal(found.half_widths(np.inf), np.inf)
    se = np.array([1.0, np.nan, 2.0])
    odd = PairedDifferences(found.first, found.second, 0 * se, se, found.df, found.n_users)
    assert_array_equal(odd.half_widths(np.inf), [np.inf, np.nan, np.inf])
    assert_array_equal(np.isnan(odd.half_widths(1.0)), [False, True, False])


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="alike"):
        paired_differences(np.ones((3, 2)), np.ones((3, 2)))

"""Means of which most units say the same: against the binomial, and the size of equivalence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from preflamp_stats.kernels.paired import paired_differences
from preflamp_stats.kernels.unlike_units import positive_gamma_sum, unlike_units


def column(values, least=-1.0, most=1.0):
    v = np.asarray(values, dtype=float)[:, None]
    return unlike_units(v, np.ones_like(v), least, most)


@pytest.mark.parametrize(("k", "n"), [(0, 20), (1, 50), (5, 100), (9, 60)])
def test_those_who_differ_by_all_the_scale_are_clopper_and_pearsons(k: int, n: int) -> None:
    found = column([1.0] * k + [0.0] * (n - k), least=0.0).at_least(0.2)[0]
    assert_allclose(found, stats.binom.cdf(k, n, 0.2), rtol=0.03)


def test_a_sum_of_one_sign_is_certain() -> None:
    assert positive_gamma_sum(np.ones((3, 1)), np.ones((3, 1))) == 1
    assert positive_gamma_sum(-np.ones((3, 1)), np.ones((3, 1))) == 0


def test_no_majority_or_one_unit_is_left_to_the_usual_test() -> None:
    assert np.isnan(column([0.0, 1.0]).value)
    assert np.isnan(column([0.3]).value)
    assert np.isnan(column(np.arange(30) / 30).value)
    assert np.isnan(column([0.3] * 9, -np.inf, np.inf).value)


values = st.lists(st.sampled_from([0.0, 0.0, 0.0, -0.5, 0.1, 1.0]), min_size=2, max_size=60)


@given(values, st.floats(0.01, 0.4))
def test_tails_are_probabilities_mirror_and_fall_with_the_target(v, margin) -> None:
    found = column(v)
    if np.isnan(found.value[0]):
        return
    p, further = found.at_least(margin)[0], found.at_least(margin + 0.1)[0]
    assert 0 <= further <= p * 1.05 + 1e-9 <= 1.06
    assert_allclose(column(-np.array(v)).at_most(-margin)[0], p, atol=1e-9)
    assert_allclose(column(v[::-1]).at_least(margin)[0], p, atol=1e-9)


@pytest.mark.parametrize("n_users", [20, 100])
@pytest.mark.parametrize("share", [0.02, 0.05, 0.1, 0.2])
def test_size_at_the_exact_margin(n_users: int, share: float) -> None:
    rng, shown, n = np.random.default_rng(16), 0, 300
    for _ in range(n):
        unlike = rng.random(n_users) < share
        s = np.stack([0.5 + np.where(unlike, 0.01 / share, 0.0), np.full(n_users, 0.5)], axis=1)
        found = paired_differences(s[:, :, None], np.ones((n_users, 2, 1)), bounded=True)
        shown += found.within(0.01)[0] <= 0.05
    assert shown / n <= 0.06


def test_pairs_over_different_users_are_judged_as_each_by_itself() -> None:
    rng = np.random.default_rng(5)
    s = np.where(rng.random((80, 4)) < 0.1, rng.random((80, 4)), 0.5)
    n = np.ones((80, 4))
    n[:30, 2] = n[60:, 3] = 0
    whole = paired_differences((s * n)[:, :, None], n[:, :, None], bounded=True)
    for i, pair in enumerate(zip(whole.first, whole.second, strict=True)):
        own = paired_differences((s * n)[:, pair, None], n[:, pair, None], bounded=True)
        assert_allclose(whole.within(0.1)[i], own.within(0.1)[0], rtol=1e-6)

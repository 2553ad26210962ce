"""Adjusted p-values against R's and against their definitions."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from statsmodels.stats.multitest import multipletests

from preflamp_stats.kernels.multiplicity import holm, max_t_critical, max_t_p_values

p_values = hnp.arrays(np.float64, st.integers(1, 12), elements=st.floats(0, 1))
maxima = hnp.arrays(np.float64, st.integers(1, 200), elements=st.integers(0, 30).map(float))


def test_holm_equals_r() -> None:
    # R: p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm")
    assert_allclose(holm([0.01, 0.02, 0.03, 0.04, 0.05]), [0.05, 0.08, 0.09, 0.09, 0.09])


@settings(max_examples=20)
@given(p_values)
def test_holm_equals_statsmodels(p) -> None:
    assert_allclose(holm(p), multipletests(p, method="holm")[1])


@given(p_values)
def test_holm_is_monotone_and_lies_between_p_and_bonferroni(p) -> None:
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(1, len(p) * p) + 1e-12).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()


@given(p_values, st.randoms())
def test_holm_ignores_order_and_gaps(p, random) -> None:
    order = list(range(len(p)))
    random.shuffle(order)
    assert_allclose(holm(p[order]), holm(p)[order])
    with_gap = holm(np.append(p, np.nan))
    assert np.isnan(with_gap[-1])
    assert_array_equal(with_gap[:-1], holm(p))


def test_holm_of_nothing() -> None:
    assert_array_equal(holm([]), [])
    assert_array_equal(holm([np.nan]), [np.nan])


@given(maxima, hnp.arrays(np.float64, 5, elements=st.floats(0, 31)))
def test_max_t_p_values_count(drawn, observed) -> None:
    expected = [(1 + sum(m >= x for m in drawn)) / (1 + len(drawn)) for x in observed]
    assert_allclose(max_t_p_values(observed, drawn), expected)
    assert max_t_p_values(observed, drawn).min() >= 1 / (1 + len(drawn))


@given(maxima, st.floats(0, 31), st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99]))
def test_interval_excludes_zero_exactly_where_p_is_small(drawn, observed, level) -> None:
    beyond = observed > max_t_critical(drawn, level=level)
    assert beyond == (max_t_p_values([observed], drawn)[0] <= 1 - level + 1e-12)


def test_too_few_draws_reject_nothing() -> None:
    assert max_t_critical(np.ones(18), level=0.95) == np.inf
    assert max_t_critical(np.ones(19), level=0.95) == 1

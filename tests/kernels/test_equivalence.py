"""Tests of size and equivalence against R's values and each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from preflamp_stats.errors import InputError
from preflamp_stats.kernels.equivalence import equivalence_test, minimum_effect_test

finite = st.floats(-5, 5)
positive = st.floats(0.01, 5)
degrees = st.floats(1, 500)


@pytest.mark.parametrize(
    ("difference", "error", "df", "p_value"),
    [
        # R, package equivalence: tost(x, y, eps = 0.6), clinic data of two visits
        (0.5626666666666665, 0.2478276410785118, 14, 0.4412034046017588),
        (0.1646666666666667, 0.1357514067862445, 14, 0.003166881489265175),
        (0.562666666666666, 0.2149871904637392, 24.11000151062728, 0.4317936812594803),
        (0.1646666666666667, 0.2531625991083628, 28, 0.04827315100761467),
    ],
)
def test_equals_tost_in_r(difference: float, error: float, df: float, p_value: float) -> None:
    assert_allclose(equivalence_test(difference, error, df, margin=0.6), p_value, rtol=1e-10)


@given(finite, positive, degrees, positive, st.sampled_from([0.01, 0.05, 0.2]))
def test_tost_is_inclusion_of_the_central_interval(estimate, se, df, margin, alpha) -> None:
    low, high = stats.t.interval(1 - 2 * alpha, df, estimate, se)
    p = float(equivalence_test(estimate, se, df, margin=margin))
    inside = -margin < low and high < margin
    if abs(p - alpha) > 1e-9:
        assert (p < alpha) == inside


@given(finite, positive, degrees, positive)
def test_nothing_is_both_equivalent_and_beyond_the_margin(estimate, se, df, margin) -> None:
    within = float(equivalence_test(estimate, se, df, margin=margin))
    beyond = float(minimum_effect_test(estimate, se, df, margin=margin))
    assert within + beyond >= 1 - 1e-12


@given(finite, positive, degrees)
def test_margin_of_zero_is_the_two_sided_t_test(estimate, se, df) -> None:
    expected = 2 * stats.t.sf(abs(estimate) / se, df)
    assert_allclose(
        minimum_effect_test(estimate, se, df, margin=0), expected, rtol=1e-9, atol=1e-300
    )


@given(finite, positive, degrees, positive)
def test_sign_does_not_matter(estimate, se, df, margin) -> None:
    for test in (equivalence_test, minimum_effect_test):
        assert test(estimate, se, df, margin=margin) == test(-estimate, se, df, margin=margin)


@given(finite, positive, degrees, positive, st.floats(0.01, 100))
def test_units_do_not_matter(estimate, se, df, margin, scale) -> None:
    for test in (equivalence_test, minimum_effect_test):
        assert_allclose(
            test(scale * estimate, scale * se, df, margin=scale * margin),
            test(estimate, se, df, margin=margin),
            rtol=1e-6,
            atol=1e-12,
        )


def test_minimum_effect_has_its_size_at_the_margin() -> None:
    rng = np.random.default_rng(0)
    sample = 0.3 + rng.standard_normal((20_000, 15))
    error = sample.std(axis=1, ddof=1) / np.sqrt(15)
    p = minimum_effect_test(sample.mean(axis=1), error, 14, margin=0.3)
    # 3 standard errors of a share of 20000; the other tail adds little at this margin.
    assert abs(np.mean(p <= 0.05) - 0.05) < 3 * np.sqrt(0.05 * 0.95 / 20_000) + 0.003


def test_units_that_all_say_the_same_leave_the_p_value_unknown() -> None:
    for test in (equivalence_test, minimum_effect_test):
        assert np.isnan(test([0.0, 1.0, 2.0], 0.0, 9, margin=1.0)).all()


def test_p_values_are_never_zero() -> None:
    assert minimum_effect_test(1.0, 1e-9, 1e6, margin=0) > 0
    assert equivalence_test(0.0, 1e-9, 1e6, margin=1.0) > 0


def test_unknown_error_gives_no_p_value() -> None:
    assert np.isnan(equivalence_test(0.1, np.nan, 3, margin=1.0))
    assert np.isnan(minimum_effect_test(0.1, np.nan, 3, margin=1.0))


@pytest.mark.parametrize("margin", [0.0, -1.0, np.inf, np.nan])
def test_margin_must_be_positive(margin: float) -> None:
    with pytest.raises(InputError, match=r"variable margin: .* positive"):
        equivalence_test(0.0, 1.0, 5, margin=margin)
    if margin != 0:
        with pytest.raises(InputError, match="variable margin"):
            minimum_effect_test(0.0, 1.0, 5, margin=margin)

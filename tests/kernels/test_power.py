"""Power of t-tests against R, statsmodels, scipy and simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats
from statsmodels.stats.power import TTestPower

from preflamp_stats.kernels.equivalence import equivalence_test, minimum_effect_test
from preflamp_stats.kernels.power import (
    detectable_difference,
    difference_power,
    equivalence_power,
    smallest_number,
)


def test_difference_against_r() -> None:
    # pwr.t.test(d=1, n=30, sig.level=0.05, type="one.sample")$power and d=0.2, n=20
    se = 1 / np.sqrt([30, 20])
    assert_allclose(difference_power([1, 0.2], se, [29, 19]), [0.9995636009612725, 0.135956288768])


@pytest.mark.parametrize("n", [5, 12, 60, 2000])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 66])
def test_difference_against_statsmodels(n: int, alpha: float) -> None:
    effects = [0.0, 0.1, 0.5, -0.5, 0.9]
    known = [TTestPower().power(abs(d), n, alpha) for d in effects]
    found = difference_power(effects, 1 / np.sqrt(n), n - 1, alpha=alpha)
    there = np.isfinite(known)  # scipy's series fail for large effects
    assert there.sum() >= 4
    assert_allclose(found[there], np.asarray(known)[there], atol=1e-9)


def test_difference_with_hardly_any_degrees_of_freedom() -> None:
    critical = stats.t.isf(0.025, 1)
    known = stats.nct.sf(critical, 1, 5) + stats.nct.cdf(-critical, 1, 5)
    assert_allclose(difference_power(5, 1, 1), known, atol=1e-4)


def test_power_far_out_is_one() -> None:
    # From about 36 on the series behind scipy's noncentral t give NaN.
    assert_allclose(difference_power([30.0, 36, 40, 300, 1e6], 1.0, 1000), 1)


@given(
    df=st.floats(2, 1e5),
    alpha=st.floats(1e-4, 0.2),
    target=st.floats(0.3, 0.99),
    se=st.floats(0.001, 10),
)
def test_detectable_difference_has_the_power(df, alpha, target, se) -> None:
    found = detectable_difference(se, df, alpha=alpha, target=target)
    assert_allclose(difference_power(found, se, df, alpha=alpha), target, atol=1e-9)


def test_detectable_difference_is_unknown_where_the_error_is() -> None:
    assert np.isnan(detectable_difference([np.nan, 0.1], 20.0)).tolist() == [True, False]


def test_equivalence_against_powertost() -> None:
    # sampleN.TOST(CV=0.3, theta0=0.95): 40 subjects in a 2x2 crossover, power 0.815845
    se = np.sqrt(2 * np.log(1 + 0.3**2) / 40)
    found = equivalence_power(np.log(0.95), se, 38, margin=np.log(1.25), alpha=0.05)
    assert_allclose(found, 0.815845, atol=1e-6)


def test_equivalence_is_never_shown_by_a_noisy_study_and_always_by_a_precise_one() -> None:
    found = equivalence_power(0.0, [1.0, 0.01], 20, margin=0.5, alpha=0.05)
    assert_allclose(found, [0, 1], atol=1e-6)


def test_equivalence_at_the_margin_has_the_size() -> None:
    assert_allclose(equivalence_power(1.0, 0.05, 30, margin=1.0, alpha=0.05), 0.05, atol=1e-6)


def test_both_powers_against_our_tests() -> None:
    rng = np.random.default_rng(0)
    n, df, se = 40_000, 12, 0.4
    estimate = 0.5 + se * rng.standard_normal(n)
    errors = se * np.sqrt(rng.chisquare(df, n) / df)
    found = (minimum_effect_test(estimate, errors, df, margin=0) <= 0.05).mean()
    assert_allclose(found, difference_power(0.5, se, df), atol=0.01)
    found = (equivalence_test(estimate, errors, df, margin=1.7) <= 0.05).mean()
    assert_allclose(found, equivalence_power(0.5, se, df, margin=1.7, alpha=0.05), atol=0.01)


@given(wanted=st.lists(st.integers(2, 10**6), min_size=1, max_size=4))
def test_smallest_number_is_the_smallest(wanted) -> None:
    least = np.array(wanted, dtype=float)
    found = smallest_number(lambda n: (n >= least) * 1.0, (len(wanted),), target=0.5)
    assert found.tolist() == least.tolist()


def test_smallest_number_out_of_reach() -> None:
    assert smallest_number(lambda n: 0 * n, (1,), target=0.5).tolist() == [np.inf]

"""Sums over shared examples, block by block, against a plain restriction of the arrays."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from preflamp_stats.kernels.overlap import OverlapSums
from preflamp_stats.kernels.user_sums import averaged_sums, sum_by_user


def read(values, codes, n_users, block, average="micro"):
    """Add the examples in blocks, as a dataset is read."""
    found = OverlapSums(n_users, *values.shape[1:])
    there = ~np.isnan(values)
    filled = np.where(there, values, 0.0)

    def by_user(array, rows):
        flat = array[rows].astype(float).reshape(-1, values[0].size)
        return sum_by_user(flat, codes[rows], n_users).reshape(n_users, *values.shape[1:])

    totals = np.zeros((2, n_users, *values.shape[1:]))
    for start in range(0, len(values), block):
        rows = slice(start, start + block)
        found.add(filled[rows], there[rows], codes[rows], *totals)
        totals += [by_user(filled, rows), by_user(there, rows)]
    return found.finish(average, 0.0 if average == "micro" else 2.0**-40)


def restricted(values, codes, n_users, methods, average="micro"):
    """Sums of some methods over the examples that count for all of them."""
    there = ~np.isnan(values)
    trained = there.any(axis=0)
    has = (there | ~trained).all(axis=2) & trained.any(axis=1)
    rows = has[:, methods].all(axis=1)
    filled = np.where(there & rows[:, None, None], values, 0.0)
    sums = np.stack([sum_by_user(filled[:, m], codes, n_users) for m in methods], axis=1)
    counts = np.bincount(codes[rows], minlength=n_users).astype(float)
    each = counts[:, None, None] * trained[methods]
    return *averaged_sums(sums, each, average, 2.0**-40), int(rows.sum())


cases = st.tuples(
    st.integers(0, 2**32 - 1),
    st.integers(1, 4),
    st.integers(1, 2),
    st.integers(1, 30),
    st.sampled_from(["random", "by user", "late", "few patterns"]),
    st.integers(1, 12),
    st.sampled_from(["micro", "macro"]),
)


def example_values(seed, n_methods, n_seeds, n_examples, kind):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 5, n_examples)
    shape = (n_examples, n_methods, n_seeds)
    missing = rng.random(shape) < 0.3
    if kind == "by user":
        missing = (rng.random((5, n_methods, 1)) < 0.3)[codes] & np.ones(shape, dtype=bool)
    elif kind == "late":
        missing = np.arange(n_examples)[:, None, None] < rng.integers(0, n_examples + 1, shape[1:])
    elif kind == "few patterns":
        missing = missing[:, rng.integers(0, min(2, n_methods), n_methods)][:, :, :1]
        missing = np.broadcast_to(missing, shape)
    return np.where(missing, np.nan, rng.integers(0, 3, shape) / 2), codes


@given(cases)
def test_every_pair_and_all_together_are_what_restricting_the_examples_gives(case) -> None:
    *drawn, block, average = case
    values, codes = example_values(*drawn)
    found = read(values, codes, 5, block, average)
    there = ~np.isnan(values)[:, ~np.isnan(values).all(axis=0)]
    assert (found is None) == bool((there == there[:, :1]).all() if there.size else True)
    if found is None:
        return
    n_methods = values.shape[1]
    for a in range(n_methods):
        for b in range(n_methods):
            if not found.trained[[a, b]].any(axis=1).all():
                continue
            got = found.between(*found.pattern[[a, b]].tolist(), np.array([a, b]))
            for one, other in zip(got, restricted(values, codes, 5, [a, b], average), strict=True):
                assert_array_equal(one, other)
    valued = np.flatnonzero(found.trained.any(axis=1))
    for one, other in zip(
        found.take(valued, np.arange(values.shape[2])).common(),
        restricted(values, codes, 5, valued, average),
        strict=True,
    ):
        assert_array_equal(one, other)


def test_methods_without_any_value_narrow_nothing() -> None:
    values = np.ones((4, 3, 1))
    values[:, 2] = np.nan
    assert read(values, np.zeros(4, dtype=int), 1, 2) is None


def test_only_the_users_concerned_are_kept() -> None:
    values = np.ones((1000, 3, 1))
    values[7, 1] = np.nan
    found = read(values, np.arange(1000), 1000, 100)
    assert_array_equal(found.gaps[found.pattern[1]].users, [7])
    assert len(found.gaps) == 1

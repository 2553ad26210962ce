"""Small, unanimous and lopsided studies: every interval holds its estimate, no p-value is 0."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import preflamp_stats as pls
from preflamp_stats.inference.bootstrap import bootstrap
from preflamp_stats.inference.contrasts import compare_methods
from preflamp_stats.inference.floors import NO_VARIATION, cannot_be_judged, enough_users
from preflamp_stats.inference.tau import tau_test

INTERVALS = (
    ("estimate", "low", "high"),
    ("upstream_difference", "upstream_low", "upstream_high"),
    ("downstream_difference", "downstream_low", "downstream_high"),
    ("population_tau", "population_low", "population_high"),
    ("gain", "gain_low", "gain_high"),
)
P_VALUES = ("p_value", "p_adjusted", "p_decoupled", "p_coupled", "p_reversed", "p_equivalence",
            "upstream_p_adjusted", "downstream_p_adjusted")  # fmt: skip


def small_study(seed, n_methods, n_users, n_examples, values, missing) -> xr.Dataset:
    """Few users, values on a coarse grid, so that users often all say the same."""
    rng = np.random.default_rng(seed)
    n = n_users * n_examples
    right = rng.random((n_methods, n)) < rng.choice([0.0, 0.5, 0.9, 1.0], (n_methods, 1))
    reward = np.stack([right, ~right], axis=-1).astype(float)
    rouge = rng.choice(values, (1, n_methods, n))
    score = rng.choice([3.0, 3.0, 4.0], (1, n_methods, n)) if rng.random() < 0.5 else 7 + 0 * rouge
    rouge[rng.random(rouge.shape) < missing] = np.nan
    ds = xr.Dataset(
        {
            "reward": (("method", "example", "candidate"), reward),
            "rouge1": (("model", "method", "example"), rouge),
            "judge": (
                ("model", "method", "example"),
                score,
                {"role": "generation_metric", "direction": "higher"},
            ),
            "user": ("example", np.repeat([f"u{i}" for i in range(n_users)], n_examples)),
        },
        coords={
            "method": [f"m{i}" for i in range(n_methods)],
            "model": ["b"],
            "candidate": ["chosen", "rejected"],
            "method_family": (
                "method",
                ["in-context"] + ["reward-guided"] * (n_methods - 1),
            ),
        },
    )
    ds.attrs["preflamp_schema"] = 1
    return ds


studies = st.builds(
    small_study,
    st.integers(0, 2**32 - 1),
    n_methods=st.integers(2, 6),
    n_users=st.integers(1, 9),
    n_examples=st.integers(1, 4),
    values=st.sampled_from([[0.4], [0.0, 1.0], [1.0, 1.0, 0.9], [0.1, 0.2, 0.35, 0.8]]),
    missing=st.sampled_from([0.0, 0.0, 0.3]),
)


@settings(max_examples=10)
@given(
    studies,
    st.sampled_from(["users", "both"]),
    st.sampled_from(["micro", "macro"]),
    st.sampled_from(["rouge1", "judge"]),
)
@pytest.mark.filterwarnings("ignore")
def test_every_printed_interval_holds_its_estimate(ds, resample, average, downstream) -> None:
    chosen = pls.Settings(
        resamples=60,
        resample=resample,
        average=average,
        upstream=("rm_accuracy",),
        downstream=(downstream,),
    )
    analysis = pls.analyze({"a": ds, "b": ds.isel(example=slice(1, None))}
                           if ds.sizes["example"] > 1 else {"a": ds}, chosen)  # fmt: skip
    for name, table in analysis.tables.items():
        frame = table.frame
        for estimate, low, high in INTERVALS:
            if {estimate, low, high} <= set(frame):
                rows = frame[frame[low].notna() | frame[high].notna()]
                inside = (rows[low] <= rows[estimate] + 1e-9) & (
                    rows[estimate] <= rows[high] + 1e-9
                )
                assert inside.all(), (name, rows[~inside][[estimate, low, high]])
        for column in set(P_VALUES) & set(frame):
            p = frame[column].dropna()
            assert ((p > 0) & (p <= 1)).all(), (name, column)
    assert_no_width_is_zero(analysis)


def assert_no_width_is_zero(analysis: pls.Analysis) -> None:
    """Only a number that noise cannot move, such as a choice among equals, has no width."""
    for name in ("rm_accuracy", "generation", "contrasts", "decoupling", "in_context"):
        frame = analysis.tables[name].frame if name in analysis.tables else pd.DataFrame()
        for _, low, high in INTERVALS:
            if {low, high} <= set(frame):
                assert not (frame[low] == frame[high]).any(), (name, low)


@pytest.mark.parametrize(("n_users", "low"), [(3, 0.292), (25, 0.863), (200, 0.982)])
def test_users_who_are_all_right_leave_room_for_those_not_seen(n_users: int, low: float) -> None:
    ds = small_study(0, 2, n_users, 1, [0.4], 0.0)
    right = xr.DataArray([1.0, 0.0], dims="candidate")
    for turned, expected in ((right, (low, 1)), (1 - right, (0, 1 - low))):
        ds["reward"] = turned.broadcast_like(ds["reward"]).transpose(*ds["reward"].dims)
        found = bootstrap(ds, "rm_accuracy", n_resamples=50)
        assert_allclose([found["low"][0], found["high"][0]], expected, atol=5e-4)
    assert (low > 0.5) == enough_users(n_users)


def test_equal_texts_have_a_width_only_where_the_scale_is_known() -> None:
    ds = small_study(3, 2, 30, 2, [0.4], 0.0)
    ds["judge"] = xr.full_like(ds["judge"], 7.0).assign_attrs(ds["judge"].attrs)
    rouge, judge = (bootstrap(ds, name, n_resamples=50) for name in ("rouge1", "judge"))
    assert ((rouge["low"] < 0.4) & (rouge["high"] > 0.4)).all()
    assert "note" not in rouge
    assert judge[["low", "high"]].isnull().all().to_array().all()
    assert (judge["note"] == NO_VARIATION).all()
    alike = compare_methods(ds, "judge", n_resamples=50)
    assert alike["estimate"] == 0
    assert alike[["se", "low", "high", "p_value", "p_adjusted"]].isnull().all().to_array().all()


def test_two_users_and_thirty_methods_give_no_verdict() -> None:
    """Case 9: tau .81 [.60, .75], p = 0 and "Yes, strongly"."""
    rng = np.random.default_rng(0)
    skill = np.linspace(0.2, 0.8, 30)
    right = rng.random((30, 100)) < skill[:, None]
    ds = xr.Dataset(
        {
            "reward": (("method", "example", "candidate"), np.stack([right, ~right], -1) * 1.0),
            "rouge1": (("method", "example"), skill[:, None] + 0.3 * rng.random((30, 100))),
            "user": ("example", np.repeat(["a", "b"], 50)),
        },
        coords={"method": [f"m{i:02}" for i in range(30)], "candidate": ["chosen", "rejected"]},
    )
    found = tau_test(ds, "rm_accuracy", "rouge1", n_resamples=200)
    assert found["low"] <= found["estimate"] <= found["high"]
    assert found["p_value"] > 0
    assert "cannot be judged" in cannot_be_judged(found["n_users"].item())


@pytest.mark.parametrize(("n_users", "n_examples", "share"), [
    (10, 1, 0.9), (10, 5, 0.97), (25, 1, 0.99), (25, 5, 0.9), (50, 5, 0.97), (200, 1, 0.999),
])  # fmt: skip
def test_a_share_near_one_is_covered(n_users: int, n_examples: int, share: float) -> None:
    """The percentile interval alone covers as few as .01 to .9 of these."""
    rng = np.random.default_rng(0)
    n_studies = 800  # as methods of one file, each with its own answers
    right = rng.random((n_studies, n_users * n_examples)) < share
    ds = xr.Dataset(
        {
            "reward": (("method", "example", "candidate"), np.stack([right, ~right], -1) * 1.0),
            "user": ("example", np.repeat([f"u{i:03}" for i in range(n_users)], n_examples)),
        },
        coords={
            "method": [f"m{i:04}" for i in range(n_studies)],
            "candidate": ["chosen", "rejected"],
        },
    )
    found = bootstrap(ds, "rm_accuracy", n_resamples=1000)
    covered = (found["low"] <= share + 1e-9) & (found["high"] >= share - 1e-9)
    assert covered.mean() >= 0.93 - 3 * np.sqrt(0.93 * 0.07 / n_studies)

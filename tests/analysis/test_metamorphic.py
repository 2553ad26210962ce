"""What must not change, and what must, when a whole study is changed in a known way."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.special import expit

import preflamp_stats as pls
from preflamp_stats.outputs.csv_markdown import to_csv

SETTINGS = pls.Settings(resamples=200)
KEYS = ["method", "metric"]


@pytest.fixture(scope="module")
def study() -> xr.Dataset:
    return pls.simulate(
        n_methods=5, n_icl=1, n_users=40, n_examples=(2, 8), tokens=4, ties=0.1, seed=11
    ).to_dataset()


def tables(study: xr.Dataset) -> dict[str, pd.DataFrame]:
    return {name: table.frame for name, table in pls.analyze(study, SETTINGS).tables.items()}


@pytest.fixture(scope="module")
def before(study: xr.Dataset) -> dict[str, pd.DataFrame]:
    return tables(study)


def estimates(frame: pd.DataFrame) -> pd.Series:
    return frame.set_index([key for key in KEYS if key in frame])["estimate"]


def test_other_names_of_users_in_the_same_order_change_no_byte(study: xr.Dataset) -> None:
    renamed = study.assign(user=("example", ["zz" + name for name in study["user"].values]))
    csv = [
        {name: to_csv(table) for name, table in pls.analyze(ds, SETTINGS).tables.items()}
        for ds in (study, renamed)
    ]
    assert csv[0] == csv[1]


def test_every_user_twice_gives_the_same_estimates_and_narrower_intervals(
    study: xr.Dataset, before: dict[str, pd.DataFrame]
) -> None:
    copy = study.assign(user=("example", [name + "'" for name in study["user"].values]))
    after = tables(xr.concat([study, copy], dim="example", data_vars="minimal"))
    for name in ("rm_accuracy", "policy_accuracy", "generation"):
        pd.testing.assert_series_equal(estimates(after[name]), estimates(before[name]))
        width = [(t[name]["high"] - t[name]["low"]).mean() for t in (before, after)]
        assert width[1] / width[0] == pytest.approx(np.sqrt(0.5), rel=0.12)
    assert after["tau"]["estimate"].tolist() == pytest.approx(before["tau"]["estimate"].tolist())
    raised = after["tau"]["reliability_upstream"] > before["tau"]["reliability_upstream"]
    assert raised.mean() > 0.5
    contrasts = [
        t["contrasts"].set_index(["metric", "method_a", "method_b"]) for t in (before, after)
    ]
    np.testing.assert_allclose(contrasts[0]["estimate"], contrasts[1]["estimate"], atol=1e-12)
    assert (contrasts[1]["p_value"] <= contrasts[0]["p_value"] + 1e-9).mean() > 0.9


def test_chosen_and_rejected_swapped_turn_accuracies_round(
    study: xr.Dataset, before: dict[str, pd.DataFrame]
) -> None:
    other = study.assign_coords(candidate=["rejected", "chosen"])
    after = tables(other)
    for name in ("rm_accuracy", "policy_accuracy"):
        np.testing.assert_allclose(estimates(after[name]), 1 - estimates(before[name]), atol=1e-12)
        np.testing.assert_allclose(after[name]["low"], 1 - before[name]["high"], atol=2e-2)
    pd.testing.assert_frame_equal(after["generation"], before["generation"])
    pair = (before["tau"]["upstream"] == "rm_accuracy") & (
        before["tau"]["downstream"] == "policy_accuracy"
    )
    assert after["tau"][pair]["estimate"].tolist() == before["tau"][pair]["estimate"].tolist()


def test_a_constant_for_every_reward_changes_no_accuracy(
    study: xr.Dataset, before: dict[str, pd.DataFrame]
) -> None:
    moved = study.assign(reward=study["reward"] + 2.0)
    after = tables(moved)
    for name in ("rm_accuracy", "policy_accuracy"):
        pd.testing.assert_frame_equal(after[name], before[name])


def test_a_monotone_map_keeps_rm_accuracy_and_moves_policy_accuracy(
    study: xr.Dataset, before: dict[str, pd.DataFrame]
) -> None:
    squashed = study.assign(reward=50 * expit(study["reward"]))
    after = tables(squashed)
    pd.testing.assert_frame_equal(after["rm_accuracy"], before["rm_accuracy"])
    moved = (estimates(after["policy_accuracy"]) - estimates(before["policy_accuracy"])).abs()
    assert moved.max() > 0.01


def test_a_method_that_is_left_out_changes_no_other_estimate(
    study: xr.Dataset, before: dict[str, pd.DataFrame]
) -> None:
    gone = str(study["method"].values[0])
    after = tables(study.drop_sel(method=gone))
    for name in ("rm_accuracy", "policy_accuracy", "generation"):
        rest = before[name][before[name]["method"] != gone].reset_index(drop=True)
        pd.testing.assert_frame_equal(after[name].reset_index(drop=True), rest)

"""The whole pass from a results file to tables."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import preflamp_stats as pls
from preflamp_stats.errors import InputError
from preflamp_stats.outputs.csv_markdown import to_csv
from preflamp_stats.tables.registry import TABLES

SETTINGS = pls.Settings(resamples=200)


@pytest.fixture(scope="module")
def study() -> xr.DataTree:
    return pls.simulate(
        datasets=["tldr", "prism"],
        models=2,
        n_methods=4,
        n_icl=1,
        n_users=25,
        n_examples=(2, 9),
        tokens=6,
        ties=0.1,
        missing=1,
        seed=3,
    )


@pytest.fixture(scope="module")
def analysis(study: xr.DataTree) -> pls.Analysis:
    return pls.analyze(study, SETTINGS)


def test_every_table_that_the_file_allows_is_there(analysis: pls.Analysis) -> None:
    others = {"method_metrics", "agreement", "best_of_accuracy", "best_of_k", "over_optimisation"}
    others |= {"reward_calibration"}
    there = [table.name for table in TABLES if table.name not in others]
    assert list(analysis.tables) == there
    for name, table in analysis.tables.items():
        if name not in ("pooled_tau", "surrogacy"):
            assert set(table.frame["dataset"]) == {"tldr", "prism"}, name
        if name not in ("coverage", "decoupling"):
            assert {"estimate", "low", "high", "level"} <= set(table.frame), name


def test_estimates_are_those_of_the_metric_functions(
    study: xr.DataTree, analysis: pls.Analysis
) -> None:
    ds = study["prism"].to_dataset()
    expected = {
        "rm_accuracy": pls.rm_accuracy(ds),
        "policy_accuracy": pls.policy_accuracy(ds),
    }
    for name, accuracy in expected.items():
        frame = analysis.tables[name].frame
        rows = frame[frame["dataset"] == "prism"].set_index(["model", "method"])["estimate"]
        assert rows.size == int(accuracy.notnull().sum())
        for (model, method), estimate in rows.items():
            there = accuracy.sel({"model": model, "method": method})
            assert estimate == pytest.approx(float(there), abs=1e-12)


def test_intervals_hold_their_estimate_and_in_context_methods_have_no_reward(
    analysis: pls.Analysis,
) -> None:
    frame = analysis.tables["rm_accuracy"].frame
    assert (frame["low"] <= frame["estimate"]).all()
    assert (frame["estimate"] <= frame["high"]).all()
    assert "in-context" not in set(frame["method_family"])
    assert "in-context" in set(analysis.tables["generation"].frame["method_family"])


def test_the_weight_curve_ends_in_likelihood_and_reward_accuracy(
    study: xr.DataTree, analysis: pls.Analysis
) -> None:
    curve = analysis.tables["weight_curve"].frame
    curve = curve[curve["dataset"] == "tldr"].set_index(["model", "method", "weight"])["estimate"]
    ds = study["tldr"].to_dataset()
    ends = {0.0: pls.policy_accuracy(ds, weight=0.0), np.inf: pls.rm_accuracy(ds)}
    for weight, accuracy in ends.items():
        for (model, method), estimate in curve.xs(weight, level="weight").items():
            there = accuracy.sel({"model": model, "method": method})
            assert estimate == pytest.approx(float(there), abs=1e-12)


def test_bins_of_length_cover_every_pair(study: xr.DataTree, analysis: pls.Analysis) -> None:
    frame = analysis.tables["length_difference"].frame
    frame = frame[frame["dataset"] == "tldr"]
    assert (frame["bin_low"] < frame["bin_high"]).all()
    per_method = frame.groupby(["model", "method"])["n_examples"].sum()
    assert set(per_method) == {study["tldr"].sizes["example"]}


@pytest.mark.parametrize("resample", ["users", "examples", "methods", "both"])
def test_the_order_of_a_file_changes_nothing_but_the_order_of_rows(
    study: xr.DataTree, resample: str
) -> None:
    settings = pls.Settings(resamples=60, resample=resample)
    rng = np.random.default_rng(0)
    shuffled = {
        name: ds.isel(
            {dim: rng.permutation(ds.sizes[dim]) for dim in ("example", "method", "model")}
        )
        for name, ds in pls.datasets(study).items()
    }
    first, second = (pls.analyze(tree, settings) for tree in (study, shuffled))
    for name, table in first.tables.items():
        rows = [sorted(to_csv(t).splitlines()) for t in (table, second.tables[name])]
        assert rows[0] == rows[1], name


def test_examples_without_labels_are_ordered_by_content(study: xr.DataTree) -> None:
    settings = pls.Settings(resamples=60, resample="examples")
    ds = study["tldr"].to_dataset().drop_vars("example")
    order = np.random.default_rng(1).permutation(ds.sizes["example"])
    first, second = (
        pls.analyze({"tldr": d}, settings).tables["rm_accuracy"]
        for d in (ds, ds.isel(example=order))
    )
    pd.testing.assert_frame_equal(first.frame, second.frame)


def test_blocks_change_nothing(study: xr.DataTree, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pls.analyze(study, SETTINGS)
    from preflamp_stats.inference import sums
    from preflamp_stats.io.blocks import example_blocks

    monkeypatch.setattr(sums, "example_blocks", lambda ds: example_blocks(ds, max_bytes=2000))
    pieces = pls.analyze(study, SETTINGS)
    for name, table in whole.tables.items():
        assert to_csv(table) == to_csv(pieces.tables[name])


def test_either_half_of_a_file_is_enough(study: xr.DataTree) -> None:
    ds = study["tldr"].to_dataset()
    rewards = pls.analyze({"tldr": ds[["user", "reward"]]}, SETTINGS)
    assert set(rewards.tables) == {"coverage", "rm_accuracy", "contrasts"}
    assert any("policy accuracy" in note for note in rewards.notes)
    quality = pls.analyze({"tldr": ds[["user", "rouge1"]]}, SETTINGS)
    assert set(quality.tables) == {"coverage", "generation", "in_context", "contrasts"}


def test_without_users_examples_are_units_and_a_note_says_so(study: xr.DataTree) -> None:
    ds = study["tldr"].to_dataset().drop_vars("user")
    found = pls.analyze({"tldr": ds}, SETTINGS)
    assert any("names no users" in note for note in found.notes)
    assert (found.tables["rm_accuracy"].frame["n_users"] > 25).all()


def test_rouge_is_computed_from_texts(study: xr.DataTree) -> None:
    tree = pls.simulate(n_methods=2, n_icl=1, n_users=6, n_examples=2, texts=True, seed=1)
    frame = pls.analyze(tree, SETTINGS).tables["generation"].frame
    assert set(frame["metric"]) == {"rouge1", "rouge2", "rougeL"}
    (ds,) = pls.datasets(tree).values()
    expected = pls.rouge(ds["reference"], ds["generation"])["rouge1"].mean("example")
    found = frame[frame["metric"] == "rouge1"].set_index("method")["estimate"]
    for method, estimate in found.items():
        assert estimate == pytest.approx(float(expected.sel({"method": method}).squeeze()))


def test_training_seeds_are_averaged_and_counted() -> None:
    tree = pls.simulate(n_methods=3, n_users=10, n_examples=4, n_seeds=3, seed=2)
    frame = pls.analyze(tree, SETTINGS).tables["rm_accuracy"].frame
    assert set(frame["n_seeds"]) == {3}
    assert "seed" not in frame


def test_metrics_known_only_per_method_have_no_interval() -> None:
    (ds,) = pls.datasets(pls.simulate(n_methods=4, n_users=10, n_examples=4, seed=2)).values()
    board = xr.DataArray(
        np.linspace(0.5, 0.8, ds.sizes["method"]), dims="method", attrs={"role": "method_metric"}
    )
    settings = pls.Settings(resamples=100, upstream=("board",), downstream=("rouge1",))
    found = pls.analyze({"d": ds.assign(board=board)}, settings)
    assert found.tables["method_metrics"].frame["low"].isna().all()
    assert found.tables["tau"].frame["low"].notna().all()  # the downstream metric has noise


def test_an_unknown_metric_is_refused_with_the_nearest(study: xr.DataTree) -> None:
    with pytest.raises(pls.InputError, match="did you mean rouge1"):
        pls.analyze(study, pls.Settings(downstream=("rogue1",)))


def test_a_file_without_metrics_is_refused() -> None:
    ds = xr.Dataset({"user": ("example", ["a", "b"])})
    with pytest.raises(pls.InputError, match="neither rewards nor generations"):
        pls.analyze({"d": ds}, SETTINGS)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(study: xr.DataTree) -> None:
    first, again = (pls.analyze(study, SETTINGS) for _ in range(2))
    other = pls.analyze(study, pls.Settings(resamples=200, seed=1))
    for name, table in first.tables.items():
        assert to_csv(table) == to_csv(again.tables[name])
    assert to_csv(first.tables["rm_accuracy"]) != to_csv(other.tables["rm_accuracy"])


def test_inputs_are_recorded_with_their_checksum(study: xr.DataTree, tmp_path: Path) -> None:
    path = tmp_path / "r.nc"
    pls.write_results(study, path)
    with pls.open_results(path) as tree:
        found = pls.analyze(tree, SETTINGS, inputs=[path])
    (record,) = found.inputs
    assert record["bytes"] == path.stat().st_size
    assert len(record["sha256"]) == 64


@pytest.mark.parametrize(
    "change", [Path.unlink, lambda path: os.utime(path, (0, 0)), lambda path: path.write_bytes(b"")]
)
def test_an_input_that_changes_while_it_is_read_is_refused(
    study: xr.DataTree, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    path = tmp_path / "r.nc"
    path.write_bytes(b"what the study was read from")
    once = iter([change])

    def progress(*_: object) -> None:
        for each in once:
            each(path)

    with pytest.raises(InputError, match=r"r\.nc: changed or vanished while it was read"):
        pls.analyze(study, SETTINGS, inputs=[path], progress=progress)
    with pytest.raises(InputError, match="changed or vanished"):
        pls.analyze(study, SETTINGS, inputs=[tmp_path / "absent.nc"])

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from preflamp_stats.io.describe import coverage, describe
from preflamp_stats.io.files import open_results, write_results


def test_describes_a_whole_study(study: xr.Dataset) -> None:
    found = describe(study)["results"]
    assert json.loads(json.dumps(found)) == found
    assert found["dims"] == {"example": 5, "candidate": 2, "method": 2, "model": 1, "token": 4}
    assert found["methods"][1] == {"name": "method 1", "family": "reward-guided"}
    assert found["models"] == [{"name": "base", "parameters": 500_000_000}]
    assert found["n_users"] == 3
    assert found["examples_per_user"] == {"min": 1, "median": 2.0, "max": 2}
    assert found["metrics"] == [
        "rm_accuracy", "policy_accuracy", "rouge1", "rouge2", "rougeL", "judge", "board",
    ]  # fmt: skip
    lengths = study.n_tokens.sum().item()
    assert found["variables"]["token_logprob"]["missing"] == pytest.approx(1 - lengths / 40)
    assert found["variables"]["user"] == {
        "dims": ["example"], "dtype": "str", "missing": 0.0, "bytes": study.user.nbytes,
    }  # fmt: skip


def test_file_and_memory_are_described_alike(study: xr.Dataset, tmp_path: Path) -> None:
    study["generation"][0, 0, 0] = None
    study["generation"][0, 0, 1] = ""
    write_results(study, tmp_path / "r.nc")
    with open_results(tmp_path / "r.nc") as tree:
        found = describe(tree)["results"]
    assert found["variables"]["generation"]["missing"] == pytest.approx(0.1)
    known = describe(study)["results"]
    assert found["metrics"] == known["metrics"]
    assert {k: v["missing"] for k, v in found["variables"].items()} == {
        k: v["missing"] for k, v in known["variables"].items()
    }


def test_half_a_study(study: xr.Dataset) -> None:
    found = describe(study[["rouge1"]])["results"]
    assert found["n_users"] is None
    assert found["examples_per_user"] is None
    assert found["metrics"] == ["rouge1"]
    assert found["seeds"] == []


def test_coverage_counts_what_each_method_has(study: xr.Dataset) -> None:
    study["reward"][0, 0] = [1.0, 1.0]
    study["reward"][0, 1] = [np.nan, 1.0]
    study["reward"][1, 2] = np.nan
    study["generation"][0, 1, 3] = ""
    study["generation"][0, 1, 4] = None
    study["reference"] = study["reference"].astype(object)
    study["reference"][0] = None
    study["candidate_text"][2] = "the same"
    found = coverage(study)
    assert found.columns.tolist() == [
        "dataset", "model", "method", "n_examples",
        "reward", "pair", "generation", "metric", "reference", "ties", "identical",
    ]  # fmt: skip
    assert found.values.tolist() == [
        ["results", "base", "method 0", 5, 1.0, 0.8, 1.0, 1.0, 0.8, 1, 1],
        ["results", "base", "method 1", 5, 0.8, 0.8, 0.8, 1.0, 0.8, 0, 1],
    ]


def test_coverage_of_several_datasets_and_of_rewards_alone(study: xr.Dataset) -> None:
    seeds = xr.concat([study[["reward"]], study[["reward"]] * np.nan], "seed")
    found = coverage({"a": study[["judge"]], "b": seeds})
    assert found["dataset"].tolist() == ["a", "a", "b", "b"]
    assert found["metric"].tolist()[:2] == [1.0, 1.0]
    assert found["pair"].tolist()[2:] == [0.5, 0.5]
    assert found["pair"].isna().tolist() == [True, True, False, False]

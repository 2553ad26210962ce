from __future__ import annotations

import json
from pathlib import Path

import pytest
import xarray as xr

from preflamp_stats.io.describe import describe
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
    study["generation"][0, 0, 0] = ""
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

"""The main command as a user meets it: what it prints, writes, and says of bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import netCDF4
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner, Result

import preflamp_stats as pls
from preflamp_stats.cli import main

FAST = ("--resamples", "50", "--format", "csv")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "results.nc"
    study = pls.simulate(n_methods=3, n_icl=1, n_users=12, n_examples=4, seed=5)
    pls.write_results(study, path)
    return path


def refused(result: Result, out: Path, *words: str) -> None:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    for word in words:
        assert word in result.output
    assert not out.exists()


def test_analyze_writes_tables_and_prints_a_summary(results: Path, tmp_path: Path) -> None:
    result = run("analyze", results, "--out", tmp_path / "out", *FAST)
    assert result.exit_code == 0, result.output
    assert "RM accuracy" in result.output
    assert (tmp_path / "out/tables/rm_accuracy.csv").is_file()
    record = json.loads((tmp_path / "out/analysis.json").read_text())
    assert record["settings"]["resamples"] == 50
    assert record["inputs"][0]["path"] == "results.nc"


def test_the_same_command_gives_the_same_csv_bytes(results: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert run("analyze", results, "--out", tmp_path / name, *FAST).exit_code == 0
    files = sorted((tmp_path / "a/tables").glob("*.csv"))
    assert files
    for file in files:
        assert file.read_bytes() == (tmp_path / "b/tables" / file.name).read_bytes()


def test_threads_change_no_byte(results: Path, tmp_path: Path) -> None:
    for threads in ("1", "2"):
        variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        command = "import sys; from preflamp_stats.cli import main; main(sys.argv[1:])"
        arguments = ["analyze", str(results), "--out", str(tmp_path / threads), *FAST]
        subprocess.run(
            [sys.executable, "-c", command, *arguments],
            env=os.environ | dict.fromkeys(variables, threads),
            check=True,
            capture_output=True,
        )
    files = sorted((tmp_path / "1/tables").glob("*.csv"))
    assert len(files) > 8
    for file in files:
        assert file.read_bytes() == (tmp_path / "2/tables" / file.name).read_bytes()


def test_an_infinite_weight_is_the_reward_alone(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("analyze", results, "--out", out, "--weight", "inf", *FAST).exit_code == 0
    columns = ["method", "estimate", "low", "high"]
    rm, policy = (
        pd.read_csv(out / f"tables/{name}.csv", usecols=columns)
        for name in ("rm_accuracy", "policy_accuracy")
    )
    assert len(rm) == 3
    pd.testing.assert_frame_equal(rm, policy)


def test_not_netcdf(tmp_path: Path) -> None:
    path = tmp_path / "r.nc"
    path.write_text("dataset,method\n")
    refused(run("analyze", path, "--out", tmp_path / "out"), tmp_path / "out", "r.nc", "NetCDF")


def test_absent_file(tmp_path: Path) -> None:
    result = run("analyze", tmp_path / "r.nc", "--out", tmp_path / "out")
    refused(result, tmp_path / "out", "r.nc", "no such file")


@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_truncated_file(results: Path, tmp_path: Path, share: float) -> None:
    path = tmp_path / "r.nc"
    whole = results.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    refused(run("analyze", path, "--out", tmp_path / "out"), tmp_path / "out", "r.nc")


def damaged(results: Path, path: Path, change: str) -> Path:
    """Copy of a results file with one thing wrong, written past the checks of write_results."""
    with pls.open_results(results) as tree:
        ds = tree.to_dataset().load()
    if change == "no metrics":
        ds = ds[["user"]]
    elif change == "wrong dims":
        ds["reward"] = ds["reward"].rename(method="technique")
    elif change == "no user in some":
        ds["user"] = ("example", np.where(np.arange(ds.sizes["example"]) % 3, ds["user"], ""))
    elif change == "duplicate example":
        labels = ds["example"].values.copy()
        labels[1] = labels[0]
        ds = ds.assign_coords(example=labels)
    elif change == "no rejected":
        ds = ds.assign_coords(candidate=["chosen", "other"])
    ds = ds.drop_vars([v for v in ds if ds[v].attrs.get("role") == "truth"])
    ds.attrs = {"preflamp_schema": 1}
    ds.to_netcdf(path, engine="netcdf4")
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("no metrics", ["r.nc"]),
        ("wrong dims", ["reward", "technique"]),
        ("no user in some", ["user", "empty"]),
        ("duplicate example", ["example"]),
        ("no rejected", ["rejected"]),
    ],
)
def test_a_file_that_breaks_the_schema(
    results: Path, tmp_path: Path, change: str, words: list[str]
) -> None:
    path = damaged(results, tmp_path / "r.nc", change)
    refused(run("analyze", path, "--out", tmp_path / "out", *FAST), tmp_path / "out", *words)


def test_not_a_results_file_at_all(tmp_path: Path) -> None:
    path = tmp_path / "r.nc"
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("time", 3)
    refused(run("analyze", path, "--out", tmp_path / "out"), tmp_path / "out", "preflamp_schema")


def test_all_pairs_tied_gives_a_half_and_no_tau(results: Path, tmp_path: Path) -> None:
    with pls.open_results(results) as tree:
        ds = tree.to_dataset().load()
    ds["reward"] = xr.zeros_like(ds["reward"])
    pls.write_results(ds, tmp_path / "r.nc")
    result = run("analyze", tmp_path / "r.nc", "--out", tmp_path / "out", *FAST)
    assert result.exit_code == 0, result.output
    assert "Cannot be judged. All methods have the same value" in result.output
    rows = (tmp_path / "out/tables/rm_accuracy.csv").read_text().splitlines()[1:]
    assert {row.split(",")[3] for row in rows} == {"0.5"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--downstream", "rogue1"], ["rogue1", "rouge1"]),
        (["--upstream", ""], ["upstream"]),
        (["--level", "95"], ["level", "0.95"]),
        (["--weight", "-1"], ["weight"]),
        (["--format", "docx"], ["docx", "csv"]),
        (["--interval", "bayes"], ["bayes", "percentile"]),
        (["--scoring", "stored"], []),
    ],
)
def test_bad_choices(results: Path, tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    result = run("analyze", results, "--out", tmp_path / "out", *FAST, *arguments)
    if arguments[0] == "--scoring":  # a file without stored scores still has the rest
        assert result.exit_code == 0
        assert "policy accuracy" in result.output
    else:
        refused(result, tmp_path / "out", *words)


def test_two_files_with_one_dataset_are_refused(results: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.nc"
    copy.write_bytes(results.read_bytes())
    result = run("analyze", results, copy, "--out", tmp_path / "out", *FAST)
    refused(result, tmp_path / "out", "copy.nc", "merge")


def test_an_unknown_command_is_answered_with_the_nearest() -> None:
    result = run("analyse", "x.nc")
    assert result.exit_code == 2
    assert "did you mean analyze?" in result.output


def test_a_signature_runs_the_same_analysis_again(results: Path, tmp_path: Path) -> None:
    options = ("--resamples", "50", "--seed", "3", "--ties", "drop", "--format", "csv")
    assert run("analyze", results, "--out", tmp_path / "a", *options).exit_code == 0
    signature = json.loads((tmp_path / "a/analysis.json").read_text())["signature"]
    again = ("analyze", results, "--out", tmp_path / "b", "--signature", signature)
    assert run(*again, "--format", "csv").exit_code == 0
    for file in (tmp_path / "a/tables").glob("*.csv"):
        assert file.read_bytes() == (tmp_path / "b/tables" / file.name).read_bytes()
    refused(run("analyze", results, "--out", tmp_path / "c", *again[4:], "--seed", "3"),
            tmp_path / "c", "--signature names all options")  # fmt: skip
    other = signature.replace("data:", "data:0")
    refused(run("analyze", results, "--out", tmp_path / "c", "--signature", other),
            tmp_path / "c", "is of other data or another version")  # fmt: skip

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from preflamp_stats.cli import main
from preflamp_stats.io.files import open_results

TABLE = (
    "dataset,method,method_family,user,example,candidate,reward\n"
    "prism,rm,reward-guided,ann,{0},chosen,0.9\n"
    "prism,rm,reward-guided,ann,{0},rejected,0.2\n"
)


def run(*arguments: object, code: int = 0) -> tuple[list[str], list[str]]:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.stdout.splitlines(), result.stderr.splitlines()


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    paths = []
    for example in ("e1", "e2"):
        table = tmp_path / f"{example}.csv"
        table.write_text(TABLE.format(example))
        paths.append(table.with_suffix(".nc"))
        run("convert", table, "-o", paths[-1])
    return paths


def test_convert_merge_validate_describe(tmp_path: Path, shards: list[Path]) -> None:
    whole = tmp_path / "whole.nc"
    assert run("merge", *shards, "-o", whole)[0][0].startswith(f"{whole}: prism (")
    assert run("validate", whole)[0] == [f"{whole}: follows schema 1; datasets: prism"]
    found = json.loads("\n".join(run("describe", "--json", whole)[0]))
    assert found["prism"]["n_examples"] == 2
    text = "\n".join(run("describe", whole)[0])
    for part in ("prism", "rm (reward-guided)", "1, with 2 examples each", "rm_accuracy"):
        assert part in text


def test_problems_go_to_standard_error_a_line_each(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("method,exampel,useer\nrm,1,x\n")
    out, err = run("convert", table, "-o", tmp_path / "r.nc", code=2)
    assert out == []
    assert len(err) == 2
    assert all(str(table) in line and "Traceback" not in line for line in err)
    assert not (tmp_path / "r.nc").exists()


@pytest.mark.parametrize("command", ["validate", "describe"])
def test_unreadable_file(tmp_path: Path, command: str) -> None:
    (tmp_path / "r.nc").write_bytes(b"\x89HDF\r\n\x1a\n")
    for path, message in ((tmp_path / "r.nc", "not a whole"), (tmp_path / "x.nc", "no such file")):
        assert message in run(command, path, code=2)[1][0]


def test_overlapping_shards(tmp_path: Path, shards: list[Path]) -> None:
    out, err = run("merge", shards[0], shards[0], "-o", tmp_path / "r.nc", code=2)
    assert out == []
    assert "give each shard once" in err[0]
    assert not (tmp_path / "r.nc").exists()


def test_warnings_do_not_fail(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text(TABLE.replace("user,", "").replace("ann,", "").format("e1"))
    run("convert", table, "-o", tmp_path / "r.nc")
    _, err = run("validate", tmp_path / "r.nc")
    assert "each example is taken as its own unit" in err[0]


def test_module_imports_nothing_heavy() -> None:
    code = "import sys, preflamp_stats.cli.data; print([m for m in ('numpy', 'xarray', 'rich') if m in sys.modules])"  # noqa: E501
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_convert_says_on_standard_error_how_it_read_a_table(tmp_path: Path) -> None:
    table = tmp_path / "scores.csv"
    table.write_text("rm,judge_no,prompt_id,chosen,rejected,mistakes\na,7,1,2,1,3\nb,7,1,1,2,4\n")
    options = ["--map", "judge_no=user", "--lower-is-better", "mistakes"]
    out, err = run("convert", table, "-o", tmp_path / "r.nc", *options)
    assert out == [f"{tmp_path / 'r.nc'}: results (1 example, 2 method, 2 candidate)"]
    assert err == [
        f"preflamp-stats: {table}: judge_no read as user; rm read as method; "
        "prompt_id read as example; chosen, rejected read as the reward of chosen and rejected"
    ]
    with open_results(tmp_path / "r.nc") as tree:
        assert tree["mistakes"].attrs["direction"] == "lower"
    assert "THEIRS=OURS" in run("convert", table, "-o", "r.nc", "--map", "user", code=2)[1][0]


def test_analyze_takes_tables(tmp_path: Path) -> None:
    rows = [
        f"u{i % 5},{i},{1 + i % 2},{i % 3},{2 - i % 2},{i % 4}" for i in range(30)
    ]  # two reward models, a row a pair
    table = tmp_path / "scores.csv"
    head = "user_id,prompt_id,rmA_chosen,rmA_rejected,rmB_chosen,rmB_rejected"
    table.write_text("\n".join([head, *rows]) + "\n")
    options = ["--resamples", 100, "--format", "csv"]
    _, err = run("analyze", table, "--out", tmp_path / "table", *options)
    assert "rmA, rmB" in "".join(err)
    run("convert", table, "-o", tmp_path / "r.nc")
    run("analyze", tmp_path / "r.nc", "--out", tmp_path / "file", *options)
    one, other = (tmp_path / name / "tables/rm_accuracy.csv" for name in ("table", "file"))
    assert one.read_bytes() == other.read_bytes()

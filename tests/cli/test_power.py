"""The command ``power``."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import preflamp_stats as pls
from preflamp_stats.cli import main


def run(*arguments: object):
    return CliRunner().invoke(main, ["power", *map(str, arguments)])


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("power") / "results.nc"
    pls.write_results(pls.simulate(n_methods=3, n_users=40, n_examples=5, seed=1), path)
    return path


def test_table_for_tau() -> None:
    found = run("--tau", "0.4,0.8", "--methods", "6,12", "--users", "50,200", "--studies", 100,
                "--intervals", 1)  # fmt: skip
    assert found.exit_code == 0, found.output
    rows = [line.split() for line in found.output.splitlines()]
    names = ["tau", "methods", "users", "test", "verdict", "interval", "width", "observed"]
    header = rows.index(names)
    assert [row[:3] for row in rows[header + 1 : header + 4]] == [
        ["0.4", "6", "50"],
        ["0.4", "6", "200"],
        ["0.4", "12", "50"],
    ]
    assert "tau 0.8, 12 methods: power 0.8 with" in found.output


def test_json_is_that_of_the_function() -> None:
    found = run("--difference", 0.03, "--methods", 4, "--users", "100,400", "--icc", 0.1, "--json")
    assert found.exit_code == 0
    design = pls.MetricDesign(icc=0.1)
    same = pls.power(difference=0.03, methods=4, users=[100, 400], design=design)
    rows = json.loads(found.output)["rows"]
    assert [row["power"] for row in rows] == pytest.approx(same["power"].values.ravel().tolist())
    assert {row["users_needed"] for row in rows} == {same["users_needed"].item()}


def test_what_is_out_of_reach_is_null_in_json() -> None:
    found = run("--tau", 0.5, "--methods", 4, "--users", 50, "--studies", 20, "--intervals", 0,
                "--json")  # fmt: skip
    (row,) = json.loads(found.output)["rows"]
    assert row["users_needed"] is None
    assert row["width"] is None


def test_file_at_hand(results: Path) -> None:
    found = run(results, "--difference", "0.05", "--margin", 0.02, "--metric", "rm_accuracy,rouge1")
    assert found.exit_code == 0, found.output
    header, first, second = (line.split() for line in found.output.splitlines()[2:5])
    assert header[:6] == ["dataset", "metric", "users", "pairs", "median", "hardest"]
    assert [first[1], second[1]] == ["rm_accuracy", "rouge1"]
    ds = next(iter(pls.datasets(pls.open_results(results)).values()))
    mde = pls.minimum_detectable_effect(ds, "rm_accuracy")["mde"]
    assert f"{float(mde.median()):.4f}" in first
    assert f"{float(mde.max()):.4f}" in first


def test_file_at_hand_as_json(results: Path) -> None:
    found = json.loads(run(results, "--json").output)
    assert {row["metric"] for row in found["rows"]} == {"rm_accuracy", "policy_accuracy", "rouge1"}
    # The in-context method has no reward: 3 methods, 3 pairs; all 4 have texts.
    assert sum(row["metric"] == "rouge1" for row in found["pairs"]) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "ask one question"),
        (("--tau", "x"), "'x' is not a number"),
        (("--tau", 2), "variable tau"),
        (("--tau", 0.3, "--users", "20.5"), "not a whole number"),
        (("--margin", 0.1, "--metric", "rouge1"), "name the file too"),
        (("absent.nc",), "absent.nc"),
    ],
)
def test_bad_input_exits_with_2(arguments, message) -> None:
    found = run(*arguments)
    assert found.exit_code == 2
    assert message in found.output
    assert "Traceback" not in found.output


def test_options_of_a_plan_are_refused_beside_a_file(results: Path) -> None:
    found = run(results, "--icc", 0.1, "--methods", 4)
    assert found.exit_code == 2
    assert "--icc" in found.output
    assert "--methods" in found.output


def test_unknown_metric_is_refused(results: Path) -> None:
    found = run(results, "--metric", "nonsense")
    assert found.exit_code == 2
    assert "nonsense" in found.output

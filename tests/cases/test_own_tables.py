"""Tables of strangers: read as their owner meant them, or refused with the first cause."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner

import preflamp_stats as pls
from preflamp_stats.cli import main
from preflamp_stats.errors import InputError
from preflamp_stats.io.from_tables import convert

METHODS = ("lore", "vpl", "bt")
N = 12
RNG = np.random.default_rng(7)
LEVELS = {f"{m}_{s}": RNG.normal(size=N).round(3) for m in METHODS for s in ("chosen", "rejected")}


def wide(**names: str) -> pd.DataFrame:
    keys = {"user": [f"u{i % 4}" for i in range(N)], "example": range(N)}
    return pd.DataFrame(keys | LEVELS).rename(columns=names)


def pairs() -> pd.DataFrame:
    of = [
        wide()[["user", "example"]].assign(
            method=m, chosen=LEVELS[f"{m}_chosen"], rejected=LEVELS[f"{m}_rejected"]
        )
        for m in METHODS
    ]
    return pd.concat(of, ignore_index=True)


def read(table: Any, **options: Any) -> tuple[xr.Dataset, str]:
    said: list[str] = []
    return convert(table, say=said.append, **options).to_dataset(), "\n".join(said)


def same(found: xr.Dataset, methods: tuple[str, ...] = METHODS) -> None:
    expected = np.array([[LEVELS[f"{m}_{s}"] for s in ("chosen", "rejected")] for m in METHODS])
    assert found["method"].values.tolist() == list(methods)
    reward = found["reward"].transpose("method", "candidate", "example")
    np.testing.assert_array_equal(reward, expected)
    assert found["user"].values.tolist() == wide()["user"].tolist()


def refused(table: Any, message: str, **options: Any) -> None:
    with pytest.raises(InputError) as caught:
        read(table, **options)
    assert message in str(caught.value)
    assert "--ignore user" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "methods"),
    [
        (lambda name: name.replace("_chosen", "Chosen").replace("_rejected", "Rejected"), METHODS),
        (lambda name: f" {name} ", METHODS),
        (lambda name: name.replace("vpl", "score"), ("lore", "score", "bt")),
        (lambda name: name.replace("lore", "reward"), ("reward", "vpl", "bt")),
        (lambda name: name.replace("bt", "org/M-7B (v2)"), ("lore", "vpl", "org/M-7B (v2)")),
    ],
)  # fmt: skip
def test_pairs_of_columns_whatever_the_reward_models_are_called(
    change: Any, methods: tuple[str, ...]
) -> None:
    found, said = read(wide().rename(columns=change))
    same(found, methods)
    assert f"of chosen and rejected of 3 methods: {', '.join(methods)}" in said


def test_a_pivoted_frame_has_columns_of_two_levels() -> None:
    pivoted = pairs().pivot(
        index=["user", "example"], columns="method", values=["chosen", "rejected"]
    )
    found, _ = read(pivoted)
    same(found.sel({"method": list(METHODS), "example": list(map(str, range(N)))}))


def test_spaces_nobody_sees_make_no_second_method_or_user(tmp_path: Path) -> None:
    spaced = pairs().assign(
        method=[m + " " * (i % 2) for i, m in enumerate(pairs()["method"])],
        user=[" " * (i % 3) + u for i, u in enumerate(pairs()["user"])],
    )
    same(read(spaced)[0])
    path = tmp_path / "t.csv"
    path.write_text(pairs().to_csv(index=False).replace(",", ", "))
    same(read(path)[0])


def test_decimal_commas_in_quotes_and_marks_between_thousands(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    numbers = pairs()[["chosen", "rejected"]].map(lambda number: str(number).replace(".", ","))
    pairs().assign(**numbers).to_csv(path, index=False)
    found, said = read(path)
    same(found)
    assert "decimal commas in chosen, rejected read as points" in said
    path.write_text('method,example,chosen,rejected\na,1,"1,234","1,100"\nb,1,"2,000","1,300"\n')
    refused(path, "variable chosen: is '1,234', not a number, in line 2")


@pytest.mark.parametrize("bad", ["85%", "35 %", "1.234,5", "ERROR"])
def test_a_column_of_numbers_that_are_spoilt_is_no_text(bad: str) -> None:
    table = pairs().astype({"chosen": object}).assign(judge=0.5).astype({"judge": object})
    table.loc[3, "chosen"] = bad
    refused(table, f"variable chosen: is {bad!r}, not a number, in row 4")
    table = pairs().assign(judge=0.5).astype({"judge": object})
    table.loc[3, "judge"] = bad
    refused(table, f"variable judge: is {bad!r}, not a number, in row 4")
    same(read(table, ignore=["judge"])[0])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (wide().drop(columns="vpl_rejected"), "vpl_chosen: holds numbers of chosen candidates"),
        (pairs().drop(columns="chosen"), "rejected: holds numbers of rejected candidates, and no"),
        (wide(lore_chosen="chosen", lore_rejected="rejected"), "chosen, rejected name no rewar"),
        (wide(**{name: name.split("_")[0] + "_" + "ab"["rej" in name] for name in LEVELS}),
         "variable method: column is missing; name it in every row; if lore_a"),
        (pairs().drop(columns="method"), "variable method: column is missing; name it in every"),
        (pairs().drop(columns="example").assign(id=range(3 * N)),
         "variable example: is another in the rows of every method, as the number of a row is"),
        (pairs().assign(candidate="gpt"), "candidate: stands beside chosen, rejected, which are"),
        (pairs().assign(**{"x/y": RNG.random(3 * N), "x_y": 1.0}), "x_y: stands twice, once"),
        (pd.DataFrame({"user": [None], "candidate": ["a"]}), "example: column is missing"),
        (pairs().assign(user=[None, *pairs()["user"][1:]], example=range(3 * N)),
         "name a user for every example, or leave those examples out"),
        (pairs().assign(n_tokens=5), "or give chosen_n_tokens and rejected_n_tokens"),
        (pd.DataFrame({"method": METHODS, "rougeL": [0.2, 0.3, 0.4]}), "--map rougeL=mean_rougeL"),
        (pd.DataFrame({"method": METHODS, "example": 1, "score_a": [0.2, 0.3, 0.4],
                       "score_b": 0.3, "winner": ["a", "b", "a"]}),
         "score_a, score_b are of sides a and b, and winner tells which won"),
        (pairs()[:0], "has no rows"),
        (pairs()["chosen"], "is of type Series, which is no data frame"),
        (None, "is of type NoneType, which is no data frame"),
    ],
)  # fmt: skip
def test_what_is_not_what_it_seems_is_refused_with_its_cause(table: Any, message: str) -> None:
    refused(table, message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sep=;\nmethod;example;chosen;rejected\na;1;0;1\n", "has 'sep=' for a header; begin"),
        ("# mine\nmethod,example,chosen,rejected\na,1,0,1\n", "has '# mine' for a header; begin"),
    ],
)
def test_a_line_before_the_header_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    refused(path, message)


def test_zeros_before_a_number_are_part_of_a_name(tmp_path: Path) -> None:
    zeros = pairs().assign(user=[f"{i % 4:03d}" for i in pairs()["example"]])
    zeros.to_csv(tmp_path / "t.csv", index=False)
    assert read(tmp_path / "t.csv")[0]["user"].values.tolist()[:2] == ["000", "001"]
    whole = zeros.assign(user=zeros["user"].astype(int), method=zeros["method"] + "2")
    refused([zeros, whole], "write it alike everywhere, zeros included")


def test_columns_that_give_nothing_are_said() -> None:
    found, said = read(pairs().assign(weight=0.5))
    same(found)
    assert "left out: weight (no column is given by it)" in said
    lone = pairs().assign(example=[f"{m}{i}" for m, i in itertools.product(METHODS, range(N))])
    assert "no two methods share an example: they cannot be compared in pairs" in read(lone)[1]


def test_two_columns_may_change_their_names_with_each_other() -> None:
    swapped = pairs().rename(columns={"user": "example", "example": "user"})
    same(read(swapped, mapping={"user": "example", "example": "user"})[0])
    refused(pairs(), "variable zzz: is no column, and cannot be left out", ignore=["zzz"])


def command(folder: Path, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, [*words, "--out", str(folder / "out")])
    return result.exit_code, result.output


def test_columns_are_told_to_analyze_as_to_convert(tmp_path: Path) -> None:
    table = pairs().rename(columns={"user": "customer"}).assign(edits=RNG.random(3 * N))
    path = str(tmp_path / "t.csv")
    table.assign(note=1.5).to_csv(path, index=False)
    code, output = command(tmp_path, "analyze", path)
    assert (code, "write --map customer=user" in output) == (2, True)
    told = ["--map", "customer=user", "--ignore", "note", "--resamples", "100", "--format", "csv"]
    told += ["--downstream", "edits"]
    code, output = command(tmp_path, "analyze", path, *told, "--lower-is-better", "edits")
    assert code == 0, output
    assert "which way is better" not in output
    frame = pd.read_csv(tmp_path / "out/tables/rm_accuracy.csv")
    assert frame["n_users"].tolist() == [4] * 3
    for wrong, message in (
        (["--map", "customer"], "write it as THEIRS=OURS"),
        (["--map", "customer=user", "--map", "customer=method"], "it is mapped to"),
        (["--lower-is-better", "edit"], "choose one of edits"),
    ):
        code, output = command(tmp_path, "analyze", path, *told, *wrong)
        assert (code, message in output) == (2, True), output
    written = str(tmp_path / "t.nc")
    both = ["--lower-is-better", "edits,note", "--map", "customer=user"]
    assert CliRunner().invoke(main, ["convert", path, "-o", written, *both]).exit_code == 0
    code, output = command(tmp_path, "analyze", written, "--map", "customer=user")
    assert (code, "--map and --ignore are about tables" in output) == (2, True)


def test_report_takes_columns_for_a_path_too(tmp_path: Path) -> None:
    pairs().rename(columns={"user": "customer"}).to_csv(tmp_path / "t.csv", index=False)
    quick = pls.Settings(resamples=100, formats=("csv",))
    mapping = {"customer": "user"}
    found = pls.report(tmp_path / "t.csv", tmp_path / "out", quick, say=len, mapping=mapping)
    assert found.tables["rm_accuracy"].frame["n_users"].tolist() == [4] * 3

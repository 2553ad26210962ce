"""Tables as people have them: each is read rightly, or refused with the cause."""

from __future__ import annotations

import itertools
import json
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import preflamp_stats as pls
from preflamp_stats.errors import InputError
from preflamp_stats.io.files import open_results, write_results
from preflamp_stats.io.from_tables import convert, from_frame

METHODS = ("lore", "vpl", "bt")
N = 12


def pairs() -> pd.DataFrame:
    """A row a pair, three reward models, four users; nothing is missing."""
    rng = np.random.default_rng(1)
    keys = list(itertools.product(METHODS, range(N)))
    return pd.DataFrame(
        {
            "method": [method for method, _ in keys],
            "user": [f"u{i % 4}" for _, i in keys],
            "example": [i for _, i in keys],
            "chosen": rng.normal(0.5, 1, len(keys)).round(3),
            "rejected": rng.normal(0, 1, len(keys)).round(3),
        }
    )


def read(table: Any, **options: Any) -> tuple[xr.Dataset, str]:
    said: list[str] = []
    tree = convert(table, say=said.append, **options)
    return tree.to_dataset(), "\n".join(said)


def reference() -> xr.Dataset:
    table = pairs().melt(["method", "user", "example"], var_name="candidate", value_name="reward")
    ds, said = read(table)
    assert said == ""  # the names of the file need no word
    return ds


def same(found: xr.Dataset) -> None:
    xr.testing.assert_equal(found["reward"], reference()["reward"].transpose(*found["reward"].dims))
    assert found["user"].values.tolist() == reference()["user"].values.tolist()


@pytest.mark.parametrize(
    ("chosen", "rejected"),
    [
        ("chosen", "rejected"),
        ("scores_chosen", "scores_rejected"),
        ("chosen_reward", "rejected_reward"),
        ("reward_chosen", "reward_rejected"),
        ("Chosen Score", "Rejected Score"),
        ("winner", "loser"),
    ],
)
def test_pairs_in_a_row(chosen: str, rejected: str) -> None:
    found, said = read(pairs().rename(columns={"chosen": chosen, "rejected": rejected}))
    same(found)
    assert said == f"table: {chosen}, {rejected} read as the reward of chosen and rejected"


def test_texts_with_their_rewards() -> None:
    table = pairs().rename(columns={"chosen": "chosen_reward", "rejected": "rejected_reward"})
    table["chosen"] = [f"good {i}" for i in table["example"]]
    table["rejected"] = "bad"
    found, _ = read(table.assign(chosen_logprob=-2.0, rejected_logprob=-3.0))
    same(found)
    assert found["candidate_text"].sel(example="3").values.tolist() == ["good 3", "bad"]
    assert found["logprob"].dims == ("example", "candidate")


@pytest.mark.parametrize("pattern", ["{m}_{s}", "{s}_{m}", "{m}.{s}", "{s}-{m}"])
def test_a_pair_of_columns_for_each_reward_model(pattern: str) -> None:
    wide = pairs()[["user", "example"]].drop_duplicates()
    for method, side in itertools.product(METHODS, ("chosen", "rejected")):
        values = pairs().set_index(["method", "example"])[side][method]
        wide[pattern.format(m=method, s=side)] = values.loc[wide["example"]].to_numpy()
    found, said = read(wide)
    same(found)
    assert "of chosen and rejected of 3 methods: lore, vpl, bt" in said


def test_a_column_for_each_reward_model_and_a_row_for_each_candidate() -> None:
    long = pairs().melt(["method", "user", "example"], var_name="side", value_name="reward")
    wide = long.pivot(index=["example", "user", "side"], columns="method", values="reward")
    found, said = read(wide.reset_index())
    xr.testing.assert_equal(
        found["reward"], reference()["reward"].sortby("method").transpose(*found["reward"].dims)
    )
    assert "bt, lore, vpl read as the rewards of 3 methods" in said


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("t.csv", lambda frame, path: frame.to_csv(path)),  # with its index
        ("t.csv", lambda frame, path: frame.to_csv(path, index=False, sep="\t")),
        ("t.csv", lambda frame, path: frame.to_csv(path, index=False, sep=";", decimal=",")),
        ("t.csv.gz", lambda frame, path: frame.to_csv(path, index=False)),
        ("t.tsv", lambda frame, path: frame.to_csv(path, index=False, sep="\t")),
        ("t.json", lambda frame, path: frame.to_json(path, orient="records")),
        ("t.json", lambda frame, path: path.write_text(json.dumps(frame.to_dict("list")))),
        ("t.jsonl", lambda frame, path: frame.to_json(path, orient="records", lines=True)),
        ("t.jsonl.gz", lambda frame, path: frame.to_json(path, orient="records", lines=True)),
        ("t.parquet", lambda frame, path: frame[frame.example >= 0].to_parquet(path)),
    ],
)  # fmt: skip
def test_every_format(
    tmp_path: Path, name: str, write: Callable[[pd.DataFrame, Path], Any]
) -> None:
    write(pairs(), tmp_path / name)
    same(read(tmp_path / name)[0])


def test_what_is_done_to_a_file_is_said(tmp_path: Path) -> None:
    table = pairs().rename(columns={"user": "annotator", "method": "rm"}).assign(note="x")
    table.to_csv(tmp_path / "t.csv", sep=";", decimal=",")
    found, said = read(tmp_path / "t.csv")
    same(found)
    assert said.replace(f"{tmp_path}/", "").split("\n") == [
        "t.csv: decimal commas in chosen, rejected read as points",
        "t.csv: rm read as method; annotator read as user; chosen, rejected read as the reward of "
        "chosen and rejected",
        "t.csv: left out: the first column (an index), note (text)",
    ]


@pytest.mark.parametrize("library", ["pandas", "pyarrow", "polars"])
def test_frames_of_any_library(library: str) -> None:
    module = pytest.importorskip(library)
    make = module.table if library == "pyarrow" else module.DataFrame
    frame = make(pairs().to_dict("list"))
    same(from_frame(frame, say=len).to_dataset())
    expected = pls.rm_accuracy(reference())
    np.testing.assert_array_equal(pls.rm_accuracy(frame), expected)


def test_an_index_with_names_is_columns() -> None:
    same(read(pairs().set_index(["method", "example"]))[0])


@pytest.mark.parametrize(
    "frame", [3, None, {"method": ["a"]}, [1, 2], np.ones(3)], ids=lambda each: type(each).__name__
)
def test_what_is_no_frame_is_refused_with_the_way(frame: Any) -> None:
    with pytest.raises(InputError, match="no data frame in memory; pass a frame of pandas"):
        from_frame(frame)


def test_trees_of_one_and_of_several_datasets() -> None:
    one = from_frame(pairs().assign(dataset="tldr"), say=len)
    expected = pls.rm_accuracy(reference())
    np.testing.assert_array_equal(pls.rm_accuracy(one), expected)
    two = convert([pairs().assign(dataset="tldr"), pairs().assign(dataset="prism")], say=len)
    with pytest.raises(InputError, match=r"2 datasets: tldr, prism; choose .* tree\['tldr'\]"):
        pls.rm_accuracy(two)
    np.testing.assert_array_equal(pls.rm_accuracy(two["prism"]), expected)


def test_numeric_user_ids_are_users(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    keys = list(itertools.product(METHODS, range(N)))
    table = pd.DataFrame(
        {
            "model": "q",
            "method": [method for method, _ in keys],
            "user_id": [1000 + i % 4 for _, i in keys],
            "example": [i for _, i in keys],
            "rouge1": rng.random(len(keys)),
        }
    )
    table.to_csv(tmp_path / "t.csv", index=False)
    found, said = read(tmp_path / "t.csv")
    assert found["user"].values.tolist() == [str(1000 + i % 4) for i in range(N)]
    assert list(found.data_vars) == ["user", "rouge1"]
    assert "user_id read as user" in said


@pytest.mark.parametrize("big", [2**53 + 1, 2**60 + 1])
def test_long_ids_stay_apart(big: int) -> None:
    table = pairs().assign(user=[big + i % 4 for i in pairs()["example"]])
    assert len(np.unique(read(table)[0]["user"].values.astype(str))) == 4


@pytest.mark.parametrize(
    ("values", "mend"),
    [
        ([f"c{i % 4}" for i in range(N)], "write --map customer=user, or --map customer=subset if"),
        ([i % 4 for i in range(N)], "or --ignore customer if it measures the example"),
    ],
)
def test_what_may_be_the_user_is_asked_for(values: list[Any], mend: str) -> None:
    table = pairs().assign(customer=values * len(METHODS)).drop(columns="user")
    with pytest.raises(InputError, match=f"customer: may name what examples share .*{mend}"):
        from_frame(table)
    found, said = read(table, mapping={"customer": "user"})
    assert found["user"].values.tolist() == [str(value) for value in values]
    assert "customer read as user" in said
    known, said = read(table.assign(user=pairs()["user"]))
    assert re.search(r"left out: customer \((text|the same for all methods)\)", said)
    same(known)


def test_two_columns_that_may_be_the_user_are_refused_and_mapped() -> None:
    table = pairs().rename(columns={"user": "annotator"}).assign(worker_id=7)
    with pytest.raises(InputError, match="annotator and worker_id may each be the user; say which"):
        from_frame(table)
    found, said = read(table, mapping={"annotator": "user"})
    same(found)
    assert "left out: worker_id (names rows)" in said
    with pytest.raises(InputError, match="variable anotator: is no column, and cannot be mapped"):
        from_frame(table, mapping={"anotator": "user"})


def test_no_refusal_advises_to_leave_users_out() -> None:
    for name in ("customer", "session_id", "useer", "users"):
        with pytest.raises(InputError, match=f"write --map {name}=user") as caught:
            from_frame(pairs().rename(columns={"user": name}))
        assert "--ignore" not in str(caught.value)
    with pytest.raises(
        InputError, match="variable user: holds list in row 1; write text or a numb"
    ):
        from_frame(pairs().assign(user=[["a"]] * len(pairs())))


def test_synonyms_families_and_metrics_that_are_like_ours() -> None:
    table = pd.DataFrame(
        {
            "system": ["a", "b"], "prompt_id": [1, 1], "rater": ["x", "x"],
            "output": ["same words", "other words"], "target": "same words", "family": "icl",
            "rougeLsum": [0.5, 0.25], "inaccuracy": [3, 4], "win": [True, False],
        }
    )  # fmt: skip
    found, said = read(table, lower_is_better=["inaccuracy"])
    assert found["generation"].values.ravel().tolist() == ["same words", "other words"]
    assert found["method_family"].values.tolist() == ["in-context"] * 2
    assert found["inaccuracy"].attrs["direction"] == "lower"
    assert "direction" not in found["win"].attrs
    assert found["win"].values.ravel().tolist() == [1, 0]
    metrics = {metric.name: metric.direction for metric in pls.available_metrics(found)}
    assert metrics == {
        "rouge1": "higher", "rouge2": "higher", "rougeL": "higher",
        "rougeLsum": "unknown", "inaccuracy": "lower", "win": "unknown",
    }  # fmt: skip
    assert "not told for rougeLsum, win: --lower-is-better, --higher-is-better" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lower_is_better": ["win"], "higher_is_better": ["win"]}, "win: is told to be better bo"),
        ({"lower_is_better": ["wim"]}, "wim: is no metric .* is open; choose one of win"),
        ({"lower_is_better": ["rouge1"]}, "rouge1: is no metric .* is open"),
    ],
)
def test_directions_that_cannot_be(options: dict[str, Any], message: str) -> None:
    table = pd.DataFrame({"method": ["a", "b"], "example": [1, 1], "win": [0, 1], "rouge1": 0.5})
    with pytest.raises(InputError, match=message):
        from_frame(table, say=len, **options)


def test_metrics_and_texts_without_model_or_user(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "method": ["a", "b"],
            "example": 1,
            "generation": ["x y", "x"],
            "reference": "x y",
            "j": 2.0,
        }
    )
    table.to_csv(tmp_path / "t.csv", index=False)
    found, _ = read(tmp_path / "t.csv")
    assert found["generation"].dims == found["j"].dims == ("method", "example")
    analysis = pls.analyze(found, pls.Settings(resamples=100))
    frame = analysis.tables["generation"].frame
    assert frame.loc[frame["metric"] == "rouge1", "estimate"].tolist() == [
        1.0,
        pytest.approx(2 / 3),
    ]


def test_fifteen_numbers_a_method_in_three_datasets() -> None:
    keys = list(itertools.product(["d1", "d2", "d3"], METHODS))
    table = pd.DataFrame(keys, columns=["dataset", "method"])
    for number in range(15):
        table[f"score_{number}"] = np.arange(len(table)) + number / 10
    tree = from_frame(table, say=len)
    assert list(tree.children) == ["d1", "d2", "d3"]
    assert tree["d2"]["score_3"].values.tolist() == [3.3, 4.3, 5.3]
    assert tree["d2"]["score_3"].attrs["role"] == "method_metric"
    gap = table.assign(example=1).astype({"method": object})
    gap.loc[[0, 4], "method"] = None
    with pytest.raises(InputError) as caught:
        from_frame(gap, say=len)
    assert [str(problem) for problem in caught.value.problems] == [
        "group d1: variable score_0, score_1 and 13 more: is given without method in table row 1"
        "; so in 2 datasets; name the method there"
    ]


def test_nested_columns_and_times_stop_nothing(tmp_path: Path) -> None:
    table = pairs().assign(
        when=pd.Timestamp("2026-01-01", tz="UTC"), deep=[[1]] * len(pairs()), ok=True
    )
    found, said = read(table, ignore=["when", "deep", "ok"])
    same(found)
    found, said = read(table, ignore=["ok"])
    same(found)
    assert "left out: when (holds Datetime(" in said
    table.drop(columns="when").to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    found, said = read(tmp_path / "t.jsonl", ignore=["ok"])
    same(found)
    assert "left out: deep (holds list in line 1)" in said


def test_tables_without_names_for_methods_and_examples(tmp_path: Path) -> None:
    one = pairs().query("method == 'vpl'")[["chosen", "rejected"]]
    one.to_csv(tmp_path / "vpl.csv.gz", index=False)
    found, said = read(tmp_path / "vpl.csv.gz")
    assert found["method"].values.tolist() == ["vpl"]
    assert found.sizes["example"] == N
    assert "no column names the method: taken as 'vpl'" in said
    assert "no column names the example: each row is one" in said
    with pytest.raises(InputError, match="example: column is missing; name the example of every"):
        from_frame(pairs().drop(columns="example"))
    named = pairs().rename(columns={"example": "prompt"})
    with pytest.raises(InputError, match="if the prompt does, write --map prompt=example"):
        from_frame(named)
    same(read(named, mapping={"prompt": "example"})[0])
    found, said = read(pairs().rename(columns={"method": "model"}))
    same(found)
    assert "model read as method, as no other column names the methods" in said


@given(
    present=st.lists(
        st.tuples(*[st.sampled_from(["row", "null", "empty", "text"])] * 2), min_size=1, max_size=5
    )
)
def test_absent_is_not_empty_in_any_round_trip(present: list[tuple[str, str]]) -> None:
    texts = {"null": None, "empty": "", "text": "some words"}
    rows = [
        {"method": method, "example": i, "reference": "some words", "generation": texts[kind]}
        for i, kinds in enumerate(present)
        for method, kind in zip("ab", kinds, strict=True)
        if kind != "row"
    ]
    if not any(row["generation"] is not None for row in rows):
        return
    frame = pd.DataFrame(rows, dtype=object)
    found = pls.rouge(*(lambda ds: (ds["reference"], ds["generation"]))(read(frame)[0]))["rouge1"]
    worth = {"row": np.nan, "null": np.nan, "empty": 0.0, "text": 1.0}
    for i, kinds in enumerate(present):
        for method, kind in zip("ab", kinds, strict=True):
            place = {"method": method, "example": str(i)}
            if method in found["method"].values and str(i) in found["example"].values:
                np.testing.assert_equal(found.sel(place).item(), worth[kind])


@pytest.mark.parametrize("half", ["rows", "null"])
def test_texts_that_stop_half_way_are_not_wrong(tmp_path: Path, half: str) -> None:
    rows = [
        {
            "model": "q", "method": method, "user": f"u{i}", "example": f"e{i}",
            "generation": "same words" if method == "a" or i < 10 else None,
            "reference": "same words",
        }
        for method in ("a", "b")
        for i in range(20)
        if half == "null" or method == "a" or i < 10
    ]  # fmt: skip
    path = tmp_path / ("t.csv" if half == "rows" else "t.jsonl")
    frame = pd.DataFrame(rows)
    if half == "rows":
        frame.to_csv(path, index=False)
    else:
        frame.to_json(path, orient="records", lines=True)
    write_results(convert(path, say=len), tmp_path / "t.nc")
    with open_results(tmp_path / "t.nc") as tree:
        table = pls.analyze(tree, pls.Settings(resamples=100)).tables["generation"].frame
        share = pls.coverage(tree)["generation"].tolist()
    rouge1 = table[table["metric"] == "rouge1"]
    assert rouge1["estimate"].tolist() == [1.0, 1.0]
    assert rouge1["n_examples"].tolist() == [20, 10]
    assert share == [1.0, 0.5]


def test_empty_cells_of_csv_are_missing_and_counted(tmp_path: Path) -> None:
    text = "method,example,generation,reference\na,1,,x\na,2,x,x\nb,1,x,x\nb,2,,x\n"
    (tmp_path / "t.csv").write_text(text)
    found, said = read(tmp_path / "t.csv")
    assert found["generation"].isnull().values.tolist() == [[True, False], [False, True]]
    assert re.search(r'generation is empty in 2 rows: taken as missing; say "" in JSONL', said)


def test_memory_follows_the_file_not_the_longest_text(tmp_path: Path) -> None:
    table = pd.DataFrame({"method": "a", "example": range(4000), "generation": "some words"})
    table.loc[7, "generation"] = "runaway " * 25_000
    table.assign(reference="words").to_csv(tmp_path / "t.csv", index=False)
    tracemalloc.start()
    write_results(convert(tmp_path / "t.csv", say=len), tmp_path / "t.nc")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150 * 2**20  # 200,000 characters for each text would be 763 MiB


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"score_chosen": 1.0, "score_rejected": 0.0}, {}, "more than one pair of columns may be"),
        ({"a": "x", "b": "y"}, {"mapping": {"a": "user", "b": "user"}}, "a and b are both mapped"),
        ({"example": pd.Timestamp("2026-01-01")}, {}, "variable example: holds Datetime"),
        ({"chosen": "1.234,5", "rejected": "1"}, {}, "with a point and nothing between thousands"),
    ],
)
def test_what_cannot_be_decided_is_refused(
    change: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    table = pairs().assign(**change)
    if "1.234,5" in change.values():
        table = table.melt(["method", "user", "example"], var_name="candidate", value_name="reward")
    with pytest.raises(InputError, match=message):
        from_frame(table, **options)


def test_sides_are_paired_by_their_own_words() -> None:
    found, said = read(pairs().assign(winner="a", empty=None, chosen_model="x", rejected_model="y"))
    same(found)
    left = "left out: winner (text), empty (empty), chosen_model (text), rejected_model (text)"
    assert left in said


LEADERBOARD = """,Agreement [%],Price [$/1000],Variance
aviary,69.8,12.9,15.4
gpt4,66.6,12.5,13.1
longest,62.2,0.0,0.0
chatgpt,58.5,0.8,32.3
cohere,53.0,2.5,46.9
"""


def test_a_leaderboard_whose_first_column_has_no_name(tmp_path: Path) -> None:
    path = tmp_path / "board.csv"
    path.write_text(LEADERBOARD)
    with pytest.raises(InputError, match="--map '=method' or --map '=example'"):
        convert(path)
    lines: list[str] = []
    tree = convert(
        path, mapping={"": "method"}, lower_is_better=["Price [$/1000]"], say=lines.append
    )
    ds = next(iter(pls.datasets(tree).values()))
    assert ds["method"].values.tolist() == ["aviary", "gpt4", "longest", "chatgpt", "cohere"]
    assert ds["Price [$_1000]"].values.ravel().tolist() == [12.9, 12.5, 0.0, 0.8, 2.5]
    assert ds["Price [$_1000]"].attrs["direction"] == "lower"
    said = " ".join(lines)
    assert "the first column read as method; Price [$/1000] read as Price [$_1000]" in said
    asked = pls.Settings(100, upstream=("Variance",), downstream=("Agreement [%]",))
    found = pls.analyze(tree, asked)
    # There are no examples to stand for users.
    assert not any("users" in note for note in found.notes)
    pairs_of = found.tables["tau"].frame.iloc[0]
    expected = stats.kendalltau([15.4, 13.1, 0, 32.3, 46.9], range(5, 0, -1)).statistic
    assert pairs_of["estimate"] == pytest.approx(expected)


def test_names_that_a_slash_alone_tells_apart_are_refused() -> None:
    with pytest.raises(InputError, match="a_b: stands twice, once written with a slash"):
        from_frame(pairs().assign(**{"a/b": 1.0, "a_b": 2.0}))


def test_what_to_write_is_quoted_as_a_shell_needs_it() -> None:
    table = pairs().assign(**{"my judge's score": ["high", *["1"] * (len(pairs()) - 1)]})
    with pytest.raises(InputError) as caught:
        from_frame(table)
    assert "--ignore 'my judge'\"'\"'s score'" in str(caught.value)

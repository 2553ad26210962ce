from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from preflamp_stats.errors import InputError, SchemaError
from preflamp_stats.io.from_tables import convert

HEAD = "method,user,example,candidate,reward\n"
PAIR = "rm,ann,e1,chosen,0.9\nrm,ann,e1,rejected,0.2\n"


def table(folder: Path, text: str, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def rows_of_candidates() -> pd.DataFrame:
    """Two datasets, two models, two methods, two seeds; the base model's values repeated."""
    rows = []
    keys = itertools.product(["tldr", "prism"], ["0.5B", "7B"], ["rm", "gcr"], [0, 1], range(3))
    for number, (dataset, model, method, seed, example) in enumerate(keys):
        for candidate in ("rejected", "chosen"):
            rows.append(
                {
                    "dataset": dataset,
                    "model": model,
                    "method": method,
                    "method_family": "reward-guided",
                    "seed": seed,
                    "user": f"user {example % 2}",
                    "example": example,
                    "candidate": candidate,
                    "reward": number / 7 + (candidate == "chosen"),
                    "logprob": -1 / 3 - example - len(model) - (candidate == "chosen"),
                    "n_tokens": 5 + example,
                    "candidate_text": f'{candidate} ☃, "{example}"\nline',
                }
            )
    return pd.DataFrame(rows)


def write(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".jsonl":
        records = frame.astype(object).to_dict("records")
        present = [{k: v for k, v in record.items() if v == v} for record in records]
        path.write_text("\n".join(map(json.dumps, present)))
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_format_gives_the_same_result(tmp_path: Path, suffix: str) -> None:
    frame = rows_of_candidates()
    tree = convert(write(frame, tmp_path / f"t{suffix}"))
    assert list(tree.children) == ["tldr", "prism"]
    ds = tree["prism"].to_dataset()
    assert ds.example.values.tolist() == ["0", "1", "2"]
    assert ds.seed.values.tolist() == [0, 1]
    assert ds.candidate.values.tolist() == ["chosen", "rejected"]
    assert ds.user.values.tolist() == ["user 0", "user 1", "user 0"]
    assert ds.n_tokens.dtype == np.int64
    assert set(ds.reward.dims) == {"model", "seed", "method", "example", "candidate"}
    assert set(ds.logprob.dims) == {"model", "example", "candidate"}
    for row in frame[frame.dataset == "prism"].to_dict("records"):
        place = {k: row[k] for k in ("model", "method", "seed", "candidate")}
        place["example"] = str(row["example"])
        assert ds.reward.sel(place).item() == row["reward"]
        assert ds.logprob.sel({k: place[k] for k in ds.logprob.dims}).item() == row["logprob"]
    assert ds.candidate_text.sel(example="1", candidate="chosen").item() == 'chosen ☃, "1"\nline'
    assert ds.reward.attrs["long_name"]


@given(
    rewards=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=6, max_size=6),
    order=st.permutations(range(6)),
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_numbers_are_exact_whatever_the_format_and_row_order(
    tmp_path: Path, rewards: list[float], order: list[int]
) -> None:
    frame = pd.DataFrame(
        {
            "method": "rm",
            "example": [0, 0, 1, 1, 2, 2],
            "candidate": ["chosen", "rejected"] * 3,
            "reward": rewards,
        }
    )
    for suffix in (".csv", ".jsonl", ".parquet"):
        ds = convert(write(frame.iloc[order], tmp_path / f"t{suffix}")).to_dataset()
        found = ds.reward.sel({"method": "rm"}).sortby("example").values.ravel()
        assert found.tolist() == rewards


def test_a_count_that_no_whole_number_holds_is_a_problem(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    scores = table(
        tmp_path,
        "method,example,candidate,reward,n_tokens\nm,1,chosen,1,1e300\nm,1,rejected,0,1e300\n",
    )
    with pytest.raises(InputError, match="variable n_tokens: "):
        convert(scores)
    assert not recwarn.list


def test_rows_of_generations_and_of_candidates_together(tmp_path: Path) -> None:
    scores = table(tmp_path, "model," + HEAD + "".join(f"m,{x}\n" for x in PAIR.split()))
    written = table(
        tmp_path,
        "model,method,user,example,candidate,generation,reference,prompt,rouge1,judge\n"
        "m,rm,ann,e1,,hello,hi,say,0.5,3\n"
        "m,icl,ann,e1,,héllo,hi,say,0.25,NaN\n",
        "g.csv",
    )
    ds = convert([scores, written]).to_dataset()
    assert ds.method.values.tolist() == ["rm", "icl"]
    assert ds.reward.sel({"method": "icl"}).isnull().all()
    assert ds.generation.sel({"method": "icl"}).item() == "héllo"
    assert ds.reference.values.tolist() == ["hi"]
    assert ds.judge.sel({"method": "rm"}).item() == 3
    assert ds.judge.isnull().sum() == 1
    assert ds.judge.attrs["role"] == "generation_metric"


def test_columns_that_no_row_fills_are_left_out(tmp_path: Path) -> None:
    ds = convert(
        table(tmp_path, "seed,model,logprob," + HEAD + ",,,rm,a,1,chosen,1\n,,,rm,a,1,rejected,0\n")
    )
    assert set(ds.data_vars) == {"user", "reward"}
    assert set(ds["reward"].dims) == {"method", "example", "candidate"}


def test_labels_that_look_like_gaps_stay_labels(tmp_path: Path) -> None:
    path = table(tmp_path, HEAD + "None,NA,null,chosen,1\nNone,NA,null,rejected,0\n")
    ds = convert(path).to_dataset()
    assert (ds.method.item(), ds.user.item(), ds.example.item()) == ("None", "NA", "null")


def test_whole_labels_with_gaps_are_not_turned_into_floats(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "method": ["rm", "rm", None],
            "seed": [1, 1, np.nan],
            "model": "m",
            "example": [7, 7, 7],
            "candidate": ["chosen", "rejected", "chosen"],
            "reward": [1.0, 0.0, np.nan],
            "logprob": [np.nan, -2.0, -1.0],
        }
    )
    for suffix in (".csv", ".jsonl", ".parquet"):
        ds = convert(write(frame, tmp_path / f"t{suffix}")).to_dataset()
        assert ds.seed.values.tolist() == [1]
        assert ds.example.values.tolist() == ["7"]
        assert ds.logprob.values.tolist() == [[[-1.0, -2.0]]]


def test_weights_are_sorted_numbers(tmp_path: Path) -> None:
    lines = [
        f"rm,m,{w},1,{c},{s}\n"
        for w, s in (("2", 3), ("1.0", 2), ("0.5", 1))
        for c in ("chosen", "rejected")
    ]
    path = table(tmp_path, "method,model,weight,example,candidate,policy_score\n" + "".join(lines))
    ds = convert(path).to_dataset()
    assert ds.weight.values.tolist() == [0.5, 1.0, 2.0]
    assert ds.policy_score.sel(candidate="chosen").values.ravel().tolist() == [1, 2, 3]


def test_repeated_values_may_differ_by_rounding(tmp_path: Path) -> None:
    text = "model,method,example,candidate,logprob,reward\n"
    text += "m,a,1,chosen,-3,1\nm,b,1,chosen,-3.0000001,1\nm,a,1,rejected,-4,0\n"
    assert convert(table(tmp_path, text))["logprob"].values.ravel().tolist() == [-3, -4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + PAIR + "rm,ann,e1,chosen,0.8\n",
         "reward: has 1 rows that contradict an earlier one: 0.9 and 0.8 for method=rm, "
         r"example=e1, candidate=chosen in .*t\.csv line 2, line 4"),
        (HEAD + PAIR + "rm,bob,e1,,\n", "user: .*ann and bob .* line 2, line 4; make example uni"),
        (HEAD + PAIR + ",ann,e1,chosen,1\n", r"reward: is given without method in .* line 4"),
        (HEAD + PAIR + "rm,ann,e1,,1\n", r"reward: is given without candidate in .* line 4"),
        (HEAD + PAIR + "rm,ann,,chosen,1\n", r"example: is empty in .*t\.csv line 4"),
        (HEAD + PAIR + "rm,ann,e2,chosen,1\n",
         "1 examples have 'chosen' but not 'rejected', such as 'e2' in .* line 4"),
        (HEAD + "rm,ann,e1,chosen,high\n", "reward: is 'high', not a number, in .* line 2"),
        (HEAD.replace("reward", "rewad") + PAIR,
         "rewad: is not a known column, but close to 'reward'; write --map rewad=reward if it is"),
        (HEAD.replace("example", "exampel") + PAIR, "exampel: is not .* --map exampel=example if"),
        ("method,candidate,reward\nrm,chosen,1\n", "example: column is missing"),
        ("judge," + HEAD + "3,rm,a,1,chosen,1\n", "judge: is not a known column of candidates"),
        ("dataset," + HEAD + "d,rm,a,1,chosen,1\n,rm,a,1,rejected,1\n",
         "dataset: is empty in .* line 3, while other rows have one"),
        ("dataset," + HEAD + "a/b,rm,a,1,chosen,1\na/b,rm,a,1,rejected,1\n", "'a/b' has a slash"),
        ("seed," + HEAD + "0,rm,a,1,chosen,1\n,rm,a,1,rejected,1\n",
         "reward: is given without seed in .* line 3, while other rows have one"),
        (HEAD + "rm,ann,e1,chosen\n", "has 1 rows with more or fewer cells .* in line 2"),
        (HEAD + PAIR + "\nrm,ann,e1,chosen,1,2\n", "more or fewer cells than the .*, in line 5"),
        (HEAD + 'rm,"ann,e1,chosen,1\n', "more or fewer cells|cannot be cut into rows"),
        ("method,method\na,b\n", "method: column stands twice"),
        ("method,\na,b\n",
         "a column has no name; it holds 'b'; write --map '=method' or --map '=example' if it"),
        ("", "is empty"),
        (HEAD, "has no rows"),
        (HEAD + "\n\n", "has no rows"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_table(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        convert(table(tmp_path, text))
    assert len(caught.value.problems) == 1


def test_line_numbers_count_lines_inside_cells(tmp_path: Path) -> None:
    text = HEAD.replace("user", "prompt") + 'rm,"a\nb\nc",e1,chosen,1\nrm,"a\nb\nc",e1,rejected,x\n'
    with pytest.raises(InputError, match="line 5"):
        convert(table(tmp_path, text))


def test_every_problem_of_every_table_comes_in_one_go(tmp_path: Path) -> None:
    paths = [
        table(tmp_path, "method,exampel\n1,2\n", "a.csv"),
        tmp_path / "absent.csv",
        table(tmp_path, "method,example,jugde_id,useer\na,1,x,y\n", "c.csv"),
    ]
    with pytest.raises(InputError) as caught:
        convert(paths)
    assert [Path(str(p).split(":")[0]).name for p in caught.value.problems] == [
        "a.csv", "absent.csv", "c.csv",
    ]  # fmt: skip


def test_ignored_column(tmp_path: Path) -> None:
    path = table(tmp_path, "split," + HEAD + "".join(f"test,{row}\n" for row in PAIR.split()))
    assert "split" not in convert(path, ignore=["split"]).to_dataset()


def test_result_follows_the_schema(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="candidate: lacks 'rejected'"):
        convert(table(tmp_path, HEAD + "rm,ann,e1,chosen,1\n"))
    text = "method_family," + HEAD + "".join(f"guided,{row}\n" for row in PAIR.split())
    with pytest.raises(SchemaError, match="method_family: has 'guided'"):
        convert(table(tmp_path, text))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{bad", "line 2 is not JSON"),
        ("[1]", "line 2 is not an object"),
        ('{"example": {"a": 1}}', "variable example: holds dict in line 2; write text or a"),
        ('{"reward": true}', "variable reward: is 'True', not a number, in .* line 2"),
        ("[" * 100_000, "line 2 is not JSON"),
    ],
)
def test_bad_jsonl(tmp_path: Path, line: str, message: str) -> None:
    good = '{"example": 1, "method": "rm", "candidate": "chosen", "reward": 1}\n'
    with pytest.raises(InputError, match=message):
        convert(table(tmp_path, good + line, "t.jsonl"))


def test_not_what_its_name_says(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1 no more")
    (tmp_path / "t.csv").write_bytes(HEAD.encode() + "rm,J\xf6rg,1,chosen,1\n".encode("latin-1"))
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    for name, message in (
        ("t.parquet", "is not a whole Parquet file"),
        ("t.csv", "is not UTF-8: byte 0xf6"),
        ("t.xlsx", r"ends in '\.xlsx'; name it by its format"),
        (".", "ends in ''"),
    ):
        with pytest.raises(InputError, match=message):
            convert(tmp_path / name)


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"needs pyarrow .*preflamp-stats\[parquet\]"):
        convert(tmp_path / "t.parquet")


def test_tidy_table_of_a_study_gives_the_study_back(
    tmp_path: Path, make: Callable[..., xr.Dataset]
) -> None:
    ds = make(methods=3, examples=7)
    scores = ds[["reward", "logprob", "n_tokens", "candidate_text", "user", "prompt"]]
    written = ds[["generation", "reference", "rouge1", "judge"]]
    for name, part in (("s", scores), ("g", written)):
        part.drop_vars("parameters").to_dataframe().reset_index().to_csv(
            tmp_path / f"{name}.csv", index=False
        )
    found = convert([tmp_path / "s.csv", tmp_path / "g.csv"]).to_dataset()
    for name in {*scores.data_vars, *written.data_vars}:
        array = found[name].squeeze("model", drop=True) if name == "reward" else found[name]
        assert (
            array.transpose(*ds[name].dims)
            .reset_coords(drop=True)
            .equals(ds[name].reset_coords(drop=True))
        ), name


@pytest.mark.parametrize("record", ['{"example": "\\ud800"}', '{"\\udfff": 1}'])
def test_half_of_a_character_is_named(tmp_path: Path, record: str) -> None:
    path = tmp_path / "scores.jsonl"
    path.write_text(f"{record}\n")
    with pytest.raises(InputError, match="line 1 holds half of a character"):
        convert(path)

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import preflamp_stats as pls
from preflamp_stats.errors import InputError
from preflamp_stats.io.from_tables import from_frame
from preflamp_stats.io.readers import read_reward_bench


def write(path: Path, records: list[Any]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def rewards(path: Path) -> list[list[float]]:
    frame = read_reward_bench(path, method="rm")
    return np.reshape(frame["reward"].tolist(), (-1, 2)).tolist()


@pytest.mark.parametrize(
    ("records", "found"),
    [
        ([{"chosen": 1.5, "rejected": 0.5}, {"chosen": [0.25], "rejected": [[0.75]]}],
         [[1.5, 0.5], [0.25, 0.75]]),
        ([{"prompt": "p", "results": 1, "scores_chosen": 2, "scores_rejected": "1",
           "text_chosen": "a", "text_rejected": "b"}], [[2, 1]]),
        # Every line holds all scores: half of the pairs are right, not all of them.
        ([{"chosen": [1.0, 0.0], "rejected": [0.0, 1.0]}] * 2, [[1, 0], [0, 1]]),
        ([{"id": [7, 9], "scores_chosen": [1, 2], "scores_rejected": [0, 3], "model": "some/rm"}],
         [[1, 0], [2, 3]]),
    ],
)  # fmt: skip
def test_layouts_of_pairs(
    tmp_path: Path, records: list[dict[str, Any]], found: list[list[float]]
) -> None:
    assert rewards(write(tmp_path / "rm.jsonl", records)) == found


def test_score_tables_keep_their_ids_texts_and_subsets(tmp_path: Path) -> None:
    table = {
        "id": [7, 9], "subset": ["easy", "hard"], "scores_chosen": [1.0, None],
        "scores_rejected": [0.0, 3.0], "text_chosen": ["a", "b"], "text_rejected": ["c", "d"],
    }  # fmt: skip
    (tmp_path / "rm.json").write_text(json.dumps(table, indent=1))
    frame = read_reward_bench(tmp_path / "rm.json", method="rm", dataset="rb")
    ds = from_frame(frame)["rb"].to_dataset()
    assert ds.example.values.tolist() == ["7", "9"]
    assert ds.candidate_text.sel(candidate="rejected").values.tolist() == ["c", "d"]
    assert ds.coords["subset"].values.tolist() == ["easy", "hard"]
    assert ds.reward.isnull().values.tolist() == [[[False, False], [True, False]]]
    assert pls.rm_accuracy(ds).item() == 1


def test_four_responses_and_the_best_of_them(tmp_path: Path) -> None:
    lines = [
        {"id": "a", "subset": "Math", "scores": [3, 1, 2, 0]},
        {"id": "b", "subset": "Math", "scores": [2, 1, 3, 0]},
        {"id": "c", "subset": "Math", "scores": [1, 1, 1, 1]},
        {"id": "d", "subset": "Math", "scores": [1, 0, 1, 0]},
        {"id": "t", "subset": "Ties", "scores": [1, 0, 1, 0], "num_correct": 2},
    ]
    said: list[str] = []
    path = write(tmp_path / "rb2.jsonl", lines)
    tree = from_frame(read_reward_bench(path, method="rm", say=said.append))
    assert said == [f"{path}: 1 lines with more than one right response left out"]
    assert tree["candidate"].values.tolist() == ["chosen", "rejected", "rejected2", "rejected3"]
    assert pls.best_of_accuracy(tree).item() == (1 + 0 + 1 / 4 + 1 / 2) / 4
    assert pls.best_of_accuracy(tree, ties="strict").item() == 1 / 4
    assert pls.best_of_accuracy(tree, ties="drop").item() == 1 / 2


def test_styles_are_nine_pairs_of_one_prompt(tmp_path: Path) -> None:
    line = {"id": "p1", "domain": "chat", "score_chosen": [1, 2, 3], "score_rejected": [0, 2.5, 5]}
    tree = from_frame(read_reward_bench(write(tmp_path / "rm.jsonl", [line]), method="rm"))
    ds = tree.to_dataset()
    assert ds.sizes["example"] == 9
    assert set(ds["user"].values) == {"p1"}
    by_subset = {
        name: pls.rm_accuracy(ds.isel(example=ds["subset"].values == name)).item()
        for name in np.unique(ds["subset"].values.astype(str))
    }
    assert by_subset == {"chat easy": 1.0, "chat hard": 0.0, "chat normal": 1 / 3}


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([{"chosen": "high", "rejected": 1.0}], "variable chosen: is 'high'; give a number"),
        ([{"chosen": 1.0}], "variable rejected: is missing; name a file of rewardbench"),
        ([{"chosen": [1, 2], "rejected": 1.0}], "chosen: holds 2 numbers for one response"),
        ([{"chosen": [1, 2], "rejected": [0, 1]}, {"chosen": [3, 4], "rejected": [0, 1]}],
         "group example 1: variable chosen: holds 2 numbers"),
        ([{"scores_chosen": [1, 2], "scores_rejected": [0]}],
         "has 2 scores_chosen, but 1 scores_rejected; give each column a value"),
        ([{"scores": 1}], "scores: is '1'; give the scores of all responses"),
        ([], "holds no example"),
        ([{"chosen": 1, "rejected": 0}, 3], "line 2: is not a JSON object"),
    ],
)  # fmt: skip
def test_files_of_another_layout_are_no_rewards(
    tmp_path: Path, records: list[Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_reward_bench(write(tmp_path / "x.jsonl", records), method="rm")

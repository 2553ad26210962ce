from __future__ import annotations

import json
from pathlib import Path

import pytest
from preflamp_backend.interop import _arguments, read_lm_eval, read_reward_bench

from preflamp_stats import convert
from preflamp_stats.errors import InputError


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def converted(frame, folder, **options):
    frame.to_csv(folder / "tidy.csv", index=False)
    return convert(folder / "tidy.csv", **options)


def test_rewards_of_save_all_reach_a_results_file(tmp_path):
    lines = [{"chosen": 1.5, "rejected": 0.5}, {"chosen": [0.25], "rejected": [0.75]}]
    frame = read_reward_bench(write(tmp_path / "rm_all.jsonl", lines), method="rm", dataset="rb")
    reward = converted(frame, tmp_path)["rb"]["reward"]
    assert reward.sel({"method": "rm", "candidate": "chosen"}).values.tolist() == [1.5, 0.25]
    assert reward.sel({"method": "rm", "candidate": "rejected"}).values.tolist() == [0.5, 0.75]


def test_score_tables_keep_their_ids_and_texts(tmp_path):
    table = {
        "id": [7, 9],
        "subset": ["easy", "hard"],
        "scores_chosen": [1.0, 2.0],
        "scores_rejected": [0.0, 3.0],
        "text_chosen": ["a", "b"],
        "text_rejected": ["c", "d"],
        "model": "some/rm",
    }
    path = tmp_path / "rm.json"
    path.write_text(json.dumps(table, indent=1))
    frame = read_reward_bench(path, method="rm")
    assert frame.example.tolist() == ["7", "7", "9", "9"]
    ds = converted(frame, tmp_path, ignore=["subset"]).to_dataset()
    assert ds.candidate_text.sel(candidate="rejected").values.tolist() == ["c", "d"]


@pytest.mark.parametrize("layout", ["list", "dict"])
def test_log_likelihoods_of_choices_become_candidates(tmp_path, layout):
    asked = [["Q", " yes"], ["Q", " no"], ["Q", " maybe"]]
    if layout == "dict":
        asked = {f"gen_args_{i}": {"arg_0": q, "arg_1": a} for i, (q, a) in enumerate(asked)}
    record = {
        "doc_id": 3,
        "arguments": asked,
        "target": "1",
        "filtered_resps": [["-2.5", "False"], ["-1.0", "True"], [-4.0, False]],
    }
    frame = read_lm_eval(write(tmp_path / "samples_t.jsonl", [record]), model="m")
    logprob = converted(frame, tmp_path)["logprob"].sel({"model": "m"}).squeeze("example")
    found = {name: logprob.sel({"candidate": name}).item() for name in logprob.candidate.values}
    assert found == {"chosen": -1.0, "rejected": -2.5, "choice2": -4.0}


def test_generations_come_with_their_targets(tmp_path):
    record = {
        "doc_id": 0,
        "arguments": [["Q", {"until": ["\n"]}]],
        "target": "gold",
        "filtered_resps": ["said"],
    }
    frame = read_lm_eval(write(tmp_path / "samples_t.jsonl", [record]), model="m", method="zero")
    ds = converted(frame, tmp_path).to_dataset()
    assert (ds.generation.item(), ds.reference.item(), ds.prompt.item()) == ("said", "gold", "Q")


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([{"chosen": None, "rejected": 1.0}], "variable chosen: is None; give a number"),
        ([{"chosen": 1.0}], "variable rejected: is None"),
        ([], "holds no example"),
    ],
)
def test_files_of_another_layout_are_no_rewards(tmp_path, records, message):
    with pytest.raises(InputError, match=message):
        read_reward_bench(write(tmp_path / "x.jsonl", records), method="rm")


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([{"doc": 1}], "line 1: has no doc_id"),
        (
            [{"doc_id": 1, "target": "x", "filtered_resps": [[-1, 0]]}],
            "'x', which numbers no choice",
        ),
        ([{"doc_id": 1, "target": "a", "filtered_resps": ["b"]}] * 2, "more than once"),
    ],
)
def test_files_of_another_layout_are_no_samples(tmp_path, records, message):
    with pytest.raises(InputError, match=message):
        read_lm_eval(write(tmp_path / "x.jsonl", records), model="m")


def test_a_line_that_is_no_json_is_named(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"chosen": 1, "rejected": 0}\nnope\n')
    with pytest.raises(InputError, match="line 2: is not a JSON object"):
        read_reward_bench(tmp_path / "x.jsonl", method="rm")


@pytest.mark.parametrize("arguments", [[["prompt", " yes"], 1.5], 1.5, True, {"a": 1}])
def test_arguments_that_are_no_lists_are_named(tmp_path: Path, arguments: object) -> None:
    with pytest.raises(InputError, match="line 1: variable arguments"):
        _arguments(arguments, tmp_path, "line 1")

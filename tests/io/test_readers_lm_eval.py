from __future__ import annotations

import json
from pathlib import Path

import pytest

from preflamp_stats.errors import InputError
from preflamp_stats.io.from_tables import from_frame
from preflamp_stats.io.readers import _arguments, read_lm_eval


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


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
    logprob = from_frame(frame)["logprob"].sel({"model": "m"}).squeeze("example")
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
    ds = from_frame(frame).to_dataset()
    assert (ds.generation.item(), ds.reference.item(), ds.prompt.item()) == ("said", "gold", "Q")


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


@pytest.mark.parametrize("arguments", [[["prompt", " yes"], 1.5], 1.5, True, {"a": 1}])
def test_arguments_that_are_no_lists_are_named(tmp_path: Path, arguments: object) -> None:
    with pytest.raises(InputError, match="line 1: variable arguments"):
        _arguments(arguments, tmp_path, "line 1")


def test_the_likelihood_of_a_whole_text_is_no_generation(tmp_path: Path) -> None:
    record = {"doc_id": 0, "target": "x", "filtered_resps": ["-123.4"]}
    for extra in ({"arguments": [["a whole text"]]}, {"word_perplexity": [-123.4, 20]}):
        with pytest.raises(InputError, match="holds the likelihood of a whole text"):
            read_lm_eval(write(tmp_path / "samples_t.jsonl", [record | extra]), model="m")
    number = {"arguments": [["6 * 7 =", {"until": ["."]}]], "filtered_resps": ["42"]}
    found = read_lm_eval(write(tmp_path / "samples_t.jsonl", [record | number]), model="m")
    assert found["generation"].tolist() == ["42"]


@pytest.mark.parametrize("target", ["0", "was asleep."])
def test_choices_in_the_context_keep_their_texts(tmp_path: Path, target: str) -> None:
    asked = [
        ["The cat saw that the Dog", " was asleep."],
        ["The cat saw that the Don", " was asleep."],
    ]
    record = {
        "doc_id": 0, "arguments": asked, "target": target, "acc": 0.0,
        "filtered_resps": [[-3.0, False], [-2.0, False]],
    }  # fmt: skip
    frame = read_lm_eval(write(tmp_path / "samples_t.jsonl", [record]), model="m")
    assert frame[["candidate", "logprob", "candidate_text"]].values.tolist() == [
        ["chosen", -3.0, "Dog was asleep."],
        ["rejected", -2.0, "Don was asleep."],
    ]
    assert frame["prompt"].unique().tolist() == ["The cat saw that the "]


def test_a_gold_choice_may_be_told_by_its_text(tmp_path: Path) -> None:
    record = {
        "doc_id": 0, "arguments": [["Q", " yes"], ["Q", " no"], ["Q", " maybe"]], "target": "no",
        "filtered_resps": [[-3.0, False], [-2.0, False], [-4.0, False]],
    }  # fmt: skip
    frame = read_lm_eval(write(tmp_path / "samples_t.jsonl", [record]), model="m")
    assert frame["candidate"].tolist() == ["rejected", "chosen", "choice2"]

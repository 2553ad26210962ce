"""Personalized RewardBench, PersonalLLM, RewardBench 2: rows of the published schemas."""

from __future__ import annotations

import json

import numpy as np
import pytest
from preflamp_backend.data.examples import read_examples
from preflamp_backend.data.personal_llm import simulated_examples
from preflamp_backend.data.personalized_reward_bench import TOPICS, personalized_examples
from preflamp_backend.data.reward_bench_2 import best_of_examples
from preflamp_backend.data.rows import Faults

from preflamp_stats.errors import InputError

MODELS = ("gemma_2b", "mistral_ray", "oasst_pythia_1b")


def asked(number: int, **changes) -> dict:
    profile = [
        {"id": f"{number}-{at}", "category": TOPICS[0], "text": f"Before {number}, {at}?"}
        for at in range(3)
    ]
    return {
        "id": f"q{number}",
        "question": f"Question {number}?",
        "profile": profile,
        "rubric_aspects": [
            {"aspect": f"SECRET {number}", "evidence": "SECRET", "reason": "SECRET"}
        ],
        "narrative": f"SECRET narrative {number}",
        "category": TOPICS[0],
        "chosen": f"Good answer {number}",
        "rejected": f"Other answer {number}",
        **changes,
    }


def scored(number: int, n: int = 4, **changes) -> dict:
    row = {"prompt_id": number, "prompt": f"Prompt {number}", "subset": "hh"}
    for at in range(1, n + 1):
        row |= {f"response_{at}": f"Response {number}/{at}", f"response_{at}_model": "m"}
        # Each reward model likes another response best.
        row |= {f"response_{at}_{m}": float((at + k) % n) for k, m in enumerate(MODELS)}
    return {**row, **changes}


def best_of(number: int, subset: str = "Precise IF", right: int = 1, **changes) -> dict:
    return {
        "id": str(number),
        "prompt": f"Prompt {number}",
        "chosen": [f"right {number}/{at}" for at in range(right)],
        "rejected": [f"wrong {number}/{at}" for at in range(3)],
        "num_correct": right,
        "num_incorrect": 3,
        "total_completions": right + 3,
        "models": ["m"] * (right + 3),
        "subset": subset,
        "additional_metadata": None,
        **changes,
    }


@pytest.mark.parametrize("form", ["jsonl", "json", "parquet"])
def test_what_answers_are_judged_by_stays_out_of_every_file(tmp_path, command, form):
    rows, file, out = [asked(at) for at in range(5)], tmp_path / f"test.{form}", tmp_path / "out"
    if form == "parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        table = pytest.importorskip("pyarrow").Table.from_pylist(rows)
        parquet.write_table(table, file)
    else:
        ends = ("", "\n") if form == "jsonl" else ("[", "]")
        joined = ("\n" if form == "jsonl" else ",").join(map(json.dumps, rows))
        file.write_text(ends[0] + joined + ends[1])
    command("data", "build", "personalized-reward-bench", file, "--out", out)
    assert {path.name for path in out.iterdir()} == {"test.jsonl", "card.json"}
    assert not any("SECRET" in path.read_text() for path in out.iterdir())
    found = read_examples(out / "test.jsonl")
    assert [row.user for row in found] == [f"q{at}" for at in range(5)]
    assert [item.output for item in found[1].history] == [f"Before 1, {at}?" for at in range(3)]
    assert found[1].candidates == {"chosen": "Good answer 1", "rejected": "Other answer 1"}
    card = json.loads((out / "card.json").read_text())
    assert "narrative" in card["kept_out"]


@pytest.mark.parametrize(
    ("make", "row", "said"),
    [
        (personalized_examples, asked(1, chosen=" "), "has no chosen"),
        (personalized_examples, asked(1, profile=[{"id": 1}]), "a profile of another form"),
        (personalized_examples, asked(1, id=None), "has no id"),
        (best_of_examples, best_of(1, chosen="right"), "no list of chosen responses"),
        (best_of_examples, best_of(1, rejected=["x", ""]), "a rejected response without text"),
        (best_of_examples, best_of(1, right=2), "2 chosen responses outside of the subset Ties"),
        (best_of_examples, best_of(1, subset=None), "has no subset"),
    ],
)
def test_rows_at_fault_are_refused_or_dropped(make, row, said):
    with pytest.raises(InputError, match=said):
        make([row])
    faults = Faults(drop=True)
    assert not make([row], faults)
    assert len(faults.problems) == 1


def test_one_right_response_of_four_and_ties_apart(tmp_path, command, write_jsonl):
    rows = [*(best_of(at) for at in range(3)), best_of(3, "Ties", 5), best_of(4, "Math")]
    out = tmp_path / "out"
    command(
        "data", "build", "reward-bench-2", write_jsonl(tmp_path / "a.jsonl", rows), "--out", out
    )
    assert {path.stem for path in out.glob("*.jsonl")} == {"precise-if", "ties", "math"}
    first = read_examples(out / "precise-if.jsonl")[0].candidates
    assert list(first) == ["chosen", "rejected", "rejected2", "rejected3"]
    assert first["rejected3"] == "wrong 0/2"
    tied = read_examples(out / "ties.jsonl")[0].candidates
    assert [name for name in tied if "chosen" in name] == [
        "chosen",
        *(f"chosen{n}" for n in "2345"),
    ]


def test_people_follow_their_mixture_of_reward_models():
    rows = [scored(at) for at in range(30)]
    found = simulated_examples(rows, users=40, pairs=25, alpha=0.001, seed=3)
    assert len({each.user for each in found}) == 40
    assert len({each.id for each in found}) == len(found) > 900
    followed = []
    for person in range(40):
        mine = [each for each in found if each.user == f"person {person}"]
        agreed = [
            np.mean(
                [
                    (int(each.candidates["chosen"][-1]) + k) % 4
                    > (int(each.candidates["rejected"][-1]) + k) % 4
                    for each in mine
                ]
            )
            for k in range(len(MODELS))
        ]
        # At so small an alpha a person is one reward model, and the others disagree with it.
        assert sorted(agreed)[-1] == 1 > sorted(agreed)[-2]
        followed.append(int(np.argmax(agreed)))
    assert set(followed) == {0, 1, 2}
    assert found == simulated_examples(rows, users=40, pairs=25, alpha=0.001, seed=3)
    assert found != simulated_examples(rows, users=40, pairs=25, alpha=0.001, seed=4)


def test_a_reward_models_scale_does_not_count():
    rows = [scored(at) for at in range(30)]
    large = [
        {key: 1000 * v + 5 if key.endswith(MODELS[0]) else v for key, v in row.items()}
        for row in rows
    ]
    options = {"users": 30, "pairs": 20, "alpha": 1.0}
    assert simulated_examples(rows, **options) == simulated_examples(large, **options)


def test_people_of_a_database_of_interactions():
    row = {"person_id": 4, "person_weight": [0.1, 0.9], "length": 2}
    for at, chosen in ((1, "b"), (2, "a")):
        row |= {f"prompt_{at}": f"p{at}", f"chosen_{at}": chosen}
        row |= {f"response_{at}_{which}": f"{which}{at}" for which in "ab"}
    row["prompt_3"] = None  # shorter than others
    first, second = simulated_examples([row])
    assert first.user == second.user == "person 4"
    assert first.candidates == {"chosen": "b1", "rejected": "a1"}
    assert second.candidates == {"chosen": "a2", "rejected": "b2"}
    with pytest.raises(InputError, match="has chosen_2 None"):
        simulated_examples([{**row, "chosen_2": None}])


def test_personal_llm_says_that_people_are_simulated(tmp_path, command, write_jsonl):
    file, out = write_jsonl(tmp_path / "a.jsonl", [scored(at) for at in range(40)]), tmp_path / "o"
    command(*("data", "build", "personal-llm", file, "--out", out, "--users", 8, "--pairs", 4))
    card = json.loads((out / "card.json").read_text())
    assert card["labels"].startswith("simulated")
    assert card["simulated"] == {"users": 8, "pairs": 4, "alpha": 0.1, "seed": 0}
    with pytest.raises(InputError, match="40 prompts are fewer"):
        simulated_examples([scored(at) for at in range(40)], pairs=41)
    with pytest.raises(InputError, match="no number of gemma_2b for response 2"):
        simulated_examples([scored(0), scored(1, response_2_gemma_2b=None)], pairs=1)
    with pytest.raises(InputError, match="no column of a reward model's numbers"):
        simulated_examples([{"prompt": "p", "response_1": "r"}])

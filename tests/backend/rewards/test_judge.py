from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from backend_oracles import token_logprobs
from preflamp_backend.data.examples import Example, HistoryItem
from preflamp_backend.models.loading import ModelSource, load_language_model
from preflamp_backend.prompts.encoding import PromptFormat
from preflamp_backend.rewards.judge import UNKNOWN, ask, evidence_of, judge, write_personas
from preflamp_backend.rewards.token_models import GenArmOptions
from preflamp_backend.runs.run import prepare, run_study
from preflamp_backend.study.study import JudgeOptions, read_study
from preflamp_backend.training_study.methods import fit_tokens
from study_files import write_study
from tiny_models import DEVICE
from token_preferences import make_pairs

from preflamp_stats import rm_accuracy
from preflamp_stats.errors import InputError
from preflamp_stats.io.files import open_results

FORM, OPTIONS = PromptFormat(), JudgeOptions(persona_tokens=6)
PAIRS = make_pairs(6, seed=0, users={"a": 0, "b": 1})


def judged(model, rows, personas, options=OPTIONS):
    questions = [
        ask(model, row, persona, options, FORM) for row, persona in zip(rows, personas, strict=True)
    ]
    return judge(model, questions)


SHORT = JudgeOptions(question="{persona} {prompt} A:{a} B:{b} Answer:", persona_tokens=6)


def test_a_preference_is_half_the_difference_of_both_orders(qwen):
    row, persona = PAIRS[0], "They like cats."
    [found] = judged(qwen, [row], [persona], SHORT)
    odds = []
    for first, second in (("chosen", "rejected"), ("rejected", "chosen")):
        a, b = row.candidates[first], row.candidates[second]
        ids = qwen.tokenizer.encode(f"{persona} {row.prompt} A:{a} B:{b} Answer:")
        said = [sum(token_logprobs(qwen, ids, qwen.tokenizer.encode(x))) for x in (" A", " B")]
        odds.append(said[0] - said[1])
    assert not found.overlong
    assert found.preference == pytest.approx((odds[0] - odds[1]) / 2, abs=1e-4)
    assert found.place == pytest.approx((odds[0] + odds[1]) / 2, abs=1e-4)


def test_a_liking_for_a_place_cancels(qwen):
    swapped = [
        replace(
            row, candidates=dict(zip(("rejected", "chosen"), row.candidates.values(), strict=True))
        )
        for row in PAIRS
    ]
    personas = [UNKNOWN] * len(PAIRS)
    one, other = judged(qwen, PAIRS, personas), judged(qwen, swapped, personas)
    np.testing.assert_allclose(
        [each.preference for each in one], [-each.preference for each in other], atol=1e-5
    )
    alike = [replace(row, candidates={"chosen": " cat", "rejected": " cat"}) for row in PAIRS]
    found = judged(qwen, alike, personas)
    np.testing.assert_allclose([each.preference for each in found], 0, atol=1e-6)
    assert max(abs(each.place) for each in found) > 0.01


def test_what_a_user_showed_is_shown_without_the_answer(qwen):
    row = replace(PAIRS[0], reference="My title", history=(
        HistoryItem("x", "Old title"), HistoryItem("y", "My title"), HistoryItem("z", "New title"),
    ))  # fmt: skip
    assert evidence_of(qwen, row, {}, OPTIONS) == (
        "Request: z\nWrote: New title\n\nRequest: x\nWrote: Old title\n\n"
    )
    assert "New" in evidence_of(qwen, row, {}, replace(OPTIONS, shown=1))
    assert evidence_of(qwen, row, {}, replace(OPTIONS, budget=1)) == ""
    from_pairs = replace(OPTIONS, pairs="train.jsonl")
    others = {"a": [row, replace(PAIRS[2], prompt="Another request")]}
    text = evidence_of(qwen, row, others, from_pairs)
    assert text.startswith("Request: Another request\nPreferred: ")
    assert row.prompt not in text
    assert evidence_of(qwen, replace(row, user="stranger"), others, from_pairs) == ""


def test_personas_are_written_once_a_user_and_none_without_evidence(qwen):
    found = write_personas(qwen, ["one", "", "two", "one"], OPTIONS, FORM)
    assert set(found) == {"", "one", "two"}
    assert found[""] == UNKNOWN
    assert write_personas(qwen, ["one", ""], OPTIONS, FORM) == {
        key: found[key] for key in ("", "one")
    }


def questions_as_pairs(rows, options):
    """Preference pairs whose right answer is the place of the chosen response."""
    found = []
    for i, row in enumerate(rows):
        texts = row.candidates["chosen"], row.candidates["rejected"]
        first, second = texts if i % 2 else texts[::-1]
        text = options.question.replace("{persona}", UNKNOWN).replace("{prompt}", "")
        text = text.replace("{a}", first).replace("{b}", second)
        said = options.answers if i % 2 else options.answers[::-1]
        pair = dict(zip(("chosen", "rejected"), said, strict=True))
        found.append(Example(str(i), row.user, text, pair))
    return found


def test_a_model_that_learnt_to_answer_judges_new_pairs(model_folders, tmp_path):
    base = ModelSource(str(model_folders["qwen2"]), device=DEVICE)
    train, held_out = (
        questions_as_pairs(make_pairs(count, seed=seed, users={"a": 0}), SHORT)
        for count, seed in ((256, 0), (64, 1))
    )
    options = GenArmOptions(epochs=12, learning_rate=3e-3, beta=1.0, patience=6)
    fit_tokens("genarm", base, train, held_out, options, tmp_path / "judge")
    model = load_language_model(ModelSource(str(tmp_path / "judge"), device=DEVICE))
    rows = [replace(row, prompt="") for row in make_pairs(60, seed=2, users={"a": 0})]
    found = judged(model, rows, [UNKNOWN] * len(rows), SHORT)
    assert np.mean([each.preference > 0 for each in found]) >= 0.9


STUDY = """
[data.titles]
path = "titles.jsonl"
[models.small]
path = "small"
[models.other]
path = "other"
[methods.persona]
kind = "judge"
path = "arm"
persona_tokens = 4
shown = 2
[methods.bt]
kind = "head"
path = "heads/{model}/bt.safetensors"
decode = false
[scoring]
weights = [1.0]
"""


def test_a_study_gives_a_judge_rm_accuracy_and_nothing_else(tmp_path):
    file = write_study(tmp_path, examples=4, text=STUDY)
    planned = prepare(read_study(file), tmp_path / "r.nc")
    keys = [shard.key for shard in planned.shards if shard.method == "persona"]
    assert len(keys) == 2
    assert len(set(keys)) == 1
    run_study(planned)
    with open_results(tmp_path / "r.nc") as tree:
        ds = tree["titles"].to_dataset().load()
    reward = ds.reward.sel({"method": "persona"})
    np.testing.assert_allclose(
        reward.sel(candidate="chosen"), -reward.sel(candidate="rejected"), rtol=0
    )
    assert reward.sel(candidate="third").isnull().all()
    assert ds.reward_trace.sel({"method": "persona"}).isnull().all()
    assert ds.policy_score.sel({"method": "persona"}).isnull().all()
    assert json.loads(ds.reward.attrs["pairwise"]) == ["persona"]
    assert "generation" not in ds
    assert (ds.judge_persona.sel({"method": "persona"}) != "").all()
    accuracy = rm_accuracy(ds).sel({"method": "persona"})
    expected = (reward.sel(candidate="chosen") > 0).mean("example")
    np.testing.assert_allclose(accuracy, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("decode = true", "persona.decode: is true, and .*guide tokens"),
        ("shown = -1", "persona.shown: is -1; take at least 0"),
        ('answers = ["A"]', "persona.answers: .*give two different texts"),
        ('question = "{a}"', "persona.question: .*put {prompt}"),
        ('pairs = "none.jsonl"', "names none.jsonl, which is no file"),
        ("weight = 1.0", "persona.weight: is not known here"),
    ],
)
def test_faults_are_named(tmp_path, change, message):
    file = write_study(tmp_path, examples=1, text=STUDY.replace("shown = 2", change))
    with pytest.raises(InputError, match=message):
        read_study(file)

"""Evaluations inside a training: the file over steps, and where a trainer's model is read."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from preflamp_backend.data.examples import Example
from preflamp_backend.decoding.options import DecodingOptions
from preflamp_backend.models.loading import ModelSource, load_sequence_classifier
from preflamp_backend.prompts.encoding import PromptFormat, encode, suffix_ids
from preflamp_backend.runs.trainer_callback import (
    RewardCallback,
    classifier_rewards,
    read_after,
    trainer_ids,
)
from preflamp_backend.scoring.score import score_rewards
from preflamp_backend.training.evaluation_log import EvaluationLog, over_steps
from tiny_models import save_model

import preflamp_stats as pls

ROWS = [
    Example(
        f"e{i}",
        f"u{i // 3}",
        f"the cat {i} ",
        {"chosen": f"on the mat {i}", "rejected": f"moon {i} of plant"},
        reference=f"on the mat {i}",
    )
    for i in range(24)
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("in_training")
    save_model(folder / "rm", "llama", seed=0, classifier=True)
    save_model(folder / "base", "llama", seed=1)
    return folder


@pytest.fixture
def classifier(folders):
    return transformers.AutoModelForSequenceClassification.from_pretrained(folders / "rm")


@pytest.fixture
def tokenizer(folders, request):
    found = transformers.AutoTokenizer.from_pretrained(folders / "rm")
    found.pad_token = getattr(request, "param", "<s>")
    return found


def rewards_of(right: int) -> np.ndarray:
    """The first examples are ranked rightly, the others are not."""
    first = (np.arange(24) < right).astype(float)
    return np.stack([first, 1 - first], 1)


def test_a_loop_writes_steps_and_seeds(tmp_path):
    path = tmp_path / "run.nc"
    logprob = np.stack([np.full(24, -1.0), np.full(24, -3.0)], 1)
    for seed in (0, 1):
        log = EvaluationLog(path, ROWS, method="bt", model="m", seed=seed, logprob=logprob)
        for step, right in ((1000, 18), (20, 6 + 6 * seed)):
            texts = [f"on the mat {i}" for i in range(24)] if step == 1000 else None
            said = log.add(step, rewards_of(right), generations=texts)
            assert said["rm_accuracy"] == right / 24
            assert said["policy_accuracy"] == 1  # the base model's 2 nats outweigh a reward of 1
            assert said["rm_accuracy_low"] < right / 24 < said["rm_accuracy_high"]
    with pls.open_results(path) as tree:
        assert pls.validate(tree) == []
        ds = tree.dataset.load()
    assert ds["step"].values.tolist() == [20, 1000]
    assert ds["method"].values.tolist() == ["bt@20", "bt@1000"]
    assert set(ds["family"].values) == {"bt"}
    assert pls.rm_accuracy(ds).squeeze().transpose("method", "seed").values.tolist() == [
        [6 / 24, 12 / 24],
        [18 / 24, 18 / 24],
    ]
    table = over_steps(path, resamples=200).set_index(["metric", "step"])["estimate"]
    assert table["rm_accuracy"].to_dict() == {20: 9 / 24, 1000: 18 / 24}
    assert table["rouge1"].to_dict() == {1000: 1.0}
    assert table["policy_accuracy"].to_dict() == {20: 1.0, 1000: 1.0}


def test_limits_are_those_of_the_core_over_users(tmp_path):
    log = EvaluationLog(tmp_path / "run.nc", ROWS, method="bt", model="m", resamples=300)
    said = log.add(5, rewards_of(12))
    found = pls.bootstrap(log.results, "rm_accuracy", n_resamples=300).squeeze()
    assert (said["rm_accuracy_low"], said["rm_accuracy_high"]) == (found.low, found.high)


def test_the_same_step_again_replaces_and_later_steps_are_forgotten(tmp_path):
    log = EvaluationLog(tmp_path / "run.nc", ROWS, method="bt", model="m")
    for step in (0, 10, 20):
        log.add(step, rewards_of(12))
    log.add(20, rewards_of(6), generations=["a"] * 24)
    assert over_steps(tmp_path / "run.nc", resamples=50).query("metric == 'rm_accuracy'")[
        "estimate"
    ].tolist() == [0.5, 0.5, 0.25]
    other = EvaluationLog(tmp_path / "run.nc", ROWS, method="bt", model="m", seed=1)
    other.add(20, rewards_of(18))
    log = EvaluationLog(tmp_path / "run.nc", ROWS, method="bt", model="m")
    log.forget_after(0)
    log.add(5, rewards_of(24))
    found = pls.rm_accuracy(log.results).squeeze().transpose("method", "seed").values
    np.testing.assert_array_equal(found, [[0.5, np.nan], [1, np.nan], [np.nan, 0.75]])
    assert log.results["generation"].isnull().all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"examples": ROWS[1:]}, "holds other examples"),
        ({"model": "n"}, "holds other examples, another model"),
        ({"logprob": np.zeros((24, 3))}, r"has shape \(24, 3\), not \(24, 2\)"),
    ],
)
def test_another_file_is_refused(tmp_path, changes, said):
    path = tmp_path / "run.nc"
    EvaluationLog(path, ROWS, method="bt", model="m").add(1, rewards_of(3))
    options = {"examples": ROWS, "method": "bt", "model": "m", **changes}
    with pytest.raises(pls.InputError, match=said):
        EvaluationLog(path, options.pop("examples"), **options)


def test_rewards_that_are_no_numbers_are_named(tmp_path):
    log = EvaluationLog(tmp_path / "run.nc", ROWS, method="bt", model="m")
    rewards = rewards_of(3)
    rewards[7, 1] = np.nan
    with pytest.raises(pls.InputError, match="1 places, such as example e7"):
        log.add(1, rewards)
    with pytest.raises(pls.InputError, match="has 2 texts for 24 examples"):
        log.add(1, rewards_of(3), generations=["a", "b"])
    with pytest.raises(pls.InputError, match="no coordinate step"):
        over_steps(log.shared)


@pytest.mark.parametrize("tokenizer", ["<s>", "<|end|>"], indirect=True)
@pytest.mark.parametrize("chat", [False, True])
def test_rewards_are_read_where_the_library_reads_them(folders, classifier, tokenizer, chat):
    classifier.config.pad_token_id = tokenizer.pad_token_id
    classifier.train()
    found = classifier_rewards(classifier, tokenizer, ROWS, chat=chat, batch_tokens=200)
    assert classifier.training
    with torch.no_grad():
        for row, rewards in zip(ROWS, found, strict=True):
            for ids, reward in zip(
                trainer_ids(tokenizer, row, chat=chat).values(), rewards, strict=True
            ):
                own = classifier.eval()(torch.tensor([ids])).logits.item()
                assert reward == pytest.approx(own, abs=1e-5)
    # And a study with this suffix reads the finished model there.
    form = PromptFormat(chat=chat, suffix=read_after(tokenizer, chat=chat), boundary="joint")
    assert form.suffix == ("turn" if chat else "eos" if tokenizer.pad_token == "<s>" else "none")
    model = load_sequence_classifier(ModelSource(str(folders / "rm")), "bt")
    own_tokenizer, context = model.backbone.tokenizer, model.backbone.context
    encodings = [
        encode(own_tokenizer, row.prompt, list(row.candidates.values()), form, context=context)
        for row in ROWS
    ]
    scores = score_rewards(
        model, encodings, users=[row.user for row in ROWS], suffix=suffix_ids(own_tokenizer, form)
    )
    ours = [[each.reward[0] for each in row] for row in scores]
    np.testing.assert_allclose(found, ours, atol=1e-4)


def trainer_of(classifier, tokenizer, **changes):
    told: list[dict] = []
    return SimpleNamespace(
        model=classifier,
        processing_class=tokenizer,
        log=told.append,
        told=told,
        is_fsdp_enabled=False,
        is_deepspeed_enabled=False,
        **changes,
    )


def test_a_trainer_is_told_and_the_base_model_writes(folders, classifier, tokenizer, tmp_path):
    trainer = trainer_of(classifier, tokenizer)
    log = EvaluationLog(tmp_path / "run.nc", ROWS, method="bt", model="tiny")
    callback = RewardCallback(
        trainer,
        log,
        base=ModelSource(str(folders / "base")),
        decoding=DecodingOptions(strategy="guided", top_k=3, max_new_tokens=4),
    )
    state = SimpleNamespace(is_world_process_zero=True, global_step=30)
    for metrics in ({}, {"eval_other_set": 1.0}):  # a second evaluation set at the same step
        callback.on_evaluate(None, state, None, metrics=metrics)
        state.metrics = metrics
    assert len(trainer.told) == 1
    assert "eval_rm_accuracy_low" in trainer.told[0]
    assert state.metrics == {"eval_other_set": 1.0}
    found = log.results.sel({"method": "bt@30"}).squeeze()
    rewards = classifier_rewards(classifier, tokenizer, ROWS)
    np.testing.assert_allclose(found["reward"], rewards, atol=1e-5)
    assert trainer.told[0]["eval_rm_accuracy"] == (rewards[:, 0] > rewards[:, 1]).mean()
    assert found["logprob"].notnull().all()
    assert all(isinstance(text, str) for text in found["generation"].values)
    # Guided by other weights it writes something else.
    torch.nn.init.normal_(classifier.score.weight, std=30)
    state.global_step = 31
    callback.on_evaluate(None, state, None)
    other = log.results["generation"].sel({"method": "bt@31"}).squeeze()
    assert (other != found["generation"]).any()


def test_what_cannot_be_scored_is_refused(classifier, tokenizer, tmp_path):
    log = EvaluationLog(tmp_path / "run.nc", ROWS, method="bt", model="m")
    trainer = trainer_of(classifier, tokenizer)
    with pytest.raises(pls.InputError, match="give base"):
        RewardCallback(trainer, log, decoding=DecodingOptions())
    trainer.is_fsdp_enabled = True
    with pytest.raises(pls.InputError, match="spreads its weights"):
        RewardCallback(trainer, log)
    classifier.config.num_labels = 2
    with pytest.raises(pls.InputError, match="no linear head named 'score' with one label"):
        classifier_rewards(classifier, tokenizer, ROWS)
    tokenizer.chat_template = None
    with pytest.raises(pls.InputError, match="no chat template"):
        trainer_ids(tokenizer, ROWS[0], chat=True)


@pytest.mark.parametrize("tokenizer", ["<s>", "<|end|>"], indirect=True)
@pytest.mark.parametrize("chat", [False, True])
def test_trl_trains_and_the_file_has_its_steps(classifier, tokenizer, tmp_path, chat):
    trl = pytest.importorskip("trl")
    datasets = pytest.importorskip("datasets")

    def turn(role, text):
        return [{"role": role, "content": text}] if chat else text

    data = datasets.Dataset.from_list(
        [
            {"prompt": turn("user", row.prompt)}
            | {name: turn("assistant", text) for name, text in row.candidates.items()}
            for row in ROWS
        ]
    )
    options = trl.RewardConfig(
        output_dir=str(tmp_path / "out"),
        max_steps=4,
        eval_steps=2,
        eval_strategy="steps",
        save_strategy="no",
        per_device_train_batch_size=4,
        per_device_eval_batch_size=24,
        learning_rate=1e-3,
        report_to=[],
        use_cpu=True,
        bf16=False,
        disable_tqdm=True,
    )
    trainer = trl.RewardTrainer(
        classifier, options, train_dataset=data, eval_dataset=data, processing_class=tokenizer
    )
    for name in ("chosen", "rejected"):
        ids = [trainer_ids(tokenizer, row, chat=chat)[name] for row in ROWS]
        assert ids == list(trainer.eval_dataset[f"{name}_ids"])
    log = EvaluationLog(tmp_path / "run.nc", ROWS, method="bt", model="tiny")
    trainer.add_callback(RewardCallback(trainer, log, chat=chat))
    before = trainer.evaluate()
    trainer.train()
    assert before["eval_rm_accuracy"] == pytest.approx(before["eval_accuracy"])
    rewards = log.results["reward"].sel({"method": "bt@0"})
    assert before["eval_mean_reward"] == pytest.approx(rewards.mean().item(), abs=1e-5)
    table = over_steps(tmp_path / "run.nc", resamples=50)
    assert table["step"].tolist() == [0, 2, 4]
    told = [each for each in trainer.state.log_history if "eval_rm_accuracy" in each]
    assert [each["step"] for each in told] == [0, 2, 4][-len(told) :]
    assert told[-1]["eval_rm_accuracy"] == table["estimate"].iloc[-1]

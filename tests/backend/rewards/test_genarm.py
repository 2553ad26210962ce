from __future__ import annotations

import filecmp
from dataclasses import replace

import numpy as np
import pytest
import torch
from backend_oracles import token_logprobs
from preflamp_backend.models.loading import ModelSource, load_language_model, load_trainable
from preflamp_backend.models.model import AutoregressiveReward
from preflamp_backend.prompts.encoding import PromptFormat
from preflamp_backend.prompts.in_context import PromptOptions
from preflamp_backend.rewards.token_models import GenArmOptions, genarm_loss
from preflamp_backend.scoring.score import score_rewards
from preflamp_backend.training import loop as training
from preflamp_backend.training import token_pairs
from preflamp_backend.training.token_pairs import encode_pairs, pair_logprobs, parts_of
from preflamp_backend.training_study.methods import fit_tokens
from tiny_models import DEVICE
from token_preferences import make_pairs

from preflamp_stats.errors import InputError

OPTIONS = GenArmOptions(epochs=3, learning_rate=3e-3, beta=0.5)
TRAIN = make_pairs(48, seed=0, users={"a": 0, "b": 0})
HELD_OUT = make_pairs(16, seed=1, users={"a": 0, "b": 0})


@pytest.fixture
def base(model_folders):
    return ModelSource(str(model_folders["qwen2"]), device=DEVICE)


def accuracy(folder, examples):
    model = load_language_model(ModelSource(str(folder), device=DEVICE))
    pairs = encode_pairs(
        model.tokenizer, examples, context=256, prompt=PromptOptions(), form=PromptFormat()
    )
    found = score_rewards(AutoregressiveReward("arm", model), pairs)
    return np.mean([chosen.reward[0] > rejected.reward[0] for chosen, rejected in found])


def test_a_planted_preference_is_recovered_on_new_pairs(base, tmp_path):
    seen = []
    fit_tokens("genarm", base, TRAIN, HELD_OUT, OPTIONS, tmp_path / "arm", report=seen.append)
    new = make_pairs(40, seed=2, users={"c": 0})
    assert accuracy(tmp_path / "arm", new) >= 0.9
    assert accuracy(tmp_path / "arm", make_pairs(40, seed=2, users={"c": 1})) <= 0.1
    assert [each.number for each in seen] == list(range(1, len(seen) + 1))
    assert seen[-1].best < np.log(2)


def test_the_loss_is_the_equation(qwen):
    pairs = encode_pairs(
        qwen.tokenizer, TRAIN[:3], context=256, prompt=PromptOptions(), form=PromptFormat()
    )
    found = pair_logprobs(qwen, pairs).detach().cpu()
    for row, pair in zip(found, pairs, strict=True):
        expected = [sum(token_logprobs(qwen, pair.prompt, ids)) for ids in pair.continuations]
        np.testing.assert_allclose(row, expected, atol=1e-4)
    gaps = (found[:, 0] - found[:, 1]).double()
    expected = np.mean(np.log1p(np.exp(-0.3 * gaps.numpy())))
    assert genarm_loss(found, 0.3).item() == pytest.approx(expected, rel=1e-4)


def test_parts_of_a_batch_give_the_gradient_of_the_whole(base, monkeypatch):
    network, model = load_trainable(base)
    pairs = encode_pairs(
        model.tokenizer, TRAIN[:9], context=256, prompt=PromptOptions(), form=PromptFormat()
    )
    monkeypatch.setattr(token_pairs, "_TOKENS_AT_ONCE", 2 * max(map(len, pairs)))
    rows = torch.arange(9).flip(0)
    parts = parts_of(pairs)(rows)
    assert len(parts) > 3
    assert sorted(torch.cat(parts).tolist()) == list(range(9))

    def gradient(cuts):
        network.zero_grad()
        for cut in cuts:
            found = pair_logprobs(model, [pairs[i] for i in cut.tolist()])
            (genarm_loss(found, 0.3) * len(cut) / 9).backward()
        return torch.cat([each.grad.flatten() for each in network.parameters()])

    whole = gradient([rows])
    torch.testing.assert_close(gradient(parts), whole, rtol=1e-3, atol=1e-6)


def test_a_stopped_run_ends_with_the_same_bytes(base, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_CHECKPOINT_SECONDS", 0)
    fit_tokens("genarm", base, TRAIN, HELD_OUT, OPTIONS, tmp_path / "whole", seed=1)

    def stop(epoch):
        if epoch.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_tokens("genarm", base, TRAIN, HELD_OUT, OPTIONS, tmp_path / "cut", seed=1, report=stop)
    assert not (tmp_path / "cut").exists()
    later = []
    fit_tokens(
        "genarm", base, TRAIN, HELD_OUT, OPTIONS, tmp_path / "cut", seed=1, report=later.append
    )
    assert later[0].number == 3
    names = sorted(each.name for each in (tmp_path / "whole").iterdir())
    assert filecmp.cmpfiles(tmp_path / "whole", tmp_path / "cut", names, shallow=False)[0] == names
    assert not list(tmp_path.glob(".*"))
    # What is done is not done again; what differs is.
    before = later.copy()
    fit_tokens(
        "genarm", base, TRAIN, HELD_OUT, OPTIONS, tmp_path / "cut", seed=1, report=later.append
    )
    assert later == before
    other = replace(OPTIONS, epochs=1)
    fit_tokens(
        "genarm", base, TRAIN, HELD_OUT, other, tmp_path / "cut", seed=1, report=later.append
    )
    assert len(later) == len(before) + 1


def test_pairs_that_cannot_be_used_are_named(base, tmp_path):
    alike = replace(TRAIN[0], candidates={"chosen": "same", "rejected": "same"})
    long = replace(TRAIN[1], candidates={"chosen": "long " * 400, "rejected": "b"})
    with pytest.raises(InputError) as found:
        fit_tokens("genarm", base, [alike, long], HELD_OUT, OPTIONS, tmp_path / "arm")
    assert "example 0: has no two different responses" in str(found.value)
    assert "example 1: a response fills the model's context" in str(found.value)
    with pytest.raises(InputError, match="holds no pair"):
        fit_tokens("genarm", base, TRAIN, [], OPTIONS, tmp_path / "arm")
    with pytest.raises(InputError, match="beta: is 0; take a number above 0"):
        GenArmOptions(beta=0)

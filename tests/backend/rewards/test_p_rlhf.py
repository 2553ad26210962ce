from __future__ import annotations

import filecmp
from dataclasses import replace

import numpy as np
import pytest
import torch
from backend_oracles import guided_greedy, last_hidden, token_logprobs
from preflamp_backend.decoding.decode import Request, decode
from preflamp_backend.decoding.options import DecodingOptions
from preflamp_backend.models.heads.soft_tokens import SoftTokens
from preflamp_backend.models.loading import ModelSource, load_language_model
from preflamp_backend.prompts.encoding import Encoding, PromptFormat
from preflamp_backend.prompts.in_context import PromptOptions
from preflamp_backend.rewards.token_models import PRlhfOptions, check_base, load_p_rlhf
from preflamp_backend.runs.run import prepare, run_study
from preflamp_backend.scoring.score import ScoreOptions, score, score_rewards
from preflamp_backend.study.study import read_study
from preflamp_backend.training import loop as training
from preflamp_backend.training.token_pairs import encode_pairs
from preflamp_backend.training_study.methods import fit_tokens
from study_files import write_study
from tiny_models import DEVICE
from token_preferences import make_pairs

from preflamp_stats.errors import InputError
from preflamp_stats.io.files import open_results

USERS = {"a": 0, "b": 1}
TRAIN = make_pairs(192, seed=0, users=USERS)
HELD_OUT = make_pairs(32, seed=1, users=USERS)
OPTIONS = PRlhfOptions(epochs=10, learning_rate=1e-3, tokens=3, beta=0.5, patience=5)


@pytest.fixture(scope="module")
def base(model_folders):
    return ModelSource(str(model_folders["qwen2"]), device=DEVICE)


@pytest.fixture(scope="module")
def trained(base, tmp_path_factory):
    """A model of two users who want opposite things, and of two who came later."""
    folder = tmp_path_factory.mktemp("pdpo") / "model"
    late = make_pairs(16, seed=3, users={"late-0": 0, "late-1": 1})
    fit_tokens("p-rlhf", base, TRAIN, HELD_OUT, OPTIONS, folder, adapt=late)
    return ModelSource(str(folder), device=DEVICE)


def read(model, examples, prefix):
    pairs = encode_pairs(
        model.tokenizer, examples, context=256, prompt=PromptOptions(), form=PromptFormat()
    )
    return pairs, [
        replace(pair, prompt=(*prefix(row.user), *pair.prompt))
        for pair, row in zip(pairs, examples, strict=True)
    ]


def accuracy(trained, base, examples):
    model, reward = load_language_model(base), load_p_rlhf(trained, "p-dpo")
    plain, soft = read(model, examples, reward.prefix)
    bases = [[each for each, _ in row] for row in score(model, plain)]
    found = score_rewards(reward, soft, base=bases)
    return np.mean([chosen.reward[0] > rejected.reward[0] for chosen, rejected in found])


def test_users_who_want_opposite_things_are_told_apart_on_new_pairs(trained, base):
    for user, likes in USERS.items():
        assert accuracy(trained, base, make_pairs(40, seed=2, users={user: likes})) >= 0.9
    assert accuracy(trained, base, make_pairs(40, seed=2, users=USERS)) >= 0.9
    # The generic user, who learnt from both, cannot be right about either.
    strangers = make_pairs(40, seed=2, users={"x": 0, "y": 1})
    assert 0.3 <= accuracy(trained, base, strangers) <= 0.7


def test_new_users_are_fitted_from_a_few_pairs_and_move_nobody_else(trained, base, tmp_path):
    new = make_pairs(40, seed=4, users={"late-0": 0, "late-1": 1})
    assert accuracy(trained, base, new) >= 0.8
    fit_tokens("p-rlhf", base, TRAIN, HELD_OUT, OPTIONS, tmp_path / "alone")
    alone = load_p_rlhf(ModelSource(str(tmp_path / "alone"), device=DEVICE), "p-dpo")
    together = load_p_rlhf(trained, "p-dpo")
    assert together.soft.users == (*alone.soft.users, "late-0", "late-1")
    torch.testing.assert_close(together.soft.soft[:3], alone.soft.soft, rtol=0, atol=0)
    assert filecmp.cmp(
        tmp_path / "alone" / "model.safetensors", f"{trained.path}/model.safetensors", False
    )


def test_users_with_one_taste_gain_nothing_over_the_generic_user(base, tmp_path):
    users = {"a": 0, "b": 0}
    data = make_pairs(64, seed=0, users=users), make_pairs(16, seed=1, users=users)
    fit_tokens("p-rlhf", base, *data, replace(OPTIONS, epochs=4), tmp_path / "one")
    source = ModelSource(str(tmp_path / "one"), device=DEVICE)
    own = accuracy(source, base, make_pairs(40, seed=2, users=users))
    assert own - accuracy(source, base, make_pairs(40, seed=2, users={"x": 0})) <= 0.05


def test_a_user_who_contradicts_themself_is_not_learnt(base, tmp_path):
    rng = np.random.default_rng(0)

    def random_pairs(count, seed):
        return [
            replace(row, candidates=dict(zip(("chosen", "rejected"), texts, strict=True)))
            for row in make_pairs(count, seed=seed, users={"a": 0})
            for texts in [rng.permutation(list(row.candidates.values())).tolist()]
        ]

    fit_tokens(
        "p-rlhf", base, random_pairs(48, 0), random_pairs(16, 1), OPTIONS, tmp_path / "noise"
    )
    source = ModelSource(str(tmp_path / "noise"), device=DEVICE)
    assert 0.3 <= accuracy(source, base, random_pairs(60, 2)) <= 0.7


def test_scores_traces_and_guided_tokens_equal_the_definition(trained, base):
    model, reward = load_language_model(base), load_p_rlhf(trained, "p-dpo")
    rows = make_pairs(2, seed=5, users=USERS)
    plain, soft = read(model, rows, reward.prefix)
    bases = [[each for each, _ in row] for row in score(model, plain)]
    found = score_rewards(reward, soft, base=bases, options=ScoreOptions())
    for one, other, scores in zip(plain, soft, found, strict=True):
        for ids, each in zip(one.continuations, scores, strict=True):
            ratios = np.subtract(
                token_logprobs(reward.model, other.prompt, ids),
                token_logprobs(model, one.prompt, ids),
            )
            np.testing.assert_allclose(each.trace[0], 0.5 * np.cumsum(ratios), atol=1e-4)
    requests = [
        Request(row.id, Encoding(one.prompt), row.user, reward_prompt=Encoding(other.prompt))
        for row, one, other in zip(rows, plain, soft, strict=True)
    ]
    options = DecodingOptions("guided", weight=2.0, top_k=5, max_new_tokens=6)
    written = decode(model, requests, options, reward=reward)
    for one, other, generation in zip(plain, soft, written, strict=True):

        def scores(written, ids, logprobs, prompt=other.prompt):
            hidden = last_hidden(reward.backbone, [*prompt, *written])[-1]
            guide = reward.model.head(hidden).log_softmax(-1)
            return [
                lp + 2.0 * 0.5 * (guide[v].item() - lp) for v, lp in zip(ids, logprobs, strict=True)
            ]

        ids, stop = guided_greedy(model, one.prompt, scores, top_k=5, steps=6, eos=model.eos)
        assert (list(generation.ids), generation.stop) == (ids, stop)


def test_soft_tokens_touch_no_text_and_no_logit(trained):
    reward = load_p_rlhf(trained, "p-dpo")
    plain = load_language_model(trained)
    assert token_logprobs(reward.model, (5, 6), (7, 8)) == token_logprobs(plain, (5, 6), (7, 8))
    assert reward.model.logits(torch.zeros(1, 32, device=DEVICE)).shape[-1] == 400


def test_a_stopped_run_ends_with_the_same_bytes(base, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_CHECKPOINT_SECONDS", 0)
    options = replace(OPTIONS, epochs=3)
    fit_tokens("p-rlhf", base, TRAIN, HELD_OUT, options, tmp_path / "whole", seed=1)

    def stop(epoch):
        if epoch.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_tokens("p-rlhf", base, TRAIN, HELD_OUT, options, tmp_path / "cut", seed=1, report=stop)
    later = []
    fit_tokens(
        "p-rlhf", base, TRAIN, HELD_OUT, options, tmp_path / "cut", seed=1, report=later.append
    )
    assert later[0].number == 3
    names = sorted(each.name for each in (tmp_path / "whole").iterdir())
    assert "soft_tokens.safetensors" in names
    assert filecmp.cmpfiles(tmp_path / "whole", tmp_path / "cut", names, shallow=False)[0] == names


def test_what_does_not_fit_is_refused(trained, base, model_folders, tmp_path):
    other = ModelSource(str(model_folders["arm"]), device=DEVICE)
    check_base(trained, base, "pdpo")
    with pytest.raises(InputError, match="'pdpo' is relative to another base model"):
        check_base(trained, other, "pdpo")
    with pytest.raises(InputError, match=r"soft_tokens.safetensors: cannot be read"):
        load_p_rlhf(other, "pdpo")
    with pytest.raises(InputError, match="user 'a', who is trained on already"):
        fit_tokens("p-rlhf", base, TRAIN, HELD_OUT, OPTIONS, tmp_path / "x", adapt=TRAIN[:1])
    with pytest.raises(InputError, match="a generic user ''"):
        SoftTokens(torch.nn.Embedding(5, 2), torch.ones(1, 1, 2), ["a"])
    with pytest.raises(InputError, match="of width 3, not of 2"):
        SoftTokens(torch.nn.Embedding(5, 2), torch.ones(1, 1, 3), [""])
    with pytest.raises(InputError, match="alpha: is 2"):
        PRlhfOptions(alpha=2)


STUDY = """
[data.titles]
path = "titles.jsonl"
[models.small]
path = "small"
[methods.pdpo]
kind = "p-dpo"
path = "pdpo/{model}-{seed}"
[scoring]
weights = [1.0]
top_k = 3
[decoding]
max_new_tokens = 4
[run]
seeds = [0, 1]
"""


def test_a_study_runs_it(tmp_path):
    file = write_study(tmp_path, examples=4, text=STUDY)
    source = ModelSource(str(tmp_path / "small"), device=DEVICE)
    users = {"u0": 0, "u1": 1}
    pairs = make_pairs(8, seed=0, users=users)
    options = PRlhfOptions(epochs=1, tokens=2, learning_rate=1e-2)
    for seed in (0, 1):
        fit_tokens(
            "p-rlhf", source, pairs, pairs, options, tmp_path / "pdpo" / f"small-{seed}", seed=seed
        )
    run_study(prepare(read_study(file), tmp_path / "r.nc"))
    with open_results(tmp_path / "r.nc") as tree:
        ds = tree["titles"].to_dataset().load()
    assert ds.sizes["seed"] == 2
    reward = ds.reward.sel(candidate=["chosen", "rejected"])
    assert np.isfinite(reward).all()
    assert not (reward.isel(seed=0) == reward.isel(seed=1)).any()
    assert (ds.generation != "").any()
    text = STUDY.replace('path = "small"', 'path = "other"')
    file.write_text(text)
    with pytest.raises(InputError, match="relative to another base model"):
        prepare(read_study(file), tmp_path / "r.nc")

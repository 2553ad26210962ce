"""Both roads against one text at a time: a quick sample here, every class of the library slowly."""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from every_model import (
    EVERY,
    PROMPTS,
    Naive,
    build,
    committed,
    greedy,
    linear_head,
    outcome,
    reward_of,
    road_name,
    table,
)
from preflamp_backend.decoding.decode import Request, decode
from preflamp_backend.decoding.options import DecodingOptions
from preflamp_backend.models.loading import (
    ModelSource,
    context_length,
    load_language_model,
    load_sequence_classifier,
)
from preflamp_backend.models.model import RowRoad
from preflamp_backend.prompts.encoding import Encoding, PromptFormat
from preflamp_backend.scoring.score import ScoreOptions, score, score_rewards
from tiny_models import make_tokenizer
from transformers import AutoModelForSequenceClassification, LlamaConfig

from preflamp_stats.errors import InputError

SAMPLE = {
    # Soft caps and windows; sinks; windows alone; scaled logits.
    **dict.fromkeys(("gemma2", "gpt_oss", "gemma3_text", "granite"), "fast"),
    # ALiBi; linear attention; state space; and one whose padding is seen.
    **dict.fromkeys(("bloom", "qwen3_next", "mamba"), "stacked"),
    "bart": "equal",
}
QUICK = {"num_hidden_layers": 2}


@pytest.mark.parametrize("kind", SAMPLE)
def test_a_sample_of_classes_gives_the_library_s_own_numbers(kind, tmp_path):
    shape = {"decoder_layers": 1} if kind == "bart" else QUICK
    if kind in ("gemma2", "gemma3_text", "gpt_oss"):
        shape = {**shape, "layer_types": ["sliding_attention", "full_attention"]}
    if kind == "qwen3_next":
        shape = {**shape, "layer_types": ["linear_attention", "full_attention"]}
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        found = outcome(kind, tmp_path, **shape)
    assert (found.road, found.why) == (SAMPLE[kind], "")
    assert f"`{kind}`" in committed()


def save(folder, kind, **changes):
    build(kind, **changes).save_pretrained(folder)
    make_tokenizer(bos=False).save_pretrained(folder)
    return ModelSource(str(folder), device="cpu")


def on_road(model, rows):
    return replace(model, backbone=replace(model.backbone, rows=rows))


@pytest.mark.parametrize("kind", ["bloom", "mamba"])
def test_suffix_and_policy_score_by_the_second_road(kind, tmp_path):
    """By stepping caches, by reading anew, and one text at a time: the same numbers."""
    model = load_language_model(save(tmp_path, kind, num_hidden_layers=2, n_layer=2))
    assert model.backbone.rows == RowRoad(padded=True, cached=True)
    naive, suffix, weight, k = Naive(tmp_path), (7, 9), 1.5, 3
    encodings = [Encoding(PROMPTS[1], ((20, 8, 9), (11,))), Encoding(PROMPTS[2][:6], ((5, 6),))]
    options = ScoreOptions(weights=(weight,), top_k=k)
    heads = linear_head(model)

    def reward(ids):
        return reward_of(heads, naive.last((*ids, *suffix))[1])

    for road in (model.backbone.rows, RowRoad(padded=False, cached=False)):
        moved = on_road(model, road)
        given = {"heads": linear_head(moved), "users": ["", ""], "suffix": suffix}
        found = score(moved, encodings, options=options, **given)
        ends = score(moved, encodings, options=ScoreOptions(trace=False), **given)
        for encoding, row, last in zip(encodings, found, ends, strict=True):
            for response, (_, mine), (_, end) in zip(
                encoding.continuations, row, last, strict=True
            ):
                total = 0.0
                for t, token in enumerate(response):
                    before = (*encoding.prompt, *response[:t])
                    logprobs = naive.last(before)[0].double()
                    expected = reward((*before, token))
                    assert mine.trace[0, t] == pytest.approx(expected, abs=1e-4)
                    top = logprobs.topk(k).indices.tolist()
                    raised = {v: logprobs[v] + weight * reward((*before, v)) for v in top}
                    mass = logprobs[top].logsumexp(0) - torch.stack([*raised.values()]).logsumexp(0)
                    total += (raised[token] + mass if token in top else logprobs[token]).item()
                assert end.reward[0] == pytest.approx(mine.trace[0, -1], abs=1e-5)
                assert mine.policy[0, 0] == pytest.approx(total, abs=1e-4)


@pytest.mark.parametrize(
    "road",
    [RowRoad(padded, cached) for padded in (True, False) for cached in (True, False)],
    ids=road_name,
)
def test_rows_write_what_trees_write(models, model_folders, road):
    """Llama by every way of the second road: guided, with a suffix, sampled, best of n."""
    trees = models["llama"]
    rows = on_road(
        load_language_model(ModelSource(str(model_folders["llama"]), device="cpu")), road
    )
    rows.backbone.network.set_attn_implementation("sdpa")
    requests = [Request(str(i), Encoding(prompt)) for i, prompt in enumerate(PROMPTS)]
    for options, form in (
        (DecodingOptions("guided", top_k=3, max_new_tokens=6), PromptFormat()),
        (DecodingOptions("guided", top_k=3, max_new_tokens=4), PromptFormat(suffix="eos")),
        (DecodingOptions("best-of-n", n=3, temperature=1.0, max_new_tokens=4), PromptFormat()),
    ):
        one, two = (
            decode(model, requests, options, reward=linear_head(model), form=form)
            for model in (trees, rows)
        )
        assert [each.ids for each in one] == [each.ids for each in two]
        np.testing.assert_allclose([g.reward for g in one], [g.reward for g in two], atol=1e-4)


def test_a_reward_model_goes_the_second_road(tmp_path):
    torch.manual_seed(0)
    config = build("bloom", n_layer=2).config
    config.num_labels = 1
    full = AutoModelForSequenceClassification.from_config(config).eval()
    full.save_pretrained(tmp_path)
    make_tokenizer(bos=False).save_pretrained(tmp_path)
    reward = load_sequence_classifier(ModelSource(str(tmp_path), device="cpu"), "rm")
    assert reward.backbone.rows is not None
    found = score_rewards(reward, [Encoding((5, 6), ((8, 9, 10), (11,)))], users=[""])
    with torch.inference_mode():
        for response, rewards in zip(((8, 9, 10), (11,)), found[0], strict=True):
            expected = full(torch.tensor([[5, 6, *response]])).logits.item()
            assert rewards.reward[0] == pytest.approx(expected, abs=1e-4)


LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0] * 4,
    "long_factor": [4.0] * 4,
    "original_max_position_embeddings": 30,
}


def test_longrope_is_read_where_its_factors_stay(tmp_path):
    """Beyond, a text's numbers would depend on the longest text beside it."""
    rope = {"rope_parameters": LONGROPE, "original_max_position_embeddings": 30}
    model = load_language_model(save(tmp_path, "phi3", **rope, num_hidden_layers=2))
    assert model.backbone.context == 30 == context_length(model.backbone.network.config)
    naive, heads = Naive(tmp_path), linear_head(model)
    options = DecodingOptions("guided", weight=0.5, top_k=3, max_new_tokens=20)
    requests = [Request(str(i), Encoding(prompt)) for i, prompt in enumerate(PROMPTS)]
    for prompt, each in zip(PROMPTS, decode(model, requests, options, reward=heads), strict=True):
        room = min(20, 30 - len(prompt))
        expected = greedy(naive, heads, model.eos, prompt, replace(options, max_new_tokens=room))
        assert list(each.ids) == expected
    with pytest.raises(InputError, match="31 tokens is longer than the model's context of 30"):
        score(model, [Encoding(tuple(range(20, 49)), ((5, 6),))])


def test_what_looks_ahead_is_refused_with_its_reason(tmp_path):
    with pytest.raises(InputError, match="other numbers for parts of a text: as rows it is off"):
        load_language_model(save(tmp_path, "bert", is_decoder=False, num_hidden_layers=1))


def test_a_failing_class_is_refused_in_one_line(tmp_path, monkeypatch):
    source = save(tmp_path, "llama", num_hidden_layers=1)
    monkeypatch.setattr(LlamaConfig, "get_text_config", lambda self, **_: 1 / 0)
    with pytest.raises(InputError, match="division by zero"):
        load_language_model(source)


def test_the_page_has_every_class_of_its_version():
    rows = [line for line in committed().splitlines() if line.startswith("| ")]
    named = {each for line in rows for each in line.split("`")[1::2]}
    assert named >= set(EVERY) or f"transformers {_version()}:" not in committed()


def _version():
    import transformers

    return transformers.__version__


@pytest.mark.slow
def test_every_class_is_right_or_refused_and_the_page_says_so():
    found = []
    for kind in EVERY:
        with tempfile.TemporaryDirectory() as folder:
            found.append(outcome(kind, Path(folder)))
    assert [each for each in found if each.road in ("wrong", "crash")] == []
    if f"transformers {_version()}:" in committed():
        assert table(found) == committed()

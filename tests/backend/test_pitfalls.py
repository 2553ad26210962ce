"""Each way in which such code goes wrong silently, shut by a test of its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from backend_oracles import greedy_generate, head_reward, last_hidden, token_logprobs
from preflamp_backend.decoding.decode import Request, decode
from preflamp_backend.decoding.options import DecodingOptions
from preflamp_backend.models.loading import ModelSource, load_language_model
from preflamp_backend.models.trees import pack
from preflamp_backend.prompts.encoding import Encoding, PromptFormat, encode
from preflamp_backend.scoring import forward
from preflamp_backend.scoring.forward import in_batches
from preflamp_backend.scoring.score import ScoreOptions, score, score_rewards
from tiny_models import make_heads, make_tokenizer
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from preflamp_stats.errors import InputError

SHORT = Encoding((5, 6), ((7,), (8, 9)))
LONG = Encoding((11, 12, 13, 14, 15, 16, 17), ((21, 22, 23, 24, 25), (26,)))


def test_01_left_padding_moves_no_reward(model, monkeypatch):
    heads = make_heads(model)
    right = score(model, [SHORT, LONG], heads=heads, users=["a", "b"])

    def left_pack(rows, *, device):
        return pack(rows, device=device, side="left")

    monkeypatch.setattr(forward, "pack", left_pack)
    left = score(model, [SHORT, LONG], heads=heads, users=["a", "b"])
    for row, other in zip(right, left, strict=True):
        for (base, rewards), (base_left, rewards_left) in zip(row, other, strict=True):
            np.testing.assert_allclose(base.token_logprob, base_left.token_logprob, atol=1e-5)
            np.testing.assert_allclose(rewards.trace, rewards_left.trace, atol=1e-5)
    for method in heads.methods:
        expected = head_reward(heads, method, "a", (5, 6), (8, 9))
        assert left[0][1][1].reward[heads.methods.index(method)] == pytest.approx(
            expected, abs=1e-5
        )


def test_02_a_batch_of_unequal_prompts_decodes_as_each_alone(model, model_folders):
    kind = model.backbone.network.config.model_type
    full = AutoModelForCausalLM.from_pretrained(model_folders[kind])
    prompts = [(5,), (6, 7, 8, 9, 10, 11, 12, 13), (14, 15)]
    requests = [Request(str(i), Encoding(prompt)) for i, prompt in enumerate(prompts)]
    for generation, prompt in zip(
        decode(model, requests, DecodingOptions(max_new_tokens=8)), prompts, strict=True
    ):
        assert list(generation.ids) == greedy_generate(model, full, prompt, 8)


def test_03_the_reward_of_a_response_that_ends_in_the_padding_token_counts_it(
    classifier, model_folders
):
    """Transformers' own pooling looks for padding by id and stops before the end token."""
    ids, end = (5, 6, 7), 0
    full = AutoModelForSequenceClassification.from_pretrained(model_folders["rm"])
    assert full.config.pad_token_id == end
    with torch.inference_mode():
        pooled = full(torch.tensor([[*ids, end]])).logits.item()
    without = head_reward(classifier, "rm", "", ids[:1], ids[1:])
    with_end = head_reward(classifier, "rm", "", ids[:1], [*ids[1:], end])
    assert pooled == pytest.approx(without, abs=1e-5)
    assert abs(with_end - without) > 1e-3
    [[found]] = score_rewards(classifier, [Encoding((5,), ((6, 7, end),))], users=[""])
    assert found.reward[0] == pytest.approx(with_end, abs=1e-5)


def test_04_a_model_without_a_padding_token_scores_batches(model_folders, tmp_path):
    model = AutoModelForSequenceClassification.from_pretrained(model_folders["rm"])
    model.config.pad_token_id = None
    model.save_pretrained(tmp_path)
    tokenizer = make_tokenizer(bos=False)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(tmp_path)
    from preflamp_backend.models.loading import load_sequence_classifier

    reward = load_sequence_classifier(ModelSource(str(tmp_path), device="cpu"), "rm")
    found = score_rewards(reward, [SHORT, LONG], users=["", ""])
    expected = head_reward(reward, "rm", "", (5, 6), (7,))
    assert found[0][0].reward[0] == pytest.approx(expected, abs=1e-5)


def test_05_the_boundary_between_prompt_and_response_is_chosen_and_flagged():
    """The property tests are in test_text.py; this is the case that goes wrong most."""
    tokenizer = make_tokenizer(bos=False)
    split = encode(tokenizer, "The cat sat ", ["on the mat"], PromptFormat(), context=99)
    joint = encode(
        tokenizer, "The cat sat ", ["on the mat"], PromptFormat(boundary="joint"), context=99
    )
    assert split.boundary_differs
    assert split.continuations != joint.continuations
    with pytest.raises(InputError, match="holds no token"):
        encode(tokenizer, "The cat", [""], PromptFormat(), context=99)


def test_06_generations_are_scored_by_the_ids_that_were_written(qwen):
    requests = [Request(str(i), Encoding((5 + i, 6))) for i in range(12)]
    options = DecodingOptions(temperature=2.0, max_new_tokens=8)
    found = decode(qwen, requests, options, reward=make_heads(qwen, 1))
    changed = 0
    for request, generation in zip(requests, found, strict=True):
        expected = sum(token_logprobs(qwen, request.prompt.prompt, generation.ids))
        assert generation.logprob == pytest.approx(expected, abs=1e-4)
        changed += tuple(qwen.tokenizer.encode(generation.text)) != generation.ids
    assert changed > 0


@pytest.mark.parametrize("chat", [False, True])
def test_07_no_sequence_begins_twice(chat):
    tokenizer = make_tokenizer(bos=True)
    tokenizer.chat_template = "{{ bos_token }}" + tokenizer.chat_template
    ids = encode(tokenizer, "<s>The cat", ["sat"], PromptFormat(chat=chat), context=99).prompt
    assert ids.count(tokenizer.bos_token_id) == 1


def test_08_log_probabilities_are_taken_in_float32_whatever_the_model(model_folders):
    low = load_language_model(
        ModelSource(str(model_folders["llama"]), dtype="bfloat16", device="cpu")
    )
    prompt, response = (5, 6), (7, 8, 9)
    [[(base, _)]] = score(low, [Encoding(prompt, (response,))])
    hidden = last_hidden(low.backbone, (*prompt, *response))[1:4]
    logits = low.head(hidden)
    assert logits.dtype == torch.bfloat16
    picked = torch.tensor(response)[:, None]
    exact = logits.double().log_softmax(-1).gather(1, picked)[:, 0]
    rough = logits.log_softmax(-1).gather(1, picked)[:, 0]
    assert (rough - exact).abs().max() > 1e-3
    # Trees and plain passes round differently in bfloat16, which a wide tolerance allows.
    np.testing.assert_allclose(base.token_logprob, exact.numpy(), atol=0.05)
    assert base.token_logprob.dtype == np.float32


def test_09_the_cached_path_equals_the_full_pass_in_float32(model):
    heads = make_heads(model, 1)
    options = DecodingOptions("guided", top_k=5, max_new_tokens=10)
    requests = [Request("0", Encoding((5, 6, 7)), "a")]
    [written] = decode(model, requests, options, reward=heads)
    ids = [5, 6, 7, *written.ids]
    again = []
    for t in range(3, len(ids)):
        logprobs = model.head(last_hidden(model.backbone, ids[:t])[-1]).log_softmax(-1)
        tops = logprobs.topk(5).indices.tolist()
        rewards = [head_reward(heads, "head0", "a", ids[:3], [*ids[3:t], v]) for v in tops]
        scores = [logprobs[v].item() + r for v, r in zip(tops, rewards, strict=True)]
        again.append(tops[int(np.argmax(scores))])
    assert again == ids[3:]


def test_09_the_cached_path_stays_near_the_full_pass_in_bfloat16(model_folders):
    """Exactness is not to be had: the two round differently, by about 2⁻⁸ a layer."""
    low, high = (
        load_language_model(ModelSource(str(model_folders["qwen2"]), dtype=dtype, device="cpu"))
        for dtype in ("bfloat16", "float32")
    )
    rng = np.random.default_rng(0)
    response = tuple(rng.integers(1, 400, 40).tolist())
    batch, suffix = [Encoding((5, 6, 7), (response,))], (9,)
    found, exact = (
        score(each, batch, heads=make_heads(each), users=["a"], suffix=suffix)[0][0]
        for each in (low, high)
    )
    assert low.backbone.network.dtype == torch.bfloat16
    heads = make_heads(low)
    for m, method in enumerate(heads.methods):
        full = [
            head_reward(heads, method, "a", (5, 6, 7), (*response[: t + 1], *suffix))
            for t in range(len(response))
        ]
        cached = found[1].trace[m]
        spread = exact[1].trace[m].std()
        assert np.abs(cached - full).max() < 0.1 * max(1.0, spread)
        # Neither is nearer to the truth than the other by much: the cache loses nothing of its own.
        error, own = np.abs(full - exact[1].trace[m]), np.abs(cached - exact[1].trace[m])
        assert own.mean() < 1.5 * error.mean() + 1e-3
        assert found[1].trace.dtype == np.float32


def test_10_a_draw_depends_on_seed_and_example_not_on_the_batch(qwen):
    requests = [Request(str(i), Encoding((5 + i, 6))) for i in range(3)]
    options = DecodingOptions(temperature=1.0, max_new_tokens=8)
    together = decode(qwen, requests, options, seed=1)
    backwards = decode(qwen, requests[::-1], options, seed=1)[::-1]
    alone = [decode(qwen, [request], options, seed=1)[0] for request in requests]
    assert [g.ids for g in together] == [g.ids for g in backwards] == [g.ids for g in alone]


def test_11_each_token_is_predicted_by_the_one_before_and_the_end_counts_once(qwen):
    tokenizer, end = make_tokenizer(bos=False), 0
    for count_eos in (False, True):
        form = PromptFormat(count_eos=count_eos)
        encoding = encode(tokenizer, "The cat", [" sat"], form, context=99)
        [ids] = encoding.continuations
        assert (ids[-1] == end) == count_eos
        [[(base, _)]] = score(qwen, [encoding])
        expected = token_logprobs(qwen, encoding.prompt, ids)
        np.testing.assert_allclose(base.token_logprob, expected, atol=1e-4)


def test_12_padding_is_in_no_sum(model):
    heads = make_heads(model, 1)
    [_, together] = score(model, [LONG, SHORT], heads=heads, users=["a", "a"])
    [alone] = score(model, [SHORT], heads=heads, users=["a"])
    for (base, rewards), (base_alone, rewards_alone) in zip(together, alone, strict=True):
        assert len(base.token_logprob) == len(base_alone.token_logprob)
        assert base.logprob == pytest.approx(base_alone.logprob, abs=1e-5)
        assert rewards.trace.shape == rewards_alone.trace.shape


# 13, a resume across models, is test_run.py::test_keys_change_with_weights_options_and_examples.


def test_14_out_of_memory_halves_the_batch_and_changes_no_result(qwen, monkeypatch):
    heads = make_heads(qwen, 2)
    rng = np.random.default_rng(0)
    batch = [Encoding((5, 6), (tuple(rng.integers(0, 400, 1 + i).tolist()),)) for i in range(7)]
    users = ["a"] * 7
    whole = score(qwen, batch, heads=heads, users=users)
    seen = []
    real = type(qwen.backbone).hidden

    def small_memory(self, ids, *arguments):
        seen.append(len(ids))
        if len(ids) > 2:
            raise torch.OutOfMemoryError("no memory left")
        return real(self, ids, *arguments)

    monkeypatch.setattr(type(qwen.backbone), "hidden", small_memory)
    halved = score(qwen, batch, heads=heads, users=users)
    assert seen == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    for [(base, rewards)], [(base_halved, rewards_halved)] in zip(whole, halved, strict=True):
        np.testing.assert_allclose(base.token_logprob, base_halved.token_logprob, atol=1e-5)
        np.testing.assert_allclose(rewards.trace, rewards_halved.trace, atol=1e-5)
    monkeypatch.setattr(type(qwen.backbone), "hidden", _always_full)
    with pytest.raises(InputError, match="does not fit the memory"):
        score(qwen, batch, options=ScoreOptions(batch_tokens=50))


def _always_full(*arguments):
    raise torch.OutOfMemoryError("no memory left")


def test_14_other_errors_are_not_taken_for_lack_of_memory():
    def broken(batch):
        raise RuntimeError("CUDA error: device-side assert triggered, out of memory")

    with pytest.raises(RuntimeError, match="device-side"):
        in_batches([1, 2], lambda item: 1, broken, budget=2)


def test_15_a_cut_prompt_is_flagged():
    tokenizer = make_tokenizer(bos=False)
    cut = encode(tokenizer, "The cat sat on the mat. " * 9, [" sat"], PromptFormat(), context=20)
    assert cut.overlong
    assert not encode(tokenizer, "The cat", [" sat"], PromptFormat(), context=20).overlong


# 15, the count in the file and the note, is test_run.py::test_cut_prompts_are_counted_…
# 16, ranks that wait for one another: shards need no other; test_run_stopped.py kills a worker.
# Models that would give other numbers for trees are refused: test_loading.py.

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from backend_oracles import (
    args_scores,
    greedy_generate,
    guided_greedy,
    head_trace,
    last_hidden,
    token_logprobs,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from preflamp_backend.decoding.decode import Request, choose, decode, propose, uniforms
from preflamp_backend.decoding.options import DecodingOptions
from preflamp_backend.models.loading import ModelSource, load_language_model
from preflamp_backend.models.model import AutoregressiveReward
from preflamp_backend.prompts.encoding import Encoding, PromptFormat, encode, encode_prompt
from preflamp_backend.scoring.score import score
from tiny_models import DEVICE, make_heads
from transformers import AutoModelForCausalLM

from preflamp_stats.errors import InputError

PROMPTS = [(5, 6, 7), (9,), (11, 12, 13, 14, 15, 16), (30, 31)]
prompts = st.lists(
    st.lists(st.integers(1, 399), min_size=1, max_size=9).map(tuple), min_size=1, max_size=4
)
quick = settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def ask(prompts, user="a"):
    return [Request(str(i), Encoding(tuple(p)), user) for i, p in enumerate(prompts)]


@quick
@given(prompts=prompts)
def test_plain_decoding_equals_generate_whatever_the_batch(model, model_folders, prompts):
    kind = model.backbone.network.config.model_type
    full = AutoModelForCausalLM.from_pretrained(model_folders[kind])
    found = decode(model, ask(prompts), DecodingOptions(max_new_tokens=12))
    for prompt, generation in zip(prompts, found, strict=True):
        assert list(generation.ids) == greedy_generate(model, full, prompt, 12)


@quick
@pytest.mark.parametrize("method", ["head1", "head2"])
@given(prompts=prompts, weight=st.sampled_from([0.0, 0.5, 3.0]), suffix=st.booleans())
def test_guided_decoding_equals_re_encoding_every_candidate(model, method, prompts, weight, suffix):
    heads = make_heads(model).only(method)
    options = DecodingOptions("guided", weight=weight, top_k=4, max_new_tokens=8, batch_rows=3)
    form = PromptFormat(suffix="eos" if suffix else "none")
    tail = (0,) if suffix else ()
    found = decode(model, ask(prompts, "b"), options, reward=heads, form=form)
    for prompt, generation in zip(prompts, found, strict=True):
        scores = args_scores(model, heads, method, "b", prompt, weight, tail)
        ids, stop = guided_greedy(model, prompt, scores, top_k=4, steps=8, eos=model.eos)
        assert (list(generation.ids), generation.stop) == (ids, stop)
        if ids:
            reward = head_trace(heads, method, "b", prompt, ids, tail)[-1]
            assert generation.reward == pytest.approx(reward, abs=2e-5)
            assert generation.logprob == pytest.approx(
                sum(token_logprobs(model, prompt, ids)), abs=1e-4
            )


@quick
@given(prompts=prompts)
def test_weight_zero_equals_greedy(model, prompts):
    heads = make_heads(model, methods=1)
    options = DecodingOptions("guided", weight=0.0, top_k=10, max_new_tokens=10)
    guided = decode(model, ask(prompts), options, reward=heads)
    plain = decode(model, ask(prompts), DecodingOptions(max_new_tokens=10))
    assert [g.ids for g in guided] == [p.ids for p in plain]


def test_a_reward_model_with_its_own_backbone_and_prompt_guides(qwen, classifier):
    theirs = (3, *PROMPTS[0])
    request = Request("0", Encoding(PROMPTS[0]), reward_prompt=Encoding(theirs))
    other = Request("1", Encoding(PROMPTS[1]), reward_prompt=Encoding(PROMPTS[1]))
    options = DecodingOptions("guided", weight=2.0, top_k=5, max_new_tokens=9)
    found, _ = decode(qwen, [request, other], options, reward=classifier)

    scores = args_scores(qwen, classifier, "rm", "a", theirs, 2.0)
    ids, stop = guided_greedy(qwen, PROMPTS[0], scores, top_k=5, steps=9, eos=qwen.eos)
    assert (list(found.ids), found.stop) == (ids, stop)
    if ids:
        expected = head_trace(classifier, "rm", "a", theirs, ids)[-1]
        assert found.reward == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("relative", [False, True])
def test_an_autoregressive_reward_model_guides(qwen, models, relative):
    reward = AutoregressiveReward("arm", models["arm"], relative=relative)
    options = DecodingOptions("guided", weight=0.8, top_k=6, max_new_tokens=9)
    found = decode(qwen, ask(PROMPTS), options, reward=reward)
    for prompt, generation in zip(PROMPTS, found, strict=True):

        def scores(written, ids, logprobs, prompt=prompt):
            hidden = last_hidden(models["arm"].backbone, [*prompt, *written])[-1]
            guide = models["arm"].head(hidden).log_softmax(-1)
            return [
                lp + 0.8 * (guide[v].item() - (lp if relative else 0.0))
                for v, lp in zip(ids, logprobs, strict=True)
            ]

        ids, stop = guided_greedy(qwen, prompt, scores, top_k=6, steps=9, eos=qwen.eos)
        assert (list(generation.ids), generation.stop) == (ids, stop)


def test_sampling_depends_on_seed_and_example_not_on_the_batch(model):
    heads = make_heads(model, methods=1)
    for options in (
        DecodingOptions(temperature=1.0, max_new_tokens=10),
        DecodingOptions("guided", temperature=1.0, top_k=5, max_new_tokens=10),
    ):
        reward = heads if options.strategy == "guided" else None
        requests = ask(PROMPTS)
        together = decode(model, requests, options, seed=4, reward=reward)
        alone = [decode(model, [each], options, seed=4, reward=reward)[0] for each in requests]
        assert [g.ids for g in together] == [g.ids for g in alone]
        other = decode(model, requests, options, seed=5, reward=reward)
        assert [g.ids for g in together] != [g.ids for g in other]


def test_best_of_n_keeps_the_highest_reward(qwen):
    heads = make_heads(qwen, methods=1)
    options = DecodingOptions("best-of-n", n=6, temperature=1.5, max_new_tokens=6)
    found = decode(qwen, ask(PROMPTS), options, reward=heads)
    # The first sample of six is the one sample of one: more samples never lower the reward.
    single = decode(
        qwen,
        ask(PROMPTS),
        DecodingOptions("best-of-n", n=1, temperature=1.5, max_new_tokens=6),
        reward=heads,
    )
    assert all(g.reward >= s.reward - 1e-5 for g, s in zip(found, single, strict=True) if s.ids)
    assert [g.ids for g in found] != [s.ids for s in single]


def test_the_draws_follow_the_distribution():
    scores = torch.tensor([0.5, 0.3, 0.2]).log().expand(4000, -1)
    draws = choose(scores, 1.0, uniforms(0, [str(i) for i in range(4000)], 1)[:, 0])
    shares = np.bincount(draws.numpy(), minlength=3) / 4000
    np.testing.assert_allclose(shares, [0.5, 0.3, 0.2], atol=4 * math.sqrt(0.25 / 4000))


class Ending(torch.nn.Module):
    """A head that likes a token."""

    def __init__(self, head, token, by):
        super().__init__()
        self.head, self.token, self.by = head, token, by

    def forward(self, hidden):
        logits = self.head(hidden).clone()
        logits[..., self.token] += self.by
        return logits


@pytest.mark.parametrize("chat", [False, True])
def test_what_ended_a_generation_is_what_counts_and_what_a_candidate_ends_with(qwen, chat):
    # The tokenizer's own end is 0, the chat template's 2; the model's list begins with another.
    end = 2 if chat else 0
    form = PromptFormat(chat=chat, count_eos=True)
    model = replace(qwen, eos=(5, 0), head=Ending(qwen.head, end, 6.0))
    prompts = [f"Title of paper {i}:" for i in range(40)]
    limits = {"context": model.backbone.context}
    asked = [encode_prompt(model.tokenizer, each, form, room=40, **limits) for each in prompts]
    requests = [Request(str(i), each) for i, each in enumerate(asked)]
    options = DecodingOptions(temperature=1.0, max_new_tokens=40)
    compared = 0
    for prompt, own, found in zip(
        prompts, asked, decode(model, requests, options, form=form), strict=True
    ):
        ids = [*found.ids, end] if found.stop == "eos" else found.ids
        if found.stop == "eos" and found.ids:
            [[(scored, _)]] = score(model, [Encoding(own.prompt, (tuple(ids),))])
            assert found.logprob == pytest.approx(scored.logprob, abs=1e-4)
            again = encode(model.tokenizer, prompt, [found.text], form, **limits)
            assert again.continuations[0][-1] == end
            if list(again.continuations[0]) == list(ids):
                [[(candidate, _)]] = score(model, [again])
                assert candidate.logprob == pytest.approx(found.logprob, abs=1e-4)
                compared += 1
    assert compared >= 2


def test_another_of_several_ends_counts_as_it_was_written(qwen):
    model = replace(qwen, eos=(5, 0), head=Ending(qwen.head, 5, 4.0))
    form = PromptFormat(count_eos=True)
    options = DecodingOptions(temperature=1.0, max_new_tokens=40)
    found = [each for each in decode(model, ask(PROMPTS), options, form=form) if each.ids]
    assert found
    for each in found:
        ids = (*each.ids, *((5,) if each.stop == "eos" else ()))
        prompt = PROMPTS[[g.ids for g in decode(model, ask(PROMPTS), options)].index(each.ids)]
        assert each.logprob == pytest.approx(sum(token_logprobs(model, prompt, ids)), abs=1e-4)


def writers(model, models):
    """Ways to write, with what they need."""
    heads = make_heads(model, methods=1)
    plain = {"max_new_tokens": 20}
    return {
        "plain": (DecodingOptions(**plain), None),
        "top": (DecodingOptions(top_k=5, **plain), None),
        "heads": (DecodingOptions("guided", top_k=5, **plain), heads),
        "best": (DecodingOptions("best-of-n", temperature=1.0, **plain), heads),
        "logits": (
            DecodingOptions("guided", weight=0.5, top_k=6, **plain),
            AutoregressiveReward("arm", models["arm"]),
        ),
    }


@pytest.mark.parametrize("way", ["plain", "top", "heads", "best", "logits"])
def test_a_stop_string_ends_a_text_before_it_whoever_writes(qwen, models, way):
    options, reward = writers(qwen, models)[way]
    free = decode(qwen, ask(PROMPTS), options, reward=reward)
    seen = 0
    for generation in free:
        text = generation.text
        # Every place, so that some stop strings begin inside a token.
        for stop in dict.fromkeys(text[i : i + 2] for i in range(len(text) - 1)):
            if not stop.isascii():
                continue
            asked = replace(options, stop=(stop, "never written"))
            found = decode(qwen, ask(PROMPTS), asked, reward=reward)
            for one, prompt, other in zip(found, PROMPTS, free, strict=True):
                at = other.text.find(stop)
                if qwen.tokenizer.decode(list(other.ids)) != other.text:
                    continue  # special tokens stand in it, which are searched too
                if at < 0:
                    assert (one.text, one.stop) == (other.text, other.stop)
                    continue
                assert (one.text, one.stop) == (other.text[:at], "stop")
                assert qwen.tokenizer.decode(list(one.ids)) == one.text
                if one.ids:
                    expected = sum(token_logprobs(qwen, prompt, one.ids))
                    assert one.logprob == pytest.approx(expected, abs=1e-4)
                seen += 1
            if seen > 6:
                return
    assert seen > 2


def test_a_stop_string_may_be_a_special_token(qwen):
    model = replace(qwen, eos=(), head=Ending(qwen.head, 0, 5.0))
    options = DecodingOptions(temperature=1.0, max_new_tokens=40, stop=("<|end|>",))
    found = decode(model, ask(PROMPTS), options)
    assert "stop" in {each.stop for each in found}
    assert all(0 not in each.ids for each in found)


@pytest.mark.parametrize("broken", ["norm", "head"])
def test_overflow_stops_at_the_first_batch_and_names_the_precision(model_folders, broken):
    source = ModelSource(str(model_folders["qwen2"]), dtype="float16", device=DEVICE)
    model = load_language_model(source)
    part = model.backbone.network.norm if broken == "norm" else model.head
    part.weight.data.fill_(6e4)
    requests = ask(PROMPTS)
    encodings = [Encoding(each, ((7, 8),)) for each in PROMPTS]
    for options, heads in (
        (DecodingOptions(max_new_tokens=4), None),
        (DecodingOptions("guided", top_k=3, max_new_tokens=4), make_heads(model, 1)),
    ):
        with pytest.raises(InputError, match="not finite numbers in float16; set dtype = 'bfl"):
            decode(model, requests, options, reward=heads)
    with pytest.raises(InputError, match="not finite numbers in float16; set dtype = 'bfloat16'"):
        score(model, encodings)


def test_a_prompt_longer_than_the_context_is_refused(qwen):
    with pytest.raises(InputError, match="a text of 300 tokens is longer than the model's context"):
        decode(qwen, ask([(9,) * 300]), DecodingOptions())


def test_of_equal_scores_the_lowest_id_wins():
    ids, logprobs = propose(torch.tensor([[0.0, 5.0, 1.0, 5.0]]), 3)
    assert ids[0, choose(logprobs, 0.0, torch.zeros(1))[0]] == 1


def test_the_context_is_a_stop_of_its_own(qwen):
    long = tuple(np.random.default_rng(0).integers(1, 400, 250).tolist())
    heads = make_heads(qwen, methods=1)
    options = DecodingOptions("guided", top_k=3, max_new_tokens=40)
    [found] = decode(qwen, ask([long]), options, reward=heads)
    assert (found.stop, len(found.ids)) == ("context", 6) or found.stop == "eos"
    full = long + (9,) * 6
    [found] = decode(qwen, ask([full]), options, reward=heads)
    assert (found.stop, found.ids) == ("context", ())
    assert math.isnan(found.logprob)
    assert math.isnan(found.reward)


@pytest.mark.parametrize("method", ["head0", "head2"])
def test_a_guide_that_gives_no_number_is_named(qwen, method):
    heads = make_heads(qwen).only(method)
    next(heads.heads[method].parameters())[0] = math.nan
    options = DecodingOptions("guided", top_k=3)
    with pytest.raises(InputError, match=f"'{method}' gives a reward that is not a finite"):
        decode(qwen, ask(PROMPTS), options, reward=heads)


def test_a_guide_without_top_k_or_reward_model_is_refused(qwen):
    with pytest.raises(InputError, match="top_k"):
        decode(qwen, ask(PROMPTS), DecodingOptions("guided"), reward=make_heads(qwen, 1))
    with pytest.raises(InputError, match="needs a reward model"):
        decode(qwen, ask(PROMPTS), DecodingOptions("guided", top_k=3))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"strategy": "beam"}, "strategy"),
        ({"weight": -1}, "weight"),
        ({"top_k": 0}, "top_k"),
        ({"strategy": "best-of-n", "n": 4}, "temperature"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"stop": ("",)}, "stop"),
    ],
)
def test_options_outside_their_range_are_refused(change, name):
    with pytest.raises(InputError, match=name):
        DecodingOptions(**change)

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from backend_oracles import (
    guided_probabilities,
    head_trace,
    renormalised,
    renormalised_with_target,
    token_logprobs,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from preflamp_backend.models.model import AutoregressiveReward
from preflamp_backend.prompts.encoding import Encoding
from preflamp_backend.scoring.score import ScoreOptions, score, score_rewards
from tiny_models import DEVICE, make_heads

from preflamp_stats.errors import InputError

tokens = st.integers(0, 399)
encodings = st.builds(
    lambda prompt, responses: Encoding(tuple(prompt), tuple(map(tuple, responses))),
    st.lists(tokens, min_size=1, max_size=12),
    st.lists(st.lists(tokens, min_size=1, max_size=8), min_size=1, max_size=3),
)
quick = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@quick
@given(batch=st.lists(encodings, min_size=1, max_size=4))
def test_logprobs_equal_a_forward_per_token(model, batch):
    for encoding, found in zip(batch, score(model, batch), strict=True):
        for response, (base, rewards) in zip(encoding.continuations, found, strict=True):
            expected = token_logprobs(model, encoding.prompt, response)
            np.testing.assert_allclose(base.token_logprob, expected, atol=1e-4, rtol=1e-5)
            assert rewards is None


@quick
@given(batch=st.lists(encodings, min_size=1, max_size=3), suffix=st.lists(tokens, max_size=2))
def test_traces_of_all_heads_equal_a_forward_per_prefix(model, batch, suffix):
    heads = make_heads(model)
    users = [("a", "b")[i % 2] for i in range(len(batch))]
    found = score(model, batch, heads=heads, users=users, suffix=suffix)
    for encoding, user, row in zip(batch, users, found, strict=True):
        for response, (_, rewards) in zip(encoding.continuations, row, strict=True):
            for m, method in enumerate(heads.methods):
                expected = head_trace(heads, method, user, encoding.prompt, response, suffix)
                np.testing.assert_allclose(rewards.trace[m], expected, atol=2e-5)
                assert rewards.reward[m] == rewards.trace[m, -1]


@quick
@given(batch=st.lists(encodings, min_size=2, max_size=5))
def test_alone_equals_in_batch(model, batch):
    heads = make_heads(model)
    options = ScoreOptions(weights=(0.0, 1.5), top_k=3)
    users = ["a"] * len(batch)
    together = score(model, batch, heads=heads, users=users, options=options)
    for encoding, row in zip(batch, together, strict=True):
        [alone] = score(model, [encoding], heads=heads, users=["a"], options=options)
        for (base, rewards), (base_alone, rewards_alone) in zip(row, alone, strict=True):
            np.testing.assert_allclose(base.token_logprob, base_alone.token_logprob, atol=1e-5)
            np.testing.assert_allclose(rewards.trace, rewards_alone.trace, atol=1e-5)
            np.testing.assert_allclose(rewards.policy, rewards_alone.policy, atol=1e-4)


@pytest.mark.parametrize("oracle", [renormalised, renormalised_with_target])
@pytest.mark.parametrize("suffix", [(), (7, 9)])
def test_renormalised_score_equals_its_definition(model, suffix, oracle):
    heads = make_heads(model)
    prompt, response = (5, 6, 7), (8, 20, 9, 8)
    [greedy] = np.argmax(_next(model, prompt)[None], axis=-1)  # a token of the top ones too
    response = (int(greedy), *response)
    options = ScoreOptions(weights=(0.0, 0.7, 2.0), top_k=4, scoring=oracle.__name__)
    [[(_, found)]] = score(
        model,
        [Encoding(prompt, (response,))],
        heads=heads,
        users=["b"],
        suffix=suffix,
        options=options,
    )
    for m, method in enumerate(heads.methods):

        def reward(prefix, method=method):
            return head_trace(heads, method, "b", prompt, prefix, suffix)[-1]

        for w, weight in enumerate(options.weights):
            expected = oracle(model, prompt, response, reward, weight, 4)
            assert found.policy[w, m] == pytest.approx(expected, abs=1e-4)


def _next(model, prompt):
    """Log-probabilities of every next token, each scored as a response of its own."""
    every = Encoding(tuple(prompt), tuple((v,) for v in range(400)))
    return np.array([base.token_logprob[0] for base, _ in score(model, [every])[0]])


def test_the_renormalised_score_is_a_likelihood_that_guided_decoding_shares(qwen):
    """It sums to 1 over the vocabulary, and over the top tokens it is what decoding samples."""
    heads = make_heads(qwen, methods=1)
    prompt, weight, k = (5, 6, 7), 1.5, 6
    every = Encoding(prompt, tuple((v,) for v in range(400)))
    options = ScoreOptions(weights=(0.0, weight), top_k=k)
    [found] = score(qwen, [every], heads=heads, users=["a"], options=options)
    plain, guided = np.array([rewards.policy[:, 0] for _, rewards in found]).T
    total = np.exp(_next(qwen, prompt)).sum()  # of the base model's vocabulary, 1 if all are asked
    assert np.exp(guided).sum() == pytest.approx(total, abs=1e-5)
    np.testing.assert_allclose(plain, _next(qwen, prompt), atol=1e-5)  # w = 0 is the base model

    def reward(prefix):
        return head_trace(heads, "head0", "a", prompt, prefix)[-1]

    expected, top = guided_probabilities(qwen, prompt, (), reward, weight, k)
    np.testing.assert_allclose(np.exp(guided), expected.cpu().numpy()[:400], atol=1e-5)
    # ARGS samples softmax(log π + w·r) over the top tokens.
    scores = plain[top] + weight * np.array([reward([v]) for v in top])
    sampled = np.exp(scores - np.logaddexp.reduce(scores))
    np.testing.assert_allclose(np.exp(guided[top]) / np.exp(guided[top]).sum(), sampled, atol=1e-5)


def test_long_responses_with_many_alternatives_are_hung_in_pieces(qwen):
    heads = make_heads(qwen, methods=1)
    rng = np.random.default_rng(0)
    long = tuple(rng.integers(0, 400, 90).tolist())
    batch = [Encoding((4, 5), (long, long[:11])), Encoding((9,), ((3,),))]
    wide = ScoreOptions(weights=(1.0,), top_k=10)
    found = score(qwen, batch, heads=heads, users=["a", "a"], suffix=(2,), options=wide)
    trace = head_trace(heads, "head0", "a", (4, 5), long, (2,))
    np.testing.assert_allclose(found[0][0][1].trace[0], trace, atol=2e-5)
    [alone] = score(qwen, batch[1:], heads=heads, users=["a"], suffix=(2,), options=wide)
    np.testing.assert_allclose(found[1][0][1].policy, alone[0][1].policy, atol=1e-5)


def test_a_classifier_scores_its_own_encodings(qwen, classifier):
    prompt, responses = (5, 6), ((8, 9, 10), (11,))
    base = [[b for b, _ in row] for row in score(qwen, [Encoding(prompt, responses)])]
    found = score_rewards(classifier, [Encoding((3, 5, 6), responses)], users=["x"], base=base)
    for response, rewards in zip(responses, found[0], strict=True):
        expected = head_trace(classifier, "rm", "x", (3, 5, 6), response)
        np.testing.assert_allclose(rewards.trace[0], expected, atol=2e-5)


def test_an_autoregressive_reward_is_a_sum_of_logprobs(qwen, models):
    reward = AutoregressiveReward("arm", models["arm"])
    prompt, response = (5, 6), (8, 9, 10)
    options = ScoreOptions(weights=(0.5,), top_k=5)
    base = [
        [b for b, _ in r] for r in score(qwen, [Encoding(prompt, (response,))], options=options)
    ]
    [[found]] = score_rewards(reward, [Encoding(prompt, (response,))], base=base, options=options)
    expected = np.cumsum(token_logprobs(models["arm"], prompt, response))
    np.testing.assert_allclose(found.trace[0], expected, atol=1e-4)

    def gain(prefix):
        return sum(token_logprobs(models["arm"], prompt, prefix))

    expected = renormalised(qwen, prompt, response, gain, 0.5, 5)
    assert found.policy[0, 0] == pytest.approx(expected, abs=1e-4)
    relative = AutoregressiveReward("pad", models["arm"], relative=True)
    [[found]] = score_rewards(relative, [Encoding(prompt, (response,))], base=base, options=options)
    difference = sum(token_logprobs(models["arm"], prompt, response)) - sum(
        token_logprobs(qwen, prompt, response)
    )
    assert found.reward[0] == pytest.approx(difference, abs=1e-4)
    with pytest.raises(InputError, match="another tokenizer"):
        score_rewards(relative, [Encoding(prompt, (response,))])


def test_three_tokens_by_hand(qwen, monkeypatch):
    """A 'model' whose logits are log-probabilities that can be read off: 1/2, 1/4, 1/8 …"""
    halves = torch.full((400,), -1e9, device=DEVICE)
    halves[:4] = torch.tensor([0.5, 0.25, 0.125, 0.125]).log()
    monkeypatch.setattr(
        type(qwen), "logits", lambda self, hidden: halves.expand(*hidden.shape[:-1], -1)
    )
    [[(base, _)]] = score(qwen, [Encoding((9,), ((0, 1, 2),))])
    np.testing.assert_allclose(base.token_logprob, np.log([0.5, 0.25, 0.125]), rtol=1e-6)
    assert base.logprob == pytest.approx(math.log(1 / 64))


def test_weight_zero_and_all_tokens_give_the_models_own_likelihood(qwen):
    heads = make_heads(qwen, methods=1)
    options = ScoreOptions(weights=(0.0,), top_k=400)
    [[(base, found)]] = score(
        qwen, [Encoding((5,), ((6, 8, 9),))], heads=heads, users=["a"], suffix=(1,), options=options
    )
    assert found.policy[0, 0] == pytest.approx(base.logprob, abs=1e-4)


def test_an_empty_generation_has_no_reward(qwen):
    heads = make_heads(qwen, methods=1)
    [[(base, found)]] = score(qwen, [Encoding((5,), ((),))], heads=heads, users=["a"])
    assert found.trace.shape == (1, 0)
    assert np.isnan([base.logprob, *found.reward.ravel()]).all()


def test_a_reward_that_is_not_finite_is_refused_by_name(qwen):
    for broken in ("head1", "head2"):
        heads = make_heads(qwen)
        next(heads.heads[broken].parameters())[0] = math.nan
        with pytest.raises(InputError, match=f"'{broken}' gives a reward that is not a finite"):
            score(qwen, [Encoding((5,), ((6,),))], heads=heads, users=["a"])


def test_a_text_longer_than_the_context_is_refused(qwen, classifier):
    fits = Encoding((9,) * 250, ((7,) * 6,))
    score(qwen, [fits])
    beyond = Encoding((9,) * 250, ((7,), (7,) * 7))
    with pytest.raises(InputError, match="a text of 257 tokens is longer than the model's context"):
        score(qwen, [fits, beyond])
    with pytest.raises(InputError, match="of 257 tokens"):
        score_rewards(classifier, [fits], users=["a"], suffix=(2,))


def test_a_user_without_a_head_is_refused(qwen):
    with pytest.raises(InputError, match="'head1' has no row for user 'nobody'"):
        score(qwen, [Encoding((5,), ((6,),))], heads=make_heads(qwen), users=["nobody"])


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"weights": (-1.0,)}, "weights"),
        ({"top_k": 0}, "top_k"),
        ({"batch_tokens": 0}, "batch_tokens"),
    ],
)
def test_options_outside_their_range_are_refused(change, name):
    with pytest.raises(InputError, match=name):
        ScoreOptions(**change)

"""The slow, obvious ways: a sequence at a time, every prefix anew, transformers' own calls."""

from __future__ import annotations

import math

import torch


@torch.inference_mode()
def last_hidden(backbone, ids):
    out = backbone.network(
        input_ids=torch.tensor([list(ids)], device=backbone.device), use_cache=False
    )
    return out.last_hidden_state[0]


@torch.inference_mode()
def token_logprobs(model, prompt, response):
    """log π of each response token, one forward a token."""
    found = []
    for t in range(len(response)):
        hidden = last_hidden(model.backbone, [*prompt, *response[:t]])[-1]
        found.append(model.head(hidden).float().log_softmax(-1)[response[t]].item())
    return found


@torch.inference_mode()
def head_reward(heads, method, user, prompt, response):
    """Reward of a whole sequence, read at its last token."""
    head = heads.heads[method]
    parameters = head.for_users(head.rows_of([user]))
    at_prompt = last_hidden(heads.backbone, prompt)[-1].float()
    hidden = last_hidden(heads.backbone, [*prompt, *response])[-1].float()
    return head(hidden[None, None], parameters, at_prompt[None]).item()


def head_trace(heads, method, user, prompt, response, suffix=()):
    return [
        head_reward(heads, method, user, prompt, [*response[: t + 1], *suffix])
        for t in range(len(response))
    ]


@torch.inference_mode()
def guided_probabilities(model, prompt, written, reward, weight, top_k):
    """Of every next token: guided over the top ones, together as likely as π says, π beyond."""
    logits = model.head(last_hidden(model.backbone, [*prompt, *written])[-1]).float().double()
    probabilities = logits.softmax(-1)
    top = probabilities.topk(top_k).indices.tolist()
    guided = {v: probabilities[v].item() * math.exp(weight * reward([*written, v])) for v in top}
    mass, total = sum(probabilities[v].item() for v in top), sum(guided.values())
    for v in top:
        probabilities[v] = mass * guided[v] / total
    return probabilities, top


def renormalised(model, prompt, response, reward, weight, top_k):
    """Σ_t log p̃(y_t), every alternative scored as a sequence of its own."""
    total = 0.0
    for t, token in enumerate(response):
        found, _ = guided_probabilities(model, prompt, response[:t], reward, weight, top_k)
        total += math.log(found[token].item())
    return total


@torch.inference_mode()
def renormalised_with_target(model, prompt, response, reward, weight, top_k):
    """The same over the top tokens and y_t, which is no likelihood."""
    total = 0.0
    for t, token in enumerate(response):
        prefix = [*prompt, *response[:t]]
        logprob = model.head(last_hidden(model.backbone, prefix)[-1]).float().log_softmax(-1)
        rivals = {*logprob.topk(top_k).indices.tolist(), token}
        scores = {v: logprob[v].item() + weight * reward([*response[:t], v]) for v in rivals}
        total += scores[token] - torch.tensor(list(scores.values())).double().logsumexp(0).item()
    return total


@torch.inference_mode()
def guided_greedy(model, prompt, score_next, *, top_k, steps, eos=()):
    """Guided decoding; ``score_next(written, ids, logprobs)`` scores the top tokens."""
    written = []
    for _ in range(steps):
        logprobs = (
            model.head(last_hidden(model.backbone, [*prompt, *written])[-1]).float().log_softmax(-1)
        )
        ids = sorted(logprobs.topk(top_k).indices.tolist())
        scores = score_next(written, ids, [logprobs[v].item() for v in ids])
        token = ids[max(range(len(ids)), key=lambda i: scores[i])]
        if token in eos:
            return written, "eos"
        written.append(token)
    return written, "length"


def args_scores(model, heads, method, user, prompt, weight, suffix=()):
    """ARGS as its authors run it: every candidate prefix encoded anew."""

    def score_next(written, ids, logprobs):
        return [
            logprob + weight * head_reward(heads, method, user, prompt, [*written, v, *suffix])
            for v, logprob in zip(ids, logprobs, strict=True)
        ]

    return score_next


@torch.inference_mode()
def greedy_generate(model, full_model, prompt, steps):
    """Ids that transformers' own ``generate`` writes after one prompt, without the end token."""
    out = full_model.generate(
        torch.tensor([list(prompt)], device=full_model.device),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.int64, device=full_model.device),
        max_new_tokens=steps,
        do_sample=False,
        pad_token_id=0,
    )
    ids = out[0, len(prompt) :].tolist()
    return ids[: ids.index(model.eos[0])] if model.eos[0] in ids else ids

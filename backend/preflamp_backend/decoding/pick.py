"""How the next token is picked from scores, greedily or by chance."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def propose(logits: Tensor, top_k: int | None) -> tuple[Tensor, Tensor]:
    """Log-probabilities of the tokens considered at a step.

    Parameters
    ----------
    logits : Tensor, (rows, vocabulary), float32
    top_k : int, optional
        How many; None for all.

    Returns
    -------
    ids : Tensor, (rows, k), int64
        In ascending order, so that of equal scores the lowest id wins, as in greedy decoding.
    logprobs : Tensor, (rows, k), float32
    """
    logprobs = logits.log_softmax(-1)
    if top_k is None or top_k >= logits.shape[-1]:
        ids = torch.arange(logits.shape[-1], device=logits.device).expand_as(logits)
        return ids, logprobs
    ids = logprobs.topk(top_k, -1).indices.sort(-1).values
    return ids, logprobs.gather(-1, ids)


def choose(scores: Tensor, temperature: float, uniform: Tensor) -> Tensor:
    """Pick one of k scores a row.

    Parameters
    ----------
    scores : Tensor, (rows, k)
    temperature : float
        0 for the best; otherwise softmax(scores / temperature) is sampled.
    uniform : Tensor, (rows,)
        A number in [0, 1) a row, which alone decides the draw; unused when greedy.

    Returns
    -------
    Tensor, (rows,), int64

    Examples
    --------
    >>> scores = torch.tensor([[0.0, 2.0], [0.0, 2.0]])
    >>> choose(scores, 0.0, torch.zeros(2)).tolist()
    [1, 1]
    >>> choose(scores, 1.0, torch.tensor([0.1, 0.2])).tolist()
    [0, 1]
    """
    if temperature == 0:
        return scores.argmax(-1)
    reached = (scores.double() / temperature).softmax(-1).cumsum(-1)
    goal = uniform.double()[:, None] * reached[:, -1:]
    return torch.searchsorted(reached, goal, right=True)[:, 0].clamp(max=scores.shape[-1] - 1)


def uniforms(seed: int, keys: Sequence[str], steps: int) -> Tensor:
    """Random numbers that depend on seed and key only, not on who else is in the batch.

    Parameters
    ----------
    seed : int
    keys : sequence of str
        One a row; name the example, the method and the sample.
    steps : int

    Returns
    -------
    Tensor, (rows, steps), float64
    """
    rows = []
    for key in keys:
        words = np.frombuffer(
            hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest(), np.uint32
        )
        entropy = np.random.SeedSequence([seed, *words.tolist()])
        rows.append(np.random.Generator(np.random.PCG64(entropy)).random(steps))
    return torch.from_numpy(np.stack(rows))

"""Scores and generations as labelled arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preflamp_backend.data import Example
from preflamp_backend.decoding.decode import Generation, Request
from preflamp_backend.prompts.encoding import Encoding
from preflamp_backend.rewards.judge import Judgement
from preflamp_backend.scoring.score import BaseScores, RewardScores

DIAGNOSTIC = {"role": "diagnostic"}
"""Keeps a float over examples from being taken for a generation metric."""


def base_arrays(
    rows: Sequence[Example],
    bases: Sequence[Sequence[BaseScores]],
    encodings: Sequence[Encoding],
    names: Sequence[str],
) -> xr.Dataset:
    """Arrange a base model's scores over model, example, candidate and token."""
    longest = max(len(base.token_logprob) for row in bases for base in row)
    shape = (1, len(rows), len(names))
    logprob = np.full(shape, np.nan)
    n_tokens = np.full(shape, np.nan)
    token_logprob = np.full((*shape, longest), np.nan, np.float32)
    for i, (row, found) in enumerate(zip(rows, bases, strict=True)):
        for name, base in zip(row.candidates, found, strict=True):
            at = (0, i, names.index(name))
            logprob[at] = base.logprob
            n_tokens[at] = len(base.token_logprob)
            token_logprob[at][: len(base.token_logprob)] = base.token_logprob
    dims = ("model", "example", "candidate")
    return xr.Dataset(
        {
            "logprob": (dims, logprob),
            "n_tokens": (dims, n_tokens),
            "token_logprob": ((*dims, "token"), token_logprob),
            "prompt_overlong": (dims[:2], [[each.overlong for each in encodings]]),
            "boundary_differs": (dims[:2], [[each.boundary_differs for each in encodings]]),
        },
        {"candidate": list(names)},
    )


def reward_arrays(
    rows: Sequence[Example],
    rewards: Sequence[Sequence[RewardScores]],
    methods: Sequence[str],
    names: Sequence[str],
    *,
    weights: Sequence[float],
    trace: bool,
    columns: NDArray[np.int64] | None = None,
    seeds: Sequence[int] = (),
) -> xr.Dataset:
    """Arrange rewards over method, model, example and candidate, and over seeds where there are.

    ``weights`` are those of the policy scores that were computed; empty where there are none.
    ``columns``, (methods, seeds), says which of the scored heads serves a method under a seed; left
    out, there is one head a method.
    """
    heads = np.arange(len(methods))[:, None] if columns is None else columns
    longest = max(each.trace.shape[1] for row in rewards for each in row)
    shape = (*heads.shape, 1, len(rows), len(names))
    reward = np.full(shape, np.nan, np.float32)
    traces = np.full((*shape, longest), np.nan, np.float32)
    scores = np.full((len(weights), *shape), np.nan)
    for i, (row, found) in enumerate(zip(rows, rewards, strict=True)):
        for name, each in zip(row.candidates, found, strict=True):
            at = names.index(name)
            reward[:, :, 0, i, at] = each.reward[heads]
            traces[:, :, 0, i, at, : each.trace.shape[1]] = each.trace[heads]
            if weights:
                scores[:, :, :, 0, i, at] = each.policy[:, heads]
    dims = ("method", "seed", "model", "example", "candidate")
    ds = xr.Dataset({"reward": (dims, reward)}, {"candidate": list(names), "method": list(methods)})
    if trace:
        ds["reward_trace"] = ((*dims, "token"), traces)
    if weights:
        ds["policy_score"] = (("weight", *dims), scores, {"scoring": "renormalised"})
        ds = ds.assign_coords(weight=list(weights))
    return ds.assign_coords(seed=list(seeds)) if seeds else ds.isel(seed=0)


def judge_arrays(
    found: Sequence[Judgement], personas: Sequence[str], method: str, names: Sequence[str]
) -> xr.Dataset:
    """Arrange a judge's preferences as rewards of chosen and rejected, ± half of each."""
    dims = ("method", "model", "example")
    preference = np.array([each.preference for each in found])
    reward = np.full((1, 1, len(found), len(names)), np.nan, np.float32)
    reward[..., names.index("chosen")] = preference / 2
    reward[..., names.index("rejected")] = -preference / 2
    place = np.array([each.place for each in found])
    return xr.Dataset(
        {
            "reward": ((*dims, "candidate"), reward),
            "judge_place_log_odds": (dims, place[None, None], DIAGNOSTIC),
            "judge_persona": (dims, _texts(personas)[None, None]),
            "reward_overlong": (dims, [[[each.overlong for each in found]]]),
        },
        {"candidate": list(names), "method": [method]},
    )


def _texts(texts: Sequence[str]) -> Any:
    # A NUL byte would end the text in the file.
    return np.array([text.replace("\0", "\N{REPLACEMENT CHARACTER}") for text in texts], object)


def generation_arrays(
    found: Sequence[Generation],
    requests: Sequence[Request],
    shots: Sequence[int],
    rows: Sequence[Example],
    method: str,
) -> xr.Dataset:
    """Arrange generations over model, method and example."""
    ids = np.full((len(found), max(1, *(len(each.ids) for each in found), 1)), -1, np.int32)
    for i, each in enumerate(found):
        ids[i, : len(each.ids)] = each.ids
    dims = ("model", "method", "example")

    def spread(values: Any) -> Any:
        return np.asarray(values)[None, None]

    texts = _texts([each.text for each in found])
    overlong = [
        each.prompt.overlong or (each.reward_prompt is not None and each.reward_prompt.overlong)
        for each in requests
    ]
    return xr.Dataset(
        {
            "generation": (dims, spread(texts)),
            "generation_ids": ((*dims, "generated_token"), spread(ids)),
            "generation_stop": (dims, spread(np.array([each.stop for each in found], object))),
            "generation_reward": (dims, spread([each.reward for each in found]), DIAGNOSTIC),
            "generation_logprob": (dims, spread([each.logprob for each in found]), DIAGNOSTIC),
            "generation_overlong": (dims, spread(overlong)),
            "generation_shots": (dims, spread(np.array(shots, np.int32))),
            "reference": ("example", np.array([row.reference for row in rows], object)),
        },
        {"method": [method]},
    )

"""Users with planted preferences in a feature space, and how well anybody could predict them.

A user u prefers by a reward r_u(e, x) of features e of a response and x of its prompt, and chooses
the first of two responses with probability σ(r_u(e_1, x) − r_u(e_2, x)). Who knows r_u can be right
in a share E max(p, 1 − p) of pairs and no more: the Bayes limit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from preflamp_backend.faults import fault
from preflamp_backend.training.features import PairFeatures
from torch import Tensor

Planted = Literal["one-type", "types", "low-rank", "latent", "ideal-points", "prompts", "noise"]
"""Kinds of preferences that can be planted.

``one-type``
    r = βᵀe, the same for everybody.
``types``
    r = β_kᵀe, k the user's type.
``low-rank``
    r = a_uᵀBe, a_u normal.
``latent``
    r = Σ_j tanh(z_uj)·β_jᵀe, z_u normal: types at the corners of a cube, and all between.
``ideal-points``
    r = −s·‖e − p_k‖.
``prompts``
    r = s·cos(e, R_k x): what is liked depends on the prompt, in another way for each type.
``noise``
    r = 0: choices without a preference; users contradict themselves.
"""

_Reward = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class SimulatedUsers:
    """Pairs of simulated users.

    Attributes
    ----------
    train, held_out, test : PairFeatures
        Of the same users.
    few, few_test : PairFeatures
        Of users who are in none of the others.
    bayes, few_bayes : float
        Bayes limit of the accuracy on ``test`` and on ``few_test``.
    """

    train: PairFeatures
    held_out: PairFeatures
    test: PairFeatures
    few: PairFeatures
    few_test: PairFeatures
    bayes: float
    few_bayes: float


def simulate_users(
    planted: Planted,
    *,
    users: int = 60,
    pairs: int = 40,
    new_users: int = 20,
    few: int = 8,
    test_pairs: int = 40,
    width: int = 16,
    types: int = 3,
    strength: float = 3.0,
    seed: int = 0,
) -> SimulatedUsers:
    """Simulate users and their choices.

    Parameters
    ----------
    planted : str
        One of :data:`Planted`.
    users, pairs : int
        Users, and pairs of each to train on; a quarter as many are held out.
    new_users, few : int
        Users who are met later, and their pairs to adapt to.
    test_pairs : int
        Pairs of each user to test on.
    width : int
        Features of a response; normal, independent.
    types : int
        Types, or dimensions of ``low-rank`` and ``latent``.
    strength : float
        Standard deviation of a reward over responses, about; the larger the less noise.
    seed : int

    Returns
    -------
    SimulatedUsers

    Raises
    ------
    InputError
        For a kind that is not known.
    """
    if planted not in get_args(Planted):
        mend = f"choose one of {', '.join(get_args(Planted))}"
        raise fault(f"is {planted!r}", mend, variable="planted")
    generator = torch.Generator().manual_seed(seed)
    reward_of = _plant(planted, width, types, strength, generator)
    known = {f"u{i:04d}": reward_of() for i in range(users)}
    unknown = {f"new{i:04d}": reward_of() for i in range(new_users)}

    def draw(rewards: dict[str, _Reward], count: int) -> tuple[PairFeatures, float]:
        return _draw_pairs(rewards, count, width, generator)

    train, _ = draw(known, pairs)
    held_out, _ = draw(known, max(1, pairs // 4))
    test, bayes = draw(known, test_pairs)
    adapt, _ = draw(unknown, few)
    few_test, few_bayes = draw(unknown, test_pairs)
    return SimulatedUsers(train, held_out, test, adapt, few_test, bayes, few_bayes)


def _draw_pairs(
    rewards: dict[str, _Reward], count: int, width: int, generator: torch.Generator
) -> tuple[PairFeatures, float]:
    """Pairs of each user with their choices, and the mean over pairs of max(p, 1 − p)."""
    names, chosen, rejected, prompts, limits = [], [], [], [], []
    for user, reward in rewards.items():
        first, second, prompt = torch.randn(3, count, width, generator=generator)
        margin = reward(first, prompt) - reward(second, prompt)
        swap = torch.rand(count, generator=generator) > torch.sigmoid(margin)
        names += [user] * count
        chosen.append(torch.where(swap[:, None], second, first))
        rejected.append(torch.where(swap[:, None], first, second))
        prompts.append(prompt)
        limits.append(torch.sigmoid(margin.abs()))
    empty = torch.empty(0, width)
    joined = [torch.cat([empty, *each]) for each in (chosen, rejected, prompts)]
    limit = torch.cat([torch.empty(0), *limits]).double().mean()
    return PairFeatures(tuple(names), *joined), float(limit)


def _directions(count: int, width: int, generator: torch.Generator) -> Tensor:
    """Unit vectors, (count, width), at right angles where there is room for it."""
    raw = torch.randn(width, max(count, width), generator=generator)
    directions: Tensor = torch.linalg.qr(raw.T if count > width else raw)[0]
    return (directions[:count] if count > width else directions.T[:count]).contiguous()


def _linear(weight: Tensor) -> _Reward:
    return lambda response, prompt: response @ weight


def _plant(
    planted: Planted, width: int, types: int, strength: float, generator: torch.Generator
) -> Callable[[], _Reward]:
    """What draws a user's reward, after the directions of all users are drawn."""

    def some_type() -> int:
        return int(torch.randint(types, (), generator=generator))

    def normal() -> Tensor:
        return torch.randn(types, generator=generator)

    if planted == "noise":
        return lambda: lambda response, prompt: response.new_zeros(len(response))
    if planted == "prompts":
        turns = [_directions(width, width, generator) for _ in range(types)]
        scale = strength * width**0.5

        def by_prompt() -> _Reward:
            turn = turns[some_type()].T
            return lambda response, prompt: (
                scale * torch.cosine_similarity(response, prompt @ turn, dim=-1)
            )

        return by_prompt
    basis = _directions(1 if planted == "one-type" else types, width, generator)
    if planted == "ideal-points":
        points = width**0.5 * basis

        def near() -> _Reward:
            point = points[some_type()]
            return lambda response, prompt: -strength * (response - point).norm(dim=-1)

        return near
    basis = strength * basis
    if planted == "one-type":
        return lambda: _linear(basis[0])
    if planted == "types":
        return lambda: _linear(basis[some_type()])
    basis = basis / types**0.5
    if planted == "low-rank":
        return lambda: _linear(normal() @ basis)
    return lambda: _linear(torch.tanh(2 * normal()) @ basis)

"""How probable a head makes the users' choices, and the row of a new user that makes them so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from preflamp_backend.faults import fault
from preflamp_backend.models.heads.head import EVERY_USER, RewardHead, UserTableHead
from preflamp_backend.models.repeatable import one_thread
from preflamp_backend.training.features import PairFeatures
from preflamp_backend.training.loop import Task

_ADAPTATION_STEPS = 30
"""Steps of L-BFGS at most; a row has few numbers and starts near its place."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """Centre and scale of each feature over the responses of pairs.

    Attributes
    ----------
    centre, scale : Tensor, (width,), float32
        Mean, and standard deviation (1 where a feature does not vary).
    """

    centre: Tensor
    scale: Tensor

    @classmethod
    def of(cls, states: Tensor) -> Scaling:
        """Measure hidden states, (n, width)."""
        states = states.double()
        centre, scale = states.mean(0), states.std(0, correction=0)
        flat = scale <= 1e-7 * (1 + centre.abs())
        return cls(centre.float(), scale.masked_fill(flat, 1.0).float())

    @classmethod
    def of_pairs(cls, pairs: PairFeatures) -> Scaling:
        """Measure the responses of pairs."""
        return cls.of(torch.cat([pairs.chosen, pairs.rejected]))

    def __call__(self, pairs: PairFeatures) -> PairFeatures:
        """Pairs with every response feature centred and of standard deviation 1."""
        chosen, rejected = (
            (each - self.centre) / self.scale for each in (pairs.chosen, pairs.rejected)
        )
        return PairFeatures(pairs.users, chosen, rejected, pairs.prompt)


def margins(head: RewardHead, both: Tensor, user: Tensor, prompt: Tensor) -> Tensor:
    """Reward of the chosen less that of the rejected response, (pairs,).

    Parameters
    ----------
    head : RewardHead
    both : Tensor, (pairs, 2, width)
        Hidden states of the chosen and of the rejected response.
    user : Tensor, (pairs, p)
        Parameters of each pair's user.
    prompt : Tensor, (pairs, width)
    """
    rewards: Tensor = head(both, user, prompt)
    return rewards[:, 0] - rewards[:, 1]


@torch.no_grad()
def predicted(head: RewardHead, pairs: PairFeatures) -> Tensor:
    """Margins of pairs by their users' rows, or by the row of everybody, (pairs,)."""
    check_width(head, pairs)
    return margins(head, pairs.both, head.for_users(head.rows_of(pairs.users)), pairs.prompt)


def log_loss(margin: Tensor) -> Tensor:
    """−log σ(margin), without overflow."""
    return softplus(-margin)


def mean_log_loss(head: RewardHead, pairs: PairFeatures) -> float:
    """Mean log-loss of a head on pairs, in nats."""
    return log_loss(predicted(head, pairs)).double().mean().item()


def check_width(head: RewardHead, pairs: PairFeatures) -> None:
    """Refuse pairs of another width than the head's."""
    if pairs.width != head.width:
        raise fault(
            f"have features of width {pairs.width}, the head reads {head.width}",
            "take the features of the base model that the head was trained on",
            variable="pairs",
        )


def adapt_row(head: UserTableHead, pairs: PairFeatures, *, penalty: float) -> Tensor:
    """Row p of a new user that minimises Σ −log σ(margin) + ½·penalty·‖p − p_0‖².

    p_0 is the row of everybody; nothing else of the head changes.

    Parameters
    ----------
    head : UserTableHead
    pairs : PairFeatures
        The new user's, at least one.
    penalty : float
        Inverse of the variance of users around p_0.

    Returns
    -------
    Tensor, (p,)
    """
    check_width(head, pairs)
    start = head.for_users(head.rows_of([EVERY_USER]))[0].detach()
    row = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [row],
        max_iter=_ADAPTATION_STEPS,
        tolerance_grad=1e-4,
        tolerance_change=1e-6,
        line_search_fn="strong_wolfe",
    )

    with torch.no_grad(), one_thread():
        shared = head.shared(pairs.both, pairs.prompt)

    def closure() -> Tensor:
        optimizer.zero_grad()
        rewards = head.personal(shared, row.expand(len(pairs), -1))
        margin = rewards[:, 0] - rewards[:, 1]
        loss = log_loss(margin).sum() + 0.5 * penalty * (row - start).square().sum()
        loss.backward()
        return loss

    with one_thread():
        optimizer.step(closure)
    return row.detach()


def fit_table(
    head: UserTableHead,
    task: Task,
    *,
    loss: Callable[[Tensor], Tensor] | None = None,
    penalty: Callable[[], Tensor] | None = None,
    scaling: Scaling | None = None,
) -> None:
    """Minimise Σ loss(margin) + ½·options.penalty·Σ_u ‖p_u − p_0‖² + penalty over all of a head.

    Parameters
    ----------
    head : UserTableHead
        With the row of everybody, p_0, and a row for each user of the pairs.
    task : Task
        Its options have a ``penalty``.
    loss : callable, optional
        Of margins, −log σ by default; early stopping looks at the log-loss whatever it is.
    penalty : callable, optional
        On what users share.
    scaling : Scaling, optional
        Of the features, where the head does not scale them itself.
    """
    loss = loss or log_loss
    if scaling is not None:
        task = replace(task, pairs=scaling(task.pairs), held_out=scaling(task.held_out))
    pairs = task.pairs
    rows = head.rows_of(pairs.users)
    everybody = int(head.rows_of([EVERY_USER])[0])
    both, prompt = pairs.both, pairs.prompt

    def objective(batch: Tensor, generator: torch.Generator, progress: float) -> Tensor:
        users = head.for_users(rows[batch])
        spread = (head.user - head.user[everybody]).square().sum()
        held: Tensor = 0.5 * task.options.penalty * spread
        held = held + (0 if penalty is None else penalty())
        mean: Tensor = loss(margins(head, both[batch], users, prompt[batch])).mean()
        return mean + held / len(pairs)

    def unseen() -> float:
        return mean_log_loss(head, task.held_out)

    task.fit(head.kind, head, objective, unseen, len(pairs))


def start_from(head: Any, pairs: PairFeatures, generator: torch.Generator) -> None:
    """Let a head with layers centre and scale features as pairs have them, and draw its layers."""
    scaling = Scaling.of_pairs(pairs)
    head.centre.copy_(scaling.centre)
    head.scale.copy_(scaling.scale)
    for module in head.modules():
        if isinstance(module, nn.Linear):
            bound = module.in_features**-0.5
            module.weight.uniform_(-bound, bound, generator=generator)
            module.bias.zero_()

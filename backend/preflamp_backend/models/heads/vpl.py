"""VPL's head: a reward given a latent vector, and the encoder that infers it from pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from preflamp_backend.models.heads.head import UserTableHead


class VplHead(UserTableHead):
    """Encoder of a user's pairs, and the reward given what it found.

    Parameters
    ----------
    users : sequence of str
    width, latent, hidden, context : int

    Attributes
    ----------
    user : Parameter, (users, latent)
        μ of each user.
    """

    kind: ClassVar[str] = "vpl"
    shape: ClassVar[tuple[str, ...]] = ("width", "latent", "hidden", "context")
    centre: Tensor
    scale: Tensor

    def __init__(
        self, users: Sequence[str], width: int, latent: int, hidden: int, context: int
    ) -> None:
        super().__init__(users, width, latent)
        self.latent, self.hidden, self.context = latent, hidden, context
        self.user.requires_grad_(False)
        self.pair = nn.Sequential(
            nn.Linear(2 * width, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, hidden),
        )
        self.query, self.key, self.value = (nn.Linear(hidden, hidden) for _ in range(3))
        self.posterior = nn.Linear(hidden, 2 * latent)
        self.reads = nn.Linear(width + latent, hidden)
        self.reward = nn.Sequential(
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, 1),
        )
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def shared(self, hidden: Tensor, prompt: Tensor) -> tuple[Tensor, ...]:
        """Return the part of the first layer that reads e, (rows, n, hidden)."""
        by_state = self.reads.weight[:, : self.width]
        return (((hidden - self.centre) / self.scale) @ by_state.T,)

    def personal(self, shared: tuple[Tensor, ...], user: Tensor) -> Tensor:
        """Return MLP([e; z]), without a copy of z at every position."""
        by_user = user @ self.reads.weight[:, self.width :].T + self.reads.bias
        rewards: Tensor = self.reward(shared[0] + by_user[:, None])
        return rewards[..., 0]

    def infer(self, chosen: Tensor, rejected: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """Infer q(z | context).

        Parameters
        ----------
        chosen, rejected : Tensor, (users, pairs, width)
        there : Tensor, (users, pairs), bool
            Which of the pairs are real; a user may have none.

        Returns
        -------
        mean, log_variance : Tensor, (users, latent)
            0 for a user without pairs: the prior.
        """
        scaled = [(each - self.centre) / self.scale for each in (chosen, rejected)]
        pairs = self.pair(torch.cat(scaled, -1))
        scores = self.query(pairs) @ self.key(pairs).mT / math.sqrt(pairs.shape[-1])
        low = torch.finfo(scores.dtype).min
        weights = scores.masked_fill(~there[:, None], low).softmax(-1)
        seen = weights @ self.value(pairs)
        count = there.sum(-1, keepdim=True)
        mean_seen = (seen * there[..., None]).sum(1) / count.clamp(min=1)
        found = torch.where(count > 0, self.posterior(mean_seen), 0.0)
        mean, log_variance = found.chunk(2, -1)
        return mean, log_variance

"""Heads with layers of their own: PAL, points in a learnt space; VPL, latent vectors of users."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from preflamp_backend.models.heads.head import UserTableHead


class _PalHead(UserTableHead):
    """What both variants share: f, the scale s, and features centred and scaled.

    Parameters
    ----------
    users : sequence of str
    width, prototypes, dimension : int
    penalty : float
        For new users.
    """

    shape: ClassVar[tuple[str, ...]] = ("width", "prototypes", "dimension", "penalty")
    centre: Tensor
    scale: Tensor

    def __init__(
        self, users: Sequence[str], width: int, prototypes: int, dimension: int, penalty: float
    ) -> None:
        super().__init__(users, width, prototypes)
        self.prototypes = prototypes
        self.dimension = dimension
        self.penalty = penalty
        self.f = _perceptron(width, dimension)
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def mapped(self, hidden: Tensor) -> Tensor:
        """Return f(e), (…, dimension)."""
        found: Tensor = self.f((hidden - self.centre) / self.scale)
        return found


class PalAHead(_PalHead):
    """Ideal points: −s·‖f(e) − softmax(w_u)P‖.

    Attributes
    ----------
    points : Parameter, (prototypes, dimension)
        P.
    """

    kind: ClassVar[str] = "pal-a"

    def __init__(self, users: Sequence[str], **shape: Any) -> None:
        super().__init__(users, **shape)
        self.points = nn.Parameter(torch.zeros(self.prototypes, self.dimension))

    def shared(self, hidden: Tensor, prompt: Tensor) -> tuple[Tensor, ...]:
        """Return f(e)."""
        return (self.mapped(hidden),)

    def personal(self, shared: tuple[Tensor, ...], user: Tensor) -> Tensor:
        """Return the negative distance to the user's ideal point."""
        ideal = user.softmax(-1) @ self.points
        squared = (shared[0] - ideal[:, None]).square().sum(-1)
        # The root has no slope at 0.
        return -self.log_scale.exp() * (squared + 1e-12).sqrt()


class PalBHead(_PalHead):
    """Ideal directions that depend on the prompt: s·cos(f(e), Σ_k softmax(w_u)_k g_k(x)).

    Attributes
    ----------
    g : ModuleList of prototypes
    """

    kind: ClassVar[str] = "pal-b"
    reads_prompt: ClassVar[bool] = True
    prompt_centre: Tensor
    prompt_scale: Tensor

    def __init__(self, users: Sequence[str], **shape: Any) -> None:
        super().__init__(users, **shape)
        each = range(self.prototypes)
        self.g = nn.ModuleList(_perceptron(self.width, self.dimension) for _ in each)
        self.register_buffer("prompt_centre", torch.zeros(self.width))
        self.register_buffer("prompt_scale", torch.ones(self.width))

    def shared(self, hidden: Tensor, prompt: Tensor) -> tuple[Tensor, ...]:
        """Return f(e), and g_k(x) for every k, (rows, prototypes, dimension)."""
        scaled = (prompt - self.prompt_centre) / self.prompt_scale
        return self.mapped(hidden), torch.stack([g(scaled) for g in self.g], 1)

    def personal(self, shared: tuple[Tensor, ...], user: Tensor) -> Tensor:
        """Return the scaled cosine with the user's ideal direction for the prompt."""
        mapped, directions = shared
        ideal = (user.softmax(-1)[:, None] @ directions)[:, 0]
        cosine = torch.cosine_similarity(mapped, ideal[:, None], dim=-1)
        return self.log_scale.exp() * cosine


def _perceptron(width: int, dimension: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, dimension), nn.GELU(), nn.Linear(dimension, dimension))


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

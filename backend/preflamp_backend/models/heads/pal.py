"""PAL's heads: users as ideal points or directions in a learnt space."""

from __future__ import annotations

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

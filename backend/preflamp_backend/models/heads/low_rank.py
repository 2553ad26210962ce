"""Heads whose users weigh a few rewards that all share: LoRe and PReF."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from preflamp_backend.models.heads.head import Config
from preflamp_backend.models.heads.user_table import UserTableHead

__all__ = ["LoreHead", "PrefHead"]


class LoreHead(UserTableHead):
    """Rewards V, mixed by softmax(w_u).

    Parameters
    ----------
    users : sequence of str
    width, rank : int
    penalty : float
        For new users.

    Attributes
    ----------
    basis : Parameter, (width, rank)
    user : Parameter, (users, rank)
        w_u.
    """

    kind: ClassVar[str] = "lore"

    def __init__(self, users: Sequence[str], width: int, rank: int, penalty: float) -> None:
        super().__init__(users, width, rank)
        self.rank = rank
        self.penalty = penalty
        self.basis = nn.Parameter(torch.zeros(width, rank))

    def shared(self, hidden: Tensor, prompt: Tensor) -> tuple[Tensor, ...]:
        """Return eᵀV, (rows, n, rank)."""
        return (hidden @ self.basis,)

    def personal(self, shared: tuple[Tensor, ...], user: Tensor) -> Tensor:
        """Mix the rewards by softmax(w_u)."""
        return (shared[0] @ user.softmax(-1)[..., None])[..., 0]

    def as_linear(self, user: Tensor) -> tuple[Tensor, Tensor]:
        """Weight V softmax(w_u), no bias."""
        return user.softmax(-1) @ self.basis.T, user.new_zeros(len(user))

    def config(self) -> Config:
        """Width, rank and penalty."""
        return {"width": self.width, "rank": self.rank, "penalty": self.penalty}


class PrefHead(UserTableHead):
    """Rewards Φe, weighed by u_u.

    Parameters
    ----------
    users : sequence of str
    width, rank : int
    penalty : float
        For new users.

    Attributes
    ----------
    basis : Parameter, (width, rank)
        Φ transposed.
    user : Parameter, (users, rank)
        u_u.
    """

    kind: ClassVar[str] = "pref"

    def __init__(self, users: Sequence[str], width: int, rank: int, penalty: float) -> None:
        super().__init__(users, width, rank)
        self.rank = rank
        self.penalty = penalty
        self.basis = nn.Parameter(torch.zeros(width, rank))

    def shared(self, hidden: Tensor, prompt: Tensor) -> tuple[Tensor, ...]:
        """Return φ = Φe, (rows, n, rank)."""
        return (hidden @ self.basis,)

    def personal(self, shared: tuple[Tensor, ...], user: Tensor) -> Tensor:
        """Return u_uᵀφ."""
        return (shared[0] @ user[..., None])[..., 0]

    def as_linear(self, user: Tensor) -> tuple[Tensor, Tensor]:
        """Weight Φᵀu_u, no bias."""
        return user @ self.basis.T, user.new_zeros(len(user))

    def config(self) -> Config:
        """Width, rank and penalty."""
        return {"width": self.width, "rank": self.rank, "penalty": self.penalty}

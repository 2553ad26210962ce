"""Linear rewards: r_u(x, y) = w_uᵀ e + b_u, e the hidden state at the end of (x, y).

The form of Bradley–Terry reward models, and what LoRe and PReF are for a given user.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from preflamp_backend.models.heads.head import EVERY_USER, Config, RewardHead
from preflamp_stats.errors import InputError, Problem

__all__ = ["LinearHead"]


class LinearHead(RewardHead):
    """A weight and a bias for each user.

    Parameters
    ----------
    users : sequence of str
    width : int

    Attributes
    ----------
    weight : Parameter, (users, width)
    bias : Parameter, (users,)

    Examples
    --------
    >>> head = LinearHead.of(torch.tensor([[1.0, 2.0]]), torch.tensor([0.5]))
    >>> user = head.for_users(head.rows_of(["anybody"]))
    >>> head(torch.ones(1, 1, 2), user, torch.zeros(1, 2))
    tensor([[3.5000]], grad_fn=<...>)
    """

    kind: ClassVar[str] = "linear"

    def __init__(self, users: Sequence[str], width: int) -> None:
        super().__init__(users, width)
        self.weight = nn.Parameter(torch.zeros(len(users), width))
        self.bias = nn.Parameter(torch.zeros(len(users)))

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor, users: Sequence[str] = (EVERY_USER,)) -> LinearHead:
        """Make a head of given numbers.

        Parameters
        ----------
        weight : Tensor, (users, width)
        bias : Tensor, (users,)
        users : sequence of str

        Raises
        ------
        InputError
            If the shapes do not fit one another.
        """
        if weight.ndim != 2 or not len(users) == len(weight) == bias.numel():
            raise InputError(
                Problem(
                    f"has weight {tuple(weight.shape)}, bias {tuple(bias.shape)}, "
                    f"{len(users)} users",
                    "give weight (users, width), bias (users,) and a name for each user",
                )
            )
        head = cls(users, weight.shape[1])
        with torch.no_grad():
            head.weight.copy_(weight)
            head.bias.copy_(bias)
        return head

    def for_users(self, rows: Tensor) -> Tensor:
        """Weight, and the bias behind it: (n,) to (n, width + 1)."""
        return torch.cat([self.weight[rows], self.bias[rows, None]], -1)

    def forward(self, hidden: Tensor, user: Tensor, prompt: Tensor) -> Tensor:
        """Return w_uᵀ e + b_u."""
        weight, bias = self.as_linear(user)
        return (hidden @ weight[..., None])[..., 0] + bias[:, None]

    def as_linear(self, user: Tensor) -> tuple[Tensor, Tensor]:
        """Split the user's parameters into weight and bias."""
        return user[:, :-1], user[:, -1]

    def config(self) -> Config:
        """Width alone."""
        return {"width": self.width}

"""Linear rewards: r_u(x, y) = w_uᵀ e + b_u, e the hidden state at the end of (x, y).

The form of Bradley–Terry reward models; LoRe and PReF, whose weights are mixed from a few that all
users share, are linear for a given user.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from preflamp_backend.faults import fault
from preflamp_backend.models.heads.head import EVERY_USER, RewardHead, UserTableHead


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
            raise fault(
                f"has weight {tuple(weight.shape)}, bias {tuple(bias.shape)}, {len(users)} users",
                "give weight (users, width), bias (users,) and a name for each user",
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


class _LowRankHead(UserTableHead):
    """A few rewards eᵀV that all users share, each weighed by the user's own numbers.

    Parameters
    ----------
    users : sequence of str
    width, rank : int
    penalty : float
        For new users.

    Attributes
    ----------
    basis : Parameter, (width, rank)
        V.
    user : Parameter, (users, rank)
    """

    shape: ClassVar[tuple[str, ...]] = ("width", "rank", "penalty")

    def __init__(self, users: Sequence[str], width: int, rank: int, penalty: float) -> None:
        super().__init__(users, width, rank)
        self.rank = rank
        self.penalty = penalty
        self.basis = nn.Parameter(torch.zeros(width, rank))

    @abstractmethod
    def weights(self, user: Tensor) -> Tensor:
        """Weights of the shared rewards, of the users' numbers: (rows, rank) both."""

    def shared(self, hidden: Tensor, prompt: Tensor) -> tuple[Tensor, ...]:
        """Return eᵀV, (rows, n, rank)."""
        return (hidden @ self.basis,)

    def personal(self, shared: tuple[Tensor, ...], user: Tensor) -> Tensor:
        """Weigh the shared rewards."""
        return (shared[0] @ self.weights(user)[..., None])[..., 0]

    def as_linear(self, user: Tensor) -> tuple[Tensor, Tensor]:
        """V times the weights, no bias."""
        return self.weights(user) @ self.basis.T, user.new_zeros(len(user))


class LoreHead(_LowRankHead):
    """LoRe: the shared rewards, mixed by softmax(w_u)."""

    kind: ClassVar[str] = "lore"

    def weights(self, user: Tensor) -> Tensor:
        """Return softmax(w_u)."""
        return user.softmax(-1)


class PrefHead(_LowRankHead):
    """PReF: the shared rewards Φe, weighed by u_u; the basis is Φ transposed."""

    kind: ClassVar[str] = "pref"

    def weights(self, user: Tensor) -> Tensor:
        """Return u_u as it is."""
        return user

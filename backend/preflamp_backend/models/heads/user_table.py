"""Reward heads that know each user by a row of numbers.

Their reward has two parts: what does not depend on the user, which is by far the larger work, and
what a row makes of it. A new row is fitted by going through the second part alone.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from preflamp_backend.models.heads.head import RewardHead

__all__ = ["UserTableHead"]

Head = TypeVar("Head", bound="UserTableHead")


class UserTableHead(RewardHead):
    """A head whose users differ in a row of a table and in nothing else.

    Parameters
    ----------
    users : sequence of str
    width : int
    parameters : int
        Numbers a user.

    Attributes
    ----------
    user : Parameter, (users, parameters)
    """

    def __init__(self, users: Sequence[str], width: int, parameters: int) -> None:
        super().__init__(users, width)
        self.user = nn.Parameter(torch.zeros(len(users), parameters))

    def for_users(self, rows: Tensor) -> Tensor:
        """Rows of the table: (n,) to (n, parameters)."""
        return self.user[rows]

    @abstractmethod
    def shared(self, hidden: Tensor, prompt: Tensor) -> tuple[Tensor, ...]:
        """What is the same for all users.

        Parameters
        ----------
        hidden : Tensor, (rows, n, width)
        prompt : Tensor, (rows, width)

        Returns
        -------
        tuple of Tensor, (rows, …)
        """

    @abstractmethod
    def personal(self, shared: tuple[Tensor, ...], user: Tensor) -> Tensor:
        """Rewards, (rows, n), of what is shared and the users' parameters, (rows, p)."""

    def forward(self, hidden: Tensor, user: Tensor, prompt: Tensor) -> Tensor:
        """Rewards of hidden states, (rows, n)."""
        return self.personal(self.shared(hidden, prompt), user)

    def with_rows(self: Head, rows: Mapping[str, Tensor]) -> Head:
        """Return the head with rows for more users, or other rows for some that it knows.

        Parameters
        ----------
        rows : mapping of str to Tensor, (parameters,)

        Returns
        -------
        UserTableHead
            Of the same class; this one stays as it is.
        """
        table = {user: self.user.detach()[row] for row, user in enumerate(self.users)}
        table |= {user: row.detach() for user, row in rows.items()}
        config: dict[str, Any] = self.config()
        head = type(self)(users=tuple(table), **config)
        head.load_state_dict({**self.state_dict(), "user": torch.stack(list(table.values()))})
        return head.eval().requires_grad_(False)

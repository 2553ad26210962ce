"""Reward heads that know each user by a row of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from preflamp_backend.rewards.head import RewardHead

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
        head = type(self)(users=tuple(table), **self.config())
        head.load_state_dict({**self.state_dict(), "user": torch.stack(list(table.values()))})
        return head.eval().requires_grad_(False)

"""Reward heads as they stand for the users of one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from preflamp_backend.rewards.head import RewardHead
from preflamp_stats.errors import InputError, Problem

__all__ = ["BatchRewards"]


class BatchRewards:
    """Heads of a batch's users, applied to hidden states of its rows.

    Heads that are linear given the user are stacked: any number of them is one multiplication.

    Parameters
    ----------
    heads : mapping of str to RewardHead
        By method.
    users : sequence of str
        One a row.
    prompt : Tensor, (rows, width)
        Hidden state of each row's last prompt token.

    Raises
    ------
    InputError
        For a user whom a method does not know and has no general row for.
    """

    def __init__(
        self, heads: Mapping[str, RewardHead], users: Sequence[str], prompt: Tensor
    ) -> None:
        self.methods = tuple(heads)
        self._prompt = prompt.float()
        self._linear: list[int] = []
        self._others: list[tuple[int, RewardHead, Tensor]] = []
        weights, biases = [], []
        for column, (method, head) in enumerate(heads.items()):
            user = head.for_users(_rows(method, head, users))
            linear = head.as_linear(user)
            if linear is None:
                self._others.append((column, head, user))
                continue
            self._linear.append(column)
            weights.append(linear[0])
            biases.append(linear[1])
        if weights:
            self._weight = torch.stack(weights, -1)
            self._bias = torch.stack(biases, -1)[:, None]

    def __call__(self, hidden: Tensor) -> Tensor:
        """Rewards in float32: (rows, n, width) to (rows, n, methods)."""
        hidden = hidden.float()
        if not self._others:
            return torch.baddbmm(self._bias, hidden, self._weight)
        found = hidden.new_empty(*hidden.shape[:2], len(self.methods))
        if self._linear:
            found[..., self._linear] = torch.baddbmm(self._bias, hidden, self._weight)
        for column, head, user in self._others:
            found[..., column] = head(hidden, user, self._prompt)
        return found

    def select(self, rows: Tensor) -> None:
        """Go on with these rows only; ``rows`` (kept,), int64."""
        self._prompt = self._prompt[rows]
        self._others = [(column, head, user[rows]) for column, head, user in self._others]
        if self._linear:
            self._weight, self._bias = self._weight[rows], self._bias[rows]


def _rows(method: str, head: RewardHead, users: Sequence[str]) -> Tensor:
    """Rows of a head's users; whose it is stands in what is wrong with it."""
    try:
        return head.rows_of(users)
    except InputError as error:
        raise InputError(
            [
                Problem(f"the reward model {method!r} {each.what}", each.mend, variable="user")
                for each in error.problems
                if isinstance(each, Problem)
            ]
        ) from error

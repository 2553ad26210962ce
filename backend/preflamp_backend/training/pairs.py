"""Preference pairs as a frozen backbone sees them: what feature-based reward models learn from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from preflamp_backend.faults import fault


@dataclass(frozen=True, eq=False)
class PairFeatures:
    """Pairs of responses, of which a user chose one, as hidden states.

    Attributes
    ----------
    users : tuple of str
        Who chose, a name a pair.
    chosen, rejected : Tensor, (pairs, width), float32
        Hidden state of each response's last token.
    prompt : Tensor, (pairs, width), float32
        Hidden state of the prompt's last token.

    Raises
    ------
    InputError
        If the shapes do not fit one another, or a number is not finite.
    """

    users: tuple[str, ...]
    chosen: Tensor
    rejected: Tensor
    prompt: Tensor

    def __post_init__(self) -> None:
        shapes = {each.shape for each in (self.chosen, self.rejected, self.prompt)}
        if len(shapes) > 1 or self.chosen.ndim != 2 or len(self.users) != len(self.chosen):
            given = ", ".join(str(tuple(shape)) for shape in sorted(shapes))
            raise fault(
                f"has features of shape {given} for {len(self.users)} users",
                "give chosen, rejected and prompt as (pairs, width), and a user for each pair",
            )
        for name in ("chosen", "rejected", "prompt"):
            bad = ~torch.isfinite(getattr(self, name)).all(-1)
            if bad.any():
                raise fault(
                    f"is not finite in {int(bad.sum())} of {len(bad)} pairs, first in pair "
                    f"{int(bad.nonzero()[0, 0])}",
                    "check the base model's weights, and prefer bfloat16 to float16",
                    variable=name,
                )

    def __len__(self) -> int:
        return len(self.users)

    @property
    def width(self) -> int:
        """Width of the hidden states."""
        return self.chosen.shape[-1]

    @property
    def both(self) -> Tensor:
        """Chosen and rejected side by side, (pairs, 2, width)."""
        return torch.stack([self.chosen, self.rejected], 1)

    @property
    def names(self) -> tuple[str, ...]:
        """Users, each once, in alphabetical order, so that the order of pairs names no row."""
        return tuple(sorted(set(self.users)))

    def select(self, rows: Tensor | Sequence[int]) -> PairFeatures:
        """Take some of the pairs; ``rows`` (n,), int64."""
        index = torch.as_tensor(rows, dtype=torch.int64)
        users = tuple(self.users[row] for row in index.tolist())
        return PairFeatures(users, self.chosen[index], self.rejected[index], self.prompt[index])

    def by_user(self) -> dict[str, Tensor]:
        """Pairs of each user, as rows in ascending order."""
        rows: dict[str, list[int]] = {name: [] for name in self.names}
        for row, user in enumerate(self.users):
            rows[user].append(row)
        return {user: torch.tensor(each) for user, each in rows.items()}

    def of(self, user: str) -> PairFeatures:
        """Pairs of one user, perhaps none."""
        return self.select([row for row, name in enumerate(self.users) if name == user])

    def swapped(self) -> PairFeatures:
        """Pairs with chosen and rejected exchanged."""
        return PairFeatures(self.users, self.rejected, self.chosen, self.prompt)


def split_off(users: Sequence[str], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Split a share of each user's rows off, at random; users with few rows keep all.

    Parameters
    ----------
    users : sequence of str
        One a row.
    share : float
        Between 0 and 1, of each user's rows, rounded down.
    seed : int

    Returns
    -------
    kept, held_out : list of int
        Rows in ascending order.

    Raises
    ------
    InputError
        If no user has rows enough for one to be split off.

    Examples
    --------
    >>> kept, held_out = split_off(["a"] * 12 + ["b"] * 8, 0.25, seed=0)
    >>> len(kept), len(held_out)
    (15, 5)
    """
    by_user: dict[str, list[int]] = {user: [] for user in sorted(set(users))}
    for row, user in enumerate(users):
        by_user[user].append(row)
    generator = torch.Generator().manual_seed(seed)
    away: set[int] = set()
    for rows in by_user.values():
        order = torch.randperm(len(rows), generator=generator).tolist()
        away |= {rows[i] for i in order[: int(share * len(rows))]}
    if not away:
        raise fault(
            f"no user has the {math.ceil(1 / share)} pairs of which one could be held out",
            "name a file of held-out pairs",
            variable="held_out",
        )
    return [row for row in range(len(users)) if row not in away], sorted(away)

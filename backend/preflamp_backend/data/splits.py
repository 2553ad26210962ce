"""Train, validation and test by user and by text, so that nothing tested was seen in training."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from preflamp_backend.faults import fault
from preflamp_backend.options import Check, Options, at_least, option

Mode = Literal["later", "unseen"]

SIDES = ("train", "adapt", "validation", "test")
"""Sides of a split in the order in which nothing may leak."""


@dataclass(frozen=True)
class SplitOptions(Options):
    """How users and their items are divided.

    Parameters
    ----------
    mode : {"later", "unseen"}
        ``later`` tests on the last items of users whose earlier ones are trained on. ``unseen``
        tests on the last items of users who are not trained on; their earlier ones are for
        adaptation.
    validation, test : float
        Shares of the users with enough items. Where they add up to 1 in mode ``later``, every such
        user is tested on or validated on.
    held_out : int
        Items of each validation and test user that are held out; fewer where ``distinct`` leaves
        them to another user.
    min_items : int
        Items that a user needs besides, to be validated or tested on.
    distinct : bool
        A held-out text serves one user only, so that users stay independent of one another.
    seed : int
        Of the draw of users.
    """

    mode: Mode = "later"
    validation: float = option(0.2, lambda share: 0 <= share < 1, "take a share from 0 to below 1")
    test: float = option(0.5, lambda share: 0 < share <= 1, "take a share above 0, at most 1")
    held_out: int = at_least(1, 1)
    min_items: int = at_least(1, 1)
    distinct: bool = True
    seed: int = at_least(0, 0)

    def checks(self) -> tuple[Check, ...]:
        """Both shares are of the same users."""
        most = 1.0 if self.mode == "later" else 0.95
        good = self.validation + self.test <= most + 1e-9
        return (("test", good, f"keep the sum to {most:g}"),)


@dataclass(frozen=True)
class Split:
    """Positions of the items on each side.

    Attributes
    ----------
    train, validation, test : list of int
    adapt : list of int
        Earlier items of validation and test users in mode ``unseen``.
    dropped : list of int
        Items that share a text with a held-out one, or stand between.
    """

    train: list[int] = field(default_factory=list)
    adapt: list[int] = field(default_factory=list)
    validation: list[int] = field(default_factory=list)
    test: list[int] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)

    def sides(self) -> dict[str, list[int]]:
        """Return the sides that hold anything, by name."""
        return {name: getattr(self, name) for name in SIDES if getattr(self, name)}


def split(
    users: Sequence[str], keys: Sequence[frozenset[str]], options: SplitOptions | None = None
) -> Split:
    """Split items so that no key of a held-out item is in training under any user.

    Items that share a key, directly or through others, form a component. A component with a test
    item leaves training, adaptation and validation; one with a validation item leaves training and
    adaptation; one with an adaptation item leaves training.

    Parameters
    ----------
    users : sequence of str
        User of each item; a user's items stand in order of time.
    keys : sequence of frozenset of str
        What each item must not share across sides: its texts, its dialogue.
    options : SplitOptions, optional

    Returns
    -------
    Split

    Raises
    ------
    InputError
        If no user has enough items, or a side comes out empty because texts link all items.

    Examples
    --------
    >>> users = ["a", "a", "a", "b", "b", "b"]
    >>> keys = [frozenset({key}) for key in ("p1", "p2", "p3", "p3", "p4", "p5")]
    >>> split(users, keys, SplitOptions(validation=0, test=1))
    Split(train=[0, 1, 4], adapt=[], validation=[], test=[2, 5], dropped=[3])
    """
    options = options or SplitOptions()
    items: dict[str, list[int]] = {}
    for at, user in enumerate(users):
        items.setdefault(user, []).append(at)
    needed = options.held_out + options.min_items
    eligible = sorted(user for user, mine in items.items() if len(mine) >= needed)
    role = _roles(eligible, options)
    component = components(keys)
    side: dict[int, str] = {}
    claimed: dict[int, str] = {}
    for user in sorted(role, key=lambda user: role[user] != "test"):
        if role[user] == "train":
            continue
        last = items[user][-options.held_out :]
        if options.distinct:
            last = [at for at in last if claimed.get(component[at], user) == user]
        if not last:
            role[user] = "train" if options.mode == "later" else "out"
            continue
        side |= dict.fromkeys(last, role[user])
        claimed |= {component[at]: user for at in last}
    for user, mine in items.items():
        seen = role.get(user, "train")
        rest = "train" if options.mode == "later" or seen == "train" else "adapt"
        for at in mine:
            side.setdefault(at, "dropped" if seen == "out" else rest)
    rank = {name: at for at, name in enumerate(("dropped", *SIDES), -1)}
    highest: dict[int, int] = {}
    for at in range(len(users)):
        highest[component[at]] = max(highest.get(component[at], -1), rank[side[at]])
    sides: dict[str, list[int]] = {name: [] for name in rank}
    for at in range(len(users)):
        kept = rank[side[at]] == highest[component[at]]
        sides[side[at] if kept else "dropped"].append(at)
    found = Split(**sides)
    _check(found, options, len(eligible), needed)
    return found


def components(keys: Sequence[frozenset[str]]) -> list[int]:
    """Number the connected components of items that share keys (union-find).

    Examples
    --------
    >>> components([frozenset("ab"), frozenset("c"), frozenset("bd")])
    [0, 1, 0]
    """
    parent = list(range(len(keys)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    owner: dict[Hashable, int] = {}
    for at, own in enumerate(keys):
        for key in own:
            first, second = sorted((root(owner.setdefault(key, at)), root(at)))
            parent[second] = first
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(at), len(numbers)) for at in range(len(keys))]


def _roles(eligible: Sequence[str], options: SplitOptions) -> dict[str, str]:
    """Say what each eligible user is for, in the order of the draw."""
    order = np.random.default_rng(options.seed).permutation(len(eligible)).tolist()
    n_test = max(1, round(options.test * len(eligible))) if eligible else 0
    n_validation = min(round(options.validation * len(eligible)), len(eligible) - n_test)
    names = ["test"] * n_test + ["validation"] * n_validation
    names += ["train"] * (len(eligible) - len(names))
    return {eligible[at]: name for at, name in zip(order, names, strict=True)}


def _check(found: Split, options: SplitOptions, eligible: int, needed: int) -> None:
    if not eligible:
        raise fault(
            f"no user has {needed} items",
            f"give users with more ({options.held_out} held out and {options.min_items} before "
            "them), or lower held_out or min_items",
            variable="user",
        )
    if not found.train or not found.test:
        empty = "training" if not found.train else "test"
        raise fault(
            f"nothing is left for {empty}: shared texts link {eligible} users",
            "hold out fewer users, or take data whose users share fewer texts",
            variable="test",
        )

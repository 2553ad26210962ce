"""What a reward head is: hidden states of a frozen backbone in, a reward for each user out.

Training and inference call the same class, so what was trained is what guides. A head is stored
as a safetensors file: its tensors, and in the metadata, as JSON, its ``kind``, its ``config`` and
the names of its ``users``. The kind is looked up among the classes of this package; no name in
a file leads to code.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from preflamp_backend.faults import fault, naming
from preflamp_backend.files.tensors import read_tensors, write_tensors

EVERY_USER = ""
"""Name of the row that serves users without a row of their own."""

HEADS: dict[str, type[RewardHead]] = {}
"""Class of each kind; a subclass of :class:`RewardHead` with a ``kind`` enters itself."""

Config = dict[str, int | float | str]


class RewardHead(nn.Module, ABC):
    """A reward r_u(x, y) read from hidden states of a frozen backbone.

    Parameters
    ----------
    users : sequence of str
        Names of its rows, distinct. ``""`` is the row of everybody who has none.
    width : int
        Width of the hidden states.

    Attributes
    ----------
    kind : str
        Names the class in a file.
    shape : tuple of str
        Attributes that :meth:`config` writes.
    reads_prompt : bool
        Whether :meth:`forward` looks at ``prompt``.
    """

    kind: ClassVar[str] = ""
    shape: ClassVar[tuple[str, ...]] = ("width",)
    reads_prompt: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.kind:
            HEADS[cls.kind] = cls

    def __init__(self, users: Sequence[str], width: int) -> None:
        super().__init__()
        if not users or len(set(users)) < len(users):
            raise fault("are none, or named twice", "name each user once", variable="users")
        if width < 1:
            raise fault(f"is {width}", "take at least 1", variable="width")
        self.users = tuple(users)
        self.width = width
        self._row_of = {user: row for row, user in enumerate(users)}

    @abstractmethod
    def for_users(self, rows: Tensor) -> Tensor:
        """Parameters of users.

        Parameters
        ----------
        rows : Tensor, (n,), int64
            As :meth:`rows_of` gives them.

        Returns
        -------
        Tensor, (n, p), float32
        """

    @abstractmethod
    def forward(self, hidden: Tensor, user: Tensor, prompt: Tensor) -> Tensor:
        """Rewards of hidden states.

        Parameters
        ----------
        hidden : Tensor, (rows, n, width), float32
            Of the token at which each reward is read.
        user : Tensor, (rows, p), float32
        prompt : Tensor, (rows, width), float32
            Hidden state of the prompt's last token.

        Returns
        -------
        Tensor, (rows, n), float32
        """

    def as_linear(self, user: Tensor) -> tuple[Tensor, Tensor] | None:
        """Weight and bias, where the reward is linear in ``hidden`` given the user.

        Parameters
        ----------
        user : Tensor, (rows, p), float32

        Returns
        -------
        (Tensor, (rows, width); Tensor, (rows,)) or None
        """
        return None

    def config(self) -> Config:
        """Keyword arguments beside ``users`` that build a head of the same shape again."""
        return {name: getattr(self, name) for name in self.shape}

    def rows_of(self, users: Sequence[str]) -> Tensor:
        """Row of each user; the row ``""`` for those who have none.

        Parameters
        ----------
        users : sequence of str

        Returns
        -------
        Tensor, (users,), int64

        Raises
        ------
        InputError
            For a user without a row where there is none for everybody.
        """
        fallback = self._row_of.get(EVERY_USER)
        found = [self._row_of.get(user, fallback) for user in users]
        if None in found:
            raise fault(
                f"has no row for user {users[found.index(None)]!r}",
                "adapt it to this user, or give it a row for everybody (an empty user name)",
                variable="user",
            )
        device = next((each.device for each in chain(self.parameters(), self.buffers())), None)
        return torch.tensor(found, dtype=torch.int64, device=device)


def save_head(path: str | Path, head: RewardHead, about: Mapping[str, Any] | None = None) -> None:
    """Write a head as a safetensors file.

    Parameters
    ----------
    path : path
    head : RewardHead
        Of a kind that :data:`HEADS` knows.
    about : mapping of str to JSON value, optional
        What else to record, such as the seed and the data it was trained on.

    Raises
    ------
    InputError
        If the file cannot be written there.
    """
    own = {"kind": head.kind, "config": head.config(), "users": list(head.users)}
    write_tensors(path, head.state_dict(), {**(about or {}), **own})


def load_head(path: str | Path) -> RewardHead:
    """Read a head, ready for use: in evaluation mode, its parameters frozen, on the CPU.

    A file with ``weight`` (users, width) and ``bias`` (users,) that names no kind is linear.

    Raises
    ------
    InputError
        For a file that is missing, of an unknown kind, whose tensors do not fit its
        configuration, or that holds numbers that are not finite.
    """
    tensors, about = read_tensors(path)
    kind = str(about.get("kind", "linear"))
    if kind not in HEADS:
        mend = f"take one of {', '.join(sorted(HEADS))}"
        raise fault(f"holds a reward head of the kind {kind!r}", mend, path)
    users = about.get("users", [EVERY_USER])
    config = about.get("config", {})
    if "kind" not in about and "weight" in tensors and tensors["weight"].ndim == 2:
        config = {"width": tensors["weight"].shape[1]}
    if not (isinstance(users, list) and all(isinstance(user, str) for user in users)):
        raise fault("does not list its users by name", "write users as a JSON list of texts", path)
    try:
        head = HEADS[kind](users=users, **config)
        head.load_state_dict({name: each.float() for name, each in tensors.items()})
    except (TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        mend = "train it again, or write it with save_head"
        what = f"is no whole reward head of the kind {kind!r} ({reason})"
        raise fault(what, mend, path) from error
    bad = [name for name, each in tensors.items() if not torch.isfinite(each).all()]
    if bad:
        mend = "train it again, with a lower learning rate"
        raise fault(f"holds numbers that are not finite in {', '.join(bad)}", mend, path)
    return head.eval().requires_grad_(False)


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

    def with_rows(self, rows: Mapping[str, Tensor]) -> Self:
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
    with naming(lambda each: replace(each, what=f"the reward model {method!r} {each.what}")):
        return head.rows_of(users)

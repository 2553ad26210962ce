"""The second road: every continuation a row of its own, read by the model's own cache and masks.

Models with recurrent states, linear attention or positional biases cannot read a tree. Theirs are
read as plain texts; what goes on from a prompt goes on from copies of its cache, one token a step,
as in the library's own ``generate``. Padding never stands inside what a model reads step by step:
prompts of one length are read together, and their caches are then stacked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PretrainedConfig

from preflamp_backend.models.model import Backbone, RowRoad
from preflamp_backend.models.trees import Ids

_TOKENS_AT_ONCE = 8192
"""Tokens of plain texts read in one call, padding included."""


def road_of(backbone: Backbone) -> RowRoad:
    """How rows are read; a model that reads trees is not asked."""
    assert backbone.rows is not None
    return backbone.rows


def read_texts(backbone: Backbone, texts: Sequence[Ids]) -> list[Tensor]:
    """Hidden states of whole texts.

    Parameters
    ----------
    backbone : Backbone
    texts : sequence of sequence of int
        Not empty.

    Returns
    -------
    list of Tensor, (length, width)
        In the order of the texts.
    """
    padded = road_of(backbone).padded
    order = sorted(range(len(texts)), key=lambda i: (-len(texts[i]), i))
    found: dict[int, Tensor] = {}
    at = 0
    while at < len(order):
        width = len(texts[order[at]])
        part = order[at : at + max(1, _TOKENS_AT_ONCE // width)]
        if not padded:
            part = [i for i in part if len(texts[i]) == width]
        ids = torch.zeros(len(part), width, dtype=torch.int64)
        for row, i in enumerate(part):
            # What stands behind a text is never seen by it.
            ids[row, : len(texts[i])] = torch.tensor(list(texts[i]))
        states, _ = backbone.plain(ids.to(backbone.device))
        found |= {i: states[row, : len(texts[i])] for row, i in enumerate(part)}
        at += len(part)
    return [found[i] for i in range(len(texts))]


def _merged(values: Sequence[Any], merge: Callable[[Sequence[Tensor]], Tensor]) -> Any:
    """Caches of one kind made into one, whatever they are built of; tensors by ``merge``."""
    first = values[0]
    if isinstance(first, Tensor):
        return merge(values)
    if isinstance(first, dict):
        made = copy(first)
        for key in first:
            made[key] = _merged([value[key] for value in values], merge)
        return made
    if isinstance(first, list | tuple):
        return type(first)(_merged(each, merge) for each in zip(*values, strict=True))
    if type(first) is int:
        # Of lengths that a cache counts: that of the longest, to which the others are padded.
        return max(values)
    library = type(first).__module__.startswith("transformers.")
    if library and hasattr(first, "__dict__") and not isinstance(first, PretrainedConfig):
        made = copy(first)
        for key in vars(first):
            made.__dict__[key] = _merged([vars(value)[key] for value in values], merge)
        return made
    return first


def _stack(parts: Sequence[Tensor]) -> Tensor:
    """Rows under one another; where they differ in length, the shorter begin with zeros."""
    shapes = {part.shape[1:] for part in parts}
    if len(shapes) > 1:
        differ = [i for i, sizes in enumerate(zip(*shapes, strict=True), 1) if len(set(sizes)) > 1]
        if len(differ) != 1:
            raise ValueError("caches of texts of different length cannot be stacked")
        [axis] = differ
        longest = max(part.shape[axis] for part in parts)
        padded = []
        for part in parts:
            blank = list(part.shape)
            blank[axis] = longest - part.shape[axis]
            padded.append(torch.cat([part.new_zeros(blank), part], axis))
        parts = padded
    return torch.cat(list(parts))


@dataclass
class _Part:
    """Rows that share a cache.

    Attributes
    ----------
    places : Tensor, (n,), int64
        Which of all rows they are.
    cache : object
        Of the library.
    blank : Tensor, (n,), int64
        Slots of padding before each.
    length : int
        Slots in use, padding included.
    """

    places: Tensor
    cache: Any
    blank: Tensor
    length: int

    def take(self, rows: Tensor, places: Tensor) -> _Part:
        """Copy some rows, (kept,), int64, which may repeat."""
        count = len(self.places)

        def gather(values: Sequence[Tensor]) -> Tensor:
            [value] = values
            whole = value.ndim > 0 and value.shape[0] == count
            return value.index_select(0, rows) if whole else value

        return _Part(places, _merged([self.cache], gather), self.blank[rows], self.length)

    def step(self, backbone: Backbone, tokens: Tensor) -> Tensor:
        """Read one more token a row, (n,); hidden states (n, width)."""
        mask = positions = None
        self.length += 1
        if bool(self.blank.any()):
            slots = torch.arange(self.length, device=tokens.device)
            mask = (slots >= self.blank[:, None]).long()
            positions = (self.length - 1 - self.blank)[:, None]
        states, self.cache = backbone.plain(
            tokens[:, None], cache=self.cache, mask=mask, positions=positions, keep=True
        )
        return states[:, 0]


def _joined(parts: Sequence[_Part]) -> _Part:
    """Parts of different length as one."""
    padded = False

    def stack(values: Sequence[Tensor]) -> Tensor:
        nonlocal padded
        padded |= len({value.shape[1:] for value in values}) > 1
        return _stack(values)

    cache = _merged([part.cache for part in parts], stack)
    longest = max(part.length for part in parts)
    blank = [part.blank + (longest - part.length) * padded for part in parts]
    # Recurrent states have no length, and nothing is padded: such a model asks for no mask.
    places = torch.cat([part.places for part in parts])
    return _Part(places, cache, torch.cat(blank), longest)


class RowSequences:
    """Prompts read, ready to go on, a row a sequence.

    The same face as :class:`preflamp_backend.models.model.TreeSequences`.

    Parameters
    ----------
    backbone : Backbone
    prompts : sequence of sequence of int
        Ids, a row each; their lengths may differ.

    Attributes
    ----------
    last : Tensor, (rows, width)
        Hidden state of each prompt's last token.
    """

    def __init__(self, backbone: Backbone, prompts: Sequence[Ids]) -> None:
        self.backbone, self._road = backbone, road_of(backbone)
        self._texts = [list(prompt) for prompt in prompts]
        self._parts: list[_Part] = []
        self._wide: list[_Part] = []
        self._chains = torch.empty(0)
        if not self._road.cached:
            self.last = torch.stack([each[-1] for each in read_texts(backbone, prompts)])
            return
        lengths = [len(prompt) for prompt in prompts]
        found: dict[int, Tensor] = {}
        for length in sorted(set(lengths)):
            rows = [row for row, each in enumerate(lengths) if each == length]
            ids = torch.tensor([self._texts[row] for row in rows], device=backbone.device)
            states, cache = backbone.plain(ids, keep=True)
            if cache is None:
                raise ValueError("gives no cache back")
            found |= dict(zip(rows, states[:, -1], strict=True))
            places = torch.tensor(rows, device=backbone.device)
            self._parts.append(_Part(places, cache, torch.zeros_like(places), length))
        self.last = torch.stack([found[row] for row in range(len(prompts))])
        if self._road.padded and len(self._parts) > 1:
            self._parts = [_joined(self._parts)]

    def branch(self, chains: Tensor) -> Tensor:
        """Hidden states of chains, (rows, chains, length), that each go on from the row's sequence.

        Returns
        -------
        Tensor, (rows, chains, length, width)
        """
        rows, count, length = chains.shape
        self._chains = chains
        hidden = self.last.new_empty(rows, count, length, self.last.shape[-1])
        if not self._road.cached:
            pairs = zip(self._texts, chains.tolist(), strict=True)
            texts = [[*text, *chain] for text, own in pairs for chain in own]
            states = [each[-length:] for each in read_texts(self.backbone, texts)]
            return torch.stack(states).view(hidden.shape)
        self._wide = []
        for part in self._parts:
            each = torch.arange(len(part.places), device=chains.device).repeat_interleave(count)
            wide = part.take(each, part.places[each])
            own = chains[part.places].flatten(0, 1)
            states = [wide.step(self.backbone, own[:, step]) for step in range(length)]
            hidden[part.places] = torch.stack(states, 1).unflatten(0, (-1, count))
            self._wide.append(wide)
        return hidden

    def go_on(self, written: Tensor) -> Tensor:
        """Hidden states, (rows, width), after one more token a row, (rows,), which stays."""
        if not self._road.cached:
            hidden = self.branch(written[:, None, None])[:, 0, 0]
            self.keep()
            return hidden
        hidden = torch.empty_like(self.last)
        for part in self._parts:
            hidden[part.places] = part.step(self.backbone, written[part.places])
        return hidden

    def keep(self, offset: Tensor | None = None) -> None:
        """Go on with the token that :meth:`branch` just read, or the ``offset``-th of them."""
        rows, count, length = self._chains.shape
        if offset is None:
            offset = torch.zeros(rows, dtype=torch.int64, device=self._chains.device)
        tokens = self._chains.flatten(1).gather(1, offset[:, None])[:, 0]
        if not self._road.cached:
            for text, token in zip(self._texts, tokens.tolist(), strict=True):
                text.append(token)
        elif length > 1:
            # The copies have read more than the token that stays.
            self.go_on(tokens)
        else:
            for i, (part, wide) in enumerate(zip(self._parts, self._wide, strict=True)):
                first = torch.arange(len(part.places), device=offset.device) * count
                self._parts[i] = wide.take(first + offset[part.places], part.places)
        self._wide = []

    def select(self, rows: Tensor) -> None:
        """Go on with these rows, (kept,), int64; a row may be named more than once."""
        self.last = self.last[rows]
        self._texts = [list(self._texts[row]) for row in rows.tolist()]
        parts = []
        for part in self._parts:
            places, within = (rows[:, None] == part.places).nonzero(as_tuple=True)
            if len(places):
                parts.append(part.take(within, places))
        self._parts = parts

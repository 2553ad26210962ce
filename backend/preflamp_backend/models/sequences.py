"""What models are asked for, by whichever road they go: trees of branches, and going on.

The fast road reads trees (:mod:`preflamp_backend.models.trees`), the second one rows
(:mod:`preflamp_backend.models.rows`). A trial at loading chooses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from preflamp_backend.models.model import Backbone
from preflamp_backend.models.rows import Ids, RowSequences, read_texts
from preflamp_backend.models.trees import Packed, SlotCache, hang, pack


def read_packed(
    backbone: Backbone,
    rows: Sequence[tuple[Ids, Sequence[Ids]]],
    packed: Packed,
    cache: SlotCache | None = None,
) -> Tensor:
    """Hidden states of prompts and their branches, in the slots in which they are packed.

    Parameters
    ----------
    backbone : Backbone
    rows : sequence of (prompt ids, sequence of branch ids)
    packed : Packed
        The same, packed.
    cache : SlotCache, optional
        Written; for trees only.

    Returns
    -------
    Tensor, (rows, slots, width)
        Anything in padding.
    """
    if backbone.rows is None:
        return backbone.hidden(packed.ids, packed.positions, packed.mask, cache)
    texts = [(*prompt, *ids) for prompt, branches in rows for ids in branches or ((),)]
    index = torch.zeros_like(packed.ids)
    at = 0
    for row, (prompt, branches) in enumerate(rows):
        stop = int(packed.last[row]) + 1
        index[row, stop - len(prompt) : stop] = torch.arange(at, at + len(prompt))
        for ids in branches or ((),):
            first = at + len(prompt)
            index[row, stop : stop + len(ids)] = torch.arange(first, first + len(ids))
            stop += len(ids)
            at = first + len(ids)
    return torch.cat(read_texts(backbone, texts))[index]


class TreeSequences:
    """Prompts read into a cache, ready to go on: a row a sequence.

    Parameters
    ----------
    backbone : Backbone
    prompts : sequence of sequence of int
        Ids, a row each; their lengths may differ.
    room : int
        Slots for what follows: the new tokens and the widest tree.

    Attributes
    ----------
    last : Tensor, (rows, width)
        Hidden state of each prompt's last token.
    """

    def __init__(self, backbone: Backbone, prompts: Sequence[Ids], *, room: int) -> None:
        packed = pack([(prompt, ()) for prompt in prompts], device=backbone.device)
        width = packed.ids.shape[1]
        self.backbone = backbone
        self.cache = SlotCache(width + room)
        hidden = backbone.hidden(packed.ids, packed.positions, packed.mask, self.cache)
        self.cache.advance(width)
        self.last = hidden[torch.arange(len(prompts), device=backbone.device), packed.last]
        # Padding stands between a short prompt and what it goes on with, and is never seen.
        slots = torch.arange(width + room, device=backbone.device)
        self._seen = (slots <= packed.last[:, None]) | (slots >= width)
        self._position = packed.last + 1

    def branch(self, chains: Tensor) -> Tensor:
        """Hidden states of chains that each go on from the row's sequence.

        Parameters
        ----------
        chains : Tensor, (rows, chains, length), int64

        Returns
        -------
        Tensor, (rows, chains, length, width)
        """
        rows, count, length = chains.shape
        seen = self._seen[:, None, : self.cache.used].expand(-1, count, -1)
        where = hang(chains, seen, self._position[:, None].expand(-1, count))
        hidden = self.backbone.hidden(chains.flatten(1), *where, self.cache)
        return hidden.view(rows, count, length, -1)

    def go_on(self, written: Tensor) -> Tensor:
        """Hidden states, (rows, width), after one more token a row, (rows,), which stays."""
        hidden = self.branch(written[:, None, None])[:, 0, 0]
        self.keep()
        return hidden

    def keep(self, offset: Tensor | None = None) -> None:
        """Go on with the token that :meth:`branch` just read, or the ``offset``-th of them."""
        if offset is None:
            self.cache.advance(1)
        else:
            self.cache.keep(offset)
        self._position = self._position + 1

    def select(self, rows: Tensor) -> None:
        """Go on with these rows, (kept,), int64; a row may be named more than once."""
        self.cache.select(rows)
        self.last = self.last[rows]
        self._seen = self._seen[rows]
        self._position = self._position[rows]


Sequences: TypeAlias = TreeSequences | RowSequences
"""Prompts that go on, by either road."""


def sequences(backbone: Backbone, prompts: Sequence[Ids], *, room: int) -> Sequences:
    """Read prompts, to go on from them by the model's road; as :class:`TreeSequences`."""
    if backbone.rows is None:
        return TreeSequences(backbone, prompts, room=room)
    return RowSequences(backbone, prompts)

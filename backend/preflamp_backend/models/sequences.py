"""What models are asked for, by whichever road they go: trees of branches, and going on.

The fast road reads trees (:mod:`preflamp_backend.models.trees`), the second one rows
(:mod:`preflamp_backend.models.rows`). A trial at loading chooses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from preflamp_backend.models.model import Backbone, TreeSequences
from preflamp_backend.models.rows import RowSequences, read_texts
from preflamp_backend.models.trees import Ids, Packed, SlotCache


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


Sequences: TypeAlias = TreeSequences | RowSequences
"""Prompts that go on, by either road."""


def sequences(backbone: Backbone, prompts: Sequence[Ids], *, room: int) -> Sequences:
    """Read prompts, to go on from them by the model's road; as :class:`TreeSequences`."""
    if backbone.rows is None:
        return TreeSequences(backbone, prompts, room=room)
    return RowSequences(backbone, prompts)

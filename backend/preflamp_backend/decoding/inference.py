"""A backbone with its cache while it writes: a row a sequence."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from preflamp_backend.models import Backbone
from preflamp_backend.trees import SlotCache, pack

__all__ = ["Inference"]


class Inference:
    """Prompts read into a cache, ready to go on.

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

    def __init__(self, backbone: Backbone, prompts: Sequence[Sequence[int]], *, room: int) -> None:
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
        count = chains.shape[1]
        seen = self._seen[:, None, : self.cache.used].expand(-1, count, -1)
        start = self._position[:, None].expand(-1, count)
        return self.backbone.branch(self.cache, chains, seen, start)

    def keep(self, offset: Tensor) -> None:
        """Go on with a token that :meth:`branch` just read, the ``offset``-th, (rows,)."""
        self.cache.keep(offset)
        self._position = self._position + 1

    def step(self, tokens: Tensor) -> Tensor:
        """Append a token to each row, (rows,), and return its hidden state, (rows, width)."""
        hidden = self.branch(tokens[:, None, None])[:, 0, 0]
        self.cache.advance(1)
        self._position = self._position + 1
        return hidden

    def select(self, rows: Tensor) -> None:
        """Go on with these rows, (kept,), int64; a row may be named more than once."""
        self.cache.select(rows)
        self.last = self.last[rows]
        self._seen = self._seen[rows]
        self._position = self._position[rows]

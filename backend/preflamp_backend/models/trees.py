"""Several continuations of one prompt as a tree in one sequence, and the cache that trees hang off.

A prompt and its candidates stand in one row, ``[prompt | y1 | y2 ...]``. A token sees the prompt
and its own branch up to itself, and its position counts along its own branch, so every hidden
state is the one that the branch alone would give while the prompt is computed once. The same holds
for *chains* hung off a cache: the k next tokens of guided decoding, the alternatives at each
position of a response, an end-of-turn suffix after every prefix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.cache_utils import Cache

Ids = Sequence[int]


@dataclass(frozen=True)
class Packed:
    """Rows of prompts with their branches, padded to one width.

    Attributes
    ----------
    ids, positions : Tensor, (rows, width), int64
        Token ids and their positions along their own branch; 0 in padding.
    mask : Tensor, (rows, width, width), bool
        What each token sees. A padding token sees itself alone, so that no softmax is empty.
    last : Tensor, (rows,), int64
        Slot of the last prompt token.
    row, branch, slot, predictor : Tensor, (tokens,), int64
        For every response token of every branch, in order: its row, its branch, its own slot, and
        the slot whose hidden state predicts it.
    """

    ids: Tensor
    positions: Tensor
    mask: Tensor
    last: Tensor
    row: Tensor
    branch: Tensor
    slot: Tensor
    predictor: Tensor

    @property
    def targets(self) -> Tensor:
        """Ids of the response tokens, (tokens,)."""
        return self.ids[self.row, self.slot]


def pack(
    rows: Sequence[tuple[Ids, Sequence[Ids]]],
    *,
    device: torch.device | str = "cpu",
    side: Literal["left", "right"] = "right",
) -> Packed:
    """Lay prompts and their branches out as trees.

    Parameters
    ----------
    rows : sequence of (prompt ids, sequence of branch ids)
        Prompts must not be empty; branches may be.
    device : torch.device or str
        Where the tensors go.
    side : {"right", "left"}
        Where padding stands. It changes no result.

    Returns
    -------
    Packed

    Examples
    --------
    >>> packed = pack([([5, 6], [[7, 8], [9]])])
    >>> packed.ids.tolist(), packed.positions.tolist()
    ([[5, 6, 7, 8, 9]], [[0, 1, 2, 3, 2]])
    >>> packed.predictor.tolist(), packed.mask[0, 4].int().tolist()
    ([1, 2, 1], [1, 1, 0, 0, 1])
    """
    width = max(len(prompt) + sum(map(len, branches)) for prompt, branches in rows)
    ids, positions, segments, last = [], [], [], []
    row_of, branch_of, slot_of, predictor_of = [], [], [], []
    for row, (prompt, branches) in enumerate(rows):
        line, place, segment = list(prompt), list(range(len(prompt))), [0] * len(prompt)
        blank = width - len(prompt) - sum(map(len, branches))
        start = blank if side == "left" else 0
        last.append(start + len(prompt) - 1)
        for branch, tokens in enumerate(branches):
            first = start + len(line)
            for offset in range(len(tokens)):
                row_of.append(row)
                branch_of.append(branch)
                slot_of.append(first + offset)
                predictor_of.append(first + offset - 1 if offset else last[-1])
            line += tokens
            place += range(len(prompt), len(prompt) + len(tokens))
            segment += [branch + 1] * len(tokens)
        front, back = ([0] * blank, []) if side == "left" else ([], [0] * blank)
        ids.append(front + line + back)
        positions.append(front + place + back)
        segments.append([-1] * len(front) + segment + [-1] * len(back))

    def tensor(values: list[Any]) -> Tensor:
        return torch.tensor(values, dtype=torch.int64, device=device)

    return Packed(
        *map(tensor, (ids, positions)),
        _segment_mask(tensor(segments)),
        *map(tensor, (last, row_of, branch_of, slot_of, predictor_of)),
    )


def _segment_mask(segments: Tensor) -> Tensor:
    """Mask (rows, width, width) from segments: -1 padding, 0 prompt, 1.. branches."""
    order = torch.arange(segments.shape[1], device=segments.device)
    query, key = segments[:, :, None], segments[:, None, :]
    seen = (key == 0) | (key == query)
    return ((order[:, None] >= order) & seen & (key >= 0)) | (order[:, None] == order)


def chain_mask(chains: int, length: int, device: torch.device | str = "cpu") -> Tensor:
    """Mask of side-by-side chains among themselves, (chains * length,) squared, bool.

    Examples
    --------
    >>> chain_mask(2, 2).int().tolist()
    [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]
    """
    within = torch.ones(length, length, dtype=torch.bool, device=device).tril()
    mask: Tensor = torch.block_diag(*[within] * chains)
    return mask.bool()


def hang(chains: Tensor, seen: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Positions and mask of chains of tokens hung off what a cache holds, side by side.

    Parameters
    ----------
    chains : Tensor, (rows, chains, length), int64
        Token ids.
    seen : Tensor, (rows, chains, cached), bool
        The cached slots that each chain continues.
    start : Tensor, (rows, chains), int64
        Position of each chain's first token.

    Returns
    -------
    positions : Tensor, (rows, chains * length), int64
    mask : Tensor, (rows, chains * length, cached + chains * length), bool
    """
    rows, count, length = chains.shape
    own = chain_mask(count, length, chains.device).expand(rows, -1, -1)
    each = seen.repeat_interleave(length, 1) if length > 1 else seen
    steps = torch.arange(length, device=chains.device)
    return (start[:, :, None] + steps).flatten(1), torch.cat([each, own], -1)


class SlotCache(Cache):
    """Keys and values in slots reserved once: writing a step copies nothing that came before.

    A forward writes from slot ``used`` on and leaves ``used`` where it was, so that what it wrote
    can be looked at and forgotten; :meth:`advance` and :meth:`keep` are what make tokens stay.

    Parameters
    ----------
    capacity : int
        Slots a row.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(layers=[])
        self.capacity = capacity
        self.used = 0
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        self.positions: Tensor | None = None

    def place(self, positions: Tensor) -> Tensor:
        """Note the positions, (rows, n), of tokens about to be written; those of all slots."""
        if self.positions is None:
            self.positions = positions.new_zeros(len(positions), self.capacity)
        stop = self.used + positions.shape[1]
        self.positions[:, self.used : stop] = positions
        return self.positions[:, :stop]

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write a layer's keys and values, (rows, heads, n, width), behind the used slots."""
        if layer_idx == len(self.keys):
            for store, states in ((self.keys, key_states), (self.values, value_states)):
                rows, heads, _, width = states.shape
                store.append(states.new_empty(rows, heads, self.capacity, width))
        stop = self.used + key_states.shape[2]
        keys, values = self.keys[layer_idx], self.values[layer_idx]
        keys[:, :, self.used : stop] = key_states
        values[:, :, self.used : stop] = value_states
        return keys[:, :, :stop], values[:, :, :stop]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Slots in use; transformers asks for it."""
        return self.used

    def advance(self, count: int) -> None:
        """Let the next ``count`` slots, just written, stay."""
        self.used += count

    def keep(self, offset: Tensor) -> None:
        """Let one of the tokens just written stay in each row.

        Parameters
        ----------
        offset : Tensor, (rows,), int64
            Which of them, counted from the used slots.
        """
        rows = torch.arange(len(offset), device=offset.device)
        for store in (*self.keys, *self.values):
            store[:, :, self.used] = store[rows, :, self.used + offset]
        if self.positions is not None:
            self.positions[:, self.used] = self.positions[rows, self.used + offset]
        self.used += 1

    def select(self, rows: Tensor) -> None:
        """Go on with some rows only; ``rows`` (kept,), int64."""
        self.keys = [keys[rows] for keys in self.keys]
        self.values = [values[rows] for values in self.values]
        self.positions = None if self.positions is None else self.positions[rows]


TREE_ATTENTION = "preflamp_tree"
"""Name under which models are told to use it."""


def _tree_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attend under an explicit mask.

    Parameters
    ----------
    module : nn.Module
        The calling layer; not used.
    query : Tensor, (rows, heads, n, width)
    key, value : Tensor, (rows, key heads, slots, width)
    attention_mask : Tensor, (rows, 1, n, slots), bool, optional
        What each query sees; None lets each see what is not after it.
    scaling : float, optional
        Factor of the scores.
    softcap : float, optional
        Scores s become softcap·tanh(s / softcap) (Gemma 2).
    s_aux : Tensor, (heads,), optional
        Score of a sink, which takes its share of the attention and gives nothing (gpt-oss).

    Returns
    -------
    Tensor, (rows, n, heads, width)
    None
        In place of attention weights, which are not kept.
    """
    rows, heads, count, width = query.shape
    groups = heads // key.shape[1]
    if softcap is not None or s_aux is not None:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        scores = query @ key.mT * (width**-0.5 if scaling is None else scaling)
        if softcap is not None:
            scores = softcap * (scores / softcap).tanh()
        if attention_mask is None:
            attention_mask = scores.new_ones(scores.shape[-2:]).bool()
            attention_mask = attention_mask.tril(key.shape[2] - count)
        scores = scores.float().masked_fill(~attention_mask, -torch.inf)
        if s_aux is not None:
            sink = s_aux.float().view(1, -1, 1, 1).expand(rows, -1, count, 1)
            scores = torch.cat([scores, sink], -1)
        shares = scores.softmax(-1)[..., : key.shape[2]].to(value.dtype)
        return (shares @ value).transpose(1, 2).contiguous(), None
    if groups > 1 and count < key.shape[2] and attention_mask is not None:
        query = query.reshape(rows, key.shape[1], groups * count, width)
        attention_mask = attention_mask.repeat(1, 1, groups, 1)
    elif groups > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    found = scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=attention_mask,
        scale=scaling,
        is_causal=attention_mask is None and count > 1,
    )
    return found.reshape(rows, heads, count, -1).transpose(1, 2).contiguous(), None


AttentionInterface.register(TREE_ATTENTION, _tree_attention)

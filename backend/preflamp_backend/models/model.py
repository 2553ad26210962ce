"""What a model is here: a backbone, from ids to hidden states, and what is read from them.

A language model's map gives logits; a reward head gives rewards. Heads that were trained on a base
model's own hidden states take that backbone as theirs, so any number of them costs one pass. An
autoregressive reward model is a language model whose log-probabilities are the reward.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from inspect import Parameter, signature
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from preflamp_backend.models.heads.head import BatchRewards, RewardHead
from preflamp_backend.models.heads.soft_tokens import SoftTokens
from preflamp_backend.models.trees import Ids, SlotCache, hang, pack

_CACHE_NAMES = ("cache", "past_key_values", "cache_params", "state")
"""Names under which architectures of the library take what they keep of earlier tokens."""


@dataclass(frozen=True)
class RowRoad:
    """How a model that reads no trees is read.

    Attributes
    ----------
    padded : bool
        Texts of unequal length stand in one batch.
    cached : bool
        What goes on from a prompt goes on from a copy of its cache; else it is read anew.
    """

    padded: bool
    cached: bool


@dataclass(frozen=True, eq=False)
class Backbone:
    """A causal language model without its head.

    Attributes
    ----------
    network : PreTrainedModel
        Ids to hidden states.
    tokenizer : PreTrainedTokenizerBase
    context : int
        Tokens that it can see.
    windows : mapping of str to int or None
        Kinds of attention layers and how far each sees; empty where all see everything.
    rows : RowRoad, optional
        How it is read where it reads no trees.
    """

    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    context: int
    windows: Mapping[str, int | None] = field(default_factory=dict)
    rows: RowRoad | None = None

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.network.device

    @cached_property
    def _cache_name(self) -> str:
        """What the library calls the cache; it refuses no name, whatever its version."""
        known = [name for name in _CACHE_NAMES if name in self._parameters]
        return known[0] if known else "past_key_values"

    @cached_property
    def _parameters(self) -> Mapping[str, Parameter]:
        return signature(self.network.forward).parameters

    def hidden(
        self, ids: Tensor, positions: Tensor, mask: Tensor, cache: SlotCache | None = None
    ) -> Tensor:
        """Hidden states after the last layer.

        Parameters
        ----------
        ids, positions : Tensor, (rows, n), int64
        mask : Tensor, (rows, n, cached + n), bool
            What each token sees.
        cache : SlotCache, optional
            Read, and written behind its used slots.

        Returns
        -------
        Tensor, (rows, n, width)
        """
        output = self.network(
            input_ids=ids,
            position_ids=positions,
            attention_mask=self._masks(positions, mask, cache),
            use_cache=cache is not None,
            **{self._cache_name: cache},
        )
        states: Tensor = output.last_hidden_state
        return states

    def _masks(
        self, positions: Tensor, mask: Tensor, cache: SlotCache | None
    ) -> Tensor | dict[str, Tensor]:
        """Mask of each kind of layer; one mask where there is one kind."""
        if not self.windows:
            return mask[:, None]
        asked = positions[:, :, None]
        other = (positions if cache is None else cache.place(positions))[:, None]
        masks = {}
        for kind, size in self.windows.items():
            seen = mask
            if size is not None:
                together = asked // size == other // size
                near = together if kind == "chunked_attention" else asked - other < size
                seen = mask & near
            masks[kind] = seen[:, None]
        return masks if len(masks) > 1 else next(iter(masks.values()))

    def plain(
        self,
        ids: Tensor,
        *,
        cache: Any = None,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        keep: bool = False,
    ) -> tuple[Tensor, Any]:
        """Read texts as the library does, with its own masks and cache.

        Parameters
        ----------
        ids : Tensor, (rows, n), int64
        cache : object, optional
            What an earlier call returned; it may be changed in place.
        mask : Tensor, (rows, cached + n), int64, optional
            0 for padding.
        positions : Tensor, (rows, n), int64, optional
        keep : bool
            Ask for a cache.

        Returns
        -------
        Tensor, (rows, n, width)
        object or None
            The cache.
        """
        given = {"attention_mask": mask, "position_ids": positions, self._cache_name: cache}
        given = {name: value for name, value in given.items() if value is not None}
        output = self.network(input_ids=ids, use_cache=keep, **given)
        states: Tensor = output.last_hidden_state
        kept = getattr(output, self._cache_name, None) if keep else None
        return states, kept if kept is not None else getattr(output, "past_key_values", None)


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


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A causal language model: a backbone and the map from hidden states to logits.

    Attributes
    ----------
    backbone : Backbone
    head : nn.Module
        (…, width) to (…, vocabulary).
    eos : tuple of int
        Ids that end a generation.
    parameters : int
        Parameter count.
    """

    backbone: Backbone
    head: nn.Module
    eos: tuple[int, ...]
    parameters: int

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Tokenizer of the backbone."""
        return self.backbone.tokenizer

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits in float32, whatever the model's dtype: (…, width) to (…, vocabulary)."""
        logits: Tensor = self.head(hidden)
        return logits.float()


@dataclass(frozen=True, eq=False)
class HeadReward:
    """One or more reward heads on one backbone; one pass serves all methods and users.

    Attributes
    ----------
    backbone : Backbone
        The base model's own, or a reward model's.
    heads : mapping of str to RewardHead
        By method.
    """

    backbone: Backbone
    heads: Mapping[str, RewardHead]

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods whose heads these are."""
        return tuple(self.heads)

    def for_users(self, users: Sequence[str], prompt: Tensor) -> BatchRewards:
        """Heads of some users, one a row.

        Parameters
        ----------
        users : sequence of str
        prompt : Tensor, (rows, width)
            Hidden state of each row's last prompt token.

        Raises
        ------
        InputError
            For a user whom a method does not know and has no general row for.
        """
        return BatchRewards(self.heads, users, prompt)

    def only(self, method: str) -> HeadReward:
        """Return the same backbone with one method's head."""
        return HeadReward(self.backbone, {method: self.heads[method]})


@dataclass(frozen=True, eq=False)
class AutoregressiveReward:
    """A language model whose log-probabilities are the reward.

    Attributes
    ----------
    method : str
    model : LanguageModel
    relative : bool
        False: r = Σ log π_r(y_t) (GenARM). True: r = Σ [log π_r(y_t) − log π(y_t)], where π_r
        reads the user's preference in its prompt (PAD) or the user's soft tokens (P-DPO).
    scale : float
        Factor of the reward (β of P-DPO).
    soft : SoftTokens, optional
        Soft tokens of users, which stand before the prompt.
    """

    method: str
    model: LanguageModel
    relative: bool = False
    scale: float = 1.0
    soft: SoftTokens | None = None

    @property
    def backbone(self) -> Backbone:
        """Backbone of the language model."""
        return self.model.backbone

    @property
    def methods(self) -> tuple[str, ...]:
        """The one method."""
        return (self.method,)

    def prefix(self, user: str) -> tuple[int, ...]:
        """Ids that stand before a user's prompts."""
        return self.soft.prefix(user) if self.soft else ()


RewardModel: TypeAlias = HeadReward | AutoregressiveReward

"""What a model is here: a backbone, from ids to hidden states, and what is read from them.

A language model's map gives logits; a reward head gives rewards. Heads that were trained on a base
model's own hidden states take that backbone as theirs, so any number of them costs one pass. An
autoregressive reward model is a language model whose log-probabilities are the reward.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from inspect import signature
from typing import TypeAlias

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from preflamp_backend.models.heads.head import BatchRewards, RewardHead
from preflamp_backend.models.heads.soft_tokens import SoftTokens
from preflamp_backend.models.trees import SlotCache


@dataclass(frozen=True, eq=False)
class Backbone:
    """A causal transformer without its head.

    Attributes
    ----------
    network : PreTrainedModel
        Ids to hidden states.
    tokenizer : PreTrainedTokenizerBase
    context : int
        Tokens that it can see.
    """

    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    context: int

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.network.device

    @cached_property
    def _cache_name(self) -> str:
        """What the library calls the cache; it refuses no name, whatever its version."""
        return (
            "cache" if "cache" in signature(self.network.forward).parameters else "past_key_values"
        )

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
            attention_mask=mask[:, None],
            use_cache=cache is not None,
            **{self._cache_name: cache},
        )
        states: Tensor = output.last_hidden_state
        return states


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

"""A user's soft tokens: rows of an embedding that no text reaches, read before the prompt.

Ids from the vocabulary on look up soft rows, so that whatever handles ids (trees, caches, chains,
batches) handles users too. Logits stay those of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from preflamp_backend.faults import fault
from preflamp_backend.models.heads.head import EVERY_USER


class SoftTokens(nn.Module):
    """A word embedding with rows for users behind it.

    Parameters
    ----------
    words : nn.Embedding
        Of a language model.
    soft : Tensor, (users, tokens, width)
    users : sequence of str
        Names of its rows; ``""``, the generic user, must be among them.
    rate : float
        How far a step of training moves soft tokens, against the model's own weights. Weight decay
        pulls them to where they started.

    Examples
    --------
    >>> words = nn.Embedding(10, 4)
    >>> both = SoftTokens(words, torch.ones(2, 3, 4), ["", "a"])
    >>> both.prefix("a"), both.prefix("stranger")
    ((13, 14, 15), (10, 11, 12))
    >>> both(torch.tensor([[13, 5]])).shape
    torch.Size([1, 2, 4])
    """

    def __init__(
        self, words: nn.Embedding, soft: Tensor, users: Sequence[str], *, rate: float = 1.0
    ) -> None:
        super().__init__()
        if EVERY_USER not in users or len(users) != len(soft) or soft.ndim != 3:
            raise fault(
                f"holds soft tokens {tuple(soft.shape)} for {len(users)} users",
                "give (users, tokens, width), a name for each user, and a generic user ''",
            )
        if soft.shape[-1] != words.embedding_dim:
            raise fault(
                f"holds soft tokens of width {soft.shape[-1]}, not of {words.embedding_dim}",
                "train them on this model",
            )
        self.words = words
        self.rate = rate
        self.start: Tensor
        self.register_buffer(
            "start", soft.detach().to(words.weight).clone(memory_format=torch.contiguous_format)
        )
        self.moved = nn.Parameter(torch.zeros_like(self.start))
        self.users = tuple(users)
        self._row_of = {user: row for row, user in enumerate(users)}

    @property
    def soft(self) -> Tensor:
        """Soft tokens as they stand, (users, tokens, width)."""
        return self.start + self.rate * self.moved

    @property
    def tokens(self) -> int:
        """Soft tokens a user."""
        return self.start.shape[1]

    def prefix(self, user: str) -> tuple[int, ...]:
        """Ids of a user's soft tokens; of the generic user's for whoever has none."""
        row = self._row_of.get(user, self._row_of[EVERY_USER])
        first = self.words.num_embeddings + row * self.tokens
        return tuple(range(first, first + self.tokens))

    def forward(self, ids: Tensor) -> Tensor:
        """Embed ids: (…,) to (…, width)."""
        count = self.words.num_embeddings
        words = self.words(ids.clamp(max=count - 1))
        soft = self.soft.flatten(0, 1)[(ids - count).clamp(min=0)]
        return torch.where((ids >= count)[..., None], soft, words)

    def install(self, network: PreTrainedModel) -> None:
        """Let a model embed by this module."""
        network.set_input_embeddings(self)

    def remove(self, network: PreTrainedModel) -> None:
        """Give a model its own embedding back."""
        network.set_input_embeddings(self.words)

"""Texts that end a response, found in what is written token by token."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase


class StopStrings:
    """Cuts ids before the first of some texts.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
    stops : sequence of str
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stops: Sequence[str]) -> None:
        self.tokenizer, self.stops = tokenizer, stops
        # A token that was just written ends the text, and has a byte at least.
        self.tail = max((len(each.encode()) for each in stops), default=0) + 4

    def __call__(self, ids: list[int]) -> list[int] | None:
        """Ids of the text before a stop string that the last token completes; None without one."""
        if not self.stops or self.first(self._decoded(ids[-self.tail :])) < 0:
            return None
        text = self._decoded(ids)
        return None if (at := self.first(text)) < 0 else self.before(ids, text[:at])

    def before(self, ids: list[int], kept: str) -> list[int]:
        """Ids of the text that is kept of some ids."""
        count = len(ids)
        while not kept.startswith(self._decoded(ids[:count])):
            count -= 1
        # A token may hold the end of the response and the start of the stop string, such as ".\n".
        rest = kept[len(self._decoded(ids[:count])) :]
        whole = [*ids[:count], *self.tokenizer.encode(rest, add_special_tokens=False)]
        return whole if self._decoded(whole) == kept else ids[:count]

    def first(self, text: str) -> int:
        """Where the first stop string of a text begins; -1 without one."""
        return min((at for each in self.stops if (at := text.find(each)) >= 0), default=-1)

    def _decoded(self, ids: list[int]) -> str:
        # Special tokens too: what ends a shot may be one.
        return str(self.tokenizer.decode(ids, clean_up_tokenization_spaces=False))

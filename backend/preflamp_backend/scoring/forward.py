"""One forward over a batch of trees, and the rewards of chains hung off it afterwards.

Batches are of similar length, and halved when memory runs out; the results do not depend on it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from preflamp_backend.faults import fault
from preflamp_backend.models.heads.head import BatchRewards
from preflamp_backend.models.model import Backbone
from preflamp_backend.models.rows import RowSequences, read_texts
from preflamp_backend.models.sequences import read_packed
from preflamp_backend.models.trees import SlotCache, hang, pack
from preflamp_backend.prompts.encoding import Encoding

Item = TypeVar("Item")
Result = TypeVar("Result")

_LOG = logging.getLogger(__name__)


class Batches:
    """Places of items, in batches of similar size, the longest first.

    A batch holds at most ``budget`` tokens, padding included, and at most ``most`` items. One that
    runs out of memory within :meth:`memory` comes again by halves, and so do those that follow.

    Parameters
    ----------
    sizes : sequence of int
        Tokens of each item.
    budget : int
        Tokens a batch.
    most : int, optional
        Items a batch.

    Examples
    --------
    >>> list(Batches([5, 1, 2], budget=5))
    [[0], [2, 1]]
    """

    def __init__(self, sizes: Sequence[int], *, budget: int, most: int | None = None) -> None:
        self.sizes, self.budget, self.most = sizes, budget, most
        self.batch: list[int] = []
        self.failed = False

    def __iter__(self) -> Iterator[list[int]]:
        order = sorted(range(len(self.sizes)), key=lambda i: (-self.sizes[i], i))
        at = 0
        while at < len(order):
            count = max(1, self.budget // max(1, self.sizes[order[at]]))
            self.batch, self.failed = order[at : at + min(count, self.most or count)], False
            yield self.batch
            if not self.failed:
                at += len(self.batch)
                continue
            # Here, where no exception is left whose traceback holds the batch's tensors.
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            self.most = len(self.batch) // 2
            _LOG.warning("out of memory: going on with batches of at most %d", self.most)

    @contextmanager
    def memory(self) -> Iterator[None]:
        """Compute the batch that was given last; note it where the memory does not suffice.

        Raises
        ------
        InputError
            If a single item does not fit.
        """
        try:
            yield
        except (torch.OutOfMemoryError, MemoryError) as error:
            if len(self.batch) == 1:
                what = f"an example of {self.sizes[self.batch[0]]} tokens does not fit the memory"
                mend = "take a smaller model, a lower-precision dtype or a larger device"
                raise fault(what, mend) from error
            self.failed = True


def in_batches(
    items: Sequence[Item],
    size: Callable[[Item], int],
    run: Callable[[list[Item]], list[Result]],
    *,
    budget: int,
) -> list[Result]:
    """Run a function over batches of items of similar size, results in the items' order.

    Parameters
    ----------
    items : sequence
    size : callable
        Tokens of an item.
    run : callable
        A batch to its results, one an item.
    budget : int
        Tokens a batch.

    Returns
    -------
    list

    Raises
    ------
    InputError
        If a single item does not fit the memory.

    Examples
    --------
    >>> in_batches([[1] * 5, [1], [1, 1]], len, lambda batch: [len(batch)] * len(batch), budget=5)
    [1, 2, 2]
    """
    results: dict[int, Result] = {}
    batches = Batches([size(item) for item in items], budget=budget)
    for batch in batches:
        with batches.memory():
            results.update(zip(batch, run([items[i] for i in batch]), strict=True))
    return [results[i] for i in range(len(items))]


_NODES_AT_ONCE = 256
"""Chain tokens a row hung off the cache at a time; bounds the attention mask."""


class Forward:
    """One forward over a batch of trees; response tokens of all branches in one flat order."""

    def __init__(self, backbone: Backbone, encodings: Sequence[Encoding], *, room: int) -> None:
        rows = [(each.prompt, each.continuations) for each in encodings]
        longest = max(len(row) + max(map(len, branches), default=0) for row, branches in rows)
        if longest > backbone.context:
            what = f"a text of {longest} tokens is longer than the model sees ({backbone.context})"
            raise fault(what, "encode it with that context, which cuts its prompt")
        self.backbone, self._rows = backbone, rows
        self.packed = pack(rows, device=backbone.device)
        self.lengths = [len(ids) for each in encodings for ids in each.continuations]
        self.branches = [len(each.continuations) for each in encodings]
        width = self.packed.ids.shape[1]
        self.cache = SlotCache(width + room) if room and backbone.rows is None else None
        self.hidden = read_packed(backbone, rows, self.packed, self.cache)
        if self.cache is not None:
            self.cache.advance(width)

    @property
    def prompt(self) -> Tensor:
        """Hidden state of each row's last prompt token, (rows, width)."""
        return self.hidden[torch.arange(len(self.branches)), self.packed.last]

    def chains(
        self, tokens: Tensor, chains: Tensor, after: Tensor, rewards_of: BatchRewards
    ) -> Tensor:
        """Rewards at the ends of chains.

        Parameters
        ----------
        tokens : Tensor, (n,), int64
            Response tokens to which the chains belong, as places in the flat order.
        chains : Tensor, (n, chains, length), int64
        after : Tensor, (n,), int64
            Slot behind which the chains of a token hang.
        rewards_of : BatchRewards

        Returns
        -------
        Tensor, (n, chains, methods)
        """
        if self.cache is None:
            return self._chains_apart(tokens, chains, after, rewards_of)
        count, length = chains.shape[1:]
        row = self.packed.row[tokens]
        position = self.packed.positions[row, after] + 1
        by_row = [torch.nonzero(row == i).flatten() for i in range(len(self.branches))]
        # Rows with fewer tokens repeat one of another row's; their results are not read.
        places = torch.nn.utils.rnn.pad_sequence(by_row, batch_first=True)
        rewards = chains.new_zeros(len(tokens), count, len(rewards_of.methods), dtype=torch.float32)
        step = max(1, _NODES_AT_ONCE // (count * length))
        rows = torch.arange(len(by_row), device=row.device)[:, None]
        filled = torch.tensor([len(each) for each in by_row], device=row.device)
        for at in range(0, places.shape[1], step):
            place = places[:, at : at + step]
            seen = self.packed.mask[rows, after[place]].repeat_interleave(count, 1)
            start = position[place].repeat_interleave(count, 1)
            hung = chains[place].flatten(1, 2)
            where = hang(hung, seen, start)
            hidden = self.backbone.hidden(hung.flatten(1), *where, self.cache)
            found = rewards_of(hidden[:, length - 1 :: length]).unflatten(1, (-1, count))
            real = at + torch.arange(place.shape[1], device=row.device) < filled[:, None]
            rewards[place[real]] = found[real]
        return rewards

    def _chains_apart(
        self, tokens: Tensor, chains: Tensor, after: Tensor, rewards_of: BatchRewards
    ) -> Tensor:
        """Give the same by the second road: prefixes grow a token at a time, chains on copies."""
        count = chains.shape[1]
        texts = [(prompt, ids) for prompt, branches in self._rows for ids in branches]
        number = torch.arange(len(texts)).repeat_interleave(torch.tensor(self.lengths))
        branch = number.to(tokens.device)[tokens]
        row = self.packed.row[tokens]
        # Tokens of the response that a chain follows.
        begun = (
            self.packed.positions[row, after] - self.packed.positions[row, self.packed.last[row]]
        )
        rewards = chains.new_zeros(len(tokens), count, len(rewards_of.methods), dtype=torch.float32)

        def note(which: Tensor, ends: Tensor) -> None:
            """Rewards of chains of tokens, at their last hidden states (n, chains, width)."""
            by_row = [torch.nonzero(row[which] == i).flatten() for i in range(len(self.branches))]
            places = torch.nn.utils.rnn.pad_sequence(by_row, batch_first=True)
            found = rewards_of(ends[places].flatten(1, 2)).unflatten(1, (-1, count))
            for i, each in enumerate(by_row):
                rewards[which[each]] = found[i, : len(each)]

        once = len(tokens) <= len(texts)
        if once or not (self.backbone.rows and self.backbone.rows.cached):
            for which in torch.arange(len(tokens), device=row.device).split(_NODES_AT_ONCE):
                whole = [
                    (*texts[int(branch[i])][0], *texts[int(branch[i])][1][: int(begun[i])], *chain)
                    for i in which
                    for chain in chains[i].tolist()
                ]
                ends = torch.stack([each[-1] for each in read_texts(self.backbone, whole)])
                note(which, ends.unflatten(0, (-1, count)))
            return rewards
        order = sorted(range(len(texts)), key=lambda i: (-self.lengths[i], i))
        step = max(1, _NODES_AT_ONCE // count)
        for group in (order[at : at + step] for at in range(0, len(order), step)):
            going = RowSequences(self.backbone, [texts[i][0] for i in group])
            for offset in range(self.lengths[group[0]] + 1):
                alive = [i for i in group if self.lengths[i] >= offset]
                if offset:
                    if len(alive) < len(group):
                        going.select(torch.arange(len(alive), device=row.device))
                        group = alive
                    written = [texts[i][1][offset - 1] for i in alive]
                    going.go_on(torch.tensor(written, device=row.device))
                places = torch.full((len(texts),), -1, device=row.device)
                places[torch.tensor(alive, device=row.device)] = torch.arange(
                    len(alive), device=row.device
                )
                which = torch.nonzero((begun == offset) & (places[branch] >= 0)).flatten()
                if len(which):
                    mine = chains.new_zeros(len(alive), *chains.shape[1:])
                    mine[places[branch[which]]] = chains[which]
                    note(which, going.branch(mine)[places[branch[which]], :, -1])
        return rewards

    def split(self, *flat: Tensor) -> list[tuple[NDArray[Any], ...]]:
        """Cut flat tensors, response tokens first, into arrays a branch."""
        parts = [each.cpu().split(self.lengths) for each in flat]
        return [tuple(part.numpy() for part in parts_) for parts_ in zip(*parts, strict=True)]

    def nest(self, flat: list[Item]) -> list[list[Item]]:
        """Group a list with an entry a branch into lists a row."""
        ends = np.cumsum(self.branches).tolist()
        return [flat[end - count : end] for end, count in zip(ends, self.branches, strict=True)]


def chain_room(chains: int, length: int) -> int:
    """Cache slots that chains of a length at one position need behind a tree."""
    return max(_NODES_AT_ONCE, chains * length)

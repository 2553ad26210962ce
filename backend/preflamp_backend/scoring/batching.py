"""Batches of similar length, halved when memory runs out; the results do not depend on it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch

from preflamp_backend.faults import fault

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

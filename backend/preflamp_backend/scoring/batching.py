"""Batches of similar length, halved when memory runs out; the results do not depend on it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from preflamp_backend.faults import fault

Item = TypeVar("Item")
Result = TypeVar("Result")

_LOG = logging.getLogger(__name__)


def in_batches(
    items: Sequence[Item],
    size: Callable[[Item], int],
    run: Callable[[list[Item]], list[Result]],
    *,
    budget: int,
    most: int | None = None,
) -> list[Result]:
    """Run a function over batches of items of similar size, results in the items' order.

    A batch holds at most ``budget`` tokens, padding included, and at most ``most`` items. Where the
    device runs out of memory the batch is halved, and so is the budget of those that follow.

    Parameters
    ----------
    items : sequence
    size : callable
        Tokens of an item.
    run : callable
        A batch to its results, one an item.
    budget : int
        Tokens a batch.
    most : int, optional
        Items a batch.

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
    longest_first = sorted(range(len(items)), key=lambda i: (-size(items[i]), i))
    results: dict[int, Result] = {}
    at = 0
    while at < len(longest_first):
        count = max(1, budget // max(1, size(items[longest_first[at]])))
        batch = longest_first[at : at + min(count, most or count)]
        try:
            found = run([items[i] for i in batch])
        except (torch.OutOfMemoryError, MemoryError) as error:
            if len(batch) == 1:
                raise fault(
                    f"an example of {size(items[batch[0]])} tokens does not fit the memory",
                    "take a smaller model, a lower-precision dtype or a larger device",
                ) from error
            # Freed outside this block: the exception's traceback still holds the batch's tensors.
            found = None
        if found is None:
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            most = len(batch) // 2
            _LOG.warning("out of memory: going on with batches of at most %d", most)
            continue
        results.update(zip(batch, found, strict=True))
        at += len(batch)
    return [results[i] for i in range(len(items))]

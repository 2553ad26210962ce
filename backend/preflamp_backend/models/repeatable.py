"""Training that gives the same bits again, on a GPU too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread, and give the others back afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def ask_for_repeatable_products() -> None:
    """Let cuBLAS choose kernels that give the same bits each time.

    cuBLAS and torch look at this once, at the first product of a process, so it must be asked for
    before that; a choice that the environment makes already stands.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Let kernels of a GPU add in one order meanwhile; on a CPU they do.

    By default the gradients of embeddings and of attention are summed there by whichever thread
    comes first, so that no run gives the bits of another, and a stopped one cannot go on to the
    same weights.

    Parameters
    ----------
    device : torch.device
        Where the training computes.

    Raises
    ------
    RuntimeError
        By torch, within the context, if an operation has no such kernel, or if the process has
        multiplied matrices on a GPU before it asked for repeatable products.

    Examples
    --------
    >>> with repeatable(torch.device("cpu")):
    ...     total = torch.ones(3).sum()
    """
    if device.type != "cuda":
        yield
        return
    ask_for_repeatable_products()
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)

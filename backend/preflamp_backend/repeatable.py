"""Training that gives the same bits again, on a GPU too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["repeatable"]


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
        By torch, within the context, if an operation has no such kernel.

    Examples
    --------
    >>> with repeatable(torch.device("cpu")):
    ...     total = torch.ones(3).sum()
    """
    if device.type != "cuda":
        yield
        return
    # cuBLAS reads it when it is first used in a process, and torch refuses to go on without it.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)

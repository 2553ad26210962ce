"""The reward models that are language models of their own, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from preflamp_backend.methods import Kind

__all__ = ["TOKEN_METHODS", "TokenMethod"]


@dataclass(frozen=True)
class TokenMethod:
    """A reward model that is token by token.

    Attributes
    ----------
    kind : str
        Kind of method that it serves.
    options : type
        Its options.
    fit : callable
        Trains it and writes its folder.
    """

    kind: Kind
    options: type[Any]
    fit: Callable[..., None]


TOKEN_METHODS: dict[str, TokenMethod] = {}
"""Each method by the name that a study calls it."""

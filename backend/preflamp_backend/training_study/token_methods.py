"""The reward models that are language models of their own, by name, behind one interface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from preflamp_backend.data import Example
from preflamp_backend.models.sources import ModelSource
from preflamp_backend.rewards import genarm, p_rlhf
from preflamp_backend.study.methods import Kind
from preflamp_backend.training.loop import TrainingOptions
from preflamp_backend.training.token_pairs import TokenTask


class TokenMethod(NamedTuple):
    """A reward model that is token by token.

    Attributes
    ----------
    name : str
        What it is called in its key.
    kind : str
        Kind of method that it serves.
    options : type
        Its options.
    fit : callable
        Trains it and writes its folder.
    adapts : bool
        Whether new users get something of their own.
    """

    name: str
    kind: Kind
    options: type[TrainingOptions]
    fit: Callable[[TokenTask], None]
    adapts: bool


TOKEN_METHODS = {
    "genarm": TokenMethod("genarm", "autoregressive", genarm.GenArmOptions, genarm.fit, False),
    "p-rlhf": TokenMethod("p-dpo", "p-dpo", p_rlhf.PRlhfOptions, p_rlhf.fit, True),
}
"""Each method by the name that a study calls it."""


def token_task(
    name: str,
    base: ModelSource,
    train: Sequence[Example],
    held_out: Sequence[Example],
    options: TrainingOptions,
    folder: str | Path,
    *,
    adapt: Sequence[Example] = (),
    **run: Any,
) -> TokenTask:
    """What one of :data:`TOKEN_METHODS` is trained by; users to adapt to where it adapts."""
    late = adapt if TOKEN_METHODS[name].adapts else None
    return TokenTask(base, train, held_out, options, Path(folder), late, **run)


def fit_tokens(name: str, *arguments: Any, **run: Any) -> None:
    """Train one of :data:`TOKEN_METHODS` by its :func:`token_task`."""
    TOKEN_METHODS[name].fit(token_task(name, *arguments, **run))

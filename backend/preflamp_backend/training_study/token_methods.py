"""The reward models that are language models of their own, by name, behind one interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from preflamp_backend.data import Example
from preflamp_backend.models.sources import ModelSource
from preflamp_backend.rewards.genarm import GenArmOptions, fit_genarm
from preflamp_backend.rewards.p_rlhf import PRlhfOptions, fit_p_rlhf
from preflamp_backend.study.methods import Kind, Method
from preflamp_backend.training.loop import Report, TrainingOptions
from preflamp_backend.training.token_pairs import is_trained, key_of


@dataclass(frozen=True)
class TokenMethod:
    """A reward model that is token by token.

    Attributes
    ----------
    name : str
        What it is called in its key.
    kind : str
        Kind of method that it serves.
    options : type
        Its options.
    trainer : callable
        Trains it and writes its folder.
    adapts : bool
        Whether new users get something of their own.
    """

    name: str
    kind: Kind
    options: type[TrainingOptions]
    trainer: Callable[..., None]
    adapts: bool

    def key(
        self,
        base: ModelSource,
        work: Mapping[str, Sequence[Example]],
        options: TrainingOptions,
        method: Method,
        seed: int,
    ) -> str:
        """SHA-256 of all that makes it; ``work`` holds ``train``, ``held_out`` and ``adapt``."""
        parts = self._parts(work)
        return key_of(self.name, base, parts, options, method.prompt, method.form, seed)

    def is_done(self, folder: Path, key: str) -> bool:
        """Whether a folder holds the reward model of a key."""
        return is_trained(folder, key)

    def fit(
        self,
        base: ModelSource,
        work: Mapping[str, Sequence[Example]],
        options: TrainingOptions,
        method: Method,
        folder: Path,
        *,
        seed: int,
        report: Report | None = None,
    ) -> None:
        """Train it from a base model and write its folder."""
        parts = self._parts(work)
        more = {"adapt": parts["adapt"]} if self.adapts else {}
        self.trainer(
            base,
            parts["train"],
            parts["held_out"],
            options,
            folder,
            seed=seed,
            prompt=method.prompt,
            form=method.form,
            report=report,
            **more,
        )

    def _parts(self, work: Mapping[str, Sequence[Example]]) -> dict[str, Sequence[Example]]:
        names = ("train", "held_out", *(("adapt",) if self.adapts else ()))
        return {name: work[name] for name in names}


TOKEN_METHODS = {
    "genarm": TokenMethod("genarm", "autoregressive", GenArmOptions, fit_genarm, adapts=False),
    "p-rlhf": TokenMethod("p-dpo", "p-dpo", PRlhfOptions, fit_p_rlhf, adapts=True),
}
"""Each method by the name that a study calls it."""

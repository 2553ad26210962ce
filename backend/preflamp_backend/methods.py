"""The methods of a study: what personalises, and what guides, prompts or judges it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from preflamp_backend.decoding.options import DecodingOptions
from preflamp_backend.prompting import PromptOptions
from preflamp_backend.rewards.judge import JudgeOptions
from preflamp_backend.sources import ModelSource
from preflamp_backend.text import PromptFormat

__all__ = ["BASELINES", "GUIDING", "REWARDED", "Kind", "Method"]

Kind = Literal[
    "head",
    "classifier",
    "autoregressive",
    "pad",
    "p-dpo",
    "judge",
    "length",
    "likelihood",
    "zero-shot",
    "in-context",
]
GUIDING = ("head", "classifier", "autoregressive", "pad", "p-dpo")
"""Kinds of method whose reward can guide decoding."""
REWARDED = (*GUIDING, "judge")
"""Kinds of method that have a reward model."""
BASELINES = ("length", "likelihood")
"""Kinds of method that have a reward without a model, and do not write."""


@dataclass(frozen=True)
class Method:
    """A way of personalising, and what guides, prompts or judges it.

    Attributes
    ----------
    name : str
    kind : str
        One of :data:`Kind`.
    path : str
        Reward head, with ``{model}`` for the base model's name and ``{seed}`` for the seed of its
        training; empty for other kinds.
    source : ModelSource, optional
        Reward model with a backbone of its own; its path may hold the same placeholders.
    decode : bool
        Whether it writes.
    decoding : DecodingOptions
    weights : mapping of str to float
        Weight w of the reward under each base model, where they differ.
    prompt : PromptOptions
        How its prompt is made.
    form : PromptFormat
        How its reward model reads prompts.
    judge : JudgeOptions, optional
        How a judge is asked.
    """

    name: str
    kind: Kind
    path: str = ""
    source: ModelSource | None = None
    decode: bool = True
    decoding: DecodingOptions = field(default_factory=DecodingOptions)
    weights: Mapping[str, float] = field(default_factory=dict)
    prompt: PromptOptions = field(default_factory=PromptOptions)
    form: PromptFormat = field(default_factory=PromptFormat)
    judge: JudgeOptions | None = None

    @property
    def family(self) -> str:
        """Label of ``method_family``."""
        if self.kind in ("zero-shot", "in-context"):
            return self.kind
        return "best-of-n" if self.decoding.strategy == "best-of-n" else "reward-guided"

    @property
    def rewarded(self) -> bool:
        """Whether it has a reward model, or judges by itself."""
        return self.kind in REWARDED

    @property
    def seeded(self) -> bool:
        """Whether its reward model was trained once a seed."""
        return "{seed}" in self.place

    @property
    def place(self) -> str:
        """Path of its reward model, placeholders and all."""
        return self.path or (self.source.path if self.source else "")

    @property
    def relative(self) -> bool:
        """Whether its reward is a log-ratio to the base model."""
        return self.kind in ("pad", "p-dpo")

    def decoding_for(self, model: str) -> DecodingOptions:
        """Return the choices of decoding under a base model."""
        return replace(self.decoding, weight=self.weights.get(model, self.decoding.weight))

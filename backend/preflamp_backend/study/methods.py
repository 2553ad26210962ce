"""The methods of a study: what personalises, and what guides, prompts or judges it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from preflamp_backend.decoding.options import DecodingOptions
from preflamp_backend.models.sources import ModelSource
from preflamp_backend.options import Options, at_least, holding, option
from preflamp_backend.prompts.encoding import PromptFormat
from preflamp_backend.prompts.in_context import PromptOptions

UNKNOWN = "Nothing is known about this user."
"""Persona of a user who has shown nothing."""


def _differ(answers: tuple[str, ...]) -> bool:
    return len(answers) == 2 and answers[0] != answers[1] and all(answers)


@dataclass(frozen=True)
class JudgeOptions(Options):
    """How a judge is asked.

    Parameters
    ----------
    pairs : str
        JSONL file of the users' earlier pairs; empty takes what they wrote, their history.
    shown : int
        Pairs or texts from which a persona is written, at most; the source takes 5 to 15.
    budget : int
        Tokens for all of them together; what does not fit is left out.
    persona_tokens : int
        Longest persona.
    pair, text : str
        How a pair (``{prompt}``, ``{chosen}``, ``{rejected}``) and a text (``{input}``,
        ``{output}``) are shown.
    ask_persona : str
        Prompt for a persona, with ``{evidence}``.
    question : str
        Prompt for a judgement, with ``{persona}``, ``{prompt}``, ``{a}`` and ``{b}``.
    answers : (str, str)
        What the model would say for the first and for the second response.
    """

    pairs: str = ""
    shown: int = at_least(0, 10)
    budget: int = at_least(1, 1024)
    persona_tokens: int = at_least(1, 128)
    pair: str = "Request: {prompt}\nPreferred: {chosen}\nNot preferred: {rejected}\n\n"
    text: str = "Request: {input}\nWrote: {output}\n\n"
    ask_persona: str = holding(
        "Here is what a user chose or wrote.\n\n{evidence}"
        "Describe in a few sentences what this user prefers.\nDescription:",
        "{evidence}",
    )
    question: str = holding(
        "A user is described so: {persona}\n\nRequest: {prompt}\n\nResponse A: {a}\n\n"
        "Response B: {b}\n\nWhich response would this user prefer, A or B?\nAnswer:",
        "{prompt}",
        "{a}",
        "{b}",
    )
    answers: tuple[str, ...] = option((" A", " B"), _differ, "give two different texts")


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

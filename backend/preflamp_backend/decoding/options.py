"""The choices of decoding, checked once and recorded with every generation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from preflamp_stats.errors import InputError, Problem

__all__ = ["DecodingOptions", "Strategy"]

Strategy = Literal["plain", "guided", "best-of-n"]


@dataclass(frozen=True)
class DecodingOptions:
    """How responses are written.

    Parameters
    ----------
    strategy : {"plain", "guided", "best-of-n"}
        ``guided`` combines the model's logits with a reward at each step: ARGS with reward heads,
        GenARM or PAD with an autoregressive reward model. ``best-of-n`` samples n and keeps the
        highest reward.
    weight : float
        Weight w of the reward (α in GenARM).
    top_k : int, optional
        Tokens considered at each step. None considers all, which reward heads cannot afford.
    temperature : float
        0 takes the best token; above, tokens are drawn from softmax(score / temperature).
    n : int
        Samples of best-of-n.
    max_new_tokens : int
        Longest generation.
    batch_rows : int
        Sequences decoded side by side; halved where memory runs out. It changes no result.
    """

    strategy: Strategy = "plain"
    weight: float = 1.0
    top_k: int | None = None
    temperature: float = 0.0
    n: int = 1
    max_new_tokens: int = 64
    batch_rows: int = 16

    def __post_init__(self) -> None:
        checks = [
            ("strategy", self.strategy in get_args(Strategy), "choose plain, guided or best-of-n"),
            ("weight", 0 <= self.weight < math.inf, "take a finite number from 0"),
            ("top_k", self.top_k is None or self.top_k >= 1, "take at least 1"),
            ("temperature", 0 <= self.temperature < math.inf, "take 0 (greedy) or more"),
            ("n", self.n >= 1, "take at least 1"),
            ("max_new_tokens", self.max_new_tokens >= 1, "take at least 1"),
            ("batch_rows", self.batch_rows >= 1, "take at least 1"),
        ]
        problems = [
            Problem(f"is {getattr(self, name)!r}", mend, variable=name)
            for name, good, mend in checks
            if not good
        ]
        if self.strategy == "best-of-n" and self.n > 1 and self.temperature == 0:
            problems.append(
                Problem("is 0, which makes all n samples alike", "take 1.0", variable="temperature")
            )
        if problems:
            raise InputError(problems)

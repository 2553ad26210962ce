"""The choices of decoding, checked once and recorded with every generation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from preflamp_backend.options import Check, Options, at_least

Strategy = Literal["plain", "guided", "best-of-n"]


@dataclass(frozen=True)
class DecodingOptions(Options):
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
    weight: float = at_least(0, 1.0)
    top_k: int | None = at_least(1, None)
    temperature: float = at_least(0, 0.0)
    n: int = at_least(1, 1)
    max_new_tokens: int = at_least(1, 64)
    batch_rows: int = at_least(1, 16)

    def checks(self) -> tuple[Check, ...]:
        """Samples of best-of-n must differ."""
        alike = self.strategy == "best-of-n" and self.n > 1 and self.temperature == 0
        return (("temperature", not alike, "take 1.0: at 0 all n samples are alike"),)

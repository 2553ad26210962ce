"""What is asked of scoring, and what it gives for one response."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preflamp_backend.faults import fault
from preflamp_backend.options import Options, at_least, option
from preflamp_stats.errors import InputError


def _are_weights(weights: tuple[float, ...]) -> bool:
    return all(0 <= weight < math.inf for weight in weights)


@dataclass(frozen=True)
class ScoreOptions(Options):
    """What is scored, and in batches of what size.

    Parameters
    ----------
    weights : tuple of float
        Weights w of the renormalised policy score; empty leaves it out.
    top_k : int
        Tokens beside y_t over which it normalises.
    trace : bool
        Keep the reward of every prefix.
    batch_tokens : int
        Tokens a batch, padding included; halved where memory runs out.
    """

    weights: tuple[float, ...] = option((), _are_weights, "take finite weights from 0")
    top_k: int = at_least(1, 10)
    trace: bool = True
    batch_tokens: int = at_least(1, 8192)

    @property
    def proposals(self) -> int:
        """Alternatives needed at each position."""
        return self.top_k if self.weights else 0


@dataclass(frozen=True)
class BaseScores:
    """What the base model says of one response of n tokens.

    Attributes
    ----------
    token_logprob : (n,), float32
        log π(y_t given x, y_<t), nats.
    top_ids, top_logprob : (n, top_k)
        Most probable tokens at each position; top_k is 0 unless a policy score is asked for.
    """

    token_logprob: NDArray[np.float32]
    top_ids: NDArray[np.int64]
    top_logprob: NDArray[np.float32]

    @property
    def logprob(self) -> float:
        """Log-probability of the whole response, nats; NaN of an empty one, which has none."""
        return (
            float(self.token_logprob.sum(dtype=np.float64)) if len(self.token_logprob) else np.nan
        )


@dataclass(frozen=True)
class RewardScores:
    """What reward models say of one response of n tokens.

    Attributes
    ----------
    reward : (methods,), float32
        Reward of the whole response; NaN for an empty one.
    trace : (methods, n), float32
        Reward of each prefix; n is 0 where no trace was asked for.
    policy : (weights, methods), float64
        Σ_t log p̃(y_t), p̃ ∝ π·exp(w·r) over the top-k tokens and y_t.
    """

    reward: NDArray[np.float32]
    trace: NDArray[np.float32]
    policy: NDArray[np.float64]


def unsound_reward(method: str) -> InputError:
    """Make the error of a reward model that gives no number."""
    return fault(
        f"the reward model {method!r} gives a reward that is not a finite number",
        "check its weights, and prefer bfloat16 or float32 to float16",
        variable="reward",
    )

"""GenARM: an autoregressive reward model, r(x, y) = Σ_t log π_r(y_t given x, y_<t).

Trained from the base model on preference pairs by

    loss = −log σ(β_r [log π_r(y⁺ given x) − log π_r(y⁻ given x)]),

sums over response tokens, without a reference model; all users' pairs together. Decoding then takes
log π + w·log π_r for each token.

Source: Xu et al. 2024, "GenARM: Reward Guided Generation with Autoregressive Reward Model for
Test-time Alignment", arXiv 2410.08193.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from preflamp_backend.models.loading import load_trainable
from preflamp_backend.options import Check, above_zero
from preflamp_backend.training.loop import TrainingOptions
from preflamp_backend.training.token_pairs import (
    TokenTask,
    is_trained,
    pair_logprobs,
    stored_logprobs,
)


@dataclass(frozen=True)
class GenArmOptions(TrainingOptions):
    """How an autoregressive reward model is trained.

    Parameters
    ----------
    beta : float
        β_r, scale of the log-probabilities in the loss.
    epochs, batch_size, learning_rate, weight_decay, patience
        As for every reward model; fewer and smaller, as all weights of a model are trained.
    """

    epochs: int = 5
    batch_size: int = 16
    learning_rate: float = 5e-5
    patience: int = 2
    beta: float = above_zero(0.05)

    def checks(self) -> tuple[Check, ...]:
        """All weights of a language model are trained."""
        good = self.optimizer == "adamw"
        return (("optimizer", good, "take adamw, as a language model is trained"),)


def fit(task: TokenTask) -> None:
    """Train an autoregressive reward model and write its folder.

    It serves the method kind ``autoregressive``. A run that was stopped goes on from its last epoch
    and ends with the same bytes; one that is done is not run again.

    Raises
    ------
    InputError
        For a model that cannot be loaded, examples that cannot be used, or a full disk.
    """
    if is_trained(task.folder, task.key("genarm")):
        return
    network, model = load_trainable(task.base)
    pairs, others = (task.encode(model, rows) for rows in (task.train, task.held_out))
    beta = task.options.beta

    def loss(rows: Tensor, generator: torch.Generator, progress: float) -> Tensor:
        return _loss(pair_logprobs(model, [pairs[i] for i in rows.tolist()]), beta)

    def held_out_loss() -> float:
        return _loss(stored_logprobs(model, others), beta).item()

    task.fit("genarm", network, loss, held_out_loss, len(pairs))
    task.save("genarm", network, model)


def _loss(logprobs: Tensor, beta: float) -> Tensor:
    """Mean loss of pairs: (pairs, 2), chosen first."""
    return -logsigmoid(beta * (logprobs[:, 0] - logprobs[:, 1])).mean()

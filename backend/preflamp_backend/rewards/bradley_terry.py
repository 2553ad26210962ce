"""Global Bradley–Terry: one reward for everybody, r(x, y) = wᵀe.

P(y_c preferred to y_r) = σ(wᵀ(e_c − e_r)) [1]_. The baseline of the personalised reward models, and
what LoRe is at rank 1.

.. [1] R. A. Bradley, M. E. Terry (1952). Rank analysis of incomplete block designs: I. The method
   of paired comparisons. Biometrika 39(3/4), 324–345.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from preflamp_backend.models.heads.linear import LinearHead
from preflamp_backend.options import at_least
from preflamp_backend.training.loop import Optimizer, Task, TrainingOptions
from preflamp_backend.training.user_rows import Scaling, log_loss


@dataclass(frozen=True)
class BradleyTerryOptions(TrainingOptions):
    """Options of global Bradley–Terry.

    Parameters
    ----------
    penalty : float
        Objective: Σ −log σ(wᵀΔe) + ½·penalty·‖w‖², features scaled to standard deviation 1.
        0 is plain logistic regression.
    """

    optimizer: Optimizer = "lbfgs"
    penalty: float = at_least(0, 1.0)


def fit(task: Task) -> LinearHead:
    """Fit one weight to the pairs of all users; the head has the one row of everybody."""
    head = LinearHead.of(fit_weight(task)[None], torch.zeros(1))
    return head.eval().requires_grad_(False)


def fit_weight(task: Task) -> Tensor:
    """Fit the weight alone, (width,), float32; in float64 meanwhile."""
    pairs, held_out = task.pairs, task.held_out
    # The centre cancels in a difference.
    scale = Scaling.of_pairs(pairs).scale.double()
    differences = (pairs.chosen.double() - pairs.rejected.double()) / scale
    unseen = (held_out.chosen.double() - held_out.rejected.double()) / scale
    module = nn.Linear(pairs.width, 1, bias=False, dtype=torch.float64)
    nn.init.zeros_(module.weight)

    def loss(rows: Tensor, generator: torch.Generator, progress: float) -> Tensor:
        penalty = 0.5 * float(task.options.penalty) * module.weight.square().sum() / len(pairs)
        return log_loss(module(differences[rows])).mean() + penalty

    @torch.no_grad()
    def held_out_loss() -> float:
        return log_loss(module(unseen)).mean().item()

    task.train("bradley-terry", module, loss, held_out_loss)
    return (module.weight.detach()[0] / scale).float()

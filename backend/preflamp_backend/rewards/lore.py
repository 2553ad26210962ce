"""LoRe: users as mixtures of a few shared rewards, r_u(x, y) = eᵀ V softmax(w_u).

V (width × rank) is shared, w_u (rank) is the user's [1]_. Training minimises

    Σ −log σ(r_u(y_c) − r_u(y_r)) + ½·reference·Σ_j ‖V_j − V_ref‖² + ½·penalty·Σ_u ‖w_u − w_0‖²

where V_ref is the global Bradley–Terry weight of the same pairs. The authors' own pulls V to the
weight of a public reward model, which a from-scratch base model does not have. The last term is
ours: it is what lets a user with one pair have a row, and w_0, fitted along, is the row of
everybody else. A new user's w_u minimises the same with V and w_0 fixed.

.. [1] A. Bose, Z. Xiong, Y. Chi, S. S. Du, L. Xiao, M. Fazel (2025). LoRe: Personalizing LLMs via
   Low-Rank Reward Modeling. arXiv:2504.14439.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from preflamp_backend.models.heads.head import EVERY_USER
from preflamp_backend.models.heads.linear import LoreHead
from preflamp_backend.options import at_least
from preflamp_backend.rewards.bradley_terry import BradleyTerryOptions, fit_weight
from preflamp_backend.training.loop import Optimizer, Task, TrainingOptions
from preflamp_backend.training.user_rows import Scaling, fit_table


@dataclass(frozen=True)
class LoreOptions(TrainingOptions):
    """Options of LoRe.

    Parameters
    ----------
    rank : int
        Shared rewards; 1 is global Bradley–Terry.
    reference : float
        How strongly V is pulled to the global weight, features scaled to standard deviation 1.
    penalty : float
        How strongly users are pulled to w_0.
    """

    optimizer: Optimizer = "lbfgs"
    rank: int = at_least(1, 8)
    reference: float = at_least(0, 1.0)
    penalty: float = at_least(0, 0.3)


def fit(task: Task) -> LoreHead:
    """Fit V and every user's w_u; the head has a row a user and one for everybody else."""
    pairs, options = task.pairs, task.options
    scaling = Scaling.of_pairs(pairs)
    reference = fit_weight(Task(pairs, task.held_out, BradleyTerryOptions())) * scaling.scale
    generator = torch.Generator().manual_seed(task.seed)
    head = LoreHead((EVERY_USER, *pairs.names), pairs.width, options.rank, options.penalty)
    # Equal columns would stay equal; little noise parts them and leaves the start good.
    noise = torch.randn(pairs.width, options.rank, generator=generator)
    noise *= 0.1 * reference.norm() / pairs.width**0.5 if options.rank > 1 else 0.0
    with torch.no_grad():
        head.basis.copy_(reference[:, None] + noise)
        head.user.normal_(0, 0.1, generator=generator)

    def penalty() -> Tensor:
        held: Tensor = (head.basis - reference[:, None]).square().sum()
        return 0.5 * float(options.reference) * held

    fit_table(head, task, penalty=penalty, scaling=scaling)
    with torch.no_grad():
        head.basis.div_(scaling.scale[:, None])
    return head.eval().requires_grad_(False)

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

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from preflamp_backend.models.heads.head import EVERY_USER
from preflamp_backend.models.heads.low_rank import LoreHead
from preflamp_backend.rewards.bradley_terry import BradleyTerryOptions, fit_weight
from preflamp_backend.training.loop import Report, TrainingOptions
from preflamp_backend.training.pairs import PairFeatures
from preflamp_backend.training.user_rows import Scaling, adapt_row, fit_table

__all__ = ["LoreOptions", "adapt", "fit"]


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

    optimizer: str = "lbfgs"  # type: ignore[assignment]
    rank: int = 8
    reference: float = 1.0
    penalty: float = 0.3

    def checks(self) -> dict[str, tuple[bool, str]]:
        """Check what is LoRe's own."""
        return {
            "rank": (self.rank >= 1, "at least 1"),
            "reference": (0 <= self.reference < math.inf, "0 or more"),
            "penalty": (0 <= self.penalty < math.inf, "0 or more"),
        }


def fit(
    pairs: PairFeatures,
    held_out: PairFeatures,
    options: LoreOptions,
    *,
    seed: int = 0,
    report: Report | None = None,
    checkpoint: Path | None = None,
) -> LoreHead:
    """Fit V and every user's w_u.

    Parameters
    ----------
    pairs, held_out : PairFeatures
        To train on, and to stop early by.
    options : LoreOptions
    seed : int
        Of the start and of batches.
    report : callable, optional
    checkpoint : Path, optional

    Returns
    -------
    LoreHead
        With a row a user and one for everybody else.
    """
    scaling = Scaling.of_pairs(pairs)
    reference = fit_weight(pairs, held_out, BradleyTerryOptions()) * scaling.scale
    generator = torch.Generator().manual_seed(seed)
    head = LoreHead((EVERY_USER, *pairs.names), pairs.width, options.rank, options.penalty)
    # Equal columns would stay equal; little noise parts them and leaves the start good.
    noise = torch.randn(pairs.width, options.rank, generator=generator)
    noise *= 0.1 * reference.norm() / pairs.width**0.5 if options.rank > 1 else 0.0
    with torch.no_grad():
        head.basis.copy_(reference[:, None] + noise)
        head.user.normal_(0, 0.1, generator=generator)

    def penalty() -> Tensor:
        return 0.5 * options.reference * (head.basis - reference[:, None]).square().sum()

    fit_table(
        head,
        scaling(pairs),
        scaling(held_out),
        options,
        penalty=penalty,
        seed=seed,
        report=report,
        checkpoint=checkpoint,
    )
    with torch.no_grad():
        head.basis.div_(scaling.scale[:, None])
    return head.eval().requires_grad_(False)


def adapt(head: LoreHead, user: str, pairs: PairFeatures) -> LoreHead:
    """Return the head with a row for a user, fitted to their pairs; without pairs, as it is."""
    if not len(pairs):
        return head
    return head.with_rows({user: adapt_row(head, pairs, penalty=head.penalty)})

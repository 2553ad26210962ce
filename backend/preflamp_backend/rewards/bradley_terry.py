"""Global Bradley–Terry: one reward for everybody, r(x, y) = wᵀe.

P(y_c preferred to y_r) = σ(wᵀ(e_c − e_r)) [1]_. The baseline of the personalised reward models, and
what LoRe is at rank 1.

.. [1] R. A. Bradley, M. E. Terry (1952). Rank analysis of incomplete block designs: I. The method
   of paired comparisons. Biometrika 39(3/4), 324–345.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from preflamp_backend.models.heads.linear import LinearHead
from preflamp_backend.training.loop import Report, TrainingOptions, fingerprint, train
from preflamp_backend.training.pairs import PairFeatures
from preflamp_backend.training.user_rows import Scaling, log_loss

__all__ = ["BradleyTerryOptions", "adapt", "fit", "fit_weight"]


@dataclass(frozen=True)
class BradleyTerryOptions(TrainingOptions):
    """Options of global Bradley–Terry.

    Parameters
    ----------
    penalty : float
        Objective: Σ −log σ(wᵀΔe) + ½·penalty·‖w‖², features scaled to standard deviation 1.
        0 is plain logistic regression.
    """

    optimizer: str = "lbfgs"  # type: ignore[assignment]
    penalty: float = 1.0

    def checks(self) -> dict[str, tuple[bool, str]]:
        """Check the penalty."""
        return {"penalty": (0 <= self.penalty < math.inf, "0 or more")}


def fit(
    pairs: PairFeatures,
    held_out: PairFeatures,
    options: BradleyTerryOptions,
    *,
    seed: int = 0,
    report: Report | None = None,
    checkpoint: Path | None = None,
) -> LinearHead:
    """Fit one weight to the pairs of all users.

    Parameters
    ----------
    pairs, held_out : PairFeatures
        To train on, and to stop early by.
    options : BradleyTerryOptions
    seed : int
        Of batches, where the optimiser takes some.
    report : callable, optional
    checkpoint : Path, optional

    Returns
    -------
    LinearHead
        With the one row of everybody.
    """
    weight = fit_weight(pairs, held_out, options, seed=seed, report=report, checkpoint=checkpoint)
    head = LinearHead.of(weight[None], torch.zeros(1))
    return head.eval().requires_grad_(False)


def adapt(head: LinearHead, user: str, pairs: PairFeatures) -> LinearHead:
    """Return the head as it is: everybody has the same reward."""
    return head


def fit_weight(
    pairs: PairFeatures,
    held_out: PairFeatures,
    options: BradleyTerryOptions,
    *,
    seed: int = 0,
    report: Report | None = None,
    checkpoint: Path | None = None,
) -> Tensor:
    """Fit the weight alone, (width,), float32; in float64 meanwhile."""
    scaling = Scaling.of_pairs(pairs)
    # The centre cancels in a difference.
    scale = scaling.scale.double()
    differences = (pairs.chosen.double() - pairs.rejected.double()) / scale
    unseen = (held_out.chosen.double() - held_out.rejected.double()) / scale
    module = nn.Linear(pairs.width, 1, bias=False, dtype=torch.float64)
    nn.init.zeros_(module.weight)

    def loss(rows: Tensor, generator: torch.Generator, progress: float) -> Tensor:
        penalty = 0.5 * options.penalty * module.weight.square().sum() / len(pairs)
        return log_loss(module(differences[rows])).mean() + penalty

    @torch.no_grad()
    def held_out_loss() -> float:
        return log_loss(module(unseen)).mean().item()

    train(
        module,
        loss,
        held_out_loss,
        len(pairs),
        options,
        seed=seed,
        report=report,
        checkpoint=checkpoint,
        key=fingerprint("bradley-terry", pairs, held_out, options, seed),
    )
    return (module.weight.detach()[0] / scale).float()

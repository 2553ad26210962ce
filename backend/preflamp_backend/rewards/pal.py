"""PAL: users as mixtures of prototypes in a space that is learned along.

A: r_u(x, y) = −s·‖f(e) − softmax(w_u)P‖, the nearer to the user's ideal point the better.
B: r_u(x, y) = s·cos(f(e), Σ_k softmax(w_u)_k g_k(x)), where what is ideal depends on the prompt.

f and g_k are perceptrons with one hidden layer, P (prototypes × dimension), s > 0 is learned [1]_.
The loss is the cross-entropy or a hinge of the margin; w_u is pulled to w_0 as in LoRe. A new user
is a new w_u, and nothing else changes.

.. [1] D. Chen, Y. Chen, A. Rege, R. K. Vinayak (2024). PAL: Pluralistic Alignment Framework for
   Learning from Heterogeneous Preferences. arXiv:2406.08469.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from preflamp_backend.models.heads.head import EVERY_USER
from preflamp_backend.models.heads.pal import PalAHead, PalBHead
from preflamp_backend.training.loop import Report, TrainingOptions
from preflamp_backend.training.pairs import PairFeatures
from preflamp_backend.training.user_rows import adapt_row, fit_table, log_loss

__all__ = ["PalOptions", "adapt", "fit"]


@dataclass(frozen=True)
class PalOptions(TrainingOptions):
    """Options of PAL.

    Parameters
    ----------
    variant : {"a", "b"}
    prototypes : int
    dimension : int
        Of the space of prototypes; the authors' is 512, for backbones of that width and more.
    loss : {"cross-entropy", "hinge"}
        Of the margin m: −log σ(m), or max(0, 1 − m).
    penalty : float
        How strongly users are pulled to w_0.
    """

    variant: Literal["a", "b"] = "a"
    prototypes: int = 2
    dimension: int = 64
    loss: Literal["cross-entropy", "hinge"] = "cross-entropy"
    penalty: float = 0.3

    def checks(self) -> dict[str, tuple[bool, str]]:
        """Check what is PAL's own."""
        return {
            "variant": (self.variant in ("a", "b"), "a or b"),
            "prototypes": (self.prototypes >= 1, "at least 1"),
            "dimension": (self.dimension >= 1, "at least 1"),
            "loss": (self.loss in _LOSSES, "cross-entropy or hinge"),
            "penalty": (0 <= self.penalty < math.inf, "0 or more"),
        }


def _hinge(margin: Tensor) -> Tensor:
    return (1 - margin).clamp(min=0)


_LOSSES = {"cross-entropy": log_loss, "hinge": _hinge}


def fit(
    pairs: PairFeatures,
    held_out: PairFeatures,
    options: PalOptions,
    *,
    seed: int = 0,
    report: Report | None = None,
    checkpoint: Path | None = None,
) -> PalAHead | PalBHead:
    """Fit the space, the prototypes and every user's w_u.

    Parameters
    ----------
    pairs, held_out : PairFeatures
        To train on, and to stop early by.
    options : PalOptions
    seed : int
        Of the start and of batches.
    report : callable, optional
    checkpoint : Path, optional

    Returns
    -------
    PalAHead or PalBHead
        With a row a user and one for everybody else.
    """
    kind = PalAHead if options.variant == "a" else PalBHead
    head = kind(
        (EVERY_USER, *pairs.names),
        pairs.width,
        options.prototypes,
        options.dimension,
        options.penalty,
    )
    with torch.no_grad():
        head.start(pairs, torch.Generator().manual_seed(seed))
    fit_table(
        head,
        pairs,
        held_out,
        options,
        loss=_LOSSES[options.loss],
        seed=seed,
        report=report,
        checkpoint=checkpoint,
    )
    return head.eval().requires_grad_(False)


def adapt(head: PalAHead | PalBHead, user: str, pairs: PairFeatures) -> PalAHead | PalBHead:
    """Return the head with a row for a user, fitted to their pairs; without pairs, as it is."""
    if not len(pairs):
        return head
    return head.with_rows({user: adapt_row(head, pairs, penalty=head.penalty)})

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

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from preflamp_backend.models.heads.head import EVERY_USER
from preflamp_backend.models.heads.layers import PalAHead, PalBHead
from preflamp_backend.options import at_least
from preflamp_backend.training.loop import Task, TrainingOptions
from preflamp_backend.training.user_rows import Scaling, fit_table, log_loss, start_from


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
    prototypes: int = at_least(1, 2)
    dimension: int = at_least(1, 64)
    loss: Literal["cross-entropy", "hinge"] = "cross-entropy"
    penalty: float = at_least(0, 0.3)


def _hinge(margin: Tensor) -> Tensor:
    return (1 - margin).clamp(min=0)


_LOSSES = {"cross-entropy": log_loss, "hinge": _hinge}


def fit(task: Task) -> PalAHead | PalBHead:
    """Fit the space, the prototypes and every user's w_u.

    The head has a row a user and one for everybody else.
    """
    pairs, options = task.pairs, task.options
    head = (PalAHead if options.variant == "a" else PalBHead)(
        (EVERY_USER, *pairs.names),
        width=pairs.width,
        prototypes=options.prototypes,
        dimension=options.dimension,
        penalty=options.penalty,
    )
    generator = torch.Generator().manual_seed(task.seed)
    with torch.no_grad():
        start_from(head, pairs, generator)
        head.user.normal_(0, 0.1, generator=generator)
        if isinstance(head, PalAHead):
            head.points.normal_(generator=generator)
        else:
            scaling = Scaling.of(pairs.prompt)
            head.prompt_centre.copy_(scaling.centre)
            head.prompt_scale.copy_(scaling.scale)
    fit_table(head, task, loss=_LOSSES[options.loss])
    return head.eval().requires_grad_(False)

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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from preflamp_backend.rewards.head import EVERY_USER, Config
from preflamp_backend.rewards.likelihood import Scaling, adapt_row, log_loss
from preflamp_backend.rewards.pairs import PairFeatures
from preflamp_backend.rewards.tables import fit_table
from preflamp_backend.rewards.training import Report, TrainingOptions
from preflamp_backend.rewards.user_table import UserTableHead

__all__ = ["PalAHead", "PalBHead", "PalOptions", "adapt", "fit"]


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


class _PalHead(UserTableHead):
    """What both variants share: f, the scale s, and features centred and scaled.

    Parameters
    ----------
    users : sequence of str
    width, prototypes, dimension : int
    penalty : float
        For new users.
    """

    centre: Tensor
    scale: Tensor

    def __init__(
        self, users: Sequence[str], width: int, prototypes: int, dimension: int, penalty: float
    ) -> None:
        super().__init__(users, width, prototypes)
        self.prototypes = prototypes
        self.dimension = dimension
        self.penalty = penalty
        self.f = _perceptron(width, dimension)
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def config(self) -> Config:
        """Shape and penalty."""
        return {
            "width": self.width,
            "prototypes": self.prototypes,
            "dimension": self.dimension,
            "penalty": self.penalty,
        }

    def mapped(self, hidden: Tensor) -> Tensor:
        """Return f(e), (…, dimension)."""
        found: Tensor = self.f((hidden - self.centre) / self.scale)
        return found

    def start(self, pairs: PairFeatures, generator: torch.Generator) -> None:
        """Set scales from pairs and draw the parameters."""
        scaling = Scaling.of_pairs(pairs)
        self.centre.copy_(scaling.centre)
        self.scale.copy_(scaling.scale)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                bound = module.in_features**-0.5
                module.weight.uniform_(-bound, bound, generator=generator)
                module.bias.zero_()
        self.user.normal_(0, 0.1, generator=generator)


class PalAHead(_PalHead):
    """Ideal points: −s·‖f(e) − softmax(w_u)P‖.

    Attributes
    ----------
    points : Parameter, (prototypes, dimension)
        P.
    """

    kind: ClassVar[str] = "pal-a"

    def __init__(
        self, users: Sequence[str], width: int, prototypes: int, dimension: int, penalty: float
    ) -> None:
        super().__init__(users, width, prototypes, dimension, penalty)
        self.points = nn.Parameter(torch.zeros(prototypes, dimension))

    def shared(self, hidden: Tensor, prompt: Tensor) -> tuple[Tensor, ...]:
        """Return f(e)."""
        return (self.mapped(hidden),)

    def personal(self, shared: tuple[Tensor, ...], user: Tensor) -> Tensor:
        """Return the negative distance to the user's ideal point."""
        ideal = user.softmax(-1) @ self.points
        squared = (shared[0] - ideal[:, None]).square().sum(-1)
        # The root has no slope at 0.
        return -self.log_scale.exp() * (squared + 1e-12).sqrt()

    def start(self, pairs: PairFeatures, generator: torch.Generator) -> None:
        """Draw the prototypes too."""
        super().start(pairs, generator)
        self.points.normal_(generator=generator)


class PalBHead(_PalHead):
    """Ideal directions that depend on the prompt: s·cos(f(e), Σ_k softmax(w_u)_k g_k(x)).

    Attributes
    ----------
    g : ModuleList of prototypes
    """

    kind: ClassVar[str] = "pal-b"
    reads_prompt: ClassVar[bool] = True
    prompt_centre: Tensor
    prompt_scale: Tensor

    def __init__(
        self, users: Sequence[str], width: int, prototypes: int, dimension: int, penalty: float
    ) -> None:
        super().__init__(users, width, prototypes, dimension, penalty)
        self.g = nn.ModuleList(_perceptron(width, dimension) for _ in range(prototypes))
        self.register_buffer("prompt_centre", torch.zeros(width))
        self.register_buffer("prompt_scale", torch.ones(width))

    def shared(self, hidden: Tensor, prompt: Tensor) -> tuple[Tensor, ...]:
        """Return f(e), and g_k(x) for every k, (rows, prototypes, dimension)."""
        scaled = (prompt - self.prompt_centre) / self.prompt_scale
        return self.mapped(hidden), torch.stack([g(scaled) for g in self.g], 1)

    def personal(self, shared: tuple[Tensor, ...], user: Tensor) -> Tensor:
        """Return the scaled cosine with the user's ideal direction for the prompt."""
        mapped, directions = shared
        ideal = (user.softmax(-1)[:, None] @ directions)[:, 0]
        cosine = torch.cosine_similarity(mapped, ideal[:, None], dim=-1)
        return self.log_scale.exp() * cosine

    def start(self, pairs: PairFeatures, generator: torch.Generator) -> None:
        """Set the scales of prompts too."""
        super().start(pairs, generator)
        scaling = Scaling.of(pairs.prompt)
        self.prompt_centre.copy_(scaling.centre)
        self.prompt_scale.copy_(scaling.scale)


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


def _perceptron(width: int, dimension: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, dimension), nn.GELU(), nn.Linear(dimension, dimension))

"""PReF: users as directions in a small space of shared rewards, r_u(x, y) = u_uᵀ φ(x, y).

φ(x, y) = Φe has few dimensions, u_u is the user's [1]_. Training minimises

    Σ −log σ(u_uᵀΦ(e_c − e_r)) + ½·penalty·Σ_u ‖u_u − u_0‖² + ½·basis_penalty·‖Φ‖²

from the start that a singular value decomposition gives. The authors decompose the users × pairs
matrix of choices, which needs pairs that many users judged. Ours decomposes its product with the
pairs' features, users × width: each row is the mean of what a user chose less what they rejected,
the features made uncorrelated.
Where all users judge the same pairs it spans the same directions; where everybody has pairs of
their own, it still pools what is alike. A new user's u_u is regularised logistic regression on
φ(x, y_c) − φ(x, y_r), with the prior mean u_0 that serves everybody else.

Accuracy is read at the threshold 0 throughout, not at the best one on the test labels.

.. [1] I. Shenfeld, F. Faltings, P. Agrawal, A. Pacchiano (2025). Language Model Personalization via
   Reward Factorization. arXiv:2503.06358.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from preflamp_backend.models.heads.head import EVERY_USER
from preflamp_backend.models.heads.low_rank import PrefHead
from preflamp_backend.training.loop import Report, TrainingOptions
from preflamp_backend.training.pairs import PairFeatures
from preflamp_backend.training.user_rows import Scaling, adapt_row, fit_table

__all__ = ["PrefOptions", "adapt", "fit"]

_RIDGE = 0.1
"""Added to the features' mean variance before the start is taken where they are uncorrelated."""


@dataclass(frozen=True)
class PrefOptions(TrainingOptions):
    """Options of PReF.

    Parameters
    ----------
    rank : int
        Dimensions of φ; no more than the width of the features.
    penalty : float
        How strongly users are pulled to u_0.
    basis_penalty : float
        On Φ, features scaled to standard deviation 1.
    """

    optimizer: str = "lbfgs"  # type: ignore[assignment]
    rank: int = 6
    penalty: float = 3.0
    basis_penalty: float = 3.0

    def checks(self) -> dict[str, tuple[bool, str]]:
        """Check what is PReF's own."""
        return {
            "rank": (self.rank >= 1, "at least 1"),
            "penalty": (0 <= self.penalty < math.inf, "0 or more"),
            "basis_penalty": (0 <= self.basis_penalty < math.inf, "0 or more"),
        }


def fit(
    pairs: PairFeatures,
    held_out: PairFeatures,
    options: PrefOptions,
    *,
    seed: int = 0,
    report: Report | None = None,
    checkpoint: Path | None = None,
) -> PrefHead:
    """Fit Φ and every user's u_u.

    Parameters
    ----------
    pairs, held_out : PairFeatures
        To train on, and to stop early by.
    options : PrefOptions
    seed : int
        Of batches, where the optimiser takes some; the start draws nothing.
    report : callable, optional
    checkpoint : Path, optional

    Returns
    -------
    PrefHead
        With a row a user and one for everybody else.
    """
    scaling = Scaling.of_pairs(pairs)
    scaled = scaling(pairs)
    rank = min(options.rank, pairs.width)
    head = PrefHead((EVERY_USER, *pairs.names), pairs.width, rank, options.penalty)
    with torch.no_grad():
        # Means of few pairs are noisy: users start near one another, and training parts them.
        everybody, users, basis = _decompose(scaled, rank)
        head.basis.copy_(basis)
        head.user.copy_(torch.cat([everybody[None], everybody + 0.1 * (users - everybody)]))
    fit_table(
        head,
        scaled,
        scaling(held_out),
        options,
        penalty=lambda: 0.5 * options.basis_penalty * head.basis.square().sum(),
        seed=seed,
        report=report,
        checkpoint=checkpoint,
    )
    with torch.no_grad():
        head.basis.div_(scaling.scale[:, None])
    return head.eval().requires_grad_(False)


def adapt(head: PrefHead, user: str, pairs: PairFeatures) -> PrefHead:
    """Return the head with a row for a user, fitted to their pairs; without pairs, as it is."""
    if not len(pairs):
        return head
    return head.with_rows({user: adapt_row(head, pairs, penalty=head.penalty)})


def _decompose(pairs: PairFeatures, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of everybody and of users, and Φᵀ, from mean differences of what users chose.

    Near 0, 2σ(m) − 1 is m/2, so the mean difference of a user with weight w is C·w/2, C the second
    moment of differences. It is taken where C is the identity, so that features that go together
    count once.
    """
    differences = (pairs.chosen - pairs.rejected).double()
    moment = differences.T @ differences / len(differences)
    ridge = _RIDGE * moment.diagonal().mean()
    root = torch.linalg.cholesky(moment + (ridge + 1e-12) * torch.eye(pairs.width))
    white = torch.linalg.solve_triangular(root, differences.T, upper=False).T
    means = torch.stack([white[rows].mean(0) for rows in pairs.by_user().values()])
    left, values, right = torch.linalg.svd(2 * means, full_matrices=False)
    # A sign that does not hang on how the decomposition was computed.
    largest = right.abs().argmax(-1, keepdim=True)
    size = values.sqrt() * right.gather(-1, largest)[:, 0].sign()
    found = min(rank, len(size))
    users = torch.zeros(len(means), rank, dtype=torch.float64)
    basis = torch.zeros(pairs.width, rank, dtype=torch.float64)
    users[:, :found] = (left * size)[:, :found]
    # Of the root's transpose: (root⁻¹Δ)ᵀv = Δᵀ(root⁻ᵀv).
    columns = (right.T * size)[:, :found]
    basis[:, :found] = torch.linalg.solve_triangular(root.T, columns, upper=True)
    return users.mean(0).float(), users.float(), basis.float()

"""Reward models that are linear in the features for a given user.

**Global Bradley–Terry:** one reward for everybody, r(x, y) = wᵀe.

P(y_c preferred to y_r) = σ(wᵀ(e_c − e_r)) [1]_. The baseline of the personalised reward models, and
what LoRe is at rank 1.

**LoRe:** users as mixtures of a few shared rewards, r_u(x, y) = eᵀ V softmax(w_u).

V (width × rank) is shared, w_u (rank) is the user's [2]_. Training minimises

    Σ −log σ(r_u(y_c) − r_u(y_r)) + ½·reference·Σ_j ‖V_j − V_ref‖² + ½·penalty·Σ_u ‖w_u − w_0‖²

where V_ref is the global Bradley–Terry weight of the same pairs. The authors' own pulls V to the
weight of a public reward model, which a from-scratch base model does not have. The last term is
ours: it is what lets a user with one pair have a row, and w_0, fitted along, is the row of
everybody else. A new user's w_u minimises the same with V and w_0 fixed.

**PReF:** users as directions in a small space of shared rewards, r_u(x, y) = u_uᵀ φ(x, y).

φ(x, y) = Φe has few dimensions, u_u is the user's [3]_. Training minimises

    Σ −log σ(u_uᵀΦ(e_c − e_r)) + ½·penalty·Σ_u ‖u_u − u_0‖² + ½·basis_penalty·‖Φ‖²

from the start that a singular value decomposition gives. The authors decompose the users × pairs
matrix of choices, which needs pairs that many users judged. Ours decomposes its product with the
pairs' features, users × width: each row is the mean of what a user chose less what they rejected,
the features made uncorrelated.
Where all users judge the same pairs it spans the same directions; where everybody has pairs of
their own, it still pools what is alike. A new user's u_u is regularised logistic regression on
φ(x, y_c) − φ(x, y_r), with the prior mean u_0 that serves everybody else.

Accuracy is read at the threshold 0 throughout, not at the best one on the test labels.

.. [1] R. A. Bradley, M. E. Terry (1952). Rank analysis of incomplete block designs: I. The method
   of paired comparisons. Biometrika 39(3/4), 324–345.
.. [2] A. Bose, Z. Xiong, Y. Chi, S. S. Du, L. Xiao, M. Fazel (2025). LoRe: Personalizing LLMs via
   Low-Rank Reward Modeling. arXiv:2504.14439.
.. [3] I. Shenfeld, F. Faltings, P. Agrawal, A. Pacchiano (2025). Language Model Personalization via
   Reward Factorization. arXiv:2503.06358.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from preflamp_backend.models.heads.head import EVERY_USER
from preflamp_backend.models.heads.linear import LinearHead, LoreHead, PrefHead
from preflamp_backend.options import at_least
from preflamp_backend.training.features import PairFeatures
from preflamp_backend.training.loop import Optimizer, Task, TrainingOptions
from preflamp_backend.training.user_rows import Scaling, fit_table, log_loss


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


def fit_bradley_terry(task: Task) -> LinearHead:
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

    task.fit("bradley-terry", module, loss, held_out_loss, len(pairs))
    return (module.weight.detach()[0] / scale).float()


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


def fit_lore(task: Task) -> LoreHead:
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

    optimizer: Optimizer = "lbfgs"
    rank: int = at_least(1, 6)
    penalty: float = at_least(0, 3.0)
    basis_penalty: float = at_least(0, 3.0)


def fit_pref(task: Task) -> PrefHead:
    """Fit Φ and every user's u_u; the head has a row a user and one for everybody else.

    The start draws nothing: the seed is of batches, where the optimiser takes some.
    """
    pairs, options = task.pairs, task.options
    scaling = Scaling.of_pairs(pairs)
    rank = min(options.rank, pairs.width)
    head = PrefHead((EVERY_USER, *pairs.names), pairs.width, rank, options.penalty)
    with torch.no_grad():
        # Means of few pairs are noisy: users start near one another, and training parts them.
        everybody, users, basis = _decompose(scaling(pairs), rank)
        head.basis.copy_(basis)
        head.user.copy_(torch.cat([everybody[None], everybody + 0.1 * (users - everybody)]))

    def penalty() -> Tensor:
        return 0.5 * float(options.basis_penalty) * head.basis.square().sum()

    fit_table(head, task, penalty=penalty, scaling=scaling)
    with torch.no_grad():
        head.basis.div_(scaling.scale[:, None])
    return head.eval().requires_grad_(False)


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

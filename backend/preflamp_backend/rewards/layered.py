"""Reward models with layers of their own between features and reward.

**PAL:** users as mixtures of prototypes in a space that is learned along.

A: r_u(x, y) = −s·‖f(e) − softmax(w_u)P‖, the nearer to the user's ideal point the better.
B: r_u(x, y) = s·cos(f(e), Σ_k softmax(w_u)_k g_k(x)), where what is ideal depends on the prompt.

f and g_k are perceptrons with one hidden layer, P (prototypes × dimension), s > 0 is learned [1]_.
The loss is the cross-entropy or a hinge of the margin; w_u is pulled to w_0 as in LoRe. A new user
is a new w_u, and nothing else changes.

**VPL:** a user as a latent vector inferred from a few of their pairs, r(x, y; z) = MLP([e; z]).

q(z | context) = N(μ, diag σ²) is an encoder of up to 8 of the user's pairs: each pair [e_c; e_r]
through a perceptron, attention among them, their mean to μ and log σ² [2]_. Training minimises, for
every pair with a context drawn from the user's *other* pairs,

    −log σ(r(y_c; z) − r(y_r; z)) + kl·a(t)·KL(q(z | context) ‖ N(0, I)),    z drawn from q,

where a(t) climbs from 0 to 1 in cycles over the epochs. Context sizes are drawn from 1 to 8, so
that any number serves. At evaluation z = μ. A new user costs a forward pass; one without pairs has
z = 0, the prior's mean.

.. [1] D. Chen, Y. Chen, A. Rege, R. K. Vinayak (2024). PAL: Pluralistic Alignment Framework for
   Learning from Heterogeneous Preferences. arXiv:2406.08469.
.. [2] S. Poddar, Y. Wan, H. Ivison, A. Gupta, N. Jaques (2024). Personalizing Reinforcement
   Learning from Human Feedback with Variational Preference Learning. arXiv:2408.10075.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from preflamp_backend.models.heads.head import EVERY_USER
from preflamp_backend.models.heads.layers import PalAHead, PalBHead, VplHead
from preflamp_backend.models.repeatable import one_thread
from preflamp_backend.options import at_least
from preflamp_backend.training import user_rows
from preflamp_backend.training.features import PairFeatures
from preflamp_backend.training.loop import Task, TrainingOptions


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


_LOSSES = {"cross-entropy": user_rows.log_loss, "hinge": _hinge}


def fit_pal(task: Task) -> PalAHead | PalBHead:
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
        user_rows.start_from(head, pairs, generator)
        head.user.normal_(0, 0.1, generator=generator)
        if isinstance(head, PalAHead):
            head.points.normal_(generator=generator)
        else:
            scaling = user_rows.Scaling.of(pairs.prompt)
            head.prompt_centre.copy_(scaling.centre)
            head.prompt_scale.copy_(scaling.scale)
    user_rows.fit_table(head, task, loss=_LOSSES[options.loss])
    return head.eval().requires_grad_(False)


_CYCLES = 4
"""Times that the weight of the divergence climbs from 0 to 1."""


@dataclass(frozen=True)
class VplOptions(TrainingOptions):
    """Options of VPL.

    Parameters
    ----------
    latent : int
        Numbers in z.
    hidden : int
        Width of the perceptrons.
    context : int
        Pairs at most from which z is inferred.
    kl : float
        Weight of the divergence when it is highest.
    """

    latent: int = at_least(1, 8)
    hidden: int = at_least(1, 64)
    context: int = at_least(1, 8)
    kl: float = at_least(0, 0.01)


def fit_vpl(task: Task) -> VplHead:
    """Fit encoder and reward.

    The head has a row a user, inferred from up to ``context`` of their pairs, and one for everybody
    else.
    """
    pairs, options = task.pairs, task.options
    users = (EVERY_USER, *pairs.names)
    head = VplHead(users, pairs.width, options.latent, options.hidden, options.context)
    generator = torch.Generator().manual_seed(task.seed)
    with torch.no_grad():
        user_rows.start_from(head, pairs, generator)
    contexts = _Contexts(pairs, options.context)
    both = pairs.both
    shown = contexts.draw(torch.arange(len(pairs.names)), None, generator, full=True)

    def loss(batch: Tensor, generator: torch.Generator, progress: float) -> Tensor:
        rows, there = contexts.draw(contexts.user[batch], batch, generator)
        mean, log_variance = head.infer(pairs.chosen[rows], pairs.rejected[rows], there)
        noise = torch.randn(mean.shape, generator=generator)
        z = mean + noise * (0.5 * log_variance).exp()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)
        kl = options.kl * min(1.0, 2 * (progress * _CYCLES % 1.0))
        margins = user_rows.margins(head, both[batch], z, pairs.prompt[batch])
        return (user_rows.log_loss(margins) + kl * divergence).mean()

    @torch.no_grad()
    def held_out_loss() -> float:
        rows, there = shown
        head.user[1:] = head.infer(pairs.chosen[rows], pairs.rejected[rows], there)[0]
        return user_rows.mean_log_loss(head, task.held_out)

    task.fit(head.kind, head, loss, held_out_loss, len(pairs))
    return head.eval().requires_grad_(False)


@torch.no_grad()
def infer_row(head: VplHead, pairs: PairFeatures) -> Tensor:
    """Row of a new user: μ given the first of their pairs, up to ``context``."""
    user_rows.check_width(head, pairs)
    shown = pairs.select(range(min(len(pairs), head.context)))
    with one_thread():
        there = torch.ones(1, len(shown), dtype=torch.bool)
        mean: Tensor = head.infer(shown.chosen[None], shown.rejected[None], there)[0]
    return mean[0]


class _Contexts:
    """Draws some of a user's pairs, as rows."""

    def __init__(self, pairs: PairFeatures, size: int) -> None:
        by_user = list(pairs.by_user().values())
        names = {name: number for number, name in enumerate(pairs.names)}
        self.user = torch.tensor([names[user] for user in pairs.users])
        self.size = min(size, max(map(len, by_user)))
        self.rows = nn.utils.rnn.pad_sequence(by_user, batch_first=True)
        counts = torch.tensor([len(rows) for rows in by_user])
        self.there = torch.arange(self.rows.shape[1]) < counts[:, None]

    def draw(
        self,
        users: Tensor,
        without: Tensor | None,
        generator: torch.Generator,
        *,
        full: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Draw up to ``size`` pairs of each user, none of them the pair ``without``.

        Returns
        -------
        rows : Tensor, (users, size), int64
        there : Tensor, (users, size), bool
        """
        there = self.there[users]
        if without is not None:
            there = there & (self.rows[users] != without[:, None])
        order = torch.rand(there.shape, generator=generator).masked_fill(~there, 2.0)
        places = order.topk(self.size, largest=False).indices
        taken = there.gather(1, places)
        if not full:
            counts = torch.randint(1, self.size + 1, (len(users), 1), generator=generator)
            taken = taken & (torch.arange(self.size) < counts)
        return self.rows[users].gather(1, places), taken

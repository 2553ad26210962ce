"""Fitting heads whose users are rows of a table around a row of everybody."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from preflamp_backend.rewards.head import EVERY_USER
from preflamp_backend.rewards.likelihood import log_loss, margins, mean_log_loss
from preflamp_backend.rewards.pairs import PairFeatures
from preflamp_backend.rewards.training import Report, fingerprint, train
from preflamp_backend.rewards.user_table import UserTableHead

__all__ = ["fit_table"]


def fit_table(
    head: UserTableHead,
    pairs: PairFeatures,
    held_out: PairFeatures,
    options: Any,
    *,
    loss: Callable[[Tensor], Tensor] = log_loss,
    penalty: Callable[[], Tensor] | None = None,
    seed: int,
    report: Report | None,
    checkpoint: Path | None,
) -> None:
    """Minimise Σ loss(margin) + ½·options.penalty·Σ_u ‖p_u − p_0‖² + penalty over all of a head.

    Parameters
    ----------
    head : UserTableHead
        With the row of everybody, p_0, and a row for each user of ``pairs``.
    pairs, held_out : PairFeatures
    options : TrainingOptions with ``penalty``
    loss : callable
        Of margins; early stopping looks at the log-loss whatever it is.
    penalty : callable, optional
        On what users share.
    seed, report, checkpoint
        As for :func:`preflamp_backend.rewards.training.train`.
    """
    rows = head.rows_of(pairs.users)
    everybody = int(head.rows_of([EVERY_USER])[0])
    both, prompt = pairs.both, pairs.prompt

    def objective(batch: Tensor, generator: torch.Generator, progress: float) -> Tensor:
        users = head.for_users(rows[batch])
        spread = (head.user - head.user[everybody]).square().sum()
        held: Tensor = 0.5 * options.penalty * spread + (0 if penalty is None else penalty())
        mean: Tensor = loss(margins(head, both[batch], users, prompt[batch])).mean()
        return mean + held / len(pairs)

    train(
        head,
        objective,
        lambda: mean_log_loss(head, held_out),
        len(pairs),
        options,
        seed=seed,
        report=report,
        checkpoint=checkpoint,
        key=fingerprint(head.kind, pairs, held_out, options, seed),
    )

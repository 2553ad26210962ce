"""Rewards without a parameter: the length of a response, and the base model's likelihood of it.

``length``: r(x, y_≤t) = t tokens; it asks how far a reward model is ahead of counting. The reverse,
that shorter is better, has one less its accuracy. ``likelihood``: r(x, y_≤t) = log π(y_≤t given x),
nats; RM accuracy is then the accuracy of the base model alone, and the tilted policy π^(1 + w).
Neither needs a pass of its own, nor can guide: the one is the same for all next tokens, the other
only sharpens what the base model says.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from preflamp_backend.scoring.score import BaseScores, RewardScores, ScoreOptions


def add_baselines(
    kinds: Sequence[str],
    base: BaseScores,
    targets: Sequence[int],
    options: ScoreOptions,
    others: RewardScores | None = None,
) -> RewardScores:
    """Put baselines behind the scores of reward models of one response.

    Parameters
    ----------
    kinds : sequence of {"length", "likelihood"}
    base : BaseScores
        Of the same response.
    targets : sequence of int
        Ids of its tokens.
    options : ScoreOptions
    others : RewardScores, optional
        What reward models say of it.

    Returns
    -------
    RewardScores
        Columns of the others, then one for each of ``kinds``.

    Examples
    --------
    >>> none = np.empty((2, 0))
    >>> base = BaseScores(np.log([0.5, 0.25]).astype(np.float32), none.astype(int), none)
    >>> add_baselines(["length", "likelihood"], base, [7, 8], ScoreOptions()).trace.round(2)
    array([[ 1.  ,  2.  ],
           [-0.69, -2.08]], dtype=float32)
    """
    logprob = base.token_logprob.astype(np.float64)
    likely = base.top_logprob.astype(np.float64)
    # What a prefix has earned is the same for every next token, and cancels: the length's step is
    # the same for all of them too, the likelihood's is what the base model says once more.
    own = base.top_ids == np.asarray(targets)[:, None]

    def policy_logprob(kind: str, weight: float) -> float:
        tilt = weight if kind == "likelihood" else 0.0
        mine, every = (1 + tilt) * logprob, (1 + tilt) * likely
        if options.scoring == "renormalised":
            scale = np.logaddexp.reduce(likely, axis=1) - np.logaddexp.reduce(every, axis=1)
            return float(np.where(own.any(axis=1), mine + scale, logprob).sum())
        every = np.concatenate([mine[:, None], np.where(own, -np.inf, every)], 1)
        return float((mine - np.logaddexp.reduce(every, axis=1)).sum())

    traces = {"length": np.arange(1.0, len(logprob) + 1), "likelihood": logprob.cumsum()}
    trace = np.array([traces[kind] for kind in kinds], np.float32)
    policy = np.array([[policy_logprob(kind, w) for kind in kinds] for w in options.weights])
    policy = policy.reshape(len(options.weights), len(kinds))
    mine = RewardScores(trace[:, -1], trace if options.trace else trace[:, :0], policy)
    if others is None:
        return mine
    return RewardScores(
        np.concatenate([others.reward, mine.reward]),
        np.concatenate([others.trace, mine.trace]),
        np.concatenate([others.policy, mine.policy], 1),
    )

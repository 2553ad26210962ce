"""Scores of the guided policy: a base part, a reward part, and the weight between them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from preflamp_stats.choices import Ties
from preflamp_stats.kernels.accuracy import pair_credit

__all__ = ["credit_by_weight", "token_totals", "weighted_score"]


def weighted_score(base: ArrayLike, reward: ArrayLike, weight: float) -> NDArray[np.float64]:
    r"""Score of the guided policy, base + w·reward.

    With the log-probability and the reward of the whole response this is the score of the tilted
    policy, :math:`\log\pi(y|x) + w\,r(x, y)`, which ranks a pair exactly as
    :math:`\pi\exp(w r)/Z(x)` does, since the normaliser depends on the prompt alone. With the
    totals of :func:`token_totals` it is the sum of the token scores of ARGS.

    Parameters
    ----------
    base : array_like
        Log-probability under the base model, nats.
    reward : array_like
        Reward; NaN where there is none.
    weight : float
        Weight w ≥ 0. At 0 the score is the base part, at ``inf`` the reward part: both exactly.

    Returns
    -------
    ndarray of float64
        NaN where either part is NaN, whatever the weight: a method without a reward has no guided
        policy.

    Examples
    --------
    >>> weighted_score([-1.0, -2.0], [0.0, 3.0], 0.5)
    array([-1. , -0.5])
    >>> weighted_score([-1.0, -2.0], [0.0, 3.0], np.inf)
    array([0., 3.])
    """
    base, reward = np.asarray(base, np.float64), np.asarray(reward, np.float64)
    if np.isinf(weight):
        score, other = np.broadcast_arrays(reward, base)
    elif weight == 0:
        score, other = np.broadcast_arrays(base, reward)
    else:
        return np.asarray(base + weight * reward)
    return np.where(np.isnan(other), np.nan, score)


def token_totals(
    token_logprob: ArrayLike, reward_trace: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Sums over tokens of log-probability and prefix reward, the parts of the ARGS score.

    :math:`\sum_t [\log\pi(y_t) + w\,r(x, y_{\le t})]` counts the reward once a token, so it favours
    length where rewards are positive.

    Parameters
    ----------
    token_logprob : array_like, shape (..., token)
        Log-probability of each token, nats; NaN past the end.
    reward_trace : array_like, shape (..., token)
        Reward of each prefix; NaN past the end.

    Returns
    -------
    base, reward : ndarray of float64, shape (...)
        Over the tokens that have both numbers; NaN where there is none.

    References
    ----------
    Khanov, Burapacheep and Li (2024), ARGS: Alignment as Reward-Guided Search.

    Examples
    --------
    >>> token_totals([-1.0, -2.0, np.nan], [0.5, 1.0, np.nan])
    (array(-3.), array(1.5))
    """
    parts = np.broadcast_arrays(
        np.asarray(token_logprob, np.float64), np.asarray(reward_trace, np.float64)
    )
    there = ~(np.isnan(parts[0]) | np.isnan(parts[1]))
    empty = ~there.any(axis=-1)
    base, reward = (np.where(empty, np.nan, part.sum(axis=-1, where=there)) for part in parts)
    return base, reward


def credit_by_weight(
    base: tuple[ArrayLike, ArrayLike],
    reward: tuple[ArrayLike, ArrayLike],
    weights: ArrayLike,
    *,
    ties: Ties = "half",
) -> NDArray[np.float64]:
    """Credit of pairs by the guided policy's score, for each of several reward weights.

    Parameters
    ----------
    base, reward : pair of array_like, shape (...)
        Parts of the score of the chosen and of the rejected response.
    weights : array_like, shape (weight,)
        Weights w ≥ 0; 0 and ``inf`` are exact.
    ties : {"half", "strict", "drop"}
        Credit of equal scores.

    Returns
    -------
    ndarray of float64, shape (weight, ...)

    Examples
    --------
    >>> credit_by_weight(([-1.0], [-2.0]), ([0.0], [3.0]), [0.0, 1.0, np.inf])
    array([[1.],
           [0.],
           [0.]])
    """
    parts = np.broadcast_arrays(*base, *reward)
    weights = np.asarray(weights, np.float64)
    credit = np.empty((weights.size, *parts[0].shape))
    for position, weight in enumerate(weights):
        chosen, rejected = (weighted_score(parts[i], parts[i + 2], weight) for i in (0, 1))
        credit[position] = pair_credit(chosen, rejected, ties=ties)
    return credit

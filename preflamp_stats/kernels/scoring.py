"""Scores of the guided policy for a whole response, from log-probabilities and rewards."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["accumulated_score", "sequence_score"]


def sequence_score(logprob: ArrayLike, reward: ArrayLike, weight: float) -> NDArray[np.float64]:
    r"""Score of the tilted policy, :math:`\log\pi(y|x) + w\,r(x, y)`.

    It ranks a pair exactly as the policy :math:`\pi\exp(w r)/Z(x)` does, since the normaliser
    depends on the prompt alone.

    Parameters
    ----------
    logprob : array_like
        Log-probability of the response under the base model, nats.
    reward : array_like
        Reward of the response; NaN where there is none.
    weight : float
        Weight w ≥ 0. At 0 the score is the log-probability, at ``inf`` the reward: both exactly.

    Returns
    -------
    ndarray of float64
        NaN where the reward or the log-probability is NaN, whatever the weight: a method without a
        reward has no guided policy.

    Examples
    --------
    >>> sequence_score([-1.0, -2.0], [0.0, 3.0], 0.5)
    array([-1. , -0.5])
    >>> sequence_score([-1.0, -2.0], [0.0, 3.0], np.inf)
    array([0., 3.])
    """
    logprob = np.asarray(logprob, dtype=np.float64)
    reward = np.asarray(reward, dtype=np.float64)
    if np.isinf(weight):
        score, other = np.broadcast_arrays(reward, logprob)
    elif weight == 0:
        score, other = np.broadcast_arrays(logprob, reward)
    else:
        return np.asarray(logprob + weight * reward)
    return np.where(np.isnan(other), np.nan, score)


def accumulated_score(
    token_logprob: ArrayLike, reward_trace: ArrayLike, weight: float
) -> NDArray[np.float64]:
    r"""Sum of the token scores of ARGS, :math:`\sum_t [\log\pi(y_t) + w\,r(x, y_{\le t})]`.

    The reward is counted once a token, so the score favours length where rewards are positive.

    Parameters
    ----------
    token_logprob : array_like, shape (..., token)
        Log-probability of each token, nats; NaN past the end.
    reward_trace : array_like, shape (..., token)
        Reward of each prefix; NaN past the end.
    weight : float
        Weight w ≥ 0; 0 and ``inf`` are exact, as in :func:`sequence_score`.

    Returns
    -------
    ndarray of float64, shape (...)
        NaN where a response has no token with both numbers.

    References
    ----------
    Khanov, Burapacheep and Li (2024), ARGS: Alignment as Reward-Guided Search.

    Examples
    --------
    >>> accumulated_score([-1.0, -2.0, np.nan], [0.5, 1.0, np.nan], 2.0)
    array(0.)
    """
    per_token = sequence_score(token_logprob, reward_trace, weight)
    empty = np.isnan(per_token).all(axis=-1)
    return np.asarray(np.where(empty, np.nan, np.nansum(per_token, axis=-1)))

"""Rewards of prefixes, read off a reward trace."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["prefix_rewards"]


def prefix_rewards(reward_trace: ArrayLike, shares: ArrayLike) -> NDArray[np.float64]:
    """Reward of the prefix that holds a given share of the response's tokens.

    Parameters
    ----------
    reward_trace : array_like, shape (..., token)
        Reward of each prefix; NaN past the end.
    shares : array_like, shape (share,)
        Shares of the response in (0, 1]. The prefix has ``ceil(share · length)`` tokens, at least
        one.

    Returns
    -------
    ndarray of float64, shape (..., share)
        NaN where the response is empty.

    Raises
    ------
    ValueError
        If a share is outside (0, 1].

    Examples
    --------
    >>> prefix_rewards([0.1, 0.2, 0.3, 0.4, np.nan], [0.25, 0.5, 1.0])
    array([0.1, 0.2, 0.4])
    """
    trace = np.asarray(reward_trace, dtype=np.float64)
    shares = np.atleast_1d(np.asarray(shares, dtype=np.float64))
    if not ((shares > 0) & (shares <= 1)).all():
        raise ValueError(f"shares must lie in (0, 1], got {shares}")
    length = np.sum(~np.isnan(trace), axis=-1)
    # The small tolerance keeps a share such as 0.3 · 10 = 3.0000000000000004 at three tokens.
    tokens = np.ceil(length[..., None] * shares - 1e-9).astype(np.intp)
    index = np.clip(tokens, 1, None) - 1
    return np.take_along_axis(trace, index, axis=-1)

"""What a study knows of each response: its length, log-probabilities, and rewards of prefixes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["response_lengths", "split_logprob", "trace_reward"]

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

_TYPICAL_LENGTH = 80


def response_lengths(stream: np.random.SeedSequence, n_examples: int, longest: int) -> Integers:
    """Tokens of the chosen and the rejected response; shape (example, candidate).

    Log-normal where there is no `longest`, else uniform from a quarter of it.
    """
    rng = np.random.default_rng(stream)
    shape = (n_examples, 2)
    if longest:
        return np.asarray(rng.integers(max(1, longest // 4), longest, shape, endpoint=True))
    drawn = _TYPICAL_LENGTH * np.exp(0.5 * rng.standard_normal(shape))
    lengths: Integers = np.maximum(1, np.rint(drawn)).astype(np.int64)
    return lengths


def split_logprob(
    stream: np.random.SeedSequence,
    logprob: NDArray[np.float64],
    n_tokens: Integers,
    longest: int,
) -> Floats:
    """Split each response's log-probability over its tokens, all negative.

    Parameters
    ----------
    stream : numpy.random.SeedSequence
        Source of the random numbers.
    logprob : array (model, example, candidate)
        Negative, in nats.
    n_tokens : array (example, candidate)
        Length of each response.
    longest : int
        Length of the last axis.

    Returns
    -------
    array (model, example, candidate, token)
        NaN past the end.
    """
    rng = np.random.default_rng(stream)
    shares = rng.standard_exponential((*logprob.shape, longest), dtype=np.float32)
    shares[:, np.arange(longest) >= n_tokens[..., None]] = np.nan
    shares /= np.nansum(shares, axis=-1, keepdims=True)
    return (shares * logprob[..., None]).astype(np.float32)


def trace_reward(
    stream: np.random.SeedSequence,
    reward: Floats,
    n_tokens: Integers,
    longest: int,
    scale: float,
) -> Floats:
    """Rewards of every prefix: Brownian bridges from the pair's level to the final reward.

    The difference of two prefixes that have read the share f of their responses is f times the
    final difference plus a bridge of variance f(1−f): with symmetric margins of mean a and
    variance 1 it ranks the pair right with probability Φ(a√f).

    Parameters
    ----------
    stream : numpy.random.SeedSequence
        Source of the random numbers.
    reward : array (method, model, seed, example, candidate)
        Reward of the whole response.
    n_tokens : array (example, candidate)
        Length of each response.
    longest : int
        Length of the last axis.
    scale : float
        Standard deviation of the final difference.

    Returns
    -------
    array (method, model, seed, example, candidate, token)
        NaN past the end; the last value before it equals `reward`.
    """
    rng = np.random.default_rng(stream)
    position = np.arange(1, longest + 1)
    length = n_tokens[..., None]
    share = (position / length).astype(np.float32)
    step = scale / np.sqrt(2 * length).astype(np.float32) * (position <= length)
    walk = rng.standard_normal((*reward.shape, longest), dtype=np.float32)
    walk *= step.astype(np.float32)
    np.cumsum(walk, axis=-1, out=walk)
    level = reward.mean(axis=-1, keepdims=True)
    gain = (reward - level)[..., None] - walk[..., -1:]
    walk += share * gain
    walk += level[..., None]
    trace = np.where(position == length, reward[..., None], walk)
    trace[..., position > length] = np.nan
    return trace

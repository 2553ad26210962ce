"""Views of discrimination: over the reward weight, along the response, by difference in length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preflamp_stats.choices import STORED, Average, Scoring, Ties
from preflamp_stats.io.select import Results, one_dataset
from preflamp_stats.kernels.scoring import credit_by_weight
from preflamp_stats.kernels.traces import prefix_rewards
from preflamp_stats.metrics.averages import example_mean
from preflamp_stats.metrics.discrimination import compared_pair, score_credit
from preflamp_stats.metrics.policy import policy_score, require, score_parts

__all__ = [
    "DEFAULT_SHARES",
    "DEFAULT_WEIGHTS",
    "length_difference",
    "prefix_accuracy",
    "prefix_credit",
    "weight_credit",
    "weight_curve",
]

DEFAULT_WEIGHTS: tuple[float, ...] = (0.0, *np.logspace(-3, 3, 13).tolist(), np.inf)
"""Two weights a decade, since the scale of a reward is arbitrary, and both exact ends."""

DEFAULT_SHARES: tuple[float, ...] = tuple((np.arange(1, 11) / 10).tolist())
"""Tenths of the response."""


def weight_curve(
    ds: Results,
    *,
    weights: Sequence[float] = DEFAULT_WEIGHTS,
    scoring: Scoring = "sequence",
    length_normalise: bool = False,
    ties: Ties = "half",
    average: Average = "micro",
) -> xr.DataArray:
    """Policy accuracy as a function of the reward weight.

    Parameters
    ----------
    ds : Dataset
        As for :func:`policy_score`.
    weights : sequence of float
        Weights w ≥ 0, ``inf`` allowed. Under ``sequence`` scoring weight 0 is the base model's
        likelihood accuracy and ``inf`` the RM accuracy, both exactly.
    scoring, length_normalise, ties, average
        As for :func:`policy_accuracy`.

    Returns
    -------
    DataArray, dims (weight, model, method, [seed])

    Examples
    --------
    >>> import preflamp_stats as pls
    >>> ds = next(iter(pls.datasets(pls.simulate(n_users=5, n_examples=2, seed=1)).values()))
    >>> weight_curve(ds, weights=[0, 1, float("inf")]).sizes["weight"]
    3
    """
    ds = one_dataset(ds)
    credit = weight_credit(
        ds, weights=weights, scoring=scoring, length_normalise=length_normalise, ties=ties
    )
    accuracy = example_mean(credit, user=ds.get("user"), average=average)
    return accuracy.rename("policy_accuracy").assign_attrs(long_name="Policy accuracy")


def weight_credit(
    ds: xr.Dataset,
    *,
    weights: Sequence[float] = DEFAULT_WEIGHTS,
    scoring: Scoring = "sequence",
    length_normalise: bool = False,
    ties: Ties = "half",
) -> xr.DataArray:
    """Credit of each pair by the guided policy, dims (weight, ..., example)."""
    if scoring in STORED:
        score = policy_score(
            ds, weight=list(weights), scoring=scoring, length_normalise=length_normalise
        )
        return score_credit(score, ties=ties)
    base, reward = score_parts(ds, scoring=scoring, length_normalise=length_normalise)
    credit: xr.DataArray = xr.apply_ufunc(
        _credit_of_parts,
        *compared_pair(base),
        *compared_pair(reward),
        kwargs={"weights": weights, "ties": ties},
        output_core_dims=[["weight"]],
        dask="parallelized",
        dask_gufunc_kwargs={"output_sizes": {"weight": len(weights)}},
        output_dtypes=[np.float64],
    )
    return credit.assign_coords(weight=np.asarray(weights, dtype=np.float64))


def _credit_of_parts(
    base_chosen: NDArray[np.float64],
    base_rejected: NDArray[np.float64],
    reward_chosen: NDArray[np.float64],
    reward_rejected: NDArray[np.float64],
    weights: Sequence[float],
    ties: Ties,
) -> NDArray[np.float64]:
    credit = credit_by_weight(
        (base_chosen, base_rejected), (reward_chosen, reward_rejected), weights, ties=ties
    )
    return np.moveaxis(credit, 0, -1)


def prefix_credit(
    ds: xr.Dataset, *, shares: Sequence[float] = DEFAULT_SHARES, ties: Ties = "half"
) -> xr.DataArray:
    """Credit of each pair by the rewards of its prefixes, dims (share, ..., example)."""
    trace = require(ds, "reward_trace", "for prefix accuracy")
    rewards = xr.apply_ufunc(
        prefix_rewards,
        trace,
        kwargs={"shares": np.asarray(shares, dtype=np.float64)},
        input_core_dims=[["token"]],
        output_core_dims=[["share"]],
        dask="parallelized",
        dask_gufunc_kwargs={"allow_rechunk": True, "output_sizes": {"share": len(shares)}},
        output_dtypes=[np.float64],
    ).assign_coords(share=np.asarray(shares, dtype=np.float64))
    return score_credit(rewards, ties=ties)


def prefix_accuracy(
    ds: Results,
    *,
    shares: Sequence[float] = DEFAULT_SHARES,
    ties: Ties = "half",
    average: Average = "micro",
) -> xr.DataArray:
    """Accuracy of the prefix reward: when does the reward know which response was chosen?

    Each response of a pair is cut at the same share of its own length.

    Parameters
    ----------
    ds : Dataset
        With ``reward_trace``, dims (method, [model], [seed], example, candidate, token).
    shares : sequence of float
        Shares of the response in (0, 1]; a prefix has at least one token.
    ties, average
        As for :func:`rm_accuracy`.

    Returns
    -------
    DataArray, dims (method, [model], [seed], share)

    Raises
    ------
    InputError
        If the file has no reward traces.
    ValueError
        If a share is outside (0, 1].

    Examples
    --------
    >>> trace = xr.DataArray(
    ...     [[[[0.1, 0.9]], [[0.3, 0.2]]]],
    ...     dims=("method", "candidate", "example", "token"),
    ...     coords={"method": ["lore"], "candidate": ["chosen", "rejected"]},
    ... )
    >>> prefix_accuracy(xr.Dataset({"reward_trace": trace}), shares=[0.5, 1.0]).values
    array([[0., 1.]])
    """
    ds = one_dataset(ds)
    credit = prefix_credit(ds, shares=shares, ties=ties)
    accuracy = example_mean(credit, user=ds.get("user"), average=average)
    return accuracy.rename("prefix_accuracy").assign_attrs(long_name="Accuracy of prefix rewards")


def length_difference(ds: Results) -> xr.DataArray:
    """Tokens of the chosen response minus those of the rejected one.

    Parameters
    ----------
    ds : Dataset
        With ``n_tokens``, dims ([model], example, candidate).

    Returns
    -------
    DataArray, dims ([model], example)
        Tokens; NaN where a length is missing.

    Raises
    ------
    InputError
        If the file has no ``n_tokens``.

    Examples
    --------
    >>> import xarray as xr
    >>> n_tokens = xr.DataArray(
    ...     [[12, 9], [4, 8]],
    ...     dims=("example", "candidate"),
    ...     coords={"candidate": ["chosen", "rejected"]},
    ... )
    >>> length_difference(xr.Dataset({"n_tokens": n_tokens})).values.tolist()
    [3.0, -4.0]
    """
    tokens = require(one_dataset(ds), "n_tokens", "to group pairs by difference in length")
    chosen, rejected = compared_pair(tokens.astype(np.float64))
    return (chosen - rejected).rename("length_difference").assign_attrs(units="tokens")


def length_bins(difference: NDArray[np.float64], n_bins: int = 5) -> NDArray[np.float64]:
    """Edges of bins that hold about equally many pairs.

    Parameters
    ----------
    difference : ndarray
        Differences in length, tokens; NaN is left out.
    n_bins : int
        Bins asked for; ties can leave fewer.

    Returns
    -------
    ndarray, shape (bins + 1,)
        Increasing edges from −inf to inf; a bin holds its lower edge and not its upper one.

    Examples
    --------
    >>> length_bins(np.array([-3.0, -1.0, 0.0, 1.0, 5.0, 9.0]), n_bins=3)
    array([-inf,   0.,   5.,  inf])
    """
    there = difference[~np.isnan(difference)]
    if not there.size:
        return np.array([-np.inf, np.inf])
    # Edges at differences that occur, not between them: no bin is empty.
    inner = np.quantile(there, np.arange(1, n_bins) / n_bins, method="higher")
    edges = np.unique(inner) + 0.0  # no negative zero
    return np.concatenate([[-np.inf], edges[edges > there.min()], [np.inf]])

"""The score by which the guided policy ranks responses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preflamp_stats.choices import STORED, Scoring
from preflamp_stats.errors import InputError, Problem
from preflamp_stats.io.select import Results, one_dataset
from preflamp_stats.io.variables import pairwise_methods
from preflamp_stats.kernels.scoring import token_totals, weighted_score

__all__ = ["policy_score", "require", "score_parts"]


def policy_score(
    ds: Results,
    *,
    weight: float | Sequence[float] | NDArray[np.float64] = 1.0,
    scoring: Scoring = "sequence",
    length_normalise: bool = False,
) -> xr.DataArray:
    r"""Score S(x, y) by which the guided policy ranks responses.

    ========================  ==============================================================
    ``scoring``               S(x, y)
    ========================  ==============================================================
    ``sequence`` (default)    log π(y given x) + w·r(x, y)
    ``accumulated``           Σ_t [log π(y_t) + w·r(x, y_≤t)], the sum of ARGS token scores
    ``renormalised``          Σ_t log p̃(y_t), computed by the backend and stored in the file
    ``renormalised_…``        ``renormalised_with_target``: what was stored under that name before,
                              over the top-k tokens and y_t; no likelihood
    ``stored``                the file's ``policy_score``, however it was made
    ========================  ==============================================================

    Parameters
    ----------
    ds : Dataset, or DataTree or data frame of one dataset
        With ``logprob`` and ``reward`` (sequence), ``token_logprob`` and ``reward_trace``
        (accumulated), or ``policy_score`` (renormalised, stored).
    weight : float or sequence of float
        Weight w of the reward, ≥ 0. At 0 the score is the base model's log-probability, at ``inf``
        the reward; several weights give a dim ``weight``.
    scoring : {"sequence", "accumulated", "renormalised", "renormalised_with_target", "stored"}
        Which score.
    length_normalise : bool
        Divide by ``n_tokens``.

    Returns
    -------
    DataArray, dims ([weight], model, method, [seed], example, candidate)
        Scores in nats (per token if normalised); NaN for a method without rewards, and for one
        that judges pairs only, which the file names in the attribute ``pairwise`` of ``reward``.

    Raises
    ------
    InputError
        If a variable that the scoring needs is missing, or a weight is negative, NaN or not stored.

    Examples
    --------
    >>> import preflamp_stats as pls
    >>> study = pls.simulate(n_users=5, n_examples=2, seed=1)
    >>> ds = next(iter(pls.datasets(study).values()))
    >>> policy_score(ds, weight=2.0).sizes["candidate"]
    2
    """
    ds = one_dataset(ds)
    weights = np.asarray(weight, dtype=np.float64)
    if np.isnan(weights).any() or (weights < 0).any():
        raise InputError(Problem(f"is {weight}", "take 0 or more", variable="weight"))
    if scoring in STORED:
        score = _stored_score(ds, weights, scoring)
        if length_normalise:
            score = score / require(ds, "n_tokens", "to normalise by length")
    elif weights.ndim:
        each = [_computed_score(ds, float(w), scoring, length_normalise) for w in weights]
        score = xr.concat(each, dim=xr.DataArray(weights, dims="weight", name="weight"))
    else:
        score = _computed_score(ds, float(weights), scoring, length_normalise)
    return score.rename("policy_score").assign_attrs(
        long_name="Score of the guided policy", scoring=scoring
    )


def require(ds: xr.Dataset, name: str, purpose: str) -> xr.DataArray:
    """Variable of a dataset, or an error that says what it was needed for."""
    if name not in ds:
        raise InputError(
            Problem(f"is missing; it is needed {purpose}", "add it to the file", variable=name)
        )
    return ds[name]


def score_parts(
    ds: xr.Dataset, *, scoring: Scoring, length_normalise: bool = False
) -> tuple[xr.DataArray, xr.DataArray]:
    """Base and reward part of the guided policy's score, which is base + w·reward.

    Parameters
    ----------
    ds : Dataset
        With the variables that the scoring needs.
    scoring : {"sequence", "accumulated"}
        Which score.
    length_normalise : bool
        Divide both by ``n_tokens``.

    Returns
    -------
    base, reward : DataArray, dims (..., example, candidate)

    Raises
    ------
    InputError
        If a variable is missing or the scoring is not one that is computed here.
    """
    if scoring == "sequence":
        parts = [require(ds, name, "for scoring 'sequence'") for name in ("logprob", "reward")]
        parts[1] = _of_single_responses(parts[1])
    elif scoring == "accumulated":
        names = ("token_logprob", "reward_trace")
        parts = xr.apply_ufunc(
            token_totals,
            *(require(ds, name, "for scoring 'accumulated'") for name in names),
            input_core_dims=[["token"], ["token"]],
            output_core_dims=[[], []],
            dask="parallelized",
            dask_gufunc_kwargs={"allow_rechunk": True},
            output_dtypes=[np.float64, np.float64],
        )
    else:
        raise InputError(
            Problem(
                f"is {scoring!r}",
                f"choose one of {', '.join(get_args(Scoring))}",
                variable="scoring",
            )
        )
    base, reward = parts
    if length_normalise:
        tokens = require(ds, "n_tokens", "to normalise by length")
        base, reward = base / tokens, reward / tokens
    return base, reward


def _of_single_responses(reward: xr.DataArray) -> xr.DataArray:
    """Rewards, NaN for methods that judge pairs only and so cannot guide a policy."""
    if "pairwise" not in reward.attrs or "method" not in reward.dims:
        return reward
    return reward.where(~reward["method"].isin(pairwise_methods(reward)))


def _computed_score(
    ds: xr.Dataset, weight: float, scoring: Scoring, length_normalise: bool
) -> xr.DataArray:
    base, reward = score_parts(ds, scoring=scoring, length_normalise=length_normalise)
    score: xr.DataArray = xr.apply_ufunc(
        weighted_score,
        base,
        reward,
        kwargs={"weight": weight},
        dask="parallelized",
        output_dtypes=[np.float64],
    )
    return score.assign_coords(weight=weight)


def _check_single_weight(score: xr.DataArray, weights: NDArray[np.float64]) -> None:
    """Refuse to pass a score of one weight, or of one that is not told, for that of another."""
    told = "weight" in score.coords
    held = float(score.coords["weight"]) if told else 1.0
    others = sorted({float(w) for w in np.ravel(weights)} - {held})
    if others:
        raise InputError(
            Problem(
                f"is stored {f'for weight {held:g}' if told else 'without a dim weight'}, and "
                f"weight {', '.join(f'{w:g}' for w in others)} is asked for",
                f"ask for weight {held:g}, or store the score over a dim weight",
                variable="policy_score",
            )
        )


def _stored_score(ds: xr.Dataset, weights: NDArray[np.float64], scoring: Scoring) -> xr.DataArray:
    score = require(ds, "policy_score", f"for scoring {scoring!r}")
    stored_as = str(score.attrs.get("scoring", ""))
    if stored_as == "renormalised" and "support" not in score.attrs:
        stored_as = "renormalised_with_target"  # the name's meaning before the support was fixed
    if scoring not in ("stored", stored_as):
        mend = f"ask for scoring {stored_as!r}" if stored_as in STORED else "ask for 'stored'"
        raise InputError(
            Problem(
                f"was made with scoring {stored_as or 'unknown'!r}, not {scoring!r}",
                f"{mend}, or score with the backend, which says in the attributes scoring and "
                "support of the variable what it writes",
                variable="policy_score",
            )
        )
    if "weight" not in score.dims:
        _check_single_weight(score, weights)
        return score.astype(np.float64)
    held = [float(w) for w in score["weight"].values]
    absent = sorted({float(w) for w in np.ravel(weights)} - set(held))
    if absent:
        raise InputError(
            Problem(
                f"is not stored for weight {', '.join(f'{w:g}' for w in absent)}",
                f"take one of {', '.join(f'{w:g}' for w in held)}",
                variable="policy_score",
            )
        )
    index = (
        xr.DataArray([held.index(float(w)) for w in weights], dims="weight")
        if weights.ndim
        else held.index(float(weights))
    )
    return score.isel(weight=index).astype(np.float64)

"""Does the reward model, or the policy it guides, rank the chosen response first?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preflamp_stats.choices import Average, Scoring, Ties, choice_problems
from preflamp_stats.errors import InputError, Problem
from preflamp_stats.io.variables import pairwise_methods
from preflamp_stats.kernels.accuracy import pair_credit
from preflamp_stats.kernels.scoring import token_totals, weighted_score
from preflamp_stats.metrics.averages import example_mean

__all__ = [
    "compared_pair",
    "pair_accuracy",
    "policy_accuracy",
    "policy_score",
    "rm_accuracy",
    "score_credit",
    "score_parts",
]

CHOSEN, REJECTED = "chosen", "rejected"


def compared_pair(score: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Values of the chosen and of the rejected response.

    Parameters
    ----------
    score : DataArray, dims (..., candidate)
        Anything known of each candidate.

    Returns
    -------
    chosen, rejected : DataArray, dims (...)

    Raises
    ------
    InputError
        If it has no candidates ``chosen`` and ``rejected``.
    """
    name = str(score.name or "score")
    if "candidate" not in score.dims or "candidate" not in score.coords:
        raise InputError(
            Problem("has no labelled dim candidate", "label its candidates", variable=name)
        )
    labels = [str(label) for label in score["candidate"].values]
    missing = [label for label in (CHOSEN, REJECTED) if label not in labels]
    if missing:
        raise InputError(
            Problem(
                f"has candidates {', '.join(labels)} but not {' and '.join(missing)}",
                "name the two compared responses chosen and rejected",
                variable=name,
            )
        )
    chosen, rejected = (
        score.isel(candidate=labels.index(label), drop=True) for label in (CHOSEN, REJECTED)
    )
    return chosen, rejected


def score_credit(score: xr.DataArray, *, ties: Ties = "half") -> xr.DataArray:
    """Credit of each example's pair, by any score of its candidates.

    Parameters
    ----------
    score : DataArray, dims (..., candidate)
        Scores with coordinate ``candidate`` holding ``chosen`` and ``rejected``.
    ties : {"half", "strict", "drop"}
        Credit of equal scores.

    Returns
    -------
    DataArray, dims (...)
        1, 0 or the tie's credit; NaN where a score is missing or a tie is dropped.

    Raises
    ------
    InputError
        If the score has no candidates ``chosen`` and ``rejected``, or for an unknown tie rule.
    """
    if problems := choice_problems(ties=ties):
        raise InputError(problems)
    chosen, rejected = compared_pair(score)
    credit: xr.DataArray = xr.apply_ufunc(
        pair_credit,
        chosen,
        rejected,
        kwargs={"ties": ties},
        dask="parallelized",
        output_dtypes=[np.float64],
    )
    return credit


def pair_accuracy(
    score: xr.DataArray,
    *,
    user: xr.DataArray | None = None,
    ties: Ties = "half",
    average: Average = "micro",
) -> xr.DataArray:
    """Share of examples whose chosen response scores above the rejected one.

    Parameters
    ----------
    score : DataArray, dims (..., example, candidate)
        Any score of the candidates.
    user : DataArray, dims (example,), optional
        Who expressed the preference; needed for ``average="macro"``.
    ties, average
        As in :func:`rm_accuracy`.

    Returns
    -------
    DataArray, dims (...)
        Accuracy in [0, 1]; NaN where no example counts.
    """
    return example_mean(score_credit(score, ties=ties), user=user, average=average)


def rm_accuracy(
    ds: xr.Dataset | xr.DataArray, *, ties: Ties = "half", average: Average = "micro"
) -> xr.DataArray:
    """Accuracy of a reward model: how often r(chosen) > r(rejected).

    Parameters
    ----------
    ds : Dataset or DataArray
        With variable ``reward``, dims (method, [model], [seed], example, candidate), in any order;
        or that variable itself, its ``user`` a coordinate along ``example`` for a macro average.
    ties : {"half", "strict", "drop"}
        A tie counts a half, counts as wrong, or is left out.
    average : {"micro", "macro"}
        Mean over examples, or mean of the users' means.

    Returns
    -------
    DataArray, dims (method, [model], [seed])
        Accuracy in [0, 1]; NaN for a method without rewards.

    Raises
    ------
    InputError
        If rewards, the compared candidates, or (macro) users are missing.

    Examples
    --------
    >>> import xarray as xr
    >>> reward = xr.DataArray(
    ...     [[[2.0, 1.0], [0.5, 0.5], [0.0, 1.0], [3.0, 1.0]]],
    ...     dims=("method", "example", "candidate"),
    ...     coords={"method": ["lore"], "candidate": ["chosen", "rejected"]},
    ... )
    >>> float(rm_accuracy(reward)[0])  # (1 + 1/2 + 0 + 1) / 4
    0.625
    """
    reward, user = _variable_and_user(ds, "reward")
    accuracy = pair_accuracy(reward, user=user, ties=ties, average=average)
    return _named(accuracy, "rm_accuracy", "Reward model accuracy", ties=ties, average=average)


def policy_score(
    ds: xr.Dataset,
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
    ``stored``                the file's ``policy_score``, however it was made
    ========================  ==============================================================

    Parameters
    ----------
    ds : Dataset
        With ``logprob`` and ``reward`` (sequence), ``token_logprob`` and ``reward_trace``
        (accumulated), or ``policy_score`` (renormalised, stored).
    weight : float or sequence of float
        Weight w of the reward, ≥ 0. At 0 the score is the base model's log-probability, at ``inf``
        the reward; several weights give a dim ``weight``.
    scoring : {"sequence", "accumulated", "renormalised", "stored"}
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
    weights = np.asarray(weight, dtype=np.float64)
    if np.isnan(weights).any() or (weights < 0).any():
        raise InputError(Problem(f"is {weight}", "take 0 or more", variable="weight"))
    if scoring in ("stored", "renormalised"):
        score = _stored_score(ds, weights, scoring)
        if length_normalise:
            score = score / require(ds, "n_tokens", "to normalise by length")
    elif weights.ndim:
        each = [_computed_score(ds, float(w), scoring, length_normalise) for w in weights]
        score = xr.concat(each, dim=xr.DataArray(weights, dims="weight", name="weight"))
    else:
        score = _computed_score(ds, float(weights), scoring, length_normalise)
    return _named(score, "policy_score", "Score of the guided policy", scoring=scoring)


def policy_accuracy(
    ds: xr.Dataset,
    *,
    weight: float | Sequence[float] | NDArray[np.float64] = 1.0,
    scoring: Scoring = "sequence",
    length_normalise: bool = False,
    ties: Ties = "half",
    average: Average = "micro",
) -> xr.DataArray:
    """Accuracy of the guided policy: how often S(chosen) > S(rejected).

    Parameters
    ----------
    ds : Dataset
        As for :func:`policy_score`.
    weight, scoring, length_normalise
        As for :func:`policy_score`.
    ties, average
        As for :func:`rm_accuracy`.

    Returns
    -------
    DataArray, dims ([weight], model, method, [seed])
        Accuracy in [0, 1]. With ``scoring="sequence"``, weight 0 gives the base model's likelihood
        accuracy and weight ``inf`` the RM accuracy, both exactly.

    Raises
    ------
    InputError
        As for :func:`policy_score`.

    References
    ----------
    Rezk et al., arXiv 2512.23067 (the abstract's definition: whether the guided model's scoring
    function discriminates between preferred and dispreferred responses).

    Examples
    --------
    >>> import preflamp_stats as pls
    >>> study = pls.simulate(n_users=5, n_examples=2, seed=1)
    >>> ds = next(iter(pls.datasets(study).values()))
    >>> bool((policy_accuracy(ds, weight=float("inf")) == rm_accuracy(ds)).any())
    True
    """
    score = policy_score(ds, weight=weight, scoring=scoring, length_normalise=length_normalise)
    accuracy = pair_accuracy(score, user=ds.get("user"), ties=ties, average=average)
    return _named(
        accuracy, "policy_accuracy", "Policy accuracy", scoring=scoring, ties=ties, average=average
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
                "choose one of sequence, accumulated, renormalised, stored",
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


def _stored_score(ds: xr.Dataset, weights: NDArray[np.float64], scoring: Scoring) -> xr.DataArray:
    score = require(ds, "policy_score", f"for scoring {scoring!r}")
    stored_as = score.attrs.get("scoring", "")
    if scoring == "renormalised" and stored_as != "renormalised":
        raise InputError(
            Problem(
                f"was made with scoring {stored_as or 'unknown'!r}, not 'renormalised'",
                "score with the backend, which writes the renormalised score and says so in the "
                "variable's attribute scoring, or ask for scoring 'stored'",
                variable="policy_score",
            )
        )
    if "weight" not in score.dims:
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


def _variable_and_user(
    ds: xr.Dataset | xr.DataArray, name: str
) -> tuple[xr.DataArray, xr.DataArray | None]:
    if isinstance(ds, xr.DataArray):
        return ds, ds.coords.get("user")
    return require(ds, name, "for RM accuracy"), ds.get("user")


def _named(array: xr.DataArray, name: str, long_name: str, **attrs: str) -> xr.DataArray:
    return array.rename(name).assign_attrs(long_name=long_name, **attrs)

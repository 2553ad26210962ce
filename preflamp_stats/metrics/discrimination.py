"""Does the reward model, or the policy it guides, rank the chosen response first?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preflamp_stats.choices import Average, Scoring, Ties, check_choice
from preflamp_stats.errors import InputError, Problem
from preflamp_stats.io.select import Results, one_dataset
from preflamp_stats.kernels.accuracy import pair_credit
from preflamp_stats.metrics.averages import example_mean
from preflamp_stats.metrics.policy import policy_score, require

__all__ = [
    "best_of_accuracy",
    "best_of_credit",
    "compared_pair",
    "pair_accuracy",
    "policy_accuracy",
    "rm_accuracy",
    "score_credit",
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
    check_choice("ties", ties, Ties)
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
    ds: Results | xr.DataArray, *, ties: Ties = "half", average: Average = "micro"
) -> xr.DataArray:
    """Accuracy of a reward model: how often r(chosen) > r(rejected).

    Parameters
    ----------
    ds : Dataset, DataArray, or DataTree or data frame of one dataset
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


def best_of_credit(score: xr.DataArray, *, ties: Ties = "half") -> xr.DataArray:
    """Credit of each example for whether the chosen response scores highest of all.

    Parameters
    ----------
    score : DataArray, dims (..., candidate)
        As for :func:`score_credit`, with any number of candidates.
    ties : {"half", "strict", "drop"}
        As for :func:`best_of_accuracy`.

    Returns
    -------
    DataArray, dims (...)
        1, 0 or a share of 1; NaN where a score is missing or a tie is dropped.
    """
    check_choice("ties", ties, Ties)
    chosen, _ = compared_pair(score)
    best = score.max("candidate", skipna=False)
    at_top = (score == best).sum("candidate")
    credit = (1 / at_top).where(chosen == best, 0.0).where(best.notnull())
    if ties != "half":
        shared = (chosen == best) & (at_top > 1)
        credit = credit.where(~shared, 0.0 if ties == "strict" else np.nan)
    return credit


def best_of_accuracy(
    ds: Results, *, ties: Ties = "half", average: Average = "micro"
) -> xr.DataArray:
    """Accuracy of a reward model among several responses: how often chosen is the best of all.

    Parameters
    ----------
    ds : Dataset, or DataTree or data frame of one dataset
        With variable ``reward`` over any number of candidates, one of which is ``chosen``.
    ties : {"half", "strict", "drop"}
        Where k candidates share the highest reward and ``chosen`` is one of them, it counts 1/k
        (for two a half), counts as wrong, or the example is left out.
    average : {"micro", "macro"}
        Mean over examples, or mean of the users' means.

    Returns
    -------
    DataArray, dims (method, [model], [seed])
        Accuracy in [0, 1], by chance 1/n among n candidates. An example of which a reward is
        missing does not count.

    Raises
    ------
    InputError
        If rewards, the compared candidates, or (macro) users are missing.

    References
    ----------
    Malik et al. (2025). RewardBench 2, arXiv 2506.01937: accuracy among four responses.

    Examples
    --------
    >>> import xarray as xr
    >>> reward = xr.DataArray(
    ...     [[[3.0, 1.0, 2.0], [1.0, 0.0, 1.0]]],
    ...     dims=("method", "example", "candidate"),
    ...     coords={"method": ["rm"], "candidate": ["chosen", "rejected", "rejected2"]},
    ... )
    >>> best_of_accuracy(xr.Dataset({"reward": reward})).item()  # (1 + 1/2) / 2
    0.75
    """
    ds = one_dataset(ds)
    credit = best_of_credit(require(ds, "reward", "for the accuracy among several"), ties=ties)
    accuracy = example_mean(credit, user=ds.get("user"), average=average)
    return _named(accuracy, "best_of_accuracy", "Accuracy among all", ties=ties, average=average)


def policy_accuracy(
    ds: Results,
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
    ds = one_dataset(ds)
    score = policy_score(ds, weight=weight, scoring=scoring, length_normalise=length_normalise)
    accuracy = pair_accuracy(score, user=ds.get("user"), ties=ties, average=average)
    return _named(
        accuracy, "policy_accuracy", "Policy accuracy", scoring=scoring, ties=ties, average=average
    )


def _variable_and_user(
    ds: Results | xr.DataArray, name: str
) -> tuple[xr.DataArray, xr.DataArray | None]:
    if isinstance(ds, xr.DataArray):
        return ds, ds.coords.get("user")
    ds = one_dataset(ds)
    return require(ds, name, "for RM accuracy"), ds.get("user")


def _named(array: xr.DataArray, name: str, long_name: str, **attrs: str) -> xr.DataArray:
    return array.rename(name).assign_attrs(long_name=long_name, **attrs)

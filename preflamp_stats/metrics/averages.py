"""Averages over examples, and over users of their examples."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preflamp_stats.choices import Average
from preflamp_stats.errors import InputError, Problem
from preflamp_stats.kernels.user_sums import (
    RESOLUTION,
    averaged_sums,
    exact_step,
    round_to_step,
    sum_by_user,
)

__all__ = ["example_mean", "user_codes"]


def user_codes(user: xr.DataArray) -> tuple[NDArray[np.str_], NDArray[np.intp]]:
    """Users in canonical (sorted) order, and the index of each example's user.

    Raises
    ------
    InputError
        If a user is missing or empty: an example without a user has no unit of independence.
    """
    labels = np.asarray(user.values)
    if labels.dtype.kind not in "UTiu":
        absent = sum(not isinstance(v, str | int | np.integer) for v in labels.ravel())
        if absent:
            raise InputError(
                Problem(
                    f"is missing in {absent} of {labels.size} examples",
                    "name a user for every example, or leave the variable out altogether",
                    variable="user",
                )
            )
    labels = labels.astype(str)
    empty = int(np.sum(labels == ""))
    if empty:
        raise InputError(
            Problem(
                f"is empty in {empty} of {labels.size} examples",
                "name a user for every example, or leave the variable out altogether",
                variable="user",
            )
        )
    users, codes = np.unique(labels, return_inverse=True)
    return users, codes.ravel()


def example_mean(
    values: xr.DataArray, *, user: xr.DataArray | None = None, average: Average = "micro"
) -> xr.DataArray:
    """Mean over dim ``example`` of the values that are there.

    Parameters
    ----------
    values : DataArray, dims (..., example)
        NaN marks a value that does not count.
    user : DataArray, dims (example,), optional
        Users; needed for a macro average.
    average : {"micro", "macro"}
        Mean over examples, or mean of the users' means (users without a value are left out).

    Returns
    -------
    DataArray, dims (...)

    Raises
    ------
    InputError
        For a macro average without users, or an unknown average.

    Examples
    --------
    >>> values = xr.DataArray([1.0, 0.0, 0.0, 1.0], dims="example")
    >>> user = xr.DataArray(["a", "a", "a", "b"], dims="example")
    >>> float(example_mean(values))
    0.5
    >>> float(example_mean(values, user=user, average="macro").round(3))
    0.667
    """
    if "example" not in values.dims:
        raise InputError(
            Problem("has no dim example", "name the dim example", variable=str(values.name or ""))
        )
    if average == "micro":
        return values.mean("example", skipna=True)
    if average != "macro":
        raise InputError(Problem(f"is {average!r}", "choose micro or macro", variable="average"))
    if user is None:
        raise InputError(
            Problem(
                "is missing; a macro average needs it",
                "add users, or average micro",
                "",
                "",
                "user",
            )
        )
    users, codes = user_codes(user)
    mean: xr.DataArray = xr.apply_ufunc(
        _mean_of_user_means,
        values,
        kwargs={"codes": codes, "n_users": len(users)},
        input_core_dims=[["example"]],
        dask="parallelized",
        dask_gufunc_kwargs={"allow_rechunk": True},
        output_dtypes=[np.float64],
    )
    return mean


def _mean_of_user_means(
    values: NDArray[np.float64], codes: NDArray[np.intp], n_users: int
) -> NDArray[np.float64]:
    columns = values.reshape(-1, values.shape[-1]).T
    there = ~np.isnan(columns)
    sums = sum_by_user(np.where(there, columns, 0.0), codes, n_users)
    # On the grid on which an analysis adds up accuracies, so that both give the same bits.
    step = exact_step(1.0, n_users)
    means, users = averaged_sums(sums, sum_by_user(there, codes, n_users), "macro", step)
    mean = np.full(columns.shape[1], np.nan)
    some = users.any(axis=0)
    total = means.sum(axis=0)[some] / users.sum(axis=0)[some]
    mean[some] = round_to_step(total, RESOLUTION * step)
    return mean.reshape(values.shape[:-1])

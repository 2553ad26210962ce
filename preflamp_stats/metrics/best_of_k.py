"""Quality of the best of k samples, for each example: by reward, by an oracle, at random."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.io.variables import sampled_metrics
from preflamp_stats.kernels.best_of_k import best_of_k_values

__all__ = ["PARTS", "best_of_k_by_example", "sampled_variables"]

PARTS = ("chosen", "oracle", "gap", "random", "gain")
"""Quality of the best by reward; the best by quality; what the first lacks of the second; that of
any sample of the same examples; what choosing by reward gains over it."""


def sampled_variables(ds: xr.Dataset, metric: str) -> tuple[str, str, str]:
    """Name the metric, the reward that chooses among its samples, and the dim of the samples.

    Raises
    ------
    InputError
        If the metric has one value an example, or there is no reward of each sample.
    """
    known = sampled_metrics(ds)
    if metric not in ds:
        mend = f"choose one of {', '.join(known)}" if known else "add a metric over example, sample"
        raise InputError(Problem("is not in this dataset", mend, variable=metric))
    dim = next((d for d in ("sample", "candidate") if d in ds[metric].dims), "")
    if not dim or "example" not in ds[metric].dims or ds[metric].dtype.kind not in "fiub":
        what = f"has dims ({', '.join(map(str, ds[metric].dims))}): one value an example, no choice"
        mend = "store a number for every sample, over example and sample (or candidate)"
        raise InputError(Problem(what, mend, variable=metric))
    reward = "sample_reward" if dim == "sample" else "reward"
    if reward not in ds:
        mend = f"add {reward} over method, example, {dim}: what each method would choose by"
        raise InputError(Problem(f"is missing; {metric} is known by {dim}", mend, variable=reward))
    return metric, reward, dim


def best_of_k_by_example(
    ds: xr.Dataset, metric: str, ks: Sequence[int] | NDArray[np.intp], *, sign: int = 1
) -> xr.DataArray:
    """Expected quality of the best of k samples of each example, for every k.

    Parameters
    ----------
    ds : Dataset
        One benchmark dataset, or a block of its examples.
    metric : str
        Quality over ``example`` and ``sample`` (with ``sample_reward``) or ``candidate`` (with
        ``reward``). Where it lacks a dim ``method``, all methods choose among the same samples.
    ks : sequence of int
    sign : {1, -1}
        −1 where lower values are better: the oracle then takes the lowest.

    Returns
    -------
    DataArray, dims ([model], method, [seed], example, part, k)
        NaN where an example has fewer than k samples with both reward and quality. Of parts see
        :data:`PARTS`.

    Raises
    ------
    InputError
        As :func:`sampled_variables`.

    Examples
    --------
    >>> reward = xr.DataArray([[[1.0, 2.0]]], dims=("method", "example", "sample"))
    >>> quality = xr.DataArray([[0.8, 0.2]], dims=("example", "sample"))
    >>> ds = xr.Dataset({"sample_reward": reward, "judge": quality})
    >>> best_of_k_by_example(ds, "judge", [1, 2]).sel(part=["chosen", "oracle"]).values
    array([[[[0.5, 0.2],
             [0.5, 0.8]]]])
    """
    name, reward, dim = sampled_variables(ds, metric)

    def parts(r: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
        r, q = np.broadcast_arrays(r, q)
        q = np.where(np.isnan(r), np.nan, q)
        chosen = best_of_k_values(r, q, ks)
        oracle = sign * best_of_k_values(sign * q, sign * q, ks)
        some = best_of_k_values(np.zeros_like(r), q, [1])
        some = np.where(np.isnan(chosen), np.nan, some)
        gap, gain = sign * (oracle - chosen), sign * (chosen - some)
        return np.stack([chosen, oracle, gap, some, gain], axis=-2)

    values: xr.DataArray = xr.apply_ufunc(
        parts,
        ds[reward].astype(np.float64),
        ds[name].astype(np.float64),
        input_core_dims=[[dim], [dim]],
        output_core_dims=[["part", "k"]],
    )
    return values.assign_coords(part=list(PARTS), k=np.asarray(ks))

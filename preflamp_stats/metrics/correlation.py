"""Rank correlation between two per-method metrics."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from preflamp_stats.choices import Variant, check_choice
from preflamp_stats.errors import InputError, Problem
from preflamp_stats.kernels import kendall

__all__ = ["kendall_tau"]


def kendall_tau(
    x: xr.DataArray | ArrayLike,
    y: xr.DataArray | ArrayLike,
    *,
    dim: str = "method",
    variant: Variant = "b",
) -> xr.DataArray:
    """Kendall's tau between two metrics over the methods that have both.

    Parameters
    ----------
    x, y : DataArray, dims (..., dim), or one-dimensional array_like
        Values; other dims are broadcast by name. Where both label ``dim``, they are matched by
        label and a label that only one has is left out.
    dim : str
        Dim that is ranked.
    variant : {"a", "b", "c", "weighted"}
        As in :func:`preflamp_stats.kernels.kendall.kendall_tau`.

    Returns
    -------
    DataArray, dims (...)
        Tau in [−1, 1]; NaN where it is undefined (under two methods, or a constant metric).

    Raises
    ------
    InputError
        If either lacks the dim, or for an unknown variant.

    Examples
    --------
    >>> x = xr.DataArray([0.6, 0.7, 0.8], dims="method", coords={"method": ["a", "b", "c"]})
    >>> y = xr.DataArray([0.3, 0.1, 0.2], dims="method", coords={"method": ["c", "b", "a"]})
    >>> float(kendall_tau(x, y).round(3))
    0.333
    """
    check_choice("variant", variant, Variant)
    x, y = _labelled(x, dim), _labelled(y, dim)
    for array in (x, y):
        if dim not in array.dims:
            raise InputError(
                Problem(
                    f"has dims {tuple(array.dims)}",
                    f"give it a dim {dim!r}, or name the ranked dim",
                    variable=str(array.name or "metric"),
                )
            )
    x, y = xr.align(x, y, join="inner")
    tau: xr.DataArray = xr.apply_ufunc(
        kendall.kendall_tau,
        x,
        y,
        kwargs={"variant": variant},
        input_core_dims=[[dim], [dim]],
        dask="parallelized",
        dask_gufunc_kwargs={"allow_rechunk": True},
        output_dtypes=[np.float64],
    )
    return tau.rename("tau").assign_attrs(long_name=f"Kendall's tau-{variant}", variant=variant)


def _labelled(values: xr.DataArray | ArrayLike, dim: str) -> xr.DataArray:
    return values if isinstance(values, xr.DataArray) else xr.DataArray(values, dims=dim)

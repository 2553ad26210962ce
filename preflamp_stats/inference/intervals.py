"""Intervals from bootstrap draws."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

__all__ = ["percentile_interval", "percentile_limits"]


def percentile_limits(
    draws: NDArray[np.float64], level: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Percentile limits along the first axis; undefined draws are left out.

    Parameters
    ----------
    draws : ndarray, shape (resample, ...)
        Bootstrap draws.
    level : float
        Confidence level in (0, 1).

    Returns
    -------
    low, high : ndarray, shape (...)
        NaN where no draw is defined.

    References
    ----------
    Efron and Tibshirani (1993), An Introduction to the Bootstrap, section 13.3.

    Examples
    --------
    >>> low, high = percentile_limits(np.arange(101.0), 0.9)
    >>> float(low.round(6)), float(high.round(6))
    (5.0, 95.0)
    """
    shares = [(1 - level) / 2, (1 + level) / 2]
    undefined = np.isnan(draws)
    if not undefined.any():
        # Draws of one quantity side by side: twice as fast to search.
        apart = np.array(np.moveaxis(draws, 0, -1), order="C")
        low, high = np.quantile(apart, shares, axis=-1, overwrite_input=True)
        return low, high
    limits = np.full((2, *draws.shape[1:]), np.nan)
    some = ~undefined.all(axis=0)
    if some.any():  # numpy warns of columns without any value
        limits[:, some] = np.nanquantile(draws[:, some], shares, axis=0)
    return limits[0], limits[1]


def percentile_interval(draws: xr.DataArray, level: float) -> tuple[xr.DataArray, xr.DataArray]:
    """Percentile limits over dim ``resample``."""
    first = draws.transpose("resample", ...)
    low, high = percentile_limits(first.values, level)
    like = first.isel(resample=0, drop=True)
    return like.copy(data=low), like.copy(data=high)

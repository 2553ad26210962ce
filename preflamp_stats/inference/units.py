"""Units of resampling, in an order that the order of the file cannot change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from preflamp_stats.choices import Resample, check_choice
from preflamp_stats.io.blocks import example_blocks, load_block
from preflamp_stats.metrics.averages import user_codes

__all__ = ["Units", "example_units", "resampling_units", "user_units"]


@dataclass(frozen=True)
class Units:
    """Which unit each example belongs to.

    Parameters
    ----------
    labels : sequence of str
        Units in canonical order.
    codes : ndarray of int, shape (example,)
        Unit of each example.
    kind : {"users", "examples"}
        What a unit is.
    """

    labels: Sequence[str]
    codes: NDArray[np.intp]
    kind: str

    @property
    def arrival(self) -> NDArray[np.intp]:
        """Units in the order in which the file first names them."""
        return np.asarray(np.argsort(np.unique(self.codes, return_index=True)[1]))

    @property
    def most_drawn(self) -> int:
        """Bound on the examples of a resample: the largest unit, drawn every time."""
        return int(np.bincount(self.codes).max(initial=1)) * max(len(self.labels), 1)


def resampling_units(ds: xr.Dataset, resample: Resample) -> Units:
    """Units that a way of resampling draws; ``methods`` keeps users for what is not ranked.

    Raises
    ------
    InputError
        For an unknown way of resampling, or if some examples lack a user.
    """
    check_choice("resample", resample, Resample)
    return example_units(ds) if resample == "examples" else user_units(ds)


def user_units(ds: xr.Dataset) -> Units:
    """Take users as units; examples are their own units where the dataset has no users.

    Raises
    ------
    InputError
        If some examples lack a user.

    Examples
    --------
    >>> ds = xr.Dataset({"user": ("example", ["b", "a", "b"])})
    >>> user_units(ds).codes
    array([1, 0, 1])
    """
    if "user" not in ds:
        return example_units(ds)
    labels, codes = user_codes(ds["user"])
    return Units(labels.tolist(), codes, "users")


def example_units(ds: xr.Dataset) -> Units:
    """Take examples as units.

    Their canonical order is that of the coordinate ``example`` where the file has one, else that
    of a hash of everything the file says of an example; equal examples are interchangeable.
    """
    keys = ds["example"].values.astype(str) if "example" in ds.coords else _content_keys(ds)
    order = np.argsort(keys, kind="stable")
    codes = np.empty(len(keys), dtype=np.intp)
    codes[order] = np.arange(len(keys))
    return Units(keys[order].astype(str).tolist(), codes, "examples")


def _content_keys(ds: xr.Dataset) -> NDArray[np.uint64]:
    """Hash of each example's content, whatever the order of the other dims and their labels."""
    names = sorted(str(name) for name, v in ds.data_vars.items() if "example" in v.dims)
    keys = np.zeros(ds.sizes.get("example", 0), dtype=np.uint64)
    for block in example_blocks(ds[names]):
        loaded = load_block(ds, block, names=names)
        for name in names:
            variable = loaded[name]
            rest = sorted(str(dim) for dim in variable.dims if dim != "example")
            variable = variable.sortby([dim for dim in rest if dim in variable.coords])
            columns = variable.transpose("example", *rest).values.reshape(
                block.stop - block.start, -1
            )
            for column in columns.T:
                keys[block] = keys[block] * np.uint64(31) + pd.util.hash_array(column)
    return keys

"""The one dataset that a metric or a test is asked about, whatever the user holds it in."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import xarray as xr

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.io.from_tables import from_frame
from preflamp_stats.io.schema import datasets

if TYPE_CHECKING:
    from narwhals.stable.v2.typing import IntoDataFrame

__all__ = ["Results", "one_dataset"]

Results: TypeAlias = "xr.Dataset | xr.DataTree | IntoDataFrame"
"""What metrics and tests take: the results of one benchmark dataset."""


def one_dataset(data: Results) -> xr.Dataset:
    """Take the benchmark dataset out of what a user may hold it in.

    Parameters
    ----------
    data : Dataset, DataTree, or data frame of pandas, polars or arrow
        A tree must hold one dataset. A data frame is converted as :func:`from_frame` does it.

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        If a tree holds several datasets, which are named; or for anything else.

    Examples
    --------
    >>> reward = xr.DataArray([[[1.0, 0.5]]], dims=("method", "example", "candidate"))
    >>> tree = xr.DataTree.from_dict({"/tldr": xr.Dataset({"reward": reward})})
    >>> one_dataset(tree).sizes["example"]
    1
    """
    if isinstance(data, xr.Dataset):
        return data
    if isinstance(data, xr.DataTree):
        found = datasets(data)
        if len(found) == 1:
            return next(iter(found.values()))
        if not found:
            raise InputError(Problem("holds no data", "pass what open_results or convert gave"))
        first = next(iter(found))
        what = f"holds {len(found)} datasets: {', '.join(found)}"
        raise InputError(Problem(what, f"choose one, such as tree[{first!r}]"))
    return one_dataset(from_frame(data))

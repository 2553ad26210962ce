"""Putting rows of values into arrays over labelled dims, and finding rows that disagree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from preflamp_stats.errors import Problem
from preflamp_stats.io.variables import VariableSpec

__all__ = ["Rows", "dataset_from_rows"]

_COMPARED = ("chosen", "rejected")
_SHOWN = 4


@dataclass(frozen=True)
class Rows:
    """Rows of tidy tables, a column an array.

    Parameters
    ----------
    labels : dict of str to ndarray of str, shape (rows,)
        Labels, "" where a row has none.
    values : dict of str to ndarray, shape (rows,)
        Texts ("" where absent) and floats (NaN where absent).
    files : tuple of str
        Tables that the rows come from.
    file_numbers, row_numbers : ndarray of int, shape (rows,)
        Table of each row, and its place there.
    """

    labels: dict[str, npt.NDArray[np.object_]]
    values: dict[str, npt.NDArray[Any]]
    files: tuple[str, ...]
    file_numbers: npt.NDArray[np.intp]
    row_numbers: npt.NDArray[np.intp]

    def where(self, mask: npt.NDArray[np.bool_]) -> Rows:
        """Rows for which the mask is true."""
        return Rows(
            {name: labels[mask] for name, labels in self.labels.items()},
            {name: values[mask] for name, values in self.values.items()},
            self.files,
            self.file_numbers[mask],
            self.row_numbers[mask],
        )

    def place(self, positions: Sequence[int] | npt.NDArray[np.intp]) -> str:
        """Name rows for a reader: ``a.csv row 3, row 7 and 12 more``."""
        parts, last = [], -1
        for position in positions[:_SHOWN]:
            file = int(self.file_numbers[position])
            prefix = f"{self.files[file]} " if file != last else ""
            parts.append(f"{prefix}row {self.row_numbers[position]}")
            last = file
        more = len(positions) - _SHOWN
        return ", ".join(parts) + (f" and {more} more" if more > 0 else "")


@dataclass(frozen=True)
class _Axis:
    codes: npt.NDArray[np.intp]  # of each row; -1 where it has no label
    labels: npt.NDArray[Any]


def dataset_from_rows(
    rows: Rows, specs: Mapping[str, VariableSpec]
) -> tuple[xr.Dataset, list[Problem]]:
    """Put the values of one benchmark dataset into arrays.

    Parameters
    ----------
    rows : Rows
        Rows of the dataset.
    specs : mapping of str to VariableSpec
        What each column of values is. Its optional dims are used where its rows name them.

    Returns
    -------
    ds : xarray.Dataset
        What no row gives is NaN or "".
    problems : list of Problem
        Values without a label that they need, rows that disagree, candidates without partner. The
        dataset is then incomplete.
    """
    axes = {dim: _axis(labels, dim) for dim, labels in rows.labels.items() if dim != "dataset"}
    problems = list(_example_problems(rows, axes))
    variables: dict[str, tuple[list[str], npt.NDArray[Any]]] = {}
    for name, values in rows.values.items():
        spec = specs[name]
        present = np.flatnonzero(values != "" if spec.kind == "str" else ~np.isnan(values))
        if not len(present):
            continue
        present = (
            present[axes["example"].codes[present] >= 0] if "example" in spec.dims else present
        )
        dims, faults = _dims(spec, present, axes, rows)
        if not faults:
            array, faults = _fill(values, present, dims, axes, rows, spec)
            variables[name] = (dims, array)
        problems += faults
    used = {dim for dims, _ in variables.values() for dim in dims}
    coords = {dim: axis.labels for dim, axis in axes.items() if dim in used}
    ds = xr.Dataset(variables, coords=coords)
    return ds.set_coords({"method_family", "parameters"} & set(ds)), problems


def _axis(labels: npt.NDArray[np.object_], dim: str) -> _Axis:
    codes, names = pd.factorize(np.where(labels == "", None, labels))
    named = np.asarray(names, dtype=object)
    if dim == "candidate":
        order = sorted(range(len(named)), key=lambda i: _rank(named[i]))
    elif dim == "weight":
        named = named.astype(float)
        order = np.argsort(named, kind="stable").tolist()
    else:
        order = list(range(len(named)))
    if dim == "seed" and all(text.lstrip("-").isdigit() for text in named):
        named = named.astype(int)
    places = np.empty(len(named) + 1, dtype=np.intp)
    places[order], places[-1] = np.arange(len(named)), -1
    return _Axis(places[codes], named[order])


def _rank(candidate: str) -> int:
    return _COMPARED.index(candidate) if candidate in _COMPARED else len(_COMPARED)


def _example_problems(rows: Rows, axes: Mapping[str, _Axis]) -> Iterator[Problem]:
    example, candidate = axes["example"], axes["candidate"]
    nameless = np.flatnonzero(example.codes < 0)
    if len(nameless):
        what = f"is empty in {rows.place(nameless)}"
        yield Problem(what, "name the example of every row", variable="example")
    has = {
        label: np.bincount(
            example.codes[(rows.labels["candidate"] == label) & (example.codes >= 0)],
            minlength=len(example.labels),
        )
        > 0
        for label in _COMPARED
    }
    for one, other in (_COMPARED, _COMPARED[::-1]):
        alone = np.flatnonzero(has[one] & ~has[other])
        if len(alone) and other in candidate.labels:
            first = np.flatnonzero(example.codes == alone[0])
            what = f"{len(alone)} examples have {one!r} but not {other!r}, such as "
            what += f"{example.labels[alone[0]]!r} in {rows.place(first)}"
            yield Problem(what, "give both, or leave the example out", variable="candidate")


def _dims(
    spec: VariableSpec, present: npt.NDArray[np.intp], axes: Mapping[str, _Axis], rows: Rows
) -> tuple[list[str], list[Problem]]:
    dims, problems = [], []
    for dim in (*spec.optional, *spec.dims):
        without = present[axes[dim].codes[present] < 0]
        if dim in spec.optional and len(without) == len(present):
            continue
        dims.append(dim)
        if len(without):
            share = "" if dim in spec.dims else ", while other rows have one"
            what = f"is given without {dim} in {rows.place(without)}{share}"
            problems.append(Problem(what, f"name the {dim} there", variable=spec.name))
    return dims, problems


def _fill(
    values: npt.NDArray[Any],
    present: npt.NDArray[np.intp],
    dims: Sequence[str],
    axes: Mapping[str, _Axis],
    rows: Rows,
    spec: VariableSpec,
) -> tuple[npt.NDArray[Any], list[Problem]]:
    shape = tuple(len(axes[dim].labels) for dim in dims)
    cells = np.ravel_multi_index(tuple(axes[dim].codes[present] for dim in dims), shape)
    first = np.empty(int(np.prod(shape)), dtype=np.intp)
    first[cells[::-1]] = present[::-1]  # the earliest row of a cell is assigned last, and stays
    filled = np.unique(cells)
    text = spec.kind == "str"
    array = np.full(len(first), "" if text else np.nan, dtype=object if text else float)
    array[filled] = values[first[filled]]
    given, kept = values[present], array[cells]
    # Repeated values may have been rounded apart by batches of different sizes.
    same = given == kept if text else np.isclose(given, kept, rtol=1e-6, atol=1e-9)
    problems = []
    differing = np.flatnonzero(~same)
    if len(differing):
        row = present[differing[0]]
        other = first[cells[differing[0]]]
        key = ", ".join(f"{dim}={axes[dim].labels[axes[dim].codes[row]]!s}" for dim in dims)
        what = f"has {len(differing)} rows that contradict an earlier one: {values[other]!s:.40} "
        what += f"and {values[row]!s:.40} for {key} in {rows.place([other, row])}"
        problems.append(Problem(what, _mend(spec, dims), variable=spec.name))
    if spec.kind == "int" and not np.isnan(array).any() and (array % 1 == 0).all():
        array = array.astype(np.int64)
    return array.reshape(shape), problems


def _mend(spec: VariableSpec, dims: Sequence[str]) -> str:
    if spec.name == "user":
        return "make example unique within a dataset, for instance user/example"
    return f"keep one value for each {', '.join(dims)}"

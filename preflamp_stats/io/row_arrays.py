"""Putting rows of values into arrays over labelled dims, and finding rows that disagree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from preflamp_stats.errors import Problem
from preflamp_stats.io.variables import VariableSpec

_LARGEST = 2**53
"""Whole numbers up to here are floats too; larger ones stay floats, and are refused as such."""

LABEL_COLUMNS = ("dataset", "model", "method", "seed", "weight", "example", "candidate", "sample")
"""Columns that say which value a row holds."""

_COMPARED = ("chosen", "rejected")
_SHOWN = 4


@dataclass(frozen=True)
class Texts:
    """A column of text as codes, so that millions of rows are compared as numbers.

    Parameters
    ----------
    codes : ndarray of int, shape (rows,)
        Place of each row's text in ``names``; -1 where the cell is empty.
    names : ndarray of str, shape (names,)
        The texts that occur, in the order in which they first do.
    """

    codes: npt.NDArray[np.intp]
    names: npt.NDArray[Any]

    @classmethod
    def of(cls, column: pd.Series[str]) -> Texts:
        """Encode a column; NaN is taken as absent."""
        codes, names = pd.factorize(column)
        return cls(codes, np.asarray(names, dtype=object))


@dataclass(frozen=True)
class Rows:
    """Rows of tidy tables.

    Parameters
    ----------
    cells : pandas.DataFrame
        Columns of labels, all of them, and of values: text or numbers, NaN where absent. The index
        is the place of each row in its table.
    files, units : tuple of str
        Tables that the rows come from, and what their rows are counted in.
    file_numbers : ndarray of int, shape (rows,)
        Table of each row.
    """

    cells: pd.DataFrame
    files: tuple[str, ...]
    units: tuple[str, ...]
    file_numbers: npt.NDArray[np.intp]

    def at(self, mask: npt.NDArray[np.bool_]) -> Rows:
        """Rows for which the mask is true."""
        return replace(self, cells=self.cells[mask], file_numbers=self.file_numbers[mask])

    def place(self, positions: Sequence[int] | npt.NDArray[np.intp]) -> str:
        """Name rows for a reader: ``a.csv line 3, line 7 and 12 more``."""
        parts, last = [], -1
        for position in positions[:_SHOWN]:
            file = int(self.file_numbers[position])
            prefix = f"{self.files[file]} " if file != last else ""
            parts.append(f"{prefix}{self.units[file]} {self.cells.index[position]}")
            last = file
        more = len(positions) - _SHOWN
        return ", ".join(parts) + (f" and {more} more" if more > 0 else "")


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
        What no row gives is NaN, or None for texts.
    problems : list of Problem
        Values without a label that they need, rows that disagree, candidates without partner. The
        dataset is then incomplete.
    """
    cells = rows.cells
    axes = {dim: _ordered(Texts.of(cells[dim]), dim) for dim in LABEL_COLUMNS if dim != "dataset"}
    held = [name for name in specs if name in cells]
    problems = list(_example_problems(rows, axes, [n for n in held if "example" in specs[n].dims]))
    variables: dict[str, tuple[list[str], npt.NDArray[Any]]] = {}
    for name in held:
        spec, column = specs[name], cells[name]
        values = Texts.of(column) if spec.kind == "str" else column.to_numpy(dtype=np.float64)
        present = np.flatnonzero(column.notna())
        if "example" in spec.dims:  # rows without one are reported once, not for each variable
            present = present[axes["example"].codes[present] >= 0]
        if not len(present):
            continue
        dims, faults = _dims(spec, present, axes, rows)
        if not faults:
            array, faults = _fill(values, present, dims, axes, rows, spec)
            variables[name] = (dims, array)
        problems += faults
    used = {dim for dims, _ in variables.values() for dim in dims}
    coords = {dim: axis.names for dim, axis in axes.items() if dim in used}
    ds = xr.Dataset(variables, coords=coords)
    return ds.set_coords({"method_family", "family", "parameters", "subset"} & set(ds)), problems


def _ordered(labels: Texts, dim: str) -> Texts:
    names = labels.names
    if dim == "weight":
        names = names.astype(float)
        order = np.argsort(names, kind="stable")
    elif dim == "candidate":
        ranks = [_COMPARED.index(name) if name in _COMPARED else len(_COMPARED) for name in names]
        order = np.argsort(ranks, kind="stable")
    else:
        order = np.arange(len(names))
    # What no integer of 64 bits is sure to hold stays a label.
    if dim == "seed" and all(text.lstrip("-").isdigit() and len(text) < 19 for text in names):
        names = names.astype(int)
    places = np.full(len(names) + 1, -1)  # the last entry is what code -1 looks up
    places[order] = np.arange(len(names))
    return Texts(places[labels.codes], names[order])


def _example_problems(
    rows: Rows, axes: Mapping[str, Texts], of_examples: Sequence[str]
) -> Iterator[Problem]:
    example, candidate = axes["example"], axes["candidate"]
    needy = rows.cells[list(of_examples)].notna().any(axis=1).to_numpy()
    nameless = np.flatnonzero(needy & (example.codes < 0))
    if len(nameless):
        what = f"is empty in {rows.place(nameless)}"
        yield Problem(what, "name the example of every row", variable="example")
    named = list(candidate.names)
    if not set(_COMPARED) <= set(named):
        return  # the schema asks for both labels
    has = {}
    for label in _COMPARED:
        mask = (candidate.codes == named.index(label)) & (example.codes >= 0)
        has[label] = np.bincount(example.codes[mask], minlength=len(example.names)) > 0
    for one, other in (_COMPARED, _COMPARED[::-1]):
        alone = np.flatnonzero(has[one] & ~has[other])
        if len(alone):
            first = np.flatnonzero(example.codes == alone[0])
            what = f"{len(alone)} examples have {one!r} but not {other!r}, such as "
            what += f"{example.names[alone[0]]!r} in {rows.place(first)}"
            yield Problem(what, "give both, or leave the example out", variable="candidate")


def _dims(
    spec: VariableSpec, present: npt.NDArray[np.intp], axes: Mapping[str, Texts], rows: Rows
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
            mend = f"name the {dim} there"
            if dim == "candidate":
                mend += f", or give chosen_{spec.name} and rejected_{spec.name}"
            problems.append(Problem(what, mend, variable=spec.name))
    return dims, problems


def _fill(
    values: Texts | npt.NDArray[np.float64],
    present: npt.NDArray[np.intp],
    dims: Sequence[str],
    axes: Mapping[str, Texts],
    rows: Rows,
    spec: VariableSpec,
) -> tuple[npt.NDArray[Any], list[Problem]]:
    shape = tuple(len(axes[dim].names) for dim in dims)
    cells = np.ravel_multi_index(tuple(axes[dim].codes[present] for dim in dims), shape)
    # Row of each cell: the earliest is assigned last, and stays. -1 where there is none.
    source = np.full(int(np.prod(shape)), -1, dtype=np.intp)
    source[cells[::-1]] = present[::-1]
    kept = source[cells]
    if isinstance(values, Texts):
        same = values.codes[present] == values.codes[kept]
        shown = np.append(values.names, [None])
        array = np.append(shown[values.codes], [None])[source]
    else:
        # Repeated values may have been rounded apart by batches of different sizes.
        same = (kept == present) | np.isclose(values[present], values[kept], rtol=1e-6, atol=1e-9)
        array = np.append(values, np.nan)[source]
    problems = []
    if len(differing := np.flatnonzero(~same)):
        here = [int(kept[differing[0]]), int(present[differing[0]])]
        one, other = values.names[values.codes[here]] if isinstance(values, Texts) else values[here]
        key = ", ".join(f"{dim}={axes[dim].names[axes[dim].codes[here[0]]]}" for dim in dims)
        what = f"has {len(differing)} rows that contradict an earlier one: {one!s:.40} and "
        what += f"{other!s:.40} for {key} in {rows.place(here)}"
        alike = isinstance(values, Texts) and one.lstrip("0") == other.lstrip("0")
        mend = "write it alike everywhere, zeros included" if alike else _mend(spec, dims)
        problems.append(Problem(what, mend, variable=spec.name))
    whole = spec.kind == "int" and np.isfinite(array).all() and (array % 1 == 0).all()
    if whole and (np.abs(array) <= _LARGEST).all():
        array = array.astype(np.int64)
    return array.reshape(shape), problems


def _mend(spec: VariableSpec, dims: Sequence[str]) -> str:
    if spec.name == "user":
        return "make example unique within a dataset, for instance user/example"
    return f"keep one value for each {', '.join(dims)}"

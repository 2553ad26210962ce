"""Spoiling the structure of a NetCDF file: what the library can write and nobody should."""

from __future__ import annotations

import contextlib
import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from harness.mutations import TEXTS

_ATTRIBUTES = (
    "_FillValue", "_Encoding", "scale_factor", "add_offset", "missing_value", "coordinates",
    "dtype", "units", "role", "calendar", "_Unsigned", "valid_range", "preflamp_schema", "dataset",
    "grid_mapping", "bounds",
)  # fmt: skip
_VALUES = (
    *(text.replace("\ud800", "?") for text in TEXTS), "utf-8", "latin-99", "rot13", "bool",
    "days since 2000-01-01", "generation_metric", "method_metric", "reward user", 1, 0, -1, 99,
    np.nan, 1e308, np.int8(1), np.array([1.0, 2.0]), np.array([], "f8"), ["a", "b"],
)  # fmt: skip
"""Of attributes."""
_NUMBERS = (np.nan, np.inf, -np.inf, 1e308, -1e308, -1.0, 0.0, 2.0**53, 1e-320, 0.5, 127.0)
_REFUSED = (RuntimeError, ValueError, TypeError, IndexError, OverflowError, KeyError)
_REFUSED += (AttributeError, UnicodeError, MemoryError)
"""What the library refuses to write is no input of ours."""


def spoil_netcdf(rng: random.Random, source: Path, target: Path) -> None:
    """Write a file like another one, with one to four faults of structure.

    Nothing can be taken out of such a file: what is replaced stays under another name.
    """
    shutil.copy(source, target)
    # The library may find only when it closes the file that it will not have it.
    with (
        np.errstate(all="ignore"),
        contextlib.suppress(*_REFUSED),
        netCDF4.Dataset(target, "a") as root,
    ):
        root.set_auto_maskandscale(False)
        root.set_auto_chartostring(False)
        for _ in range(rng.choice((1, 1, 2, 4))):
            groups = [each for each in (root, *root.groups.values()) if each.variables]
            with contextlib.suppress(*_REFUSED):
                _spoil(rng, rng.choice(groups or [root]), root)


def _spoil(rng: random.Random, group: Any, root: Any) -> None:
    name = rng.choice(list(group.variables))
    old = group[name]
    match rng.randrange(16):
        case 0:
            group.renameVariable(name, "gone")
        case 1:
            names = ("reward", "user", "example", "method", "x y", "prompt", "true")
            group.renameVariable(name, rng.choice(names))
        case 2:
            _make(group, name, _other_type(rng, old[...]), old.dimensions, {})
        case 3:
            group.setncattr(rng.choice(_ATTRIBUTES), rng.choice(_VALUES))
        case 4 | 5 | 6:
            changed = old.__dict__ | {rng.choice(_ATTRIBUTES): rng.choice(_VALUES)}
            _make(group, name, old[...], old.dimensions, changed)
        case 7 | 8 | 9:
            old[...] = _other_values(rng, old[...])
        case 10:
            _other_dims(rng, group, name)
        case 11:
            # Far more than is there, as a decompression bomb declares it.
            _resize(group, rng.choice(old.dimensions), 10 ** rng.choice((6, 8, 10, 12)), rng)
        case 12:
            _resize(group, rng.choice(list(group.dimensions)), rng.choice((0, 1, 2)), rng)
        case 13:
            inner = root.createGroup(rng.choice(("inner", "prism", "a b", "x" * 200)))
            for each in list(group.variables.values()):
                _make(inner, each.name, each[...], each.dimensions, each.__dict__)
        case 14:
            _make(root, name, old[...], old.dimensions, old.__dict__)
        case _:
            _make(group, "extra", np.array(1.0), (), {"role": rng.choice(_VALUES)})
            group.delncattr(rng.choice([*group.ncattrs(), "absent"]))


def _make(
    group: Any, name: str, values: Any, dims: Sequence[str], attributes: Mapping[str, Any]
) -> None:
    """Write a variable in place of another; without values, a tiny chunk takes no room."""
    written = isinstance(values, np.ndarray)
    dtype = values.dtype if written else values
    for axis, dim in enumerate(dims):
        if dim not in group.dimensions and written:
            group.createDimension(dim, values.shape[axis])
    if name in group.variables:
        group.renameVariable(name, f"was {len(group.variables)}")
    fill = attributes.get("_FillValue")
    kind = str if dtype.kind in "OU" else dtype
    chunks = None if written or not dims else (1,) * len(dims)
    made = group.createVariable(name, kind, dims, fill_value=fill, chunksizes=chunks)
    made.set_auto_maskandscale(False)
    made.set_auto_chartostring(False)
    for key, value in attributes.items():
        if key != "_FillValue":
            made.setncattr(key, value)
    if written:
        made[...] = values.astype(object) if kind is str else values


def _other_type(rng: random.Random, values: Any) -> Any:
    kind = rng.choice(("i1", "u1", "i8", "u8", "f4", "f8", "S1", "O"))
    if kind in ("S1", "O"):
        return np.full(values.shape, rng.choice(("7", "", "nan")), kind)
    numbers = values.astype("f8") if values.dtype.kind in "iuf" else np.zeros(values.shape)
    return np.clip(np.nan_to_num(numbers), 0, 100).astype(kind)


def _other_values(rng: random.Random, values: Any) -> Any:
    places = [rng.randrange(values.size) for _ in range(rng.choice((1, 1, 5, values.size)))]
    if values.dtype.kind in "iuf":
        values.flat[places] = np.array(rng.choice(_NUMBERS)).astype(values.dtype)
    elif values.dtype.kind == "S":
        values.flat[places] = rng.choice((b"\0", b"\xff", b"\xc3", b"\x1b", b"a", b"<", b"\n"))
    else:
        values.flat[places] = rng.choice(TEXTS).replace("\ud800", "?")
    if rng.random() < 0.1:
        values[...] = values.flat[0]  # all the same
    return values


def _other_dims(rng: random.Random, group: Any, name: str) -> None:
    old = group[name]
    dims, values, attributes = list(old.dimensions), old[...], old.__dict__
    match rng.randrange(3):
        case 0:
            dims, values = [*dims[1:], dims[0]], np.moveaxis(values, 0, -1)
        case 1:
            dims, values = dims[1:], values[0]
        case _:
            at = rng.randrange(len(dims))
            dims[at] = rng.choice(("stranger", "token", "seed", "weight", "method"))
            size = len(group.dimensions.get(dims[at], range(values.shape[at])))
            values = np.take(values, np.arange(size), axis=at, mode="wrap")
    _make(group, name, np.asarray(values), dims, attributes)


def _resize(group: Any, dim: str, size: int, rng: random.Random) -> None:
    """Give a dim another size; what has it is written anew, or declared where that is too much."""
    # First: a variable whose dim has been renamed can be neither read nor renamed.
    mine = [
        (each.name, each[...], each.dimensions, each.__dict__)
        for each in group.variables.values()
        if dim in each.dimensions
    ]
    for name, *_ in mine:
        group.renameVariable(name, f"was {name}")
    group.renameDimension(dim, f"was {dim}")
    group.createDimension(dim, size)
    for name, values, dims, attributes in mine:
        axis = dims.index(dim)
        few = size < 10**6
        shown = np.take(values, np.arange(size), axis, mode="wrap") if few else values.dtype
        _make(group, name, shown, dims, attributes)

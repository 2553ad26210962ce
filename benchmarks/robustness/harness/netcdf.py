"""Spoiling the structure of a NetCDF file: what the library can write and nobody should."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from harness.mutations import TEXTS

_ATTRIBUTES = (
    "_FillValue",
    "_Encoding",
    "scale_factor",
    "add_offset",
    "missing_value",
    "coordinates",
    "dtype",
    "units",
    "role",
    "calendar",
    "_Unsigned",
    "valid_range",
    "preflamp_schema",
    "dataset",
    "grid_mapping",
    "bounds",
)
_VALUES = (np.nan, np.inf, -np.inf, 1e308, -1e308, -1.0, 0.0, 2.0**53, 1e-320, 0.5, 127.0)


@dataclass
class _Variable:
    dims: tuple[str, ...]
    values: Any
    attributes: dict[str, Any]
    dtype: Any = None
    written: bool = True


@dataclass
class _Group:
    dims: dict[str, int | None]
    variables: dict[str, _Variable]
    attributes: dict[str, Any]
    groups: dict[str, _Group] = field(default_factory=dict)


def spoil_netcdf(rng: random.Random, source: Path, target: Path) -> None:
    """Write a file like another one, with one to four faults of structure.

    Parameters
    ----------
    rng : random.Random
    source, target : Path
    """
    with netCDF4.Dataset(source) as file:
        root = _read(file)
    for _ in range(rng.choice((1, 1, 2, 4))):
        groups = [root, *root.groups.values()]
        group = rng.choice([each for each in groups if each.variables] or groups)
        _spoil(rng, group, root)
    with netCDF4.Dataset(target, "w", format="NETCDF4") as file:
        _write(file, root)


def _read(group: Any) -> _Group:
    group.set_auto_mask(False)
    group.set_auto_chartostring(False)
    return _Group(
        {name: len(dim) for name, dim in group.dimensions.items()},
        {
            name: _Variable(each.dimensions, each[...], each.__dict__)
            for name, each in group.variables.items()
        },
        group.__dict__,
        {name: _read(each) for name, each in group.groups.items()},
    )


def _write(file: Any, group: _Group) -> None:
    for name, size in group.dims.items():
        file.createDimension(name, size)
    for name, each in group.variables.items():
        try:
            _write_variable(file, name, each)
        except (RuntimeError, ValueError, TypeError, IndexError, OverflowError, KeyError):
            # What the library refuses to write is no input of ours.
            continue
    for name, value in group.attributes.items():
        _set(file, name, value)
    for name, each in group.groups.items():
        _write(file.createGroup(name), each)


def _write_variable(file: Any, name: str, variable: _Variable) -> None:
    dtype = variable.values.dtype if variable.dtype is None else variable.dtype
    attributes = dict(variable.attributes)
    fill = attributes.pop("_FillValue", None)
    # A tiny chunk: what is not written takes no room, however large it says it is.
    chunks = None if variable.written else (1,) * len(variable.dims)
    options = {"zlib": dtype is not str, "chunksizes": chunks or None}
    try:
        # A fill value beyond its type is meant to be; that numpy warns of it is not the command's.
        with np.errstate(all="ignore"):
            target = file.createVariable(name, dtype, variable.dims, fill_value=fill, **options)
    except AttributeError:  # of a fill value that the library will not have
        target = file[name]
    target.set_auto_mask(False)
    target.set_auto_chartostring(False)
    target.set_auto_scale(False)
    for key, value in attributes.items():
        _set(target, key, value)
    if variable.written:
        values = variable.values
        target[...] = values.astype(object) if dtype is str else values.astype(dtype)


def _set(target: Any, name: str, value: Any) -> None:
    try:
        target.setncattr(name, value)
    except (RuntimeError, ValueError, TypeError, AttributeError, OverflowError, UnicodeError):
        return


def _spoil(rng: random.Random, group: _Group, root: _Group) -> None:
    if not group.variables:
        group.dims["example"] = rng.choice((0, 1, None))
        return
    name = rng.choice(list(group.variables))
    variable = group.variables[name]
    match rng.randrange(16):
        case 0:
            del group.variables[name]
        case 1:
            renamed = rng.choice(("reward", "user", "example", "method", "x y", "prompt", "true"))
            group.variables[renamed] = group.variables.pop(name)
        case 2:
            _other_type(rng, variable)
        case 3:
            group.attributes[rng.choice(_ATTRIBUTES)] = _attribute(rng)
        case 4 | 5 | 6:
            variable.attributes[rng.choice(_ATTRIBUTES)] = _attribute(rng)
        case 7 | 8 | 9:
            _other_values(rng, variable)
        case 10:
            _other_dims(rng, group, variable)
        case 11:
            _huge(rng, group, variable)
        case 12:
            _resize(rng, group)
        case 13:
            inner = rng.choice(("inner", "prism", "a b", "x" * 200))
            root.groups[inner] = _Group(dict(group.dims), dict(group.variables), {})
        case 14:
            root.variables[name] = variable
            root.dims |= group.dims
        case _:
            group.attributes.pop(rng.choice([*group.attributes, "absent"]), None)
            group.variables["extra"] = _Variable((), np.array(1.0), {"role": _attribute(rng)})


def _attribute(rng: random.Random) -> Any:
    return rng.choice(
        (
            *(text.replace("\ud800", "?") for text in TEXTS),
            "utf-8",
            "latin-99",
            "rot13",
            "bool",
            "days since 2000-01-01",
            "generation_metric",
            "method_metric",
            "reward user",
            1,
            0,
            -1,
            np.nan,
            1e308,
            np.int8(1),
            np.array([1.0, 2.0]),
            np.array([], "f8"),
            ["a", "b"],
            99,
        )
    )


def _other_type(rng: random.Random, variable: _Variable) -> None:
    dtype = rng.choice(("i1", "u1", "i8", "u8", "f4", "f8", "S1", str))
    values = variable.values
    if dtype is str or values.dtype.kind not in "iuf":
        values = np.full(values.shape, rng.choice(("7", "", "nan")))
    if dtype not in (str, "S1"):
        values = np.nan_to_num(values.astype("f8", copy=True) if values.dtype.kind != "U" else 0.0)
        values = np.broadcast_to(np.clip(values, 0, 100), variable.values.shape)
    variable.values, variable.dtype = values, dtype
    variable.attributes.pop("_FillValue", None)


def _other_values(rng: random.Random, variable: _Variable) -> None:
    values = variable.values = variable.values.copy()
    if not values.size:
        return
    places = [rng.randrange(values.size) for _ in range(rng.choice((1, 1, 5, values.size)))]
    if values.dtype.kind in "iuf":
        with np.errstate(all="ignore"):
            values.flat[places] = np.array(rng.choice(_VALUES)).astype(values.dtype)
    elif values.dtype.kind == "S":
        byte = rng.choice((b"\0", b"\xff", b"\xc3", b"\x1b", b"a", b"<", b"\n"))
        values.flat[places] = byte
        if rng.random() < 0.3:
            values[...] = values.reshape(-1, values.shape[-1])[0]
    elif values.dtype.kind in "OU":
        values.flat[places] = rng.choice(TEXTS).replace("\ud800", "?")


def _other_dims(rng: random.Random, group: _Group, variable: _Variable) -> None:
    dims = list(variable.dims)
    if not dims:
        return
    match rng.randrange(3):
        case 0:
            variable.dims = (*dims[1:], dims[0])
            variable.values = np.moveaxis(variable.values, 0, -1)
        case 1:
            variable.dims, variable.values = tuple(dims[1:]), variable.values[0]
        case _:
            at = rng.randrange(len(dims))
            other = rng.choice(("stranger", "token", "seed", "weight", "method"))
            if other not in group.dims:
                group.dims[other] = variable.values.shape[at]
            dims[at] = other
            variable.dims = tuple(dims)
            pick = np.arange(group.dims[other] or 1) % max(1, variable.values.shape[at])
            variable.values = np.take(variable.values, pick, axis=at)


def _huge(rng: random.Random, group: _Group, variable: _Variable) -> None:
    """Declare far more than is there, as a decompression bomb does."""
    if not variable.dims:
        return
    dim = rng.choice(variable.dims)
    group.dims[dim] = rng.choice((10**6, 10**8, 10**10, 10**12, 2**31, 2**33))
    for each in group.variables.values():
        if dim in each.dims:
            each.written = False


def _resize(rng: random.Random, group: _Group) -> None:
    if not group.dims:
        return
    dim = rng.choice(list(group.dims))
    size = rng.choice((0, 1, 2, None))
    group.dims[dim] = size
    for each in group.variables.values():
        for axis, name in enumerate(each.dims):
            if name == dim and size is not None:
                pick = np.arange(size) % max(1, each.values.shape[axis])
                empty = not each.values.shape[axis]
                each.values = each.values if empty else np.take(each.values, pick, axis=axis)

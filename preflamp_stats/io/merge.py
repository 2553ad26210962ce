"""Joining shards of a study into one, with every overlap and contradiction named."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from preflamp_stats.errors import InputError, Problem, SchemaError
from preflamp_stats.io.schema import find_problems, listed
from preflamp_stats.io.variables import SCHEMA_VERSION

SHARD_DIMS = ("example", "seed", "method", "model", "weight")
"""Dims along which shards are joined, in this order; the others must be the same in all."""


@dataclass(frozen=True)
class _Shard:
    name: str
    ds: xr.Dataset

    def labels(self, dim: str) -> tuple[object, ...]:
        return tuple(sorted(self.ds.indexes[dim].tolist())) if dim in self.ds.indexes else ()


def merge(trees: Sequence[xr.DataTree], *, names: Sequence[str] | None = None) -> xr.DataTree:
    """Join shards: parts of one study that differ in their examples, seeds, methods or models.

    Shards may form a grid, such as examples by methods. Along the dim in which two shards differ
    they must share no label, and what does not vary along it (the users of the same examples under
    another method) must be identical. A second copy of a shard is refused too: it may be meant
    for another one. Datasets that only some shards hold are taken as they are. The order of the
    shards does not matter.

    Parameters
    ----------
    trees : sequence of xarray.DataTree
        Shards, each following the schema. Backed by dask (``open_results(path, chunks={})``) they
        are joined without reading them.
    names : sequence of str, optional
        Their names in messages; "shard 1", … where None.

    Returns
    -------
    xarray.DataTree
        All of them. Attributes in which shards differ are dropped, except ``units`` and ``role``
        of a variable, which must agree.

    Raises
    ------
    InputError
        Where shards overlap, contradict each other, differ in their variables, or leave gaps.
    SchemaError
        If a shard does not follow the schema.

    Examples
    --------
    >>> def shard(example, value):
    ...     return xr.DataTree(xr.Dataset(
    ...         {"rouge1": (("model", "method", "example"), [[[value]]])},
    ...         coords={"model": ["m"], "method": ["a"], "example": [example]},
    ...         attrs={"preflamp_schema": 1},
    ...     ))
    >>> merge([shard("e2", 0.5), shard("e1", 0.25)])["rouge1"].values.tolist()
    [[[0.25, 0.5]]]
    """
    names = names or [f"shard {number}" for number in range(1, len(trees) + 1)]
    if not trees:
        raise InputError("no shards to merge; name at least one file")
    named = list(zip(trees, names, strict=True))
    checked = (find_problems(tree, file=name, values=False) for tree, name in named)
    if problems := list(itertools.chain.from_iterable(checked)):
        raise SchemaError(problems)
    groups: dict[str, list[_Shard]] = {}
    for tree, name in named:
        for node in tree.subtree:
            if (ds := node.to_dataset()).variables:
                groups.setdefault(node.path, []).append(_Shard(name, ds))
    nodes = {}
    found: list[Problem] = []
    for path in sorted(groups):
        try:
            nodes[path] = _join(groups[path], path)
        except InputError as error:
            found += [problem for problem in error.problems if isinstance(problem, Problem)]
    if found:
        raise InputError(found)
    root = nodes.setdefault("/", xr.Dataset(attrs=_common_attributes(trees)))
    root.attrs["preflamp_schema"] = SCHEMA_VERSION
    try:
        return xr.DataTree.from_dict(nodes)
    except ValueError as error:
        what = "have groups whose dims disagree with those of the root group"
        mend = "store each dataset in a group of its own"
        raise InputError(Problem(what, mend, ", ".join(names))) from error


def _join(shards: list[_Shard], path: str) -> xr.Dataset:
    if problems := list(_mismatches(shards, path)):
        raise InputError(problems)
    shards = _padded(shards)
    for dim in SHARD_DIMS:
        # Shards that differ in this dim alone; what remains differs in another.
        alike: dict[tuple[tuple[object, ...], ...], list[_Shard]] = {}
        for shard in shards:
            place = tuple(shard.labels(other) for other in SHARD_DIMS if other != dim)
            alike.setdefault(place, []).append(shard)
        shards = [_concat(members, dim, path) for members in alike.values()]
    if len(shards) > 1:
        raise InputError(list(_gaps(shards, path)))
    return shards[0].ds


def _mismatches(shards: list[_Shard], path: str) -> Iterator[Problem]:
    for shard in shards:
        for dim in SHARD_DIMS:
            if len(shards) > 1 and dim in shard.ds.dims and dim not in shard.ds.indexes:
                mend = f"add a coordinate {dim}({dim}), so that overlaps can be seen"
                yield Problem("dim has no labels", mend, shard.name, path, dim)
    for one, other in itertools.pairwise(shards):
        for name in sorted(map(str, set(one.ds.variables) & set(other.ds.variables))):
            here, there = one.ds.variables[name], other.ds.variables[name]
            if set(here.dims) != set(there.dims):
                what = f"is over ({listed(here.dims)}), but over ({listed(there.dims)}) in "
                yield Problem(what + one.name, "store both alike", other.name, path, name)
            for key in ("units", "role"):
                if str(here.attrs.get(key)) != str(there.attrs.get(key)):
                    what = f"has {key} {there.attrs.get(key)!r}, but {here.attrs.get(key)!r} in "
                    yield Problem(what + one.name, "store both alike", other.name, path, name)


def _padded(shards: list[_Shard]) -> list[_Shard]:
    """Bring traces to one length, with NaN past the end."""
    longest = max(shard.ds.sizes.get("token", 0) for shard in shards)
    short = [longest - shard.ds.sizes.get("token", longest) for shard in shards]
    return [
        _Shard(each.name, each.ds.pad(token=(0, n)) if n else each.ds)
        for each, n in zip(shards, short, strict=True)
    ]


def _concat(shards: list[_Shard], dim: str, path: str) -> _Shard:
    if len(shards) == 1:
        return shards[0]
    pairs = itertools.combinations(shards, 2)
    if problems := [each for pair in pairs for each in _overlaps(*pair, dim, path)]:
        raise InputError(problems)
    shards = _in_order(shards, dim)
    fixed = _fixed(shards, dim, path)
    # What one shard holds as a coordinate and another as data is a coordinate again in the end.
    plain = [shard.ds.reset_coords() for shard in shards]
    varying = [ds.drop_vars(set(fixed) & set(ds.variables)) for ds in plain]
    names = {name for ds in varying for name in ds.variables}
    # A method without rewards, or without generations, is missing them; an example is not.
    what = "is missing, but other shards have it"
    absent = [
        Problem(what, "add it", shard.name, path, str(name))
        for shard, ds in zip(shards, varying, strict=True)
        for name in sorted(names - set(ds.variables), key=str)
    ]
    if absent and dim != "method":
        raise InputError(absent)
    texts = {name for ds in varying for name, v in ds.variables.items() if v.dtype.kind in "OUST"}
    joined = xr.concat(
        varying,
        dim=dim,
        data_vars="minimal",
        coords="minimal",
        compat="override",
        join="exact",
        fill_value={name: None if name in texts else float("nan") for name in names},
        combine_attrs="drop_conflicts",
    ).assign(fixed)
    coords = {name for shard in shards for name in shard.ds.coords}
    return _Shard(" + ".join(shard.name for shard in shards), joined.set_coords(coords))


def _overlaps(one: _Shard, other: _Shard, dim: str, path: str) -> Iterator[Problem]:
    here = one.labels(dim)
    if not here:
        mend = "give each shard once; shards must differ in their labels"
        yield Problem(f"has the same labels as {one.name}", mend, other.name, path)
    elif common := sorted(set(here) & set(other.labels(dim)), key=str):
        same = len(common) == len(here) == len(other.labels(dim))
        what = "all" if same else f"{len(common)}, such as {common[0]!r},"
        what = f"overlaps with {one.name}: {what} of its labels are there too"
        mend = "give each shard once" if same else "take them out of one shard"
        yield Problem(what, mend, other.name, path, dim)


def _in_order(shards: list[_Shard], dim: str) -> list[_Shard]:
    """Put shards in the order of their least label, each with the first one's order of the rest."""
    shards = sorted(shards, key=lambda shard: str(shard.labels(dim)[0]))
    first = shards[0].ds.indexes
    shared = [other for other in (*SHARD_DIMS, "candidate") if other != dim and other in first]
    order = {other: first[other] for other in shared}
    return [
        _Shard(each.name, each.ds.sel({d: order[d] for d in shared if d in each.ds.indexes}))
        for each in shards
    ]


def _fixed(shards: list[_Shard], dim: str, path: str) -> dict[Hashable, xr.DataArray]:
    """Variables that do not vary along the dim; they must be the same in every shard."""
    found: dict[Hashable, xr.DataArray] = {}
    source: dict[Hashable, str] = {}
    problems = []
    for shard in shards:
        for name in shard.ds.variables:
            if dim in shard.ds[name].dims:
                continue
            array = shard.ds[name].reset_coords(drop=True)
            if name not in found:
                found[name], source[name] = array, shard.name
            elif not array.equals(found[name].transpose(*array.dims)):
                what = f"differs from that in {source[name]}, although it does not vary by {dim}"
                mend = "find out which is right and mend the other"
                problems.append(Problem(what, mend, shard.name, path, str(name)))
    if problems:
        raise InputError(problems)
    return found


def _gaps(shards: list[_Shard], path: str) -> Iterator[Problem]:
    for one, other in itertools.pairwise(shards):
        dims = [dim for dim in SHARD_DIMS if one.labels(dim) != other.labels(dim)]
        what = f"differs from {one.name} in {' and '.join(dims)} at once, so both leave gaps"
        mend = "add the shards that are missing; along all dims but one, labels must be the same"
        yield Problem(what, mend, other.name, path)


def _common_attributes(trees: Sequence[xr.DataTree]) -> dict[str, object]:
    first, *others = (tree.attrs for tree in trees)
    return {
        str(name): value
        for name, value in first.items()
        if all(name in attrs and bool(np.all(attrs[name] == value)) for attrs in others)
    }

"""What a results file must be: its variables, its datasets, and every departure from them."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import xarray as xr

from preflamp_stats.errors import Problem, SchemaError
from preflamp_stats.io.blocks import example_blocks, load_block
from preflamp_stats.io.variables import (
    METHOD_FAMILIES,
    SCHEMA_VERSION,
    SPECS,
    VariableSpec,
    generation_metrics,
    is_missing,
    method_metrics,
    pairwise_methods,
    sampled_metrics,
)

Fault: TypeAlias = tuple[str, str, str]
"""The variable that it is about, what is wrong, and how to mend it."""

ROUNDING = 1e-4
"""Excess over a bound that is taken for rounding: log-probabilities near 0 in half precision."""

_NAMED_DIMS = ("method", "model", "candidate", "weight")
_COMPARED = ("chosen", "rejected")
_DTYPES = {"str": ("OUST", "text"), "float": ("fiub", "floats"), "int": ("iuf", "whole numbers")}
"""Kinds of numpy that a variable of each kind may have, and the kind in words."""
_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "direction": ("higher", "lower"),
    "higher_is_better": ("1", "0", "true", "false", "1.0", "0.0"),
} | dict.fromkeys(("log_odds", "long_name", "pairwise", "role", "scoring", "units", "weight"), ())
"""Attributes that are read, and what they may say; nothing where that is open."""
_ROLES = {"generation_metric": "method, example", "method_metric": "method"}
_ANALYSED = ("score", "trace", "generation_metric")
_ABSENT = frozenset(["", "nan", "None", "<NA>"])
_HINTS = {
    "nats": "; store the log-probability itself, not its negative",
    "1": "; divide percentages by 100",
}

UNNAMED_DATASET = "results"
"""Name of the dataset in a file that does not name it."""


def datasets(tree: xr.DataTree | xr.Dataset) -> dict[str, xr.Dataset]:
    """Benchmark datasets of a results file, by name.

    Parameters
    ----------
    tree : xarray.DataTree or xarray.Dataset
        Opened or made results.

    Returns
    -------
    dict of str to xarray.Dataset
        One for each group with data, in the order of the file. A group's name is its path without
        the leading slash; data in the root group go by the root's attribute ``dataset``, or
        "results" where there is none. Each bears its name as attribute ``dataset``.

    Examples
    --------
    >>> reward = xr.DataArray([[[1.0, 0.5]]], dims=("method", "example", "candidate"))
    >>> list(datasets(xr.Dataset({"reward": reward}, attrs={"dataset": "prism"})))
    ['prism']
    """
    found = {}
    for node in _data_nodes(_as_tree(tree)):
        ds = node.to_dataset()
        name = node.path.strip("/") or dataset_name(ds)
        found[name] = ds.assign_attrs(dataset=name)
    return found


def dataset_name(ds: xr.Dataset) -> str:
    """Name of a benchmark dataset: its attribute ``dataset``, or "results" where it has none."""
    return str(ds.attrs.get("dataset", UNNAMED_DATASET))


def validate(
    tree: xr.DataTree | xr.Dataset, *, file: str = "", values: bool = True
) -> list[Problem]:
    """Check results against the schema.

    Parameters
    ----------
    tree : xarray.DataTree or xarray.Dataset
        Opened or made results.
    file : str
        File to name in each problem.
    values : bool
        Check values as well as structure. They are read block by block, never all at once.

    Returns
    -------
    list of Problem
        Warnings: what is allowed but may not be meant.

    Raises
    ------
    SchemaError
        With every problem found, not just the first.

    Examples
    --------
    >>> validate(xr.Dataset(attrs={"preflamp_schema": 1}))
    Traceback (most recent call last):
    ...
    preflamp_stats.errors.SchemaError: holds no data; store scores over the dims method and example
    """
    if problems := find_problems(tree, file=file, values=values):
        raise SchemaError(problems)
    return find_warnings(tree, file=file)


def find_problems(
    tree: xr.DataTree | xr.Dataset, *, file: str = "", values: bool = True
) -> list[Problem]:
    """List everything in which results depart from the schema; see :func:`validate`."""
    tree = _as_tree(tree)
    nodes = list(_data_nodes(tree))
    faults = list(_version_faults(tree))
    if not nodes:
        faults.append(("", "holds no data", "store scores over the dims method and example"))
    names = Counter(node.path.strip("/") or dataset_name(tree.to_dataset()) for node in nodes)
    for name in [name for name, count in names.items() if count > 1]:
        faults.append(("dataset", f"two groups go by the name {name!r}", "rename one of them"))
    found = located(faults, file)
    for node in nodes:
        ds = node.to_dataset()
        faults = list(structure_faults(ds))
        bad = {variable for variable, _, _ in faults}
        sound = {name: each for name, each in SPECS.items() if name in {*ds.variables} - bad}
        found += located([*faults, *(value_faults(ds, sound) if values else ())], file, node.path)
    return found


def find_warnings(tree: xr.DataTree | xr.Dataset, *, file: str = "") -> list[Problem]:
    """List what is allowed but may not be meant; see :func:`validate`."""
    nodes = _data_nodes(_as_tree(tree))
    found = (located(structure_warnings(node.to_dataset()), file, node.path) for node in nodes)
    return [problem for problems in found for problem in problems]


def _as_tree(tree: xr.DataTree | xr.Dataset) -> xr.DataTree:
    return tree if isinstance(tree, xr.DataTree) else xr.DataTree(tree)


def _data_nodes(tree: xr.DataTree) -> Iterator[xr.DataTree]:
    for node in tree.subtree:
        own = node.to_dataset(inherit=False)
        if any({"method", "example"} & set(var.dims) for var in own.data_vars.values()):
            yield node


def _version_faults(tree: xr.DataTree) -> Iterator[Fault]:
    version = tree.attrs.get("preflamp_schema")
    if version is None:
        mend = f"set it to {SCHEMA_VERSION} if the file follows this schema"
        yield "preflamp_schema", "root attribute is missing", mend
    elif np.ndim(version) or version != SCHEMA_VERSION:
        mend = f"this version reads {SCHEMA_VERSION}; convert the file or upgrade preflamp-stats"
        yield "preflamp_schema", f"root attribute is {version}", mend


def located(faults: Iterable[Fault], file: str, group: str = "") -> list[Problem]:
    """Faults as problems of a file and a group of it."""
    return [Problem(what, mend, file, group, variable) for variable, what, mend in faults]


def structure_faults(ds: xr.Dataset) -> Iterator[Fault]:
    """Find departures of one benchmark dataset from the schema that do not take its values."""
    for name, variable in ds.variables.items():
        yield from _attribute_faults(str(name), variable.attrs)
    for name in [name for name in SPECS if name in ds.variables]:
        yield from _variable_faults(ds[name], SPECS[name])
    for empty in [dim for dim, size in ds.sizes.items() if size == 0]:
        yield str(empty), "has no entries", "store at least one, or leave the dim out"
    for dim in _NAMED_DIMS:
        if dim in ds.dims and dim not in ds.coords:
            yield dim, "dim has no labels", f"add a coordinate {dim}({dim})"
    for dim in (*_NAMED_DIMS, "seed", "example"):
        if dim in ds.indexes:
            yield from _label_faults(ds.indexes[dim], dim)
    if "method_family" in ds.variables:
        yield from _family_faults(ds)
    for attribute in {"pairwise", "log_odds"} & set(ds.get("reward", xr.DataArray()).attrs):
        yield from _named_faults(ds, attribute)
    metrics, per_method = generation_metrics(ds), method_metrics(ds)
    for own in ds.data_vars.values():
        dims = _ROLES.get(str(own.attrs.get("role")))
        if dims and own.name not in (*metrics, *per_method):
            what = f"has role {own.attrs['role']!r} but is {own.dtype} over ({listed(own.dims)})"
            mend = f"store floats over {dims}, with model and seed where they apply"
            yield str(own.name), what, mend
    if "generation" in ds and "reference" not in ds and not metrics:
        mend = "add reference(example) or a generation metric such as rouge1"
        yield "generation", "has no reference to be compared with", mend
    analysed = any(name in SPECS and SPECS[name].role in _ANALYSED for name in ds.data_vars)
    if not analysed and "generation" not in ds and not metrics and not per_method:
        mend = "store reward, policy_score, logprob, generation or a metric over method"
        yield "", "holds nothing to analyse", mend


def listed(dims: Any) -> str:
    """Names by comma."""
    return ", ".join(map(str, dims))


def _attribute_faults(name: str, attributes: Mapping[Any, Any]) -> Iterator[Fault]:
    for key in sorted(_ATTRIBUTES.keys() & attributes.keys()):
        value, known = attributes[key], _ATTRIBUTES[key]
        if np.ndim(value):
            mend = "store one text or number"
        elif key == "weight" and not _is_number(value):
            mend = "store a number"
        elif known and str(value).strip().lower() not in known:
            mend = f"store {known[0]} or {known[1]}, or leave it out where it is not known"
        else:
            continue
        yield name, f"has an attribute {key} that is {value!r:.60}", mend
    if {"direction", "higher_is_better"} <= attributes.keys():
        told, old = attributes["direction"], attributes["higher_is_better"]
        if (str(told) == "higher") != (str(old).lower() in ("1", "1.0", "true")):
            what = f"has attributes direction {told!r} and higher_is_better {old!r}"
            yield name, what, "keep direction"


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _variable_faults(array: xr.DataArray, spec: VariableSpec) -> Iterator[Fault]:
    dims, layout = set(map(str, array.dims)), f"store it over ({spec.layout})"
    for dim in sorted(set(spec.dims) - dims):
        yield spec.name, f"lacks dim {dim}", layout
    for dim in sorted(dims - set(spec.dims) - set(spec.optional)):
        yield spec.name, f"has dim {dim}, which it may not have", layout
    kinds, words = _DTYPES[spec.kind]
    if array.dtype.kind not in kinds:
        yield spec.name, f"holds {array.dtype}", f"store {words}"


def _label_faults(index: pd.Index[Any], dim: str) -> Iterator[Fault]:
    if isinstance(index, pd.MultiIndex):
        mend = f"store one label, such as '{'/'.join(map(str, index[0]))}', or reset_index({dim!r})"
        yield dim, f"is a MultiIndex of {listed(index.names)}", mend
        return
    if index.hasnans or (index == "").any():
        yield dim, "has an empty label", f"name every {dim}"
    if not index.is_unique:
        counts = index.value_counts()
        repeated = ", ".join(f"{x!r} ({n} times)" for x, n in counts[counts > 1].head(5).items())
        yield dim, f"has duplicates: {repeated}", f"keep each {dim} once"
    for label in _COMPARED if dim == "candidate" else ():
        if label not in index:
            yield dim, f"lacks {label!r}", "accuracies compare chosen with rejected; name both"


def _family_faults(ds: xr.Dataset) -> Iterator[Fault]:
    known = ", ".join(METHOD_FAMILIES)
    families = np.ravel(ds["method_family"].values)
    labelled = "method" in ds and ds["method_family"].dims == ("method",)
    if without := ds["method"].values[is_missing(families)].tolist() if labelled else []:
        what = f"is missing for {listed(without)[:80]}"
        yield "method_family", what, f"choose one of {known} for each method"
    for family in sorted({str(label) for label in families[~is_missing(families)]}):
        if family not in METHOD_FAMILIES:
            close = difflib.get_close_matches(family, METHOD_FAMILIES, n=1)
            mend = f"write {close[0]!r}" if close else f"choose one of {known}"
            yield "method_family", f"has {family!r}", mend


def _named_faults(ds: xr.Dataset, attribute: str) -> Iterator[Fault]:
    known = {str(label) for label in ds["method"].values} if "method" in ds.coords else set()
    try:
        strangers = set(pairwise_methods(ds["reward"], attribute)) - known
    except (TypeError, ValueError):
        strangers = {str(ds["reward"].attrs[attribute])}
    if strangers:
        what = (
            f"has an attribute {attribute} that names no method: {listed(sorted(strangers))[:80]}"
        )
        which = {"pairwise": "that judge pairs only", "log_odds": "whose rewards are log-odds"}
        yield "reward", what, f"write the methods {which[attribute]} as a JSON list"


def structure_warnings(ds: xr.Dataset) -> Iterator[Fault]:
    """Find what is allowed but may not be meant: no users, a name close to one of the schema."""
    if "user" not in ds.variables and "example" in ds.dims:
        what = "is absent, so each example is taken as its own unit"
        yield "user", what, "add user(example) if examples share users"
    if "sample_reward" in ds and not sampled_metrics(ds):
        what = "has no quality beside it, so nothing is told of the best of k"
        yield "sample_reward", what, "add a metric over example and sample"
    used = {*SPECS, *map(str, ds.dims), *generation_metrics(ds), *method_metrics(ds)}
    absent = [known for known in SPECS if known not in ds.variables]
    for name in sorted(set(map(str, ds.variables)) - used):
        if close := difflib.get_close_matches(name, absent, n=1, cutoff=0.8):
            what = "is not a variable of the schema and is left alone"
            yield name, what, f"rename it if {close[0]!r} is meant"


def value_faults(ds: xr.Dataset, specs: Mapping[str, VariableSpec]) -> Iterator[Fault]:
    """Find values that the schema forbids.

    Parameters
    ----------
    ds : xarray.Dataset
        One benchmark dataset, lazily opened or in memory.
    specs : mapping of str to VariableSpec
        Variables to check, all in the dataset with sound dims and dtypes. Texts other than users
        are not read: nothing that a file can hold is wrong in them.

    Yields
    ------
    Fault
        One for each kind of fault and variable, with the number of values concerned.
    """
    for name, spec in specs.items():
        if spec.role == "unit":
            yield from _user_faults(ds[name])
        elif spec.kind != "str":
            yield from _number_faults(ds, spec)


def _user_faults(user: xr.DataArray) -> Iterator[Fault]:
    values = np.asarray(user.values, dtype=object)
    texts = np.fromiter((isinstance(value, str) for value in values), bool, len(values))
    empty = np.fromiter((str(value).strip() in _ABSENT for value in values), bool, len(values))
    of = f"of {len(values)} examples"
    if n := int(empty.sum()):
        what = f"is empty in {n} {of}, first at position {int(np.flatnonzero(empty)[0])}"
        yield "user", what, "name a user for every example, or leave those examples out"
    if other := values[~texts & ~empty].tolist():
        what = f"holds {type(other[0]).__name__} in {len(other)} {of}"
        yield "user", what, "store users as text"


def _number_faults(ds: xr.Dataset, spec: VariableSpec) -> Iterator[Fault]:
    paired = spec.name == "token_logprob" and _has_lengths(ds)
    part = ds[[spec.name, "n_tokens"] if paired else [spec.name]]
    # Of whole numbers no more than floats can count.
    most = min(spec.high, 2.0**53) if spec.kind == "int" else spec.high
    counts: Counter[str] = Counter()
    low, high = np.inf, -np.inf
    blocks = list(example_blocks(part)) if "example" in ds[spec.name].dims else [slice(None)]
    for block in blocks:
        loaded = load_block(part, block)
        numbers = loaded[spec.name].to_numpy()
        finite = numbers[np.isfinite(numbers)]
        counts["values"] += numbers.size
        counts["missing"] += int(np.isnan(numbers).sum())
        counts["low"] += int((finite < spec.low - ROUNDING).sum())
        counts["high"] += int((finite > most + ROUNDING).sum())
        if spec.role != "label":
            counts["infinite"] += int(np.isinf(numbers).sum())
        if spec.kind == "int" and numbers.dtype.kind == "f":
            counts["fractions"] += int((finite % 1 != 0).sum())
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
        if spec.role == "trace":
            _count_trace_faults(loaded, spec.name, counts, paired=paired)
    n = counts["values"]
    if n and counts["missing"] == n:
        yield spec.name, "has no value: all are NaN", "store its values or leave it out"
    elif spec.role == "label" and counts["missing"]:
        yield spec.name, f"has NaN in {counts['missing']} of {n}", "give every one a value"
    kinds = {
        "infinite": (f"is infinite in %d of {n}", "store finite numbers or NaN"),
        "low": (f"is below {spec.low:g} in %d of {n}, least {low:g}",
                f"values start at {spec.low:g}"),
        "high": (f"is above {most:g} in %d of {n}, greatest {high:g}",
                 f"values end at {most:g}{_HINTS.get(spec.units, '')}"),
        "fractions": (f"is not whole in %d of {n}", "store whole numbers"),
        "holes": ("has NaN before the end in %d traces",
                  "fill every token up to the end of the response and put NaN only past it"),
        "lengths": ("has another length than n_tokens in %d traces",
                    "store as many tokens as n_tokens says, or mend n_tokens"),
    }  # fmt: skip
    for kind, (what, mend) in kinds.items():
        if counts[kind]:
            yield spec.name, what % counts[kind], mend


def _has_lengths(ds: xr.Dataset) -> bool:
    if "n_tokens" not in ds.variables or ds["n_tokens"].dtype.kind not in "iuf":
        return False
    return set(ds["n_tokens"].dims) <= set(ds["token_logprob"].dims)


def _count_trace_faults(
    block: xr.Dataset, name: str, counts: Counter[str], *, paired: bool
) -> None:
    missing = block[name].isnull().transpose(..., "token").to_numpy()
    holes = (missing[..., :-1] & ~missing[..., 1:]).any(axis=-1)
    counts["holes"] += int(holes.sum())
    if paired:
        length = block[name].notnull().sum("token").where(~block[name].isnull().all("token"))
        stated = block["n_tokens"].broadcast_like(length).transpose(*length.dims)
        differs = (length != stated) & length.notnull() & stated.notnull()
        counts["lengths"] += int((differs.to_numpy() & ~holes).sum())

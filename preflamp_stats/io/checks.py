"""Checks of names, dims, dtypes and labels: all that can be seen without reading arrays."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from preflamp_stats.errors import Problem
from preflamp_stats.io.blocks import example_blocks, load_block
from preflamp_stats.io.variables import (
    METHOD_FAMILIES,
    SPECS,
    VariableSpec,
    generation_metrics,
    is_missing,
    method_metrics,
    pairwise_methods,
)

_NAMED_DIMS = ("method", "model", "candidate", "weight")
_LABELLED_DIMS = (*_NAMED_DIMS, "seed", "example")
_COMPARED = ("chosen", "rejected")
_DTYPES = {"str": "OUST", "float": "fiub", "int": "iuf"}
_READ_ATTRIBUTES = {
    "direction",
    "higher_is_better",
    "long_name",
    "pairwise",
    "role",
    "scoring",
    "units",
    "weight",
}
_KNOWN_VALUES = {
    "direction": ("higher", "lower"),
    "higher_is_better": ("1", "0", "true", "false", "1.0", "0.0"),
}
_ANALYSED = ("score", "trace", "generation_metric")


def structure_problems(ds: xr.Dataset) -> Iterator[Problem]:
    """Find departures of one benchmark dataset from the schema that do not take its values."""
    yield from _attribute_problems(ds)
    for name, spec in SPECS.items():
        if name in ds.variables:
            yield from _variable_problems(ds[name], spec)
    for empty, size in ds.sizes.items():
        if size == 0:
            yield Problem(
                "has no entries", "store at least one, or leave the dim out", variable=str(empty)
            )
    for dim in _NAMED_DIMS:
        if dim in ds.dims and dim not in ds.coords:
            yield Problem("dim has no labels", f"add a coordinate {dim}({dim})", variable=dim)
    for dim in _LABELLED_DIMS:
        if dim in ds.indexes:
            yield from _label_problems(ds.indexes[dim], dim)
    if "method_family" in ds.variables:
        yield from _family_problems(ds)
    if "pairwise" in ds.get("reward", xr.DataArray()).attrs:
        yield from _pairwise_problems(ds)
    metrics, per_method = generation_metrics(ds), method_metrics(ds)
    for variable in ds.data_vars.values():
        if variable.name not in (*metrics, *per_method):
            yield from _role_problems(variable)
    if "generation" in ds and "reference" not in ds and not metrics:
        yield Problem(
            "has no reference to be compared with",
            "add reference(example) or a generation metric such as rouge1",
            variable="generation",
        )
    analysed = {name for name in ds.data_vars if name in SPECS and SPECS[name].role in _ANALYSED}
    if not analysed and "generation" not in ds and not metrics and not per_method:
        yield Problem(
            "holds nothing to analyse",
            "store reward, policy_score, logprob, generation or a metric over method",
        )


def _attribute_problems(ds: xr.Dataset) -> Iterator[Problem]:
    for name, variable in ds.variables.items():
        for key in sorted(_READ_ATTRIBUTES & set(variable.attrs)):
            value = variable.attrs[key]
            known = _KNOWN_VALUES.get(key)
            if np.ndim(value):
                mend = "store one text or number"
            elif key == "weight" and not _is_number(value):
                mend = "store a number"
            elif known and str(value).strip().lower() not in known:
                mend = f"store {known[0]} or {known[1]}, or leave it out where it is not known"
            else:
                continue
            what = f"has an attribute {key} that is {value!r:.60}"
            yield Problem(what, mend, variable=str(name))
        if {"direction", "higher_is_better"} <= set(variable.attrs):
            told, old = variable.attrs["direction"], variable.attrs["higher_is_better"]
            if (str(told) == "higher") != (str(old).lower() in ("1", "1.0", "true")):
                what = f"has attributes direction {told!r} and higher_is_better {old!r}"
                yield Problem(what, "keep direction", variable=str(name))


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _variable_problems(array: xr.DataArray, spec: VariableSpec) -> Iterator[Problem]:
    dims = set(map(str, array.dims))
    for dim in sorted(set(spec.dims) - dims):
        yield Problem(f"lacks dim {dim}", f"store it over ({spec.layout})", variable=spec.name)
    for dim in sorted(dims - set(spec.dims) - set(spec.optional)):
        yield Problem(
            f"has dim {dim}, which it may not have",
            f"store it over ({spec.layout})",
            variable=spec.name,
        )
    if array.dtype.kind not in _DTYPES[spec.kind]:
        held = {"str": "text", "float": "floats", "int": "whole numbers"}[spec.kind]
        yield Problem(f"holds {array.dtype}", f"store {held}", variable=spec.name)


def _role_problems(array: xr.DataArray) -> Iterator[Problem]:
    dims = {"generation_metric": "method, example", "method_metric": "method"}
    role = str(array.attrs.get("role"))
    if role in dims:
        yield Problem(
            f"has role {role!r} but is {array.dtype} over ({', '.join(map(str, array.dims))})",
            f"store floats over {dims[role]}, with model and seed where they apply",
            variable=str(array.name),
        )


def _label_problems(index: pd.Index[Any], dim: str) -> Iterator[Problem]:
    if isinstance(index, pd.MultiIndex):
        levels = ", ".join(map(str, index.names))
        mend = f"store one label, such as '{'/'.join(map(str, index[0]))}', or reset_index({dim!r})"
        yield Problem(f"is a MultiIndex of {levels}", mend, variable=dim)
        return
    if index.hasnans or (index == "").any():
        yield Problem("has an empty label", f"name every {dim}", variable=dim)
    if not index.is_unique:
        counts = index.value_counts()
        repeated = ", ".join(f"{x!r} ({n} times)" for x, n in counts[counts > 1].head(5).items())
        yield Problem(f"has duplicates: {repeated}", f"keep each {dim} once", variable=dim)
    if dim == "candidate":
        for label in _COMPARED:
            if label not in index:
                mend = "accuracies compare chosen with rejected; name both"
                yield Problem(f"lacks {label!r}", mend, variable=dim)


def _family_problems(ds: xr.Dataset) -> Iterator[Problem]:
    known = ", ".join(METHOD_FAMILIES)
    families = np.ravel(ds["method_family"].values)
    labelled = "method" in ds and ds["method_family"].dims == ("method",)
    if without := ds["method"].values[is_missing(families)].tolist() if labelled else []:
        what = f"is missing for {', '.join(map(str, without))[:80]}"
        yield Problem(what, f"choose one of {known} for each method", variable="method_family")
    for family in sorted({str(label) for label in families[~is_missing(families)]}):
        if family not in METHOD_FAMILIES:
            close = difflib.get_close_matches(family, METHOD_FAMILIES, n=1)
            mend = f"write {close[0]!r}" if close else f"choose one of {known}"
            yield Problem(f"has {family!r}", mend, variable="method_family")


def _pairwise_problems(ds: xr.Dataset) -> Iterator[Problem]:
    known = {str(label) for label in ds["method"].values} if "method" in ds.coords else set()
    try:
        strangers = set(pairwise_methods(ds["reward"])) - known
    except (TypeError, ValueError):
        strangers = {str(ds["reward"].attrs["pairwise"])}
    if strangers:
        yield Problem(
            f"has an attribute pairwise that names no method: {', '.join(sorted(strangers))[:80]}",
            "write the methods that judge pairs only as a JSON list",
            variable="reward",
        )


def structure_warnings(ds: xr.Dataset) -> Iterator[Problem]:
    """Find what is allowed but may not be meant: no users, a name close to one of the schema."""
    if "user" not in ds.variables and "example" in ds.dims:
        yield Problem(
            "is absent, so each example is taken as its own unit",
            "add user(example) if examples share users",
            variable="user",
        )
    used = {*SPECS, *map(str, ds.dims), *generation_metrics(ds), *method_metrics(ds)}
    absent = [known for known in SPECS if known not in ds.variables]
    for name in sorted(set(map(str, ds.variables)) - used):
        if close := difflib.get_close_matches(name, absent, n=1, cutoff=0.8):
            yield Problem(
                "is not a variable of the schema and is left alone",
                f"rename it if {close[0]!r} is meant",
                variable=name,
            )


ROUNDING = 1e-4
"""Excess over a bound that is taken for rounding: log-probabilities near 0 in half precision."""

_ABSENT = frozenset(["", "nan", "None", "<NA>"])


def value_problems(ds: xr.Dataset, specs: Mapping[str, VariableSpec]) -> Iterator[Problem]:
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
    Problem
        One for each kind of fault and variable, with the number of values concerned.
    """
    for name, spec in specs.items():
        if spec.role == "unit":
            yield from _user_problems(ds[name])
        elif spec.kind != "str":
            yield from _number_problems(ds, spec)


def _user_problems(user: xr.DataArray) -> Iterator[Problem]:
    values = np.asarray(user.values, dtype=object)
    texts = np.fromiter((isinstance(value, str) for value in values), bool, len(values))
    empty = np.fromiter((str(value).strip() in _ABSENT for value in values), bool, len(values))
    if n := int(empty.sum()):
        first = int(np.flatnonzero(empty)[0])
        yield Problem(
            f"is empty in {n} of {len(values)} examples, first at position {first}",
            "name a user for every example, or leave those examples out",
            variable="user",
        )
    if other := values[~texts & ~empty].tolist():
        yield Problem(
            f"holds {type(other[0]).__name__} in {len(other)} of {len(values)} examples",
            "store users as text",
            variable="user",
        )


def _number_problems(ds: xr.Dataset, spec: VariableSpec) -> Iterator[Problem]:
    paired = spec.name == "token_logprob" and _has_lengths(ds)
    names = [spec.name, "n_tokens"] if paired else [spec.name]
    counts: Counter[str] = Counter()
    low, high = np.inf, -np.inf
    part = ds[names]
    blocks = list(example_blocks(part)) if "example" in ds[spec.name].dims else [slice(None)]
    for block in blocks:
        loaded = load_block(part, block)
        values = loaded[spec.name]
        numbers = values.to_numpy()
        finite = numbers[np.isfinite(numbers)]
        counts["values"] += numbers.size
        counts["missing"] += int(np.isnan(numbers).sum())
        counts["low"] += int((finite < spec.low - ROUNDING).sum())
        counts["high"] += int((finite > _most(spec) + ROUNDING).sum())
        if spec.role != "label":
            counts["infinite"] += int(np.isinf(numbers).sum())
        if spec.kind == "int" and numbers.dtype.kind == "f":
            counts["fractions"] += int((finite % 1 != 0).sum())
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
        if spec.role == "trace":
            _count_trace_faults(loaded, spec.name, counts, paired=paired)
    yield from _count_problems(spec, counts, low, high)


def _most(spec: VariableSpec) -> float:
    """Largest value; of whole numbers no more than floats can count."""
    return min(spec.high, 2.0**53) if spec.kind == "int" else spec.high


def _has_lengths(ds: xr.Dataset) -> bool:
    return (
        "n_tokens" in ds.variables
        and ds["n_tokens"].dtype.kind in "iuf"
        and set(ds["n_tokens"].dims) <= set(ds["token_logprob"].dims)
    )


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


def _count_problems(
    spec: VariableSpec, counts: Counter[str], low: float, high: float
) -> Iterator[Problem]:
    n = counts["values"]

    def problem(what: str, mend: str) -> Problem:
        return Problem(what, mend, variable=spec.name)

    if n and counts["missing"] == n:
        yield problem("has no value: all are NaN", "store its values or leave it out")
    elif counts["missing"] and spec.role == "label":
        yield problem(f"has NaN in {counts['missing']} of {n}", "give every one a value")
    if counts["infinite"]:
        yield problem(f"is infinite in {counts['infinite']} of {n}", "store finite numbers or NaN")
    if counts["low"]:
        mend = f"values start at {spec.low:g}"
        yield problem(f"is below {spec.low:g} in {counts['low']} of {n}, least {low:g}", mend)
    if counts["high"]:
        mend = f"values end at {_most(spec):g}" + _hint(spec)
        yield problem(
            f"is above {_most(spec):g} in {counts['high']} of {n}, greatest {high:g}", mend
        )
    if counts["fractions"]:
        yield problem(f"is not whole in {counts['fractions']} of {n}", "store whole numbers")
    if counts["holes"]:
        yield problem(
            f"has NaN before the end in {counts['holes']} traces",
            "fill every token up to the end of the response and put NaN only past it",
        )
    if counts["lengths"]:
        yield problem(
            f"has another length than n_tokens in {counts['lengths']} traces",
            "store as many tokens as n_tokens says, or mend n_tokens",
        )


def _hint(spec: VariableSpec) -> str:
    hints: dict[Any, str] = {
        "nats": "; store the log-probability itself, not its negative",
        "1": "; divide percentages by 100",
    }
    return hints.get(spec.units, "")

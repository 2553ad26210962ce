"""Checks of values against the schema, block by block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr

from preflamp_stats.errors import Problem
from preflamp_stats.io.blocks import example_blocks, load_block
from preflamp_stats.io.variables import VariableSpec

__all__ = ["value_problems"]

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

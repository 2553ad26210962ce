"""How ``preflamp-stats power`` prints its answers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import xarray as xr

from preflamp_stats.cli.console import cell, console, print_records

_TAU_COLUMNS = {"power": "test", "power_interval": "interval", "width": "width"}


def print_plan(found: xr.Dataset) -> None:
    """Print the power of planned studies, and the users that they need.

    Parameters
    ----------
    found : Dataset
        From :func:`~preflamp_stats.inference.power.power`.
    """
    question = str(next(iter(found["power"].dims)))
    columns = {"power": "power"}
    if question == "tau":
        columns = {k: v for k, v in _TAU_COLUMNS.items() if found[k].notnull().any()}
        columns["observed"] = "observed"
    out = console()
    for line in _heading(question, found):
        out.print(cell(line))
    rows = [
        {question: f"{row[question]:g}", "methods": row["methods"], "users": row["users"]}
        | {label: f"{row[name]:.2f}" for name, label in columns.items()}
        for row in records(found[list(columns)])
    ]
    print_records(rows, lambda name, value: str(value))
    for line in _answers(question, found):
        out.print(cell(line))


def print_detectable(rows: Sequence[Mapping[str, Any]], *, explanation: str) -> None:
    """Print the detectable differences of a file.

    Parameters
    ----------
    rows : sequence of dict
        From :func:`summaries`, with what names them.
    explanation : str
        Printed above the table.
    """
    out = console()
    for line in explanation.splitlines():
        out.print(cell(line))
    print_records(rows, _shown, left=("dataset", "metric", "model"))


def records(found: xr.Dataset) -> Iterator[dict[str, Any]]:
    """One dict for each row of a table."""
    names = [str(name) for name in (*found.dims, *found.coords, *found.data_vars)]
    frame = found.to_dataframe().reset_index()
    order = [name for name in dict.fromkeys(names) if name in frame and name != "pair"]
    for row in frame[order].to_dict("records"):
        yield {str(name): value for name, value in row.items()}


def summaries(found: xr.Dataset) -> Iterator[dict[str, Any]]:
    """For each model the median and the hardest pair, and the users that effects would need.

    Parameters
    ----------
    found : Dataset
        From :func:`~preflamp_stats.inference.power.minimum_detectable_effect`.
    """
    models = found["model"].values if "model" in found.dims else [None]
    for model in models:
        one = found if model is None else found.sel(model=model)
        known = one.isel(pair=one["mde"].notnull().values)
        row: dict[str, Any] = {} if model is None else {"model": str(model)}
        row |= {"users": int(one["n_users"].max()), "pairs": known.sizes["pair"]}
        row |= {"median": _over_pairs(known["mde"], "median")}
        row |= {"hardest": _over_pairs(known["mde"], "max")}
        for name, sign in (("difference", ""), ("margin", "± ")):
            for effect in known[name].values if name in known.coords else ():
                users = known[f"users_for_{name}"].sel({name: effect})
                row[f"users for {sign}{effect:g}"] = _over_pairs(users, "median")
        yield row


def _over_pairs(values: xr.DataArray, how: str) -> float:
    return float(getattr(values, how)()) if values.size else math.nan


def _heading(question: str, found: xr.Dataset) -> list[str]:
    level = found.attrs["level"]
    if question != "tau":
        what = "to find a difference" if question == "difference" else "to show equivalence"
        return [f"Power {what} between two methods at {1 - level:.2g}, Holm over all pairs"]
    lines = [f"test: power of the permutation test ({found.attrs['n_studies']} simulated studies)"]
    if found.attrs["n_intervals"]:
        lines += [
            f"interval: share of {found.attrs['n_intervals']} studies whose {level:.0%} interval "
            "for the tau of these methods excludes 0",
            "width: its mean width",
        ]
    return [*lines, "observed: mean observed tau, pulled towards 0 by noise"]


def _answers(question: str, found: xr.Dataset) -> Iterator[str]:
    """Sentences on the users needed."""
    target = found.attrs["target"]
    for row in records(found[["users_needed"]]):
        case = f"{question} {row[question]:g}, {row['methods']} methods"
        if question == "tau":
            yield f"{case}: power {target:g} with {_of_those_given(row['users_needed'])}"
        elif math.isinf(row["users_needed"]):
            yield f"{case}: power {target:g} out of reach"
        else:
            yield f"{case}: power {target:g} from {row['users_needed']:g} users on"
    if "users_narrow" in found:
        half = found.attrs["half_width"]
        for row in records(found[["users_narrow"]]):
            case = f"tau {row['tau']:g}, {row['methods']} methods"
            yield f"{case}: mean width up to ± {half:g} with {_of_those_given(row['users_narrow'])}"


def _of_those_given(users: float) -> str:
    return "none of these numbers of users" if math.isinf(users) else f"{users:g} users"


def _shown(name: str, value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if name in ("median", "hardest"):
        return f"{value:.4f}"
    if value == math.inf:
        return "out of reach"
    return f"{value:,.0f}" if isinstance(value, float) else str(value)


def finite(value: Any) -> Any:
    """Make null of every number that is not finite: JSON has no other word for it."""
    if isinstance(value, Mapping):
        return {str(name): finite(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

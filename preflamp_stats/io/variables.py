"""The variables of the results file, as a table: dims, kind, range, meaning."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

SCHEMA_VERSION = 1
"""Value of the root attribute ``preflamp_schema`` that this version reads and writes."""

METHOD_FAMILIES = ("reward-guided", "in-context", "zero-shot", "best-of-n")
"""Labels that ``method_family`` may hold."""

Kind = Literal["str", "float", "int"]
Role = Literal[
    "label", "unit", "text", "score", "trace", "size", "generation_metric", "method_metric"
]


@dataclass(frozen=True)
class VariableSpec:
    """What one variable of the results file must be.

    Parameters
    ----------
    name : str
        Name of the variable.
    dims : tuple of str
        Dims that it must have, in any order.
    optional : tuple of str
        Dims that it may have besides.
    kind : {"str", "float", "int"}
        What it holds. Whole numbers may be stored as floats, so that some can be missing.
    meaning : str
        A few words; the variable's ``long_name``.
    role : str
        Part that it plays: a label of a dim, the unit of independence, a text, a score of a
        candidate, a trace over tokens, a size, or a generation metric.
    units : str
        Units, "" where there are none.
    low, high : float
        Least and greatest value allowed.
    """

    name: str
    dims: tuple[str, ...]
    optional: tuple[str, ...]
    kind: Kind
    meaning: str
    role: Role
    units: str = ""
    low: float = -np.inf
    high: float = np.inf

    @property
    def layout(self) -> str:
        """The dims as text, optional ones in brackets.

        Examples
        --------
        >>> SPECS["n_tokens"].layout
        '[model], example, candidate'
        """
        return ", ".join([*(f"[{dim}]" for dim in self.optional), *self.dims])


def _spec(
    name: str, kind: Kind, role: Role, layout: str, meaning: str, units: str = "", **ends: float
) -> VariableSpec:
    dims = tuple(dim for dim in layout.split() if dim[0] != "[")
    optional = tuple(dim[1:-1] for dim in layout.split() if dim[0] == "[")
    return VariableSpec(name, dims, optional, kind, meaning, role, units, **ends)


# fmt: off
_TABLE = (
    _spec("user", "str", "unit", "example", "user who expressed the preference"),
    _spec("prompt", "str", "text", "example", "input to the model"),
    _spec("reference", "str", "text", "example", "the user's own ground-truth completion"),
    _spec("subset", "str", "label", "example", "part of the benchmark that the example belongs to"),
    _spec("candidate_text", "str", "text", "example candidate", "candidate response"),
    _spec("reward", "float", "score", "[model] [seed] method example candidate",
          "reward of the whole response for the user"),
    _spec("sample_reward", "float", "score", "[model] [seed] method example sample",
          "reward of each of several generations for the user"),
    _spec("logprob", "float", "score", "[model] example candidate",
          "log-probability of the response under the base model", "nats", high=0.0),
    _spec("n_tokens", "int", "size", "[model] example candidate", "response length", "tokens",
          low=1),
    _spec("token_logprob", "float", "trace", "[model] example candidate token",
          "log-probability of each token given those before, under the base model", "nats",
          high=0.0),
    _spec("reward_trace", "float", "trace", "[model] [seed] method example candidate token",
          "reward of each prefix of the response for the user"),
    _spec("policy_score", "float", "score", "[weight] [seed] [model] method example candidate",
          "score of the response under the guided policy"),
    _spec("generation", "str", "text", "[seed] [model] method example",
          "text that the guided or prompted model wrote"),
    *(_spec(f"rouge{n}", "float", "generation_metric", "[seed] [model] method example",
            f"ROUGE-{n} F1 of the generation", "1", low=0.0, high=1.0) for n in "12L"),
    _spec("candidate", "str", "label", "candidate", "role of the response in the pair"),
    _spec("method", "str", "label", "method", "personalisation method"),
    _spec("model", "str", "label", "model", "base model"),
    _spec("weight", "float", "label", "weight", "weight of the reward in the guided policy", low=0),
    _spec("method_family", "str", "label", "method", "family of the personalisation method"),
    _spec("family", "str", "label", "method",
          "methods that are alike, for they share what they are made of"),
    _spec("parameters", "int", "size", "model", "parameter count of the base model", "1",
          low=1),
)
# fmt: on

SPECS: dict[str, VariableSpec] = {spec.name: spec for spec in _TABLE}
"""Every variable that the schema names, by name."""


def generation_metrics(ds: xr.Dataset) -> list[str]:
    """Names of the generation metrics of a dataset: ROUGE and the producer's own.

    A number over ``method`` and ``example`` but not over ``candidate`` or ``token`` is one, unless
    its attribute ``role`` says otherwise.
    """
    return [
        str(name)
        for name, variable in ds.data_vars.items()
        if _is_measured(str(name), variable)
        and {"method", "example"} <= set(variable.dims)
        and not {"candidate", "token"} & set(variable.dims)
        and str(variable.attrs.get("role", "generation_metric")) == "generation_metric"
    ]


def method_metrics(ds: xr.Dataset) -> list[str]:
    """Names of the numbers known only per method, from elsewhere (a leaderboard's accuracy).

    A number over ``method`` and no dims but ``model`` and ``seed`` is one, unless its attribute
    ``role`` says otherwise.
    """
    return [
        str(name)
        for name, variable in ds.data_vars.items()
        if _is_measured(str(name), variable)
        and "method" in variable.dims
        and set(variable.dims) <= {"method", "model", "seed"}
        and str(variable.attrs.get("role", "method_metric")) == "method_metric"
    ]


def sampled_metrics(ds: xr.Dataset) -> list[str]:
    """Names of the qualities of each of several samples or candidates that a reward can choose by.

    A number over ``example`` and ``sample`` beside ``sample_reward`` is one unless its attribute
    ``role`` says otherwise; one over ``example`` and ``candidate`` beside ``reward`` where that
    says ``candidate_metric``.
    """
    kinds = (
        ("sample", "generation_metric", "sample_reward"),
        ("candidate", "candidate_metric", "reward"),
    )
    return [
        str(name)
        for name, variable in ds.data_vars.items()
        for dim, role, reward in kinds
        if name not in SPECS
        and reward in ds
        and _is_measured(str(name), variable)
        and {"example", dim} <= set(variable.dims) <= {"model", "method", "seed", "example", dim}
        and str(variable.attrs.get("role", "generation_metric")) == role
    ]


def _is_measured(name: str, variable: xr.DataArray) -> bool:
    """Whether a variable holds numbers; counts and truth values named after another are notes."""
    if name == "sample_reward":
        return False
    if variable.dtype.kind in "iub":
        return "role" in variable.attrs or not name.startswith(tuple(f"{each}_" for each in SPECS))
    return variable.dtype.kind == "f"


def pairwise_methods(reward: xr.DataArray, attribute: str = "pairwise") -> list[str]:
    """Methods that judge pairs only: their rewards have a meaning as a difference, not alone.

    Or those that another attribute names, such as ``log_odds``.

    Examples
    --------
    >>> pairwise_methods(xr.DataArray([0.2, -0.2], attrs={"pairwise": '["persona"]'}))
    ['persona']

    Raises
    ------
    ValueError
        If the attribute is no JSON list of names.
    """
    names = json.loads(reward.attrs.get(attribute, "[]"))
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{names!r} is no list of names")
    return names


def is_text(variable: xr.Variable) -> bool:
    """Whether a variable holds text; an object array is taken for text."""
    return variable.dtype.kind in "OUST"


def is_missing(values: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Where a text (None or NaN) or a number (NaN) is missing.

    Examples
    --------
    >>> is_missing(["a", "", None]).tolist()
    [False, False, True]
    """
    return np.asarray(pd.isnull(np.asarray(values, dtype=getattr(values, "dtype", object))))


def annotated(ds: xr.Dataset) -> xr.Dataset:
    """Set ``long_name``, ``units`` and ``role`` from the schema where they are absent.

    Examples
    --------
    >>> reward = xr.DataArray([[[1.0, 0.5]]], dims=("method", "example", "candidate"))
    >>> annotated(xr.Dataset({"reward": reward}))["reward"].attrs
    {'long_name': 'reward of the whole response for the user'}
    """
    ds = ds.copy()
    roles = dict.fromkeys(method_metrics(ds), "method_metric")
    roles |= dict.fromkeys(generation_metrics(ds), "generation_metric")
    for name, variable in ds.variables.items():
        added: dict[str, str] = {}
        if spec := SPECS.get(str(name)):
            added = {"long_name": spec.meaning} | ({"units": spec.units} if spec.units else {})
        if role := roles.get(str(name)):
            added = {"long_name": str(name).replace("_", " "), **added, "role": role}
        variable.attrs = {**added, **variable.attrs}
    return ds

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


@dataclass(frozen=True, kw_only=True)
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
    optional: tuple[str, ...] = ()
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


# fmt: off
_PAIR = ("example", "candidate")
_WRITTEN = ("method", "example")
_TABLE: tuple[VariableSpec, ...] = (
    VariableSpec(name="user", dims=("example",), kind="str", role="unit",
                 meaning="user who expressed the preference"),
    VariableSpec(name="prompt", dims=("example",), kind="str", role="text",
                 meaning="input to the model"),
    VariableSpec(name="reference", dims=("example",), kind="str", role="text",
                 meaning="the user's own ground-truth completion"),
    VariableSpec(name="subset", dims=("example",), kind="str", role="label",
                 meaning="part of the benchmark that the example belongs to"),
    VariableSpec(name="candidate_text", dims=_PAIR, kind="str", role="text",
                 meaning="candidate response"),
    VariableSpec(name="reward", dims=("method", *_PAIR), optional=("model", "seed"), kind="float",
                 role="score", meaning="reward of the whole response for the user"),
    VariableSpec(name="logprob", dims=_PAIR, optional=("model",), kind="float", role="score",
                 units="nats", high=0.0,
                 meaning="log-probability of the response under the base model"),
    VariableSpec(name="n_tokens", dims=_PAIR, optional=("model",), kind="int", role="size",
                 units="tokens", low=1, meaning="response length"),
    VariableSpec(name="token_logprob", dims=(*_PAIR, "token"), optional=("model",), kind="float",
                 role="trace", units="nats", high=0.0,
                 meaning="log-probability of each token given those before, under the base model"),
    VariableSpec(name="reward_trace", dims=("method", *_PAIR, "token"), optional=("model", "seed"),
                 kind="float", role="trace",
                 meaning="reward of each prefix of the response for the user"),
    VariableSpec(name="policy_score", dims=("method", *_PAIR), optional=("weight", "seed", "model"),
                 kind="float", role="score",
                 meaning="score of the response under the guided policy"),
    VariableSpec(name="generation", dims=_WRITTEN, optional=("seed", "model"), kind="str",
                 role="text",
                 meaning="text that the guided or prompted model wrote"),
    *(VariableSpec(name=name, dims=_WRITTEN, optional=("seed", "model"), kind="float",
                   role="generation_metric", units="1", low=0.0, high=1.0,
                   meaning=f"{title} F1 of the generation")
      for name, title in (("rouge1", "ROUGE-1"), ("rouge2", "ROUGE-2"), ("rougeL", "ROUGE-L"))),
    VariableSpec(name="candidate", dims=("candidate",), kind="str", role="label",
                 meaning="role of the response in the pair"),
    VariableSpec(name="method", dims=("method",), kind="str", role="label",
                 meaning="personalisation method"),
    VariableSpec(name="model", dims=("model",), kind="str", role="label", meaning="base model"),
    VariableSpec(name="weight", dims=("weight",), kind="float", role="label", low=0.0,
                 meaning="weight of the reward in the guided policy"),
    VariableSpec(name="method_family", dims=("method",), kind="str", role="label",
                 meaning="family of the personalisation method"),
    VariableSpec(name="parameters", dims=("model",), kind="int", role="size", units="1", low=1,
                 meaning="parameter count of the base model"),
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


def _is_measured(name: str, variable: xr.DataArray) -> bool:
    """Whether a variable holds numbers; counts and truth values named after another are notes."""
    if variable.dtype.kind in "iub":
        return "role" in variable.attrs or not name.startswith(tuple(f"{each}_" for each in SPECS))
    return variable.dtype.kind == "f"


def pairwise_methods(reward: xr.DataArray) -> list[str]:
    """Methods that judge pairs only: their rewards have a meaning as a difference, not alone.

    Examples
    --------
    >>> pairwise_methods(xr.DataArray([0.2, -0.2], attrs={"pairwise": '["persona"]'}))
    ['persona']

    Raises
    ------
    ValueError
        If the attribute ``pairwise`` is no JSON list of names.
    """
    names = json.loads(reward.attrs.get("pairwise", "[]"))
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

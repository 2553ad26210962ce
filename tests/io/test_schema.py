from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from preflamp_stats.errors import SchemaError
from preflamp_stats.io import schema
from preflamp_stats.io.schema import datasets, find_problems, find_warnings, validate
from preflamp_stats.io.variables import SPECS, generation_metrics, method_metrics


def sound() -> xr.Dataset:
    pair = ("example", "candidate")
    trace = np.array([[[-1.0, -2.0, np.nan], [-1.0, -1.0, -1.0]]] * 3)
    return xr.Dataset(
        {
            "user": ("example", ["ann", "ann", "bob"]),
            "reference": ("example", ["x", "y", "z"]),
            "reward": (("method", *pair), np.arange(12.0).reshape(2, 3, 2)),
            "logprob": (("model", *pair), np.full((1, 3, 2), -3.0)),
            "n_tokens": (("model", *pair), np.array([[[2, 3]] * 3])),
            "token_logprob": (("model", *pair, "token"), trace[None]),
            "generation": (("model", "method", "example"), np.full((1, 2, 3), "t", object)),
            "rouge1": (("model", "method", "example"), np.full((1, 2, 3), 0.5)),
            "policy_score": (("weight", "model", "method", *pair), np.zeros((2, 1, 2, 3, 2))),
        },
        coords={
            "method": ["a", "b"],
            "method_family": ("method", ["reward-guided", "in-context"]),
            "model": ["m"],
            "parameters": ("model", [7e9]),
            "candidate": ["chosen", "rejected"],
            "example": ["e1", "e2", "e3"],
            "weight": [0.0, 1.0],
        },
        attrs={"preflamp_schema": 1},
    )


def messages(ds: xr.Dataset | xr.DataTree, **options: object) -> list[str]:
    return [str(problem) for problem in find_problems(ds, **options)]  # type: ignore[arg-type]


def put(name: str, value: object, **place: object) -> Callable[[xr.Dataset], None]:
    def change(ds: xr.Dataset) -> None:
        array = ds[name].copy().astype(object if isinstance(value, str) else float)
        array.loc[place] = value
        ds[name] = array

    return change


def test_sound_study_has_no_problems_or_warnings() -> None:
    assert messages(sound()) == []
    assert validate(sound()) == []
    assert messages(sound().transpose("token", "example", ...)) == []


def relabel(**labels: list[object]) -> Callable[[xr.Dataset], None]:
    def change(ds: xr.Dataset) -> None:
        for dim, values in labels.items():
            ds[dim] = (dim, values)

    return change


def drop(*names: str) -> Callable[[xr.Dataset], None]:
    def change(ds: xr.Dataset) -> None:
        for name in names:
            del ds[name]

    return change


def store(name: str, dims: tuple[str, ...], values: object, **attrs: str) -> Callable[..., None]:
    def change(ds: xr.Dataset) -> None:
        ds[name] = (dims, values, attrs)

    return change


def lengths(value: float) -> Callable[[xr.Dataset], None]:
    def change(ds: xr.Dataset) -> None:
        put("n_tokens", value, example="e1")(ds)
        del ds["token_logprob"]

    return change


HOLE = put("token_logprob", np.nan, example="e2", candidate="rejected", token=1)
SHORT = put("token_logprob", np.nan, example="e2", candidate="rejected", token=2)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda ds: ds.attrs.clear(), "preflamp_schema: root attribute is missing"),
        (lambda ds: ds.attrs.update(preflamp_schema=2), "root attribute is 2; this version reads"),
        (put("user", "", example="e2"), "user: is empty in 1 of 3 examples, first at position 1"),
        (put("user", "nan", example="e2"), "user: is empty in 1 of 3"),
        (store("user", ("example",), [1.0, np.nan, 2.0]), "user: holds float64; store text"),
        (store("user", ("example",), np.array(["a", None, "b"], object)), "user: is empty in 1 of"),
        (store("user", ("example",), np.array(["a", "b", 3], object)), "user: holds int in 1 of"),
        (relabel(example=["e1", "e1", "e3"]), "example: has duplicates: 'e1' (2 times)"),
        (relabel(method=["a", "a"]), "method: has duplicates: 'a' (2 times)"),
        (relabel(method=["a", ""]), "method: has an empty label"),
        (relabel(method=[1, 2]), "method: holds int64; store text"),
        (relabel(weight=[-1.0, 1.0]), "weight: is below 0 in 1 of 2, least -1"),
        (relabel(candidate=["chosen", "worse"]), "candidate: lacks 'rejected'"),
        (relabel(candidate=["worse", "rejected"]), "candidate: lacks 'chosen'"),
        (drop("candidate"), "candidate: dim has no labels; add a coordinate candidate(candidate)"),
        (drop("method", "method_family"), "method: dim has no labels"),
        (
            lambda ds: ds.update({"method_family": ("method", ["in-contxt", "zero-shot"])}),
            "method_family: has 'in-contxt'; write 'in-context'",
        ),
        (put("rouge1", 47.0, example="e1"), "rouge1: is above 1 in 2 of 6, greatest 47"),
        (put("rouge1", -0.1, example="e1"), "rouge1: is below 0 in 2 of 6"),
        (put("rouge1", np.nan), "rouge1: has no value: all are NaN"),
        (put("reward", np.inf, example="e1"), "reward: is infinite in 4 of 12"),
        (put("logprob", 3.0, example="e1"), "logprob: is above 0 in 2 of 6, greatest 3"),
        (store("n_tokens", ("example", "candidate"), [[1, 3]] * 3), "token_logprob: has another"),
        (lengths(0), "n_tokens: is below 1 in 2 of 6"),
        (lengths(2.5), "n_tokens: is not whole in 2 of 6"),
        (put("parameters", 0), "parameters: is below 1"),
        (HOLE, "token_logprob: has NaN before the end in 1 traces"),
        (SHORT, "token_logprob: has another length than n_tokens in 1 traces"),
        (store("reward", ("method", "example"), np.ones((2, 3))), "reward: lacks dim candidate"),
        (store("logprob", ("model", "example", "candidate", "method"), -np.ones((1, 3, 2, 2))),
         "logprob: has dim method, which it may not have; store it over ([model], "),
        (store("reward", ("method", "example", "candidate"), np.full((2, 3, 2), "1.0")),
         "reward: holds <U3; store floats"),
        (store("judge", ("example",), np.ones(3), role="generation_metric"),
         "judge: has role 'generation_metric' but is float64 over (example)"),
        (lambda ds: (drop("rouge1")(ds), drop("reference")(ds)), "generation: has no reference"),
        (drop("reward", "logprob", "token_logprob", "policy_score", "generation", "rouge1",
              "weight"), "holds nothing to analyse"),
    ],
)  # fmt: skip
def test_each_departure_is_named(change: Callable[[xr.Dataset], None], expected: str) -> None:
    ds = sound()
    change(ds)
    if expected.startswith("holds nothing"):
        ds["extra"] = ("example", np.zeros(3, int))
    found = messages(ds)
    assert len(found) == 1, found
    assert expected in found[0]


def test_every_problem_comes_in_one_go_with_its_place() -> None:
    ds = sound()
    put("user", "", example="e2")(ds)
    put("rouge1", 2.0)(ds)
    relabel(candidate=["chosen", "worse"])(ds)
    tree = xr.DataTree.from_dict({"/tldr": ds, "/prism": sound()})
    found = messages(tree, file="r.nc")
    assert len(found) == 4
    assert sum(text.startswith("r.nc: group /tldr: variable ") for text in found) == 3
    with pytest.raises(SchemaError) as caught:
        validate(tree)
    assert len(caught.value.problems) == 4


def test_empty_dim_is_named() -> None:
    assert "example: has no entries" in messages(sound().isel(example=[]), values=False)[0]


def test_rounding_above_a_bound_is_tolerated() -> None:
    ds = sound()
    put("logprob", 1e-6)(ds)
    assert messages(ds) == []


def test_values_are_read_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    ds = sound()
    HOLE(ds)
    put("rouge1", 2.0, example="e3")(ds)
    whole = messages(ds)
    monkeypatch.setattr(schema, "example_blocks", lambda ds: (slice(i, i + 1) for i in range(3)))
    assert messages(ds) == whole
    assert len(whole) == 2
    assert messages(ds, values=False) == []


def test_producers_extras_are_left_alone() -> None:
    ds = sound()
    ds["tag"] = ("example", np.array(["a", None, ""], object))
    ds["embedding"] = (("example", "axis"), np.full((3, 2), np.nan))
    assert messages(ds) == []
    assert [str(w) for w in find_warnings(ds)] == []


def test_warnings() -> None:
    ds = sound().drop_vars(["user", "policy_score"])
    ds["policy_scores"] = (("method", "example", "candidate"), np.zeros((2, 3, 2), int))
    found = [str(warning) for warning in find_warnings(ds, file="r.nc")]
    assert "user: is absent, so each example is taken as its own unit" in found[0]
    assert "rename it if 'policy_score' is meant" in found[1]


def test_datasets_by_name() -> None:
    assert list(datasets(sound())) == ["results"]
    assert list(datasets(sound().assign_attrs(dataset="prism"))) == ["prism"]
    tree = xr.DataTree.from_dict({"/": xr.Dataset(), "/a": sound(), "/b/c": sound()})
    assert list(datasets(tree)) == ["a", "b/c"]


def test_two_datasets_of_one_name() -> None:
    tree = xr.DataTree.from_dict({"/": sound().assign_attrs(dataset="a"), "/a": sound()})
    assert "two groups go by the name 'a'" in messages(tree)[0]


def test_labels_of_the_root_are_inherited() -> None:
    root = sound()[["method", "method_family"]].assign_attrs(preflamp_schema=1)
    child = sound().drop_vars(["method", "method_family"])
    tree = xr.DataTree.from_dict({"/": root, "/a": child})
    assert messages(tree) == []
    assert list(datasets(tree)["a"].method.values) == ["a", "b"]


def test_no_data() -> None:
    assert "holds no data" in messages(xr.Dataset(attrs={"preflamp_schema": 1}))[0]


def test_roles() -> None:
    ds = sound()
    ds["board"] = ("method", [0.5, 0.6])
    ds["judge"] = (("method", "example"), np.ones((2, 3)))
    ds["cost"] = ("method", [1.0, 2.0], {"role": "other"})
    assert generation_metrics(ds) == ["rouge1", "judge"]
    assert method_metrics(ds) == ["board"]
    assert SPECS["reward"].layout == "[model], [seed], method, example, candidate"


@pytest.mark.parametrize("dtype", [np.int64, np.int8, bool])
def test_whole_numbers_and_truth_values_are_metrics_too(dtype: type) -> None:
    ds = sound()
    ds["win"] = (("method", "example"), np.array([[0, 1, 1], [0, 0, 1]], dtype))
    ds["elo"] = ("method", np.array([1, 0], dtype))
    ds["generation_shots"] = (("method", "example"), np.ones((2, 3), dtype))
    assert messages(ds) == []
    assert generation_metrics(ds) == ["rouge1", "win"]
    assert method_metrics(ds) == ["elo"]


def test_labels_of_several_levels_are_refused() -> None:
    ds = sound().drop_vars("example")
    levels = pd.MultiIndex.from_product([["ann", "bob", "eve"], [1]], names=["who", "item"])
    ds = ds.assign_coords(xr.Coordinates.from_pandas_multiindex(levels, "example"))
    assert messages(ds) == [
        "group /: variable example: is a MultiIndex of who, item; store one label, such as "
        "'ann/1', or reset_index('example')"
    ]


@pytest.mark.parametrize(
    ("attrs", "message"),
    [
        ({"direction": "lower"}, ""),
        ({"higher_is_better": 0}, ""),
        (
            {"direction": "down"},
            "judge: has an attribute direction that is 'down'; store higher or",
        ),
        (
            {"higher_is_better": "no"},
            "judge: has an attribute higher_is_better that is 'no'; store",
        ),
        (
            {"direction": "lower", "higher_is_better": 1},
            "judge: has attributes direction 'lower' a",
        ),
    ],
)
def test_directions_are_checked(attrs: dict[str, object], message: str) -> None:
    ds = sound()
    ds["judge"] = (("method", "example"), np.ones((2, 3)), attrs)
    found = messages(ds)
    assert len(found) == bool(message)
    assert message in "".join(found)


def test_without_a_family_a_method_is_named() -> None:
    ds = sound()
    ds["method_family"] = ("method", np.array(["in-context", None], object))
    assert messages(ds)[0].startswith("group /: variable method_family: is missing for b; choose")

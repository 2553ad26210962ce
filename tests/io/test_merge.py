from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from preflamp_stats.errors import InputError, SchemaError
from preflamp_stats.io.files import open_results, write_results
from preflamp_stats.io.merge import merge
from preflamp_stats.io.schema import find_problems


def trees(*shards: xr.Dataset) -> list[xr.DataTree]:
    return [xr.DataTree(shard) for shard in shards]


def parts(ds: xr.Dataset, dim: str, *ends: int) -> list[xr.Dataset]:
    return [ds.isel({dim: slice(*cut)}) for cut in itertools.pairwise((0, *ends, ds.sizes[dim]))]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_shards_of_examples_in_any_order(study: xr.Dataset, order: tuple[int, ...]) -> None:
    shards = parts(study, "example", 1, 3)
    merged = merge(trees(*(shards[i] for i in order))).to_dataset()
    assert merged.equals(study)
    assert merged["reward"].attrs == study["reward"].attrs
    assert merged.attrs == study.attrs
    assert set(merged.coords) == set(study.coords)


def test_shards_of_methods(make: Callable[..., xr.Dataset]) -> None:
    study = make(methods=3)
    assert merge(trees(*parts(study, "method", 2)[::-1])).to_dataset().equals(study)


def test_grid_of_examples_by_methods(make: Callable[..., xr.Dataset]) -> None:
    study = make(methods=3)
    cells = [c for row in parts(study, "example", 2) for c in parts(row, "method", 1)]
    assert merge(trees(*cells[::-1])).to_dataset().equals(study)


def test_other_order_of_labels_is_aligned(study: xr.Dataset) -> None:
    one, two = parts(study, "example", 2)
    flipped = two.isel(method=[1, 0], candidate=[1, 0])
    assert merge(trees(one, flipped)).to_dataset().equals(study)


def test_traces_of_different_lengths_are_padded(make: Callable[..., xr.Dataset]) -> None:
    short, long = make(tokens=2), make(first_example=5, tokens=6)
    long["board"] = short.board
    merged = merge(trees(long, short)).to_dataset()
    assert merged.sizes["token"] == 6
    assert find_problems(merged) == []
    np.testing.assert_array_equal(merged.reward_trace[:, :5, :, :2], short.reward_trace)


def test_methods_without_rewards_get_nan(study: xr.Dataset) -> None:
    one, two = parts(study, "method", 1)
    icl = two.drop_vars(["reward", "reward_trace", "candidate_text", "n_tokens", "logprob"])
    icl = icl.drop_vars(["token_logprob", "candidate"])
    merged = merge(trees(one, icl)).to_dataset()
    assert merged.reward.isel(method=1).isnull().all()
    assert merged.rouge1.equals(study.rouge1)
    assert merged.logprob.equals(study.logprob)
    assert merged.reward.isel(method=0).equals(study.reward.isel(method=0))


def test_methods_without_generations_miss_their_texts(study: xr.Dataset) -> None:
    one, two = parts(study, "method", 1)
    merged = merge(trees(one, two.drop_vars(["generation", "rouge1"]))).to_dataset()
    assert merged.generation.isel(method=1).isnull().all()


def test_datasets_of_different_shards_stand_side_by_side(study: xr.Dataset) -> None:
    a = xr.DataTree.from_dict({"/": xr.Dataset(attrs={"preflamp_schema": 1}), "/tldr": study})
    b = xr.DataTree.from_dict({"/": xr.Dataset(attrs={"preflamp_schema": 1}), "/prism": study})
    assert list(merge([a, b]).children) == ["prism", "tldr"]
    assert list(merge([b, a]).children) == ["prism", "tldr"]


@pytest.mark.parametrize("lazy", [False, True])
def test_merged_files_have_the_bytes_of_the_whole(
    study: xr.Dataset, tmp_path: Path, lazy: bool
) -> None:
    write_results(study, tmp_path / "whole.nc")
    names = []
    for i, part in enumerate(parts(study, "example", 2)):
        names.append(tmp_path / f"{i}.nc")
        write_results(part, names[-1])
    opened = [open_results(name, chunks={} if lazy else None) for name in names[::-1]]
    write_results(merge(opened), tmp_path / "merged.nc")
    for tree in opened:
        tree.close()
    assert (tmp_path / "merged.nc").read_bytes() == (tmp_path / "whole.nc").read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one, two: (one, one), "b: group /: has the same labels as a|b: .* overlaps with a"),
        (lambda one, two: (one, xr.concat([one, two], "example", data_vars="minimal")),
         "b: group /: variable example: overlaps with a: 2, such as 'e0'"),
        (lambda one, two: (one, two.drop_vars("rouge1")), "b: .*rouge1: is missing, but other"),
        (lambda one, two: (one, two.assign(board=two.board + 1)),
         "b: group /: variable board: differs from that in a, although it does not vary by ex"),
        (lambda one, two: (one, two.isel(method=[0])), "differs from .* in example and method at"),
        (lambda one, two: (one, two.drop_vars("example")), "b: .*example: dim has no labels"),
        (lambda one, two: (one, two.assign(n_tokens=two.n_tokens.isel(model=0, drop=True))),
         r"n_tokens: is over \(model, example, candidate\), but over \(example, candidate\) in a"),
        (lambda one, two: (one, two.assign(judge=two.judge.assign_attrs(units="points"))),
         "judge: has units 'points', but None in a"),
    ],
)  # fmt: skip
def test_refused(
    study: xr.Dataset,
    change: Callable[[xr.Dataset, xr.Dataset], tuple[xr.Dataset, xr.Dataset]],
    message: str,
) -> None:
    shards = change(*parts(study, "example", 2))
    with pytest.raises(InputError, match=message):
        merge(trees(*shards), names=["a", "b"])


def test_users_that_contradict_each_other_under_another_method(study: xr.Dataset) -> None:
    one, two = parts(study, "method", 1)
    two = two.assign(user=("example", ["x"] * 5))
    with pytest.raises(InputError, match="variable user: differs from that in a"):
        merge(trees(one, two), names=["a", "b"])


def test_shards_must_follow_the_schema(study: xr.Dataset) -> None:
    one, two = parts(study, "example", 2)
    two.attrs.clear()
    with pytest.raises(SchemaError, match="b: variable preflamp_schema"):
        merge(trees(one, two), names=["a", "b"])


def test_nothing_to_merge_and_one_shard(study: xr.Dataset) -> None:
    with pytest.raises(InputError, match="no shards"):
        merge([])
    assert merge(trees(study)).to_dataset().equals(study)


def test_attributes_in_which_shards_differ_are_dropped(study: xr.Dataset) -> None:
    one, two = parts(study, "example", 2)
    merged = merge(trees(one.assign_attrs(run="1", by="x"), two.assign_attrs(run="2", by="x")))
    assert merged.attrs == {"by": "x", "preflamp_schema": 1}


def test_a_coordinate_of_one_shard_that_is_data_in_another_is_joined(study: xr.Dataset) -> None:
    first, second = parts(study, "example", 2)
    expected = merge(trees(first, second)).to_dataset()
    found = merge(trees(first.set_coords(["user", "reward"]), second)).to_dataset()
    assert {"user", "reward"} <= set(found.coords)
    assert found.reset_coords().equals(expected.reset_coords())

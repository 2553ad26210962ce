from __future__ import annotations

import hashlib
import os
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from preflamp_stats.errors import InputError, SchemaError
from preflamp_stats.io import files
from preflamp_stats.io.files import open_results, write_results

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
NUMBER = st.floats(-1e6, 1e6, width=32) | st.just(float("nan"))


@contextmanager
def read_again(tree: xr.Dataset | xr.DataTree, path: Path) -> Iterator[xr.DataTree]:
    write_results(tree, path)
    with open_results(path) as found:
        yield found


@st.composite
def studies(draw: st.DrawFn) -> xr.Dataset:
    sizes = {"method": 2, "example": draw(st.integers(1, 4)), "candidate": 2, "seed": 2, "model": 1}
    dims = draw(st.permutations(["method", "example", "candidate", "seed", "model"]))
    shape = [sizes[dim] for dim in dims]
    n = int(np.prod(shape))
    reward = np.array(draw(st.lists(NUMBER, min_size=n, max_size=n)), draw(st.sampled_from("fd")))
    reward.flat[0] = 0.5
    texts = draw(st.lists(TEXT, min_size=sizes["example"], max_size=sizes["example"]))
    lengths = np.full((2, sizes["example"]), np.nan)
    lengths[0, 0], lengths[1] = 3, draw(st.integers(1, 9) | st.just(np.nan))
    return xr.Dataset(
        {
            "reward": (dims, reward.reshape(shape)),
            "prompt": ("example", np.array(texts, object)),
            "n_tokens": (("candidate", "example"), lengths),
        },
        coords={
            "method": draw(st.lists(TEXT.filter(bool), min_size=2, max_size=2, unique=True)),
            "candidate": ["rejected", "chosen"],
            "model": ["7B"],
        },
        attrs={"title": draw(TEXT), "preflamp_schema": 1},
    )


@given(ds=studies())
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_round_trip(tmp_path: Path, ds: xr.Dataset) -> None:
    with read_again(ds, tmp_path / "r.nc") as tree:
        found = tree.to_dataset().load()
    assert found.attrs["title"] == ds.attrs["title"]
    assert found.reward.dtype == ds.reward.dtype
    assert found.reward.dims == ds.reward.dims
    for name in ds.variables:
        assert found[name].astype(ds[name].dtype).equals(ds[name]), name


def test_every_variable_survives_with_its_attributes(study: xr.Dataset, tmp_path: Path) -> None:
    study["reward"].attrs["scale"] = "log-odds"
    study["flag"] = ("example", [True, False, True, True, False])
    study["codes"] = ("example", np.arange(5, dtype="i2"))
    with read_again(study, tmp_path / "r.nc") as tree:
        found = tree.to_dataset().load()
    assert found.equals(study)
    assert found.flag.dtype == bool
    assert found.codes.dtype == np.int16
    assert set(found.coords) == set(study.coords)
    for name in study.variables:
        assert found[name].attrs == study[name].attrs


def test_units_names_and_version_are_added(tmp_path: Path) -> None:
    ds = xr.Dataset(
        {"logprob": (("model", "example", "candidate"), -np.ones((1, 2, 2)), {"note": "kept"})},
        coords={"model": ["m"], "candidate": ["chosen", "rejected"]},
    )
    with read_again(ds, tmp_path / "r.nc") as tree:
        assert tree.attrs["preflamp_schema"] == 1
        assert tree["logprob"].attrs["units"] == "nats"
        assert tree["logprob"].attrs["note"] == "kept"
        assert "base model" in tree["logprob"].attrs["long_name"]
    assert ds.attrs == {}


def test_groups_keep_their_names_and_order(study: xr.Dataset, tmp_path: Path) -> None:
    tree = xr.DataTree.from_dict({"/tldr": study, "/prism": study.isel(example=slice(2))})
    with read_again(tree, tmp_path / "r.nc") as found:
        assert list(found.children) == ["tldr", "prism"]
        assert found["prism"].sizes["example"] == 2


def test_whole_numbers_with_gaps_are_stored_as_integers(study: xr.Dataset, tmp_path: Path) -> None:
    study["n_tokens"] = study.n_tokens.where(study.candidate == "chosen")
    del study["token_logprob"]
    write_results(study, tmp_path / "r.nc")
    with netCDF4.Dataset(tmp_path / "r.nc") as raw:
        assert raw["n_tokens"].dtype == np.int64
    with open_results(tmp_path / "r.nc") as tree:
        assert tree["n_tokens"].isnull().sum() == 5


def test_same_content_same_bytes(study: xr.Dataset, tmp_path: Path) -> None:
    for name in ("a.nc", "b.nc"):
        write_results(study, tmp_path / name)
    a, b = (hashlib.sha256((tmp_path / f).read_bytes()).hexdigest() for f in ("a.nc", "b.nc"))
    assert a == b


def test_text_is_stored_compressed_and_is_read_by_others(study: xr.Dataset, tmp_path: Path) -> None:
    write_results(study, tmp_path / "r.nc")
    with netCDF4.Dataset(tmp_path / "r.nc") as raw:
        assert raw["user"].dtype == "S1"
        assert raw["user"].filters()["zlib"]
        assert raw["user"][:].tolist() == study.user.values.tolist()
    with xr.open_dataset(tmp_path / "r.nc") as plain:
        assert plain.user.values.tolist() == study.user.values.tolist()


def test_text_without_declared_encoding_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "r.nc"
    with netCDF4.Dataset(path, "w") as raw:
        raw.createDimension("example", 2)
        raw.createDimension("width", 3)
        user = raw.createVariable("user", "S1", ("example", "width"))
        user[:] = np.array([[b"\xc3", b"\xa9", b""], [b"a", b"b", b"c"]])
    with open_results(path) as tree:
        assert tree["user"].values.tolist() == ["é", "abc"]


def test_opening_reads_no_arrays(study: xr.Dataset, tmp_path: Path) -> None:
    write_results(study, tmp_path / "r.nc")
    with open_results(tmp_path / "r.nc") as tree:
        ds = tree.to_dataset()
        for name in ("user", "prompt", "reward", "token_logprob"):
            assert not ds.variables[name]._in_memory, name


def test_chunks_give_dask_arrays(study: xr.Dataset, tmp_path: Path) -> None:
    write_results(study, tmp_path / "r.nc")
    with open_results(tmp_path / "r.nc", chunks={}) as tree:
        assert tree["reward"].chunksizes["example"] == (5,)
        assert tree["generation"].equals(study.generation)
        write_results(tree, tmp_path / "again.nc")
    assert (tmp_path / "again.nc").read_bytes() == (tmp_path / "r.nc").read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.2, 0.5, 0.8, 0.99, 0.9999])
def test_truncated_file(study: xr.Dataset, tmp_path: Path, share: float) -> None:
    write_results(study, tmp_path / "r.nc")
    content = (tmp_path / "r.nc").read_bytes()
    cut = tmp_path / "cut.nc"
    cut.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"cut\.nc: is not a whole NetCDF-4 file"):
        open_results(cut)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.nc", None, "no such file"),
        ("text.nc", b"method,reward\n", "is not a whole NetCDF-4 file"),
        ("picture.nc", b"\x89PNG\r\n\x1a\n" + bytes(99), "is not a whole NetCDF-4 file"),
    ],
)
def test_not_a_results_file(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        open_results(tmp_path / name)
    with pytest.raises(InputError, match="is a directory"):
        open_results(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": ["a\0b"] * 5}, "variable prompt: has a NUL character at position 0"),
        ({"prompt": ["ok", "a\ud800"] + ["x"] * 3}, "prompt: has a lone surrogate at position 1"),
        ({"note": np.array([1.5, "a", "", "", ""], object)}, "note: holds float at position 0"),
        ({"note": np.zeros(5, complex)}, "note: holds complex128"),
        ({"user": ["", "a", "a", "a", "a"]}, "user: is empty in 1 of 5 examples"),
    ],
)
def test_what_cannot_be_stored_is_refused(
    study: xr.Dataset, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    ds = study.assign({name: ("example", values) for name, values in change.items()})
    with pytest.raises(SchemaError, match=message):
        write_results(ds, tmp_path / "r.nc")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [{"a": 1}, None, True, [], [True], [["a"]], b"x", "a\0"])
def test_attributes_that_netcdf_lacks_are_refused(
    study: xr.Dataset, tmp_path: Path, value: object
) -> None:
    study.attrs["settings"] = value
    with pytest.raises(SchemaError, match="attribute 'settings'"):
        write_results(study, tmp_path / "r.nc")


@pytest.mark.parametrize("value", ["é", "", 1, 2.5, [1, 2], ["a", "é"], np.arange(3.0)])
def test_attributes_survive(study: xr.Dataset, tmp_path: Path, value: object) -> None:
    study.attrs["setting"] = value
    with read_again(study, tmp_path / "r.nc") as tree:
        np.testing.assert_array_equal(tree.attrs["setting"], value)


@pytest.mark.parametrize("function", ["replace", "fsync"])
@pytest.mark.parametrize("old", [None, b"an earlier file"])
def test_failure_leaves_nothing(
    study: xr.Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    old: bytes | None,
) -> None:
    target = tmp_path / "r.nc"
    if old:
        target.write_bytes(old)

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(files.os, function, fail)
    with pytest.raises(InputError, match=r"r\.nc: cannot be written: no space left"):
        write_results(study, target)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == ([old] if old else [])


def test_interrupt_leaves_nothing(
    study: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        assert list(tmp_path.glob("*.nc")) == []
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "check_written", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_results(study, tmp_path / "r.nc")
    assert list(tmp_path.iterdir()) == []


def test_damage_by_the_medium_is_noticed(
    study: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_other(tree: xr.DataTree, path: Path) -> None:
        changed = tree.to_dataset()
        changed["reward"] = changed.reward + 1
        real(xr.DataTree(changed), path)

    real = files.write_file
    monkeypatch.setattr(files, "write_file", write_other)
    with pytest.raises(InputError, match="variable reward of group / changed when written"):
        write_results(study, tmp_path / "r.nc")
    assert list(tmp_path.iterdir()) == []


def test_final_name_appears_only_whole(
    study: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def replace(source: Path, target: Path) -> None:
        with open_results(source) as tree:
            seen.append(tree.to_dataset().equals(study))
        real(source, target)

    real = os.replace
    monkeypatch.setattr(files.os, "replace", replace)
    write_results(study, tmp_path / "r.nc")
    assert seen == [True]


def test_where_it_cannot_be_written(study: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist; make it first"):
        write_results(study, tmp_path / "absent" / "r.nc")
    with pytest.raises(InputError, match="is a directory"):
        write_results(study, tmp_path)


@pytest.mark.parametrize("chunks", [None, {"example": 2}])
def test_a_missing_text_is_not_an_empty_one(
    study: xr.Dataset, tmp_path: Path, chunks: dict[str, int] | None
) -> None:
    for name in ("generation", "prompt", "reference", "candidate_text"):
        flat = study[name].astype(object)
        flat[{"example": 0}], flat[{"example": 1}], flat[{"example": 2}] = None, "", np.nan
        study[name] = flat
    write_results(study, tmp_path / "r.nc")
    with open_results(tmp_path / "r.nc", chunks=chunks) as tree:
        for name in ("generation", "prompt", "reference", "candidate_text"):
            found = tree[name].isel({**dict.fromkeys({*tree[name].dims} - {"example"}, 0)}).values
            assert found[:3].tolist() == [None, "", None], name
        assert "missing_text" not in tree["prompt"].attrs
        write_results(tree, tmp_path / "again.nc")
    assert (tmp_path / "r.nc").read_bytes() == (tmp_path / "again.nc").read_bytes()


def test_files_from_before_the_mark_have_no_text_where_it_is_empty(
    study: xr.Dataset, tmp_path: Path
) -> None:
    study["generation"][0, 0, 1] = ""
    write_results(study, tmp_path / "r.nc")
    with netCDF4.Dataset(tmp_path / "r.nc", "a") as file:
        file["generation"].delncattr("missing_text")
    with open_results(tmp_path / "r.nc") as tree:
        assert tree["generation"].values[0, 0, :2].tolist() == ["text", None]


def test_memory_of_writing_follows_the_texts_not_the_longest(
    study: xr.Dataset, tmp_path: Path
) -> None:
    texts = np.full(4000, "a short answer", object)
    texts[7] = "long " * 40_000
    ds = xr.Dataset(
        {"generation": (("method", "example"), texts[None]), "reference": ("example", texts)},
        coords={"method": ["rm"], "example": np.arange(4000)},
    )
    tracemalloc.start()
    write_results(ds, tmp_path / "r.nc")
    with open_results(tmp_path / "r.nc") as tree:
        assert len(tree["generation"].values[0, 7]) == 200_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 250 * 2**20  # one width for all would take 800 MB at once


def test_a_text_that_looks_like_the_mark_of_a_missing_one_is_kept(
    study: xr.Dataset, tmp_path: Path
) -> None:
    study["prompt"] = ("example", np.array(["\x1a", "\x1a\x1a", None, "", "a\x1a"], object))
    write_results(study, tmp_path / "r.nc")
    with open_results(tmp_path / "r.nc") as tree:
        assert tree["prompt"].values.tolist() == ["\x1a", "\x1a\x1a", None, "", "a\x1a"]

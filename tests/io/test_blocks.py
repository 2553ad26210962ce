from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from preflamp_stats.io.blocks import example_blocks, load_block
from preflamp_stats.io.files import open_results, write_results


@given(n=st.integers(1, 200), width=st.integers(1, 9), budget=st.integers(1, 5000))
def test_blocks_cover_every_example_once_within_budget(n: int, width: int, budget: int) -> None:
    ds = xr.Dataset({"x": (("method", "example"), np.zeros((width, n)))})
    blocks = list(example_blocks(ds, max_bytes=budget))
    assert [i for block in blocks for i in range(block.start, block.stop)] == list(range(n))
    for block in blocks:
        length = block.stop - block.start
        assert length == 1 or length * width * 8 <= budget


def test_blocks_end_at_borders_of_storage_chunks(tmp_path: Path) -> None:
    reward = np.zeros((12, 9000, 2))
    ds = xr.Dataset(
        {"reward": (("method", "example", "candidate"), reward)},
        coords={"method": list("abcdefghijkl"), "candidate": ["chosen", "rejected"]},
    )
    write_results(ds, tmp_path / "r.nc")
    with open_results(tmp_path / "r.nc") as tree:
        stored = tree["reward"].encoding["chunksizes"][1]
        assert stored == 4096
        blocks = list(example_blocks(tree.to_dataset(), max_bytes=5000 * 12 * 2 * 8))
    assert [block.start % stored for block in blocks] == [0] * 3


def test_dask_chunks_are_borders_too() -> None:
    ds = xr.Dataset({"x": ("example", np.zeros(100))}).chunk(example=30)
    assert [block.start for block in example_blocks(ds, max_bytes=70 * 8)] == [0, 60]


def test_stored_width_of_text_counts(study: xr.Dataset, tmp_path: Path) -> None:
    study["prompt"] = ("example", np.array(["x" * 1000] * 5, object))
    write_results(study, tmp_path / "r.nc")
    with open_results(tmp_path / "r.nc") as tree:
        ds = tree.to_dataset()[["prompt"]].reset_coords(drop=True)
        assert len(list(example_blocks(ds, max_bytes=2500))) > 1


def test_load_block_reads_only_what_is_named(study: xr.Dataset, tmp_path: Path) -> None:
    write_results(study, tmp_path / "r.nc")
    with open_results(tmp_path / "r.nc") as tree:
        ds = tree.to_dataset()
        block = load_block(ds, slice(1, 3), names=["reward", "board"])
        assert not ds.variables["reward"]._in_memory
    assert set(block.data_vars) == {"reward", "board"}
    assert block.reward.equals(study.reward[:, 1:3])
    assert block.board.equals(study.board)
    with pytest.raises(KeyError):
        load_block(study, slice(0, 1), names=["absent"])


def test_no_examples_no_blocks() -> None:
    assert list(example_blocks(xr.Dataset({"board": ("method", [1.0])}))) == []

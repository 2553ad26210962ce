"""Rows carry what a reader needs to read them: labels of pairs, units, what was resampled."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import preflamp_stats as pls
from preflamp_stats.inference.resampled import ResampledStudy, read_study
from preflamp_stats.tables.rows import metric_rows, tidy


def evidence(**attrs: object) -> ResampledStudy:
    rng = np.random.default_rng(0)
    words = xr.DataArray(
        rng.integers(50, 99, (3, 12)).astype(float),
        dims=("method", "example"),
        coords={"method": ["a", "b", "c"]},
        attrs={"role": "generation_metric", **attrs},
    )
    return read_study(xr.Dataset({"words": words}), pls.Settings(resamples=20), name="d")


def test_a_metric_of_the_file_brings_its_name_units_and_direction() -> None:
    found = evidence(long_name="Words written", units="words", higher_is_better=0)
    frame = metric_rows(found, found.metrics["words"])
    assert set(frame["long_name"]) == {"Words written"}
    assert set(frame["units"]) == {"words"}
    assert not frame["higher_is_better"].any()


@pytest.mark.parametrize(("told", "higher"), [(1, True), ("true", True), ("false", False)])
def test_direction_may_be_a_number_or_a_word(told: object, higher: bool) -> None:
    found = evidence(higher_is_better=told)
    assert set(metric_rows(found, found.metrics["words"])["higher_is_better"]) == {higher}


def test_rows_say_what_was_resampled_and_no_more_than_the_file() -> None:
    found = evidence()
    frame = metric_rows(found, found.metrics["words"])
    assert set(frame["resample"]) == {"examples"}
    assert not {"long_name", "units", "higher_is_better"} & set(frame)


def test_pairs_are_told_apart_by_their_two_methods() -> None:
    pairs = xr.Dataset(
        {"estimate": ("pair", [0.1, 0.2])},
        {"method_a": ("pair", ["a", "a"]), "method_b": ("pair", ["b", "c"])},
    )
    frame = tidy(pairs, evidence())
    assert list(frame.columns) == [
        "dataset",
        "method_a",
        "method_b",
        "estimate",
        "level",
        "resample",
    ]
    assert frame["method_b"].tolist() == ["b", "c"]

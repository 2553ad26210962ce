"""Public functions and ``analyze`` take one road: for every table, the same bits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import preflamp_stats as pls
from preflamp_stats.io.describe import coverage
from preflamp_stats.results import Analysis
from preflamp_stats.tables.registry import TABLES

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "macro": {
        "average": "macro", "ties": "strict", "weight": 0.5, "level": 0.9,
        "agreement": "pairwise-tie",
    },
    "seeds": {"seed": 5, "resample": "both", "interval": "percentile"},
    "fixed seeds": {
        "include_seeds": False, "resample": "examples", "variant": "a",
        "agreement": "soft-pairwise",
    },
}  # fmt: skip
"""Settings by a name; a name with "seeds" has a file with training seeds."""

METRICS = ("rm_accuracy", "policy_accuracy", "rouge1", "rouge2", "rougeL", "edits", "leaderboard")


def _dataset(seeds: bool) -> xr.Dataset:
    """Every table has rows: users of unequal size, ties, gaps, own metrics, traces."""
    rng = np.random.default_rng(0)
    study = pls.simulate(n_methods=4, n_icl=1, models=2, n_users=12, n_examples=6, seed=3)
    ds = study.to_dataset().isel(example=slice(0, 68)).load()
    compared = ds[[name for name in ds if "candidate" in ds[name].dims]]
    third = compared.isel(candidate=[1]).roll(example=1).assign_coords(candidate=["third"])
    ds = ds.drop_dims("candidate").merge(xr.concat([compared, third], "candidate"))
    ds["reward"] = ds["reward"].round(1)
    ds["rouge1"][0, 0, 3] = np.nan
    steps = xr.DataArray(np.linspace(0.2, 1.0, 5), dims="token")
    noise = rng.normal(size=(*ds["reward"].shape, 5))
    ds["reward_trace"] = ds["reward"] * steps + xr.DataArray(
        noise, dims=(*ds["reward"].dims, "token")
    )
    ds["edits"] = (30 * (1 - ds["rouge2"])).assign_attrs(role="generation_metric", units="words")
    ds["sample_reward"] = ("method", "example", "sample"), rng.normal(size=(5, 68, 4))
    ds["judge"] = ("example", "sample"), rng.random((68, 4)), {"direction": "higher"}
    if seeds:
        varying = [str(n) for n, v in ds.items() if {"method", "example"} <= set(v.dims)]
        parts = {7: ds[varying], 2: ds[varying].roll(example=5)}
        joined = xr.concat([v.expand_dims(seed=[seed]) for seed, v in parts.items()], "seed")
        ds = ds.drop_vars(varying).merge(joined)
        for name in varying:
            ds[name].attrs = parts[7][name].attrs
    board = xr.DataArray(rng.random(5), dims="method", attrs={"role": "method_metric"})
    return ds.assign(leaderboard=board)


@pytest.fixture(scope="module", params=CONFIGURATIONS)
def made(request: pytest.FixtureRequest) -> tuple[xr.Dataset, pls.Settings, Analysis]:
    """A dataset, settings, and their analysis."""
    settings = pls.Settings(
        resamples=40,
        upstream=("rm_accuracy", "leaderboard"),
        downstream=("policy_accuracy", "rouge1", "edits"),
        lower_is_better=("edits",),
        higher_is_better=("leaderboard",),
        calibration=True,
        **CONFIGURATIONS[request.param],
    )
    ds = _dataset("seeds" in request.param)
    return ds, settings, pls.analyze({"results": ds}, settings)


def _public(
    name: str, ds: xr.Dataset, settings: pls.Settings, row: Mapping[str, Any]
) -> xr.Dataset:
    """What a user would call for a row of a table."""
    options = pls.MetricOptions(
        **{f: getattr(settings, f) for f in pls.MetricOptions.__dataclass_fields__}
    )
    how = {
        "resample": settings.resample,
        "n_resamples": settings.resamples,
        "seed": settings.seed,
        "level": settings.level,
        "include_seeds": settings.include_seeds,
        "options": options,
    }
    pair = [row[side] for side in ("upstream", "downstream") if side in row]
    of_tau = {"variant": settings.variant}
    margins = {"margin": settings.margin, "discrimination_margin": settings.discrimination_margin}
    if name == "tau":
        return pls.tau_test(ds, *pair, **how, **of_tau, interval=settings.interval)
    if name == "agreement":
        how |= {"interval": settings.interval, "agreement": settings.agreement}
        return pls.tau_test(ds, *pair, **how)
    if name in ("best_of_k", "over_optimisation"):
        found = pls.best_of_k(ds, row["metric"], **how)
        if name == "best_of_k":
            return found
        gain = {"gain": "estimate", "gain_low": "low", "gain_high": "high"}
        found = found.sel(k=found["largest"]).drop_vars(["estimate", "low", "high"])
        return found.drop_vars("k").rename(gain)
    if name == "reward_calibration":
        return pls.reward_calibration(ds, **how)
    if name == "pooled_tau":
        return pls.pooled_tau({"results": ds}, *pair, **how, **of_tau)
    if name == "surrogacy":
        return pls.surrogacy({"results": ds}, *pair, **how)
    if name == "slope":
        return pls.slope_test(ds, *pair, **how, margin=settings.margin)
    if name == "decoupling":
        return pls.decoupling_test(ds, *pair, **how, **margins)
    if name == "example_level":
        return pls.example_association(
            ds, pair[1], upstream=pair[0], level=settings.level, options=options
        )
    if name == "regret":
        return pls.selection_regret(ds, *pair, **how)
    if name == "in_context":
        return pls.in_context_test(ds, row["metric"], **how)
    if name == "contrasts":
        return pls.compare_methods(ds, row["metric"], **how)
    return pls.bootstrap(ds, row.get("metric", name), **how)


def _place(found: xr.Dataset, row: Mapping[str, Any]) -> xr.Dataset:
    """The part of a result that a row is about."""
    for dim in ("model", "method", "weight", "share", "bin_low", "k", "new"):
        if dim in found.dims:
            found = found.sel({dim: row[dim]})
    if "pair" in found.dims:
        first, second = ((found[m] == row[m]).values for m in ("method_a", "method_b"))
        found = found.isel(pair=int(np.flatnonzero(first & second).item()))
    return found


def test_coverage_is_that_of_the_file(made: tuple[xr.Dataset, pls.Settings, Analysis]) -> None:
    frame = made[2].tables["coverage"].frame.rename(columns={"generation_metric": "metric"})
    pd.testing.assert_frame_equal(frame, coverage({"results": made[0]}), check_exact=True)


@pytest.mark.parametrize("name", [table.name for table in TABLES if table.name != "coverage"])
def test_every_row_is_what_the_public_function_gives(
    made: tuple[xr.Dataset, pls.Settings, Analysis], name: str
) -> None:
    ds, settings, analysis = made
    results: dict[tuple[str, ...], xr.Dataset] = {}
    compared = set()
    if name == "agreement" and settings.agreement == "tau":
        return
    for row in analysis.tables[name].frame.to_dict("records"):
        asked = tuple(str(row.get(key, "")) for key in ("upstream", "downstream", "metric"))
        if asked not in results:
            results[asked] = _public(name, ds, settings, row)
        here = _place(results[asked], row)
        for column in set(map(str, here.data_vars)) & set(row):
            value = here[column].item()
            same = value == row[column] or (value != value and row[column] != row[column])
            assert same, f"{column} of {row}: {value!r}"
            compared.add(column)
    assert "estimate" in compared or {"upstream_difference", "verdict"} <= compared


def test_csv_holds_ten_digits_of_the_rows(
    made: tuple[xr.Dataset, pls.Settings, Analysis], tmp_path: Path
) -> None:
    analysis = made[2]
    analysis.write(tmp_path / "written")
    for name, table in analysis.tables.items():
        path = tmp_path / "written" / "tables" / f"{name}.csv"
        read = pd.read_csv(path, dtype=str, keep_default_na=False)
        assert len(read) == len(table.frame)
        for column in table.frame.select_dtypes("floating"):
            told = ["" if math.isnan(v) else f"{v:.10g}" for v in table.frame[column]]
            assert read[column].tolist() == told, (name, column)


def test_accuracies_without_an_interval_are_the_same_too(
    made: tuple[xr.Dataset, pls.Settings, Analysis],
) -> None:
    ds, settings, analysis = made
    how = {"ties": settings.ties, "average": settings.average}
    found = {
        "rm_accuracy": pls.rm_accuracy(ds, **how),
        "policy_accuracy": pls.policy_accuracy(ds, weight=settings.weight, **how),
        "weight_curve": pls.weight_curve(ds, **how),
        "prefix_accuracy": pls.prefix_accuracy(ds, **how),
    }
    for name, values in found.items():
        if "seed" in values.dims:  # the analysis averages over them, in the order of their labels
            values = values.sortby("seed").transpose(..., "seed").mean("seed")
        for row in analysis.tables[name].frame.to_dict("records"):
            place = {dim: row[dim] for dim in values.dims}
            assert values.sel(place).item() == row["estimate"], (name, row)

"""From a user's table through the command line to the numbers that are printed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner

import preflamp_stats as pls
from preflamp_stats.cli import main
from preflamp_stats.tables.registry import make_questions


def analysed(folder: Path, table: pd.DataFrame, *words: str) -> Path:
    table.to_csv(folder / "t.csv", index=False)
    out = folder / "out"
    line = ["analyze", str(folder / "t.csv"), "--out", str(out), "--resamples", "200"]
    result = CliRunner().invoke(main, [*line, *words])
    assert result.exit_code == 0, result.output
    return out


def metrics() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        {"method": m, "user": f"u{u}", "example": f"e{u}-{k}",
         "task_accuracy": level + rng.normal(0, 0.5), "edit_distance": 100 - level}
        for m, level in (("a", 69.9), ("b", 70.2), ("c", 70.5))
        for u in range(30)
        for k in range(3)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_levels_differences_and_regret_have_one_unit(tmp_path: Path) -> None:
    table = metrics()
    out = analysed(tmp_path, table, "--downstream", "task_accuracy", "--format", "csv")
    means = table.groupby("method")["task_accuracy"].mean()
    levels = pd.read_csv(out / "tables/generation.csv").query("metric == 'task_accuracy'")
    np.testing.assert_allclose(levels["estimate"], means)
    gaps = pd.read_csv(out / "tables/contrasts.csv").query("metric == 'task_accuracy'")
    expected = [means[a] - means[b] for a, b in gaps[["method_a", "method_b"]].values]
    np.testing.assert_allclose(gaps["estimate"], expected)


@pytest.mark.parametrize(("words", "best"), [([], None), (["--lower-is-better"], "c"),
                                             (["--higher-is-better"], "a")])  # fmt: skip
def test_the_best_is_bold_only_where_the_direction_is_told(
    tmp_path: Path, words: list[str], best: str | None
) -> None:
    words = [*words, *["edit_distance"] * len(words), "--downstream", "edit_distance"]
    out = analysed(tmp_path, metrics().drop(columns="task_accuracy"), *words)
    lines = (out / "tables/generation.md").read_text().splitlines()
    bold = [line.split("|")[1].strip() for line in lines if "| **" in line]
    assert bold == ([best] if best else [])


def test_every_metric_that_is_asked_for_is_there(tmp_path: Path) -> None:
    words = ["--downstream", "task_accuracy", "--downstream", "edit_distance", "--format", "csv"]
    out = analysed(tmp_path, metrics(), *words)
    found = pd.read_csv(out / "tables/generation.csv")["metric"]
    assert {*found} == {"task_accuracy", "edit_distance"}


@pytest.mark.parametrize("dtype", ["int64", "int8", "bool", "float32"])
def test_scores_of_any_number_type_count_alike(tmp_path: Path, dtype: str) -> None:
    values = np.array([[[1, 0], [0, 1], [1, 0], [1, 0]]])
    dims = ("method", "example", "candidate")
    coords = {"method": ["rm"], "candidate": ["chosen", "rejected"]}
    ds = xr.Dataset({"reward": (dims, values.astype(dtype))}, coords | {"example": list("wxyz")})
    assert pls.rm_accuracy(ds).values.tolist() == [0.75]
    pls.write_results(ds.assign(judge=(dims[:2], values[..., 0].astype(dtype))), tmp_path / "r.nc")
    with pls.open_results(tmp_path / "r.nc") as tree:
        assert pls.rm_accuracy(tree).values.tolist() == [0.75]
        tables = pls.analyze(tree, pls.Settings(resamples=100, downstream=("judge",))).tables
        assert tables["rm_accuracy"].frame["estimate"].tolist() == [0.75]
        assert tables["generation"].frame["estimate"].tolist() == [0.75]


@pytest.mark.parametrize(("n_users", "judged"), [(2, False), (5, False), (6, True)])
def test_two_users_and_thirty_methods_are_no_evidence(n_users: int, judged: bool) -> None:
    rng = np.random.default_rng(0)
    skill = np.linspace(0, 1, 30)[:, None]
    right = rng.random((30, 60 * n_users)) < skill
    ds = xr.Dataset(
        {
            "reward": (("method", "example", "candidate"), np.stack([right, ~right], -1) * 1.0),
            "judge": (("method", "example"), skill + 0.1 * rng.random(right.shape)),
            "user": ("example", np.arange(right.shape[1]) % n_users),
        },
        coords={"method": [f"m{i:02}" for i in range(30)], "candidate": ["chosen", "rejected"]},
    )
    ds["user"] = ds["user"].astype(str)
    ds["judge"].attrs["direction"] = "higher"
    found = pls.analyze(ds, pls.Settings(resamples=200, downstream=("judge",)))
    told = " ".join(
        [*found.tables["tau"].findings, *(q.answer for q in make_questions(found.tables))]
    )
    few = f"with {n_users} users not even unanimity is evidence"
    assert (few in told) == (not judged)
    assert ("Yes. For methods like these" in told) == judged

"""Worlds: true taus are true, runs replay and resume, percentiles have their noise taken out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import worlds
from cases import Asked, Row, world_case
from generator import METRICS, World, draw_world
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from plasmode import Population, plasmode_cases
from scipy import stats
from worlds_report import beta_of, by_case, compare, distribution, page_parts, report

QUICK = Asked(n_resamples=100)
SOURCE: dict[str, Any] = {"worlds": 3, "fixed": False}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("worlds") / "worlds.jsonl"
    worlds.run(path, SOURCE, n_studies=2, asked=QUICK, seed=5)
    return path


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_every_world_is_a_study_with_a_truth(seed: int) -> None:
    world = draw_world(rng(seed))
    assert 4 <= world.n_methods <= 40
    assert 8 <= world.n_users <= 1000
    ds, truth = world.study(rng(seed))
    assert ds.sizes["method"] == world.n_methods
    assert len(np.unique(ds["user"])) == world.n_users
    assert -1 <= truth <= 1 or np.isnan(truth)
    again, same = world.study(rng(seed))
    assert ds.identical(again)
    assert_allclose(same, truth)


@pytest.mark.parametrize("metric", METRICS)
def test_true_tau_is_what_many_users_show(metric: str) -> None:
    world = World(
        n_methods=6, n_users=4000, n_examples=2, spread=1.0, upstream=metric, downstream=metric
    )
    ds, truth = world.study(rng(3))
    means = [ds[name].mean("example") for name in ("upstream", "downstream")]
    # Of fifteen pairs, one may lie so close that it is not settled.
    assert abs(stats.kendalltau(*means).statistic - truth) <= 2 / 15 + 1e-9


def test_perfect_agreement_survives_a_bend_and_clones_are_ties() -> None:
    for shape in ("line", "convex", "concave"):
        assert World(correlation=1.0, shape=shape, n_users=8).study(rng())[1] == pytest.approx(1)
    ds, _ = World(n_methods=6, clones=2, n_users=8).study(rng())
    for name in ("upstream", "downstream"):
        assert_allclose(ds[name][-2:], ds[name][:2])


def test_shared_reward_models_have_one_score_for_a_family() -> None:
    world = World(n_families=4, family_share=0.5, shared_models=True, correlation=0.0)
    ds, _ = world.study(rng())
    assert world.null
    assert len(np.unique(ds["upstream"].mean("example"))) == 4
    assert len(np.unique(ds["downstream"].mean("example"))) == 12
    assert ds["family"].values[:5].tolist() == [f"family {place}" for place in (0, 1, 2, 3, 0)]


def test_methods_stay_where_they_are_asked_to() -> None:
    for fixed, distinct in ((True, 1), (False, 3)):
        case = world_case("set", World(n_users=10), fixed=fixed)
        truths = [case.rows(1, number, QUICK)[0]["truth"] for number in range(3)]
        assert len(set(truths)) == distinct


def test_a_run_resumes_and_replays(results: Path, tmp_path: Path) -> None:
    rows = worlds.read(results)
    assert [row["seed"] for row in rows] == [5] * 6
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(results.read_bytes()[:-30])
    assert worlds.run(cut, SOURCE, n_studies=2, asked=QUICK) == 5
    kept = ("what", "truth", "low", "high", "p", "world", "study")
    told = [
        sorted(json.dumps([row[name] for name in kept]) for row in found)
        for found in (rows, worlds.read(cut))
    ]
    assert told[0] == told[1]
    with pytest.raises(ValueError, match="rows of seed"):
        worlds.run(cut, SOURCE, n_studies=2, asked=QUICK, seed=6)
    source = {"designs": ["unheard of"], "data": None}
    with pytest.raises(ValueError, match="no case"):
        worlds.run(tmp_path / "none.jsonl", source, n_studies=1, asked=QUICK)


def test_report_and_comparison(results: Path) -> None:
    rows = worlds.read(results)
    assert "3 worlds, 2 studies each, seed 5" in report(rows)
    assert page_parts(rows)["worlds"].startswith("3 worlds")
    text = compare(rows, rows)
    assert "6 studies in both" in text
    moved = [row | {"truth": row["truth"] + 0.5} for row in rows]
    with pytest.raises(ValueError, match="other truths"):
        compare(rows, moved)
    with pytest.raises(ValueError, match="no study"):
        compare(rows, [row | {"seed": 1} for row in rows])


def test_designs_are_summed_up_by_kind() -> None:
    def made(name: str, study: int, covered: float, p: float) -> Row:
        limits = {"truth": 0.0, "low": -0.5, "high": 0.5, "covered": covered, "p": p}
        told = {"what": "tau", "world": name, "study": study, "seed": 1}
        return limits | told | {"features": {"null": True}}

    rows = [made(f"a, set {s:02d}", n, float(n > s), 0.01 + s) for s in (0, 1) for n in range(4)]
    cases = by_case(rows)
    assert cases["covered"].tolist() == [0.75, 0.5]
    assert cases["rejects"].tolist() == [1.0, 0.0]
    line = page_parts(rows)["designs"].splitlines()[-1]
    assert line.startswith("| a | 2 | 4 | 0.625 | **0.500")
    assert "**1.000" in line
    assert "a, set 01" in report(rows)


@pytest.mark.parametrize(("a", "b"), [(38.0, 2.0), (12.0, 1.0)])
def test_fifth_percentile_has_the_noise_of_few_studies_taken_out(a: float, b: float) -> None:
    draw = rng(2)
    covered = draw.binomial(20, draw.beta(a, b, 3000))
    found = distribution(pd.DataFrame({"told": 20, "covered": covered / 20}))
    truth = stats.beta.ppf(0.05, a, b)
    assert found["observed_5th"] < truth - 0.01
    assert_allclose(found["fifth"], truth, atol=0.012)
    assert found["fifth_low"] <= found["fifth"] <= found["fifth_high"]


def test_worlds_that_are_all_alike_have_one_coverage() -> None:
    covered = rng().binomial(20, 0.95, 2000)
    assert stats.beta.ppf(0.05, *beta_of(covered, np.full(2000, 20))) > 0.93
    a, b = beta_of(np.full(5, 20), np.full(5, 20))
    assert a / (a + b) > 0.99


def test_plasmode_draws_whole_users_and_knows_the_truth() -> None:
    ds, _ = World(n_methods=5, n_users=30, n_examples=3, spread=0.5).study(rng())
    ds = ds.isel(example=rng().permutation(ds.sizes["example"]))
    population = Population.of(ds)
    drawn = population.draw(rng(1), 12)
    assert drawn.sizes["example"] == 36
    assert np.unique(drawn["user"], return_counts=True)[1].tolist() == [3] * 12
    cases = list(plasmode_cases("file", ds, [12], [("upstream", "downstream")]))
    assert [case.name.split(" U=")[0] for case in cases] == [
        "file upstream ~ downstream",
        "file means of downstream",
        "file means of upstream",
    ]
    means = [ds[name].mean("example") for name in ("upstream", "downstream")]
    found = cases[0].rows(1, 0, QUICK)[0]
    assert found["truth"] == pytest.approx(stats.kendalltau(*means).statistic)
    assert found["low"] <= found["estimate"] <= found["high"]
    kinds = {row["what"]: row["covered"] for row in cases[1].rows(1, 0, QUICK)}
    assert set(kinds) == {"means of downstream", "all differences of downstream"}
    assert all(0 <= share <= 1 for share in kinds.values())

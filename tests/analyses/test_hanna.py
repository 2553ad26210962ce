"""HANNA: the published correlations are known answers for our tau."""

import numpy as np
import pytest

import preflamp_stats as pls


@pytest.fixture(scope="module")
def study(study_module):
    return study_module("hanna/hanna_benchmark.py")


@pytest.fixture(scope="module")
def folder(data_folder):
    return data_folder("hanna")


@pytest.fixture(scope="module")
def scores(study, folder):
    return study.read_scores(folder)


@pytest.fixture(scope="module")
def cells(study, folder, scores):
    return study.reproduce(scores, folder)


@pytest.mark.parametrize("level", ["system", "prompt"])
def test_reproduces_every_published_cell(cells, level):
    here = cells[cells["level"] == level]
    assert len(here) == 432
    assert here["difference"].max() < 1e-12


def test_undefined_prompts_are_left_out_of_the_published_means(cells):
    here = cells[cells["level"] == "prompt"]
    # Counting them as tau = 0 would miss the published means by up to .07.
    assert here["undefined_prompts"].sum() == 1584
    as_zero = here["reproduced"] * (96 - here["undefined_prompts"].astype(int)) / 96
    assert (as_zero - here["published"]).abs().max() == pytest.approx(0.0688, abs=1e-4)


def test_published_complexity_breaks_two_exact_ties(cells, study, scores):
    # GPT and TD-VAE have 718 points each, BertGeneration and RoBERTa 694.
    points = study.automatic_systems(scores)["complexity"].sum("example").to_series()
    assert points["GPT"] == points["TD-VAE"] == 718
    assert points["BertGeneration"] == points["RoBERTa"] == 694
    here = cells[cells["level"] == "system"]
    moved = (here["exact_tau"] - here["tau"]).abs() > 1e-9
    assert moved.sum() == 72
    assert set(here.loc[moved, "criterion"]) == {"complexity"}


def test_variables_have_plain_and_distinct_names(scores):
    assert len(scores.data_vars) == 78
    assert all(name.isidentifier() and name.isascii() for name in scores.data_vars)
    assert scores["bleu"].attrs["comment"] == "needs a reference; compares strings"


def test_writes_a_valid_results_file(scores, tmp_path):
    pls.write_results(scores, tmp_path / "results.nc")
    with pls.open_results(tmp_path / "results.nc") as tree:
        (warning,) = pls.validate(tree)
        ds = pls.datasets(tree)["hanna"].load()
    assert warning.variable == "user"
    assert ds.sizes == {"method": 11, "example": 96}
    np.testing.assert_array_equal(ds["bertscore_f1"], scores["bertscore_f1"])


def test_analysis_has_the_tau_of_exact_means(cells, study, scores):
    names = ["bleu", "bertscore_f1", "relevance", "complexity"]
    settings = pls.Settings(
        upstream=("bleu", "bertscore_f1"), downstream=("relevance", "complexity"), resamples=50
    )
    analysis = pls.analyze(study.automatic_systems(scores)[names], settings)
    frame = analysis.tables["tau"].frame.set_index(["upstream", "downstream"])
    system = cells[cells["level"] == "system"].set_index(["metric", "criterion"])
    assert len(frame) == 4
    for pair, row in frame.iterrows():
        assert row["estimate"] == pytest.approx(system.loc[pair, "exact_tau"], abs=1e-9)
        assert row["low"] <= row["high"]
        assert row["n_methods"] == 10


def test_absent_data_says_where_to_get_it_and_writes_nothing(run_study, tmp_path):
    done = run_study("hanna", "--data", tmp_path / "none", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "no such file; get it from https://github.com/dig-team/hanna" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_one_command_from_data_to_tables(run_study, folder, tmp_path):
    out = tmp_path / "out"
    options = ("--out", out, "--resamples", 50, "--upstream", "bleu")
    done = run_study("hanna", "--data", folder.parent, *options)
    assert done.returncode == 0, done.stderr
    assert "864 of 864 published correlations reproduced" in done.stdout
    written = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {"results.nc", "reproduced.csv", "analysis/tables/tau.tex"} <= written

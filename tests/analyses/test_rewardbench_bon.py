"""RewardBench best-of-16: known answers, and what the missing judgements do to them."""

import numpy as np
import pandas as pd
import pytest

import preflamp_stats as pls


@pytest.fixture(scope="module")
def study(study_module):
    return study_module("rewardbench_bon/best_of_n.py")


@pytest.fixture(scope="module")
def folder(data_folder):
    return data_folder("rb1_bon")


@pytest.fixture(scope="module")
def ds(study, folder):
    return study.read_study(folder)


@pytest.fixture(scope="module")
def published(study, ds, folder):
    return study.compare_with_published(ds, folder)


@pytest.mark.parametrize(
    ("downstream", "tau"), [("win_rate", 11 / 15), ("length_controlled_win_rate", 9 / 15)]
)
def test_tau_over_the_six_reward_models(ds, downstream, tau):
    # 15 pairs: 13 agree and 2 do not, 12 agree and 3 do not.
    assert float(pls.kendall_tau(ds["rewardbench_average"], ds[downstream])) == pytest.approx(tau)


def test_win_rates_of_the_judged_candidates(published):
    rates = published[published["of"].str.startswith("candidate")]
    assert len(rates) == 11
    assert rates["reproduced"].iloc[[0, -1]].round(3).tolist() == [27.314, 35.455]
    assert rates["difference"].max() < 1e-8


def test_best_of_16_win_rate_of_deberta(published, study):
    (row,) = published[
        published["of"].eq(study.DEBERTA) & published["quantity"].eq("win_rate")
    ].to_dict("records")
    assert row["reproduced"] == pytest.approx(33.387, abs=5e-4)
    assert row["difference"] < 1e-8


def test_mean_lengths_are_published_without_decimals(published):
    lengths = published[published["quantity"] == "mean_length"]
    assert len(lengths) == 6
    assert np.floor(lengths["reproduced"]).tolist() == lengths["published"].tolist()


def test_judgements_lack_for_the_candidates_that_are_longest_on_average(ds, folder):
    assert (ds["gold_preference"].isnull() == (ds["picked_candidate"] >= 11)).all()
    lengths = pd.read_csv(folder / "candidate_chars.csv")[[f"cand{i}" for i in range(16)]].mean()
    assert lengths.is_monotonic_increasing


def test_judged_picks_understate_every_win_rate(study, ds):
    found = study.missing_judgements(ds)
    assert (found["judged_win_rate"] < found["win_rate"]).all()
    assert found["unjudged_win_rate"].between(0, 100).all()
    share = found["n_judged"] / found["n_picks"]
    total = share * found["judged_win_rate"] + (1 - share) * found["unjudged_win_rate"]
    np.testing.assert_allclose(total, found["win_rate"])


def test_writes_a_valid_results_file(ds, tmp_path):
    pls.write_results(ds, tmp_path / "results.nc")
    with pls.open_results(tmp_path / "results.nc") as tree:
        pls.validate(tree)
        opened = pls.datasets(tree)["rewardbench_bon"].load()
    metrics = {metric.name: metric.kind for metric in pls.available_metrics(opened)}
    assert metrics["rewardbench_average"] == metrics["win_rate"] == "method"
    assert metrics["gold_preference"] == metrics["picked_length"] == "generation"
    assert "win_rate_standard_error" not in metrics


def test_numbers_known_per_method_get_no_interval_from_prompts(ds):
    row = _tau(ds, "win_rate", "examples")
    assert row["estimate"] == pytest.approx(11 / 15)
    assert np.isnan(row["low"])
    assert row["note"]


def test_six_reward_models_leave_the_population_tau_open(ds):
    row = _tau(ds, "win_rate", "methods")
    assert row["estimate"] == pytest.approx(11 / 15)
    assert row["target"] == "population of methods"
    assert row["low"] < 0 < row["population_tau"] < row["high"] <= 1
    assert row["low"] == row["population_low"]


def test_published_errors_shake_the_tau_within_its_bounds(study, ds):
    (row,) = study.tau_under_published_errors(ds, resamples=2000, seed=1).to_dict("records")
    assert row["estimate"] == pytest.approx(11 / 15)
    assert -1 <= row["low"] < row["estimate"] < row["high"] <= 1


def test_absent_data_lists_every_file_and_writes_nothing(run_study, tmp_path):
    done = run_study("rewardbench_bon", "--data", tmp_path / "none", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.count("no such file; get it from https://github.com/allenai") == 7
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_one_command_from_data_to_tables(run_study, folder, tmp_path):
    out = tmp_path / "out"
    done = run_study("rewardbench_bon", "--data", folder.parent, "--out", out, "--resamples", 50)
    assert done.returncode == 0, done.stderr
    written = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {"results.nc", "missing_judgements.csv", "published.csv"} <= written
    assert {"examples/tables/tau.csv", "methods/tables/tau.csv"} <= written


def _tau(ds, downstream, resample):
    settings = pls.Settings(
        upstream=("rewardbench_average",),
        downstream=(downstream,),
        resample=resample,
        resamples=1000,
    )
    (row,) = pls.analyze(ds, settings).tables["tau"].frame.to_dict("records")
    return row

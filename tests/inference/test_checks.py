"""Numbers out of range are refused by name, before anything is drawn."""

from __future__ import annotations

import pytest

import preflamp_stats as pls


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"level": 95}, "level: is 95; take a share between 0 and 1"),
        ({"n_resamples": 0}, "n_resamples: is 0; take a whole number from 1"),
        ({"n_resamples": 1.5}, "n_resamples: is 1.5"),
        ({"seed": -1}, "seed: is -1; take a whole number from 0"),
    ],
)
@pytest.mark.parametrize("function", [pls.tau_test, pls.bootstrap])
def test_numbers_out_of_range(make_study, function, choice, words):
    metrics = ("rouge1",) if function is pls.bootstrap else ("rm_accuracy", "rouge1")
    with pytest.raises(pls.InputError, match=words):
        function(make_study(), *metrics, **{"n_resamples": 20, **choice})


def test_a_function_and_the_analysis_draw_the_same_numbers():
    study = pls.simulate(datasets=["prism"], n_methods=4, n_users=20, n_examples=4, seed=1)
    (ds,) = pls.datasets(study).values()
    frame = pls.analyze(study, pls.Settings(resamples=50, downstream=("rouge1",))).tables
    row = frame["tau"].frame.iloc[0]
    found = pls.tau_test(ds, "rm_accuracy", "rouge1", n_resamples=50)
    assert (row["low"], row["high"]) == (found["low"].item(), found["high"].item())

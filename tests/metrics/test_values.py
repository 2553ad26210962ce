from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from preflamp_stats.errors import InputError
from preflamp_stats.metrics.discrimination import policy_accuracy, rm_accuracy
from preflamp_stats.metrics.options import MetricOptions
from preflamp_stats.metrics.values import available_metrics, example_values, metric_info


def _names(ds: xr.Dataset, **options: object) -> list[str]:
    return [metric.name for metric in available_metrics(ds, MetricOptions(**options))]


def test_metrics_are_those_that_the_variables_allow(make_study):
    ds = make_study(n_tokens=3)
    everything = ["rm_accuracy", "policy_accuracy", "rouge1", "helpfulness", "leaderboard"]
    assert _names(ds) == everything
    assert _names(ds, scoring="accumulated") == everything
    assert "policy_accuracy" not in _names(ds, scoring="stored")
    assert "policy_accuracy" not in _names(ds.drop_vars("logprob"))
    assert "policy_accuracy" not in _names(ds.drop_vars("n_tokens"), length_normalise=True)
    assert _names(ds[["rouge1"]]) == ["rouge1"]
    assert _names(ds[["reward"]]) == ["rm_accuracy"]
    assert _names(ds[["logprob", "user"]]) == []


def test_kinds_and_values(make_study):
    found = {m.name: (m.kind, m.values) for m in available_metrics(make_study())}
    assert found == {
        "rm_accuracy": ("discrimination", "credit"),
        "policy_accuracy": ("discrimination", "credit"),
        "rouge1": ("generation", "share"),
        "helpfulness": ("generation", "free"),
        "leaderboard": ("method", "free"),
    }


@pytest.mark.parametrize("ties", ["half", "strict", "drop"])
@pytest.mark.parametrize("weight", [0.0, 2.0, np.inf])
def test_means_of_example_values_are_the_metrics(make_study, ties, weight):
    ds = make_study(missing=0.2)
    options = MetricOptions(ties=ties, weight=weight)
    expected = {
        "rm_accuracy": rm_accuracy(ds, ties=ties),
        "policy_accuracy": policy_accuracy(ds, ties=ties, weight=weight),
        "rouge1": ds["rouge1"].mean("example"),
    }
    for name, metric in expected.items():
        values = example_values(ds, metric_info(ds, name), options)
        found = values.mean("example").transpose(*metric.dims)
        np.testing.assert_allclose(found, metric, rtol=1e-12)


def test_rouge_is_computed_from_texts_where_it_is_not_stored(make_study):
    texts = np.full((2, 3, 4), "a b c", dtype=object)
    ds = xr.Dataset(
        {
            "generation": (("model", "method", "example"), texts),
            "reference": ("example", np.array(["a b c", "a", "x", "a b"], dtype=object)),
        }
    )
    assert _names(ds) == ["rouge1", "rouge2", "rougeL"]
    info = metric_info(ds, "rouge1")
    assert set(info.needs) == {"generation", "reference"}
    values = example_values(ds, info, MetricOptions())
    np.testing.assert_allclose(values[0, 0], [1.0, 0.5, 0.0, 0.8])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("rouge9", {}, "rouge9: cannot be computed.*choose one of rm_accuracy, policy_accuracy"),
        ("policy_accuracy", {"scoring": "stored"}, "add policy_score, or choose another"),
        ("policy_accuracy", {"scoring": "accumulated"}, "add token_logprob and reward_trace"),
    ],
)
def test_an_unknown_metric_is_refused_with_the_choices(make_study, name, options, message):
    with pytest.raises(InputError, match=message):
        metric_info(make_study(), name, MetricOptions(**options))


def test_a_dataset_without_metrics_says_so(make_study):
    with pytest.raises(InputError, match="the dataset holds no metric"):
        metric_info(make_study()[["user"]], "rm_accuracy")


def test_options_are_checked_all_at_once():
    with pytest.raises(InputError) as caught:
        MetricOptions(weight=-1.0, scoring="best", ties="third", average="median")
    assert len(caught.value.problems) == 4
    message = str(caught.value)
    for name in ("weight", "scoring", "ties", "average"):
        assert f"variable {name}: is " in message

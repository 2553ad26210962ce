from __future__ import annotations

import dataclasses
import json
import math

import pytest

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.metrics.options import MetricOptions
from preflamp_stats.settings import Settings


def test_defaults_are_those_of_the_command_line():
    settings = Settings()
    assert (settings.resamples, settings.seed, settings.level) == (10_000, 0, 0.95)
    assert (settings.resample, settings.scoring, settings.weight) == ("users", "sequence", 1.0)
    assert (settings.ties, settings.average, settings.variant) == ("half", "micro", "b")
    assert settings.upstream == ("rm_accuracy",)
    assert settings.downstream == ("policy_accuracy", "rouge1")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("resamples", 0, "is 0; take a whole number from 1"),
        ("resamples", 10.5, "is 10.5; take a whole number from 1"),
        ("resamples", True, "is True; take a whole number"),
        ("seed", -1, "is -1; take a whole number from 0"),
        ("seed", 0.5, "is 0.5; take a whole number from 0"),
        ("level", 0.0, "is 0.0; take a share between 0 and 1"),
        ("level", 95, "is 95; take a share between 0 and 1"),
        ("level", math.nan, "is nan; take a share"),
        ("level", "0.95", "is '0.95'; take a share"),
        ("weight", -0.1, "is -0.1; take 0"),
        ("weight", math.nan, "is nan; take 0"),
        ("margin", 0.0, "is 0.0; take a positive number"),
        ("margin", math.inf, "is inf; take a positive number"),
        ("discrimination_margin", 1.0, "is 1.0; take a share in"),
        ("resample", "user", "is 'user'; choose one of users, examples, methods, both"),
        ("scoring", "best", "is 'best'; choose one of sequence, accumulated"),
        ("ties", "third", "is 'third'; choose one of half, strict, drop"),
        ("average", "median", "is 'median'; choose one of micro, macro"),
        ("variant", "tau-b", "is 'tau-b'; choose one of a, b, c, weighted"),
        ("formats", ("csv", "docx"), "has 'docx'; choose among csv, md, tex, html"),
        ("formats", "csv", "is the single text 'csv'; write ('csv',)"),
        ("upstream", (), "is empty; name at least one metric"),
        ("downstream", "rouge1", "is the single text 'rouge1'; write ('rouge1',)"),
    ],
)
def test_a_value_out_of_range_is_named_once(name, value, message):
    with pytest.raises(InputError) as caught:
        Settings(**{name: value})
    assert len(caught.value.problems) == 1
    assert str(caught.value).startswith(f"variable {name}: {message}")


def test_all_problems_are_listed_at_once():
    spoilt = {"resamples": 0, "level": 2.0, "ties": "third", "formats": ("pdf", "csv", "doc")}
    with pytest.raises(InputError) as caught:
        Settings(**spoilt, upstream=())
    assert len(caught.value.problems) == 6
    assert len(str(caught.value).splitlines()) == 6
    assert all(isinstance(problem, Problem) for problem in caught.value.problems)


@pytest.mark.parametrize("weight", [0.0, 2, math.inf])
def test_whole_and_infinite_weights_are_allowed(weight):
    assert Settings(weight=weight).metric_options.weight == weight


def test_every_metric_option_is_handed_on():
    chosen = {
        "weight": 2.0,
        "scoring": "accumulated",
        "length_normalise": True,
        "ties": "drop",
        "average": "macro",
        "tokenizer": "unicode",
    }
    options = Settings(**chosen).metric_options
    assert dataclasses.asdict(options) == chosen
    assert all(chosen[f.name] != f.default for f in dataclasses.fields(MetricOptions))


def test_settings_are_recorded_whole_and_as_json():
    recorded = json.loads(json.dumps(Settings(weight=math.inf).as_dict(), allow_nan=False))
    assert list(recorded) == [field.name for field in dataclasses.fields(Settings)]
    assert recorded["weight"] == "inf"
    assert Settings(weight=2.5).as_dict()["weight"] == 2.5


def test_settings_cannot_be_changed_afterwards():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().seed = 3

from __future__ import annotations

import dataclasses
import json
import math

import pytest
from click.testing import CliRunner

import preflamp_stats as pls
from preflamp_stats.choices import declared_options
from preflamp_stats.cli import main
from preflamp_stats.cli.analyze import analyze_command
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
    assert Settings(weight=weight).weight == weight


def test_every_metric_option_is_handed_on_by_a_function():
    chosen = {
        "weight": 2.0,
        "scoring": "accumulated",
        "length_normalise": True,
        "ties": "drop",
        "average": "macro",
        "tokenizer": "unicode",
        "lower_is_better": ("edits",),
        "higher_is_better": ("win",),
    }
    assert all(chosen[f.name] != f.default for f in dataclasses.fields(MetricOptions))
    settings = Settings.of_call(MetricOptions(**chosen), n_resamples=7, level=0.9)
    assert settings == Settings(**chosen, resamples=7, level=0.9)


def test_a_metric_is_not_better_both_ways():
    with pytest.raises(InputError, match="lower_is_better: names edits, as does higher_is_better"):
        Settings(lower_is_better=("edits",), higher_is_better=("win", "edits"))


def test_every_setting_is_an_option_of_the_command_line_with_its_default_and_its_words():
    options = {option.name: option for option in analyze_command.params}
    for declared in declared_options(Settings):
        option = options[declared.name]
        assert option.default == declared.default
        assert option.help == declared.help
        assert declared.help.endswith(".")
        assert tuple(getattr(option.type, "choices", ())) == declared.allowed or option.multiple


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["--downstream", "judge", "--downstream", "win"], ("judge", "win")),
        (["--downstream", "judge, win", "--downstream", "win,rouge1"], ("judge", "win", "rouge1")),
        ([], ("policy_accuracy", "rouge1")),
    ],
)
def test_names_given_twice_are_all_kept(given, kept):
    context = analyze_command.make_context("analyze", ["results.nc", *given])
    assert context.params["downstream"] == kept


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--seed", ["analyze", "a.nc", "--seed", "1", "--seed", "2"]),
        ("--tau", ["power", "--tau", "0.2", "--tau", "0.3"]),
        ("--out", ["convert", "a.csv", "-o", "b.nc", "--out", "c.nc"]),
    ],
)
def test_an_option_of_one_value_is_refused_where_it_is_given_twice(option, words):
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert f"{option} is given 2 times; give it once" in result.output


def test_settings_are_recorded_whole_and_as_json():
    recorded = json.loads(json.dumps(Settings(weight=math.inf).as_dict(), allow_nan=False))
    assert list(recorded) == [field.name for field in dataclasses.fields(Settings)]
    assert recorded["weight"] == "inf"
    assert Settings(weight=2.5).as_dict()["weight"] == 2.5


def test_settings_cannot_be_changed_afterwards():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().seed = 3


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"lower_is_better": ("edit",)}, "lower_is_better: unknown metric 'edit'; did you mean"),
        ({"lower_is_better": ("rm_accuracy",)}, "rm_accuracy: is named as lower is better, and"),
        ({"higher_is_better": ("cost",)}, "cost: is named as higher is better, and the file says"),
    ],
)
def test_a_direction_is_refused_where_it_is_unknown_or_told_otherwise(chosen, message):
    with pytest.raises(InputError, match=message):
        pls.analyze(_with_own_metrics(), Settings(resamples=10, **chosen))


def test_a_direction_is_given_to_a_metric_whose_file_does_not_tell_it():
    ds = _with_own_metrics()
    told = {m.name: m.direction for m in pls.available_metrics(ds)}
    assert (told["edits"], told["cost"]) == ("unknown", "lower")
    options = MetricOptions(lower_is_better=("edits",))
    given = {m.name: m.direction for m in pls.available_metrics(ds, options)}
    assert given == told | {"edits": "lower"}


def _with_own_metrics():
    ds = pls.simulate(n_methods=3, n_icl=0, n_users=6, n_examples=2, seed=1).to_dataset()
    edits = (1 - ds["rouge1"]).assign_attrs(role="generation_metric")
    return ds.assign(edits=edits, cost=edits.assign_attrs(direction="lower"))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"seed": 7, "level": 0.9, "ties": "drop", "anytime": True, "include_seeds": False},
        {"weight": math.inf, "interval": "percentile", "margin": 1e-3},
        {"upstream": ("judge: a|b,c", "länge %"), "lower_is_better": ("länge %",)},
    ],
)
def test_a_signature_gives_the_settings_back(options):
    settings = Settings(**options)
    assert Settings.from_signature(settings.signature) == settings
    assert Settings.from_signature(settings.signature, formats=("csv",)).formats == ("csv",)
    assert settings.signature.count("|") >= len(options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no signature"),
        ("resamples:10", "is no signature: no seed"),
        ("resamples:10|seed:0|colour:red", "is no signature: colour"),
        ("resamples:ten|seed:0", "resamples: is 'ten'; take a whole number"),
        ("resamples:10|seed:0|ties:third", "ties: is 'third'; choose one of"),
    ],
)
def test_what_is_no_signature_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        Settings.from_signature(text)

"""Our interval as other tools call it: the real tool runs, and says what we say."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import preflamp_stats as pls
from preflamp_stats.plugins import lm_eval as aggregations
from preflamp_stats.plugins.interval import mean_with_interval

RNG = np.random.default_rng(3)
USERS = np.repeat([f"u{n}" for n in range(20)], 3)
RIGHT = (RNG.random(60) < np.repeat(RNG.random(20), 3)).astype(float)


def test_the_interval_is_that_of_analyze():
    found = mean_with_interval(RIGHT, USERS, n_resamples=500)
    reward = np.stack([RIGHT, 1 - RIGHT], axis=-1)[None]
    ds = xr.Dataset(
        {"reward": (("method", "example", "candidate"), reward), "user": ("example", USERS)},
        coords={"method": ["m"], "candidate": ["chosen", "rejected"]},
    )
    ours = pls.bootstrap(ds, "rm_accuracy", n_resamples=500).squeeze()
    assert found["mean"] == RIGHT.mean() == ours["estimate"].item()
    assert (found["low"], found["high"]) == (ours["low"].item(), ours["high"].item())
    shares = mean_with_interval(RIGHT * 0.8, USERS, n_resamples=500)
    assert shares["mean"] == pytest.approx(0.8 * RIGHT.mean())
    alone = mean_with_interval(RIGHT, range(60), n_resamples=500)
    assert found["high"] - found["low"] > alone["high"] - alone["low"]


def test_edges():
    none = mean_with_interval([math.nan], ["a"])
    assert math.isnan(none["mean"])
    assert none["users"] == 0
    one = mean_with_interval([1.0, 0.0], ["a", "a"])
    assert one["mean"] == 0.5
    assert math.isnan(one["low"])
    free = mean_with_interval([10.0, 30.0, math.nan], ["a", "b", "c"], n_resamples=50)
    assert free["mean"] == 20
    assert free["low"] >= 10
    assert mean_with_interval([1.0, 0.0], [1, "1"], n_resamples=50)["users"] == 2


def test_aggregations_take_pairs():
    items = list(zip(RIGHT, USERS, strict=True))
    found = mean_with_interval(RIGHT, USERS)
    assert aggregations.mean(items) == found["mean"]
    assert (aggregations.low(items), aggregations.high(items)) == (found["low"], found["high"])


def test_inspect_ai_reports_it(tmp_path: Path):
    inspect_ai = pytest.importorskip("inspect_ai", reason="inspect_ai is not installed")
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ModelOutput
    from inspect_ai.scorer import match
    from inspect_ai.solver import solver

    from preflamp_stats.plugins.inspect import by_user

    @solver
    def say_yes():
        async def solve(state, generate):  # its mock model would ask the network for a tokenizer
            state.output = ModelOutput.from_content("mock", "yes")
            return state

        return solve

    samples = [
        Sample(input=f"q{n}", target="yes" if right else "no", metadata={"annotator": str(user)})
        for n, (right, user) in enumerate(zip(RIGHT, USERS, strict=True))
    ]
    metrics = [by_user(user="annotator", n_resamples=200)]
    task = inspect_ai.Task(samples, solver=say_yes(), scorer=match(), metrics=metrics)
    options = {"model": "mockllm/model", "log_dir": str(tmp_path), "display": "none"}
    (log,) = inspect_ai.eval(task, **options)
    assert log.status == "success", log.error
    told = {name: each.value for name, each in log.results.scores[0].metrics.items()}
    ours = mean_with_interval(RIGHT, [str(user) for user in USERS], n_resamples=200)
    assert told == pytest.approx(ours)
    unnamed = by_user(user="nobody")
    from inspect_ai.scorer import SampleScore, Score

    with pytest.raises(pls.InputError, match=r"sample 7: has no 'nobody' in its metadata"):
        unnamed([SampleScore(score=Score(value=1), sample_id=7, sample_metadata={})])
    assert math.isnan(unnamed([])["mean"])


def test_lm_eval_reports_it():
    pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.evaluator import simple_evaluate

    docs = [
        {"q": f"q{n}", "right": r, "user": u}
        for n, (r, u) in enumerate(zip(RIGHT, USERS, strict=True))
    ]
    rows = datasets.Dataset.from_list([doc | {"user": str(doc["user"])} for doc in docs])

    def process_results(doc, results):
        pair = (doc["right"], doc["user"])
        return {"acc": doc["right"], "acc_low": pair, "acc_high": pair}

    named = {"acc": "mean", "acc_low": aggregations.low, "acc_high": aggregations.high}
    config = {
        "task": "ours",
        "custom_dataset": lambda **kwargs: {"test": rows},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{q}}",
        "doc_to_target": "{{q}}",
        "process_results": process_results,
        "metric_list": [
            {"metric": name, "aggregation": by, "higher_is_better": True}
            for name, by in named.items()
        ],
    }
    task = ConfigurableTask(config=config)
    found = simple_evaluate(model="dummy", tasks=[task], bootstrap_iters=0)["results"]["ours"]
    ours = mean_with_interval(RIGHT, [str(user) for user in USERS])
    assert found["acc,none"] == pytest.approx(ours["mean"])
    assert (found["acc_low,none"], found["acc_high,none"]) == (ours["low"], ours["high"])

from __future__ import annotations

import json
import shutil
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from preflamp_backend.cli.run import run_command
from preflamp_backend.data.examples import Example
from preflamp_backend.decoding.options import Generation, Request
from preflamp_backend.models.heads.head import save_head
from preflamp_backend.models.heads.linear import LinearHead
from preflamp_backend.models.loading import load_tokenizer
from preflamp_backend.prompts.encoding import Encoding
from preflamp_backend.runs.arrays import generation_arrays
from preflamp_backend.runs.compute import prompt_of
from preflamp_backend.runs.estimate import estimate
from preflamp_backend.runs.run import prepare, run_study
from preflamp_backend.scoring.score import BaseScores
from preflamp_backend.study.study import read_study
from study_files import LIGHT, STUDY, write_study
from tiny_models import save_model

from preflamp_stats import Settings, analyze, policy_accuracy
from preflamp_stats.errors import InputError
from preflamp_stats.io.files import open_results
from preflamp_stats.io.schema import validate
from preflamp_stats.io.variables import generation_metrics


@pytest.fixture(scope="module")
def study_file(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def full_file(study_file):
    """A study with every kind of method and two base models."""
    file = study_file.with_name("full.toml")
    file.write_text(STUDY)
    return file


@pytest.fixture(scope="module")
def everything(full_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("full") / "results.nc"
    run_study(prepare(read_study(full_file), out))
    return out


def test_the_file_holds_every_method_model_and_example(everything):
    with open_results(everything) as tree:
        validate(tree)
        ds = tree["titles"].to_dataset().load()
    assert dict(ds.sizes)["example"] == 7
    assert list(ds.candidate.values) == ["chosen", "rejected", "third"]
    present = ~ds.logprob.isnull()
    assert present.sel(candidate=["chosen", "rejected"]).all()
    np.testing.assert_array_equal(
        present.sel(candidate="third").values[0], [i % 2 for i in range(7)]
    )
    rewarded = ["bt", "lore", "rm", "genarm", "pad"]
    known = ~ds.reward.sel(candidate="chosen").isnull()
    assert known.sel({"method": [*rewarded, "alien"]}).all()
    assert ds.reward_trace.sel({"method": "alien"}).isnull().all()
    assert not known.sel({"method": ["zero", "icl"]}).any()
    assert set(ds.policy_score.dims) == {"weight", "model", "method", "example", "candidate"}
    np.testing.assert_allclose(ds.token_logprob.sum("token").where(present), ds.logprob, atol=1e-4)
    trace = ds.reward_trace.sel({"method": rewarded})
    last = trace.isel(token=(ds.n_tokens.fillna(1) - 1).astype(int))
    np.testing.assert_allclose(last.where(present), ds.reward.sel({"method": rewarded}), atol=1e-6)
    assert ds.generation.sel({"method": "lore"}).isnull().all()
    third = ds.candidate_text.sel(candidate="third")
    np.testing.assert_array_equal(third.notnull(), [i % 2 for i in range(7)])
    assert set(np.unique(ds.generation_stop.sel({"method": "icl"}))) <= {"eos", "length", "context"}
    assert ds.generation_shots.sel({"method": "icl"}).max() > 0
    # What was not written was not cut either way, and shows no number of shots.
    for name in ("generation_overlong", "generation_shots"):
        np.testing.assert_array_equal(ds[name].isnull(), ds.generation.isnull())
    cut = ds.reward_overlong
    assert cut.sel({"method": ["rm", "genarm", "pad", "alien"]}).notnull().all()
    assert cut.sel({"method": ["bt", "lore", "zero", "icl"]}).isnull().all()
    gpu = torch.cuda.is_available()
    assert ds.attrs["computed_on"] == (torch.cuda.get_device_name() if gpu else "cpu")
    assert ds.method_family.sel({"method": "rm"}) == "best-of-n"


def test_what_is_absent_is_neither_empty_nor_zero():
    empty = np.empty((0, 0))
    assert np.isnan(BaseScores(empty[0:0, 0:0].sum(1), empty.astype(int), empty).logprob)
    rows = [Example(name, "u", "x", {}, reference) for name, reference in (("a", ""), ("b", "y"))]
    written = [Generation((), "", "eos", np.nan, np.nan), Generation((5,), "t", "eos", -1.0, 0.0)]
    requests = [Request(row.id, Encoding((3,))) for row in rows]
    ds = generation_arrays(written, requests, [0, 0], rows, "zero")
    assert ds.reference.isnull().values.tolist() == [True, False]
    # A model that wrote nothing did write: its text is empty, not absent.
    assert ds.generation.values.tolist() == [[["", "t"]]]
    assert np.isnan(ds.generation_logprob.values).tolist() == [[[True, False]]]


def test_the_file_can_be_analysed(everything):
    with open_results(everything) as tree:
        ds = tree["titles"].to_dataset().load()
        tables = analyze(tree, Settings(resamples=50)).tables
    for scoring in ("sequence", "accumulated", "renormalised", "stored"):
        accuracy = policy_accuracy(ds, weight=1.0, scoring=scoring)
        assert accuracy.sel({"method": "bt"}).notnull().all(), scoring
    assert {"rm_accuracy", "policy_accuracy", "generation"} <= set(tables)
    metrics = set(tables["generation"].frame["metric"])
    notes = {name for name, each in ds.data_vars.items() if each.attrs.get("role") == "diagnostic"}
    assert notes >= {"generation_reward", "generation_logprob", "generation_shots"}
    assert notes >= {"generation_overlong", "reward_overlong", "prompt_overlong"}
    assert not notes & {*metrics, *generation_metrics(ds)}


def test_the_policy_score_at_weight_zero_ignores_the_reward(everything):
    with open_results(everything) as tree:
        score = (
            tree["titles"]
            .to_dataset()
            .policy_score.sel({"weight": 0.0, "method": ["bt", "genarm"]})
            .load()
        )
    np.testing.assert_allclose(
        score.sel({"method": "bt"}), score.sel({"method": "genarm"}), atol=1e-4
    )


def test_a_missing_backend_is_said(study_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "preflamp_backend.runs.run", None)
    found = CliRunner().invoke(run_command, [str(study_file)])
    assert isinstance(found.exception, InputError)
    assert "pip install 'preflamp-stats[backend,dask]'" in str(found.exception)


def test_estimates_count_the_tokens_of_every_kind_of_shard(full_file, tmp_path):
    planned = prepare(read_study(full_file), tmp_path / "r.nc")
    rows = {(row.model, row.method, row.kind): row for row in estimate(planned)}
    base = rows["small", "", "score"]
    texts = [r.prompt + "".join(r.candidates.values()) for r in planned.examples["titles"]]
    assert base.shards == base.pending == 2
    assert 0 < base.tokens <= sum(len(text.encode()) for text in texts)
    assert rows["small", "rm", "score"].memory > base.memory


def test_a_model_of_which_no_estimate_can_be_made_is_named(study_file, tmp_path):
    study = shutil.copytree(study_file.parent, tmp_path / "copy") / study_file.name
    for path in study.parent.glob("*/config.json"):
        odd = {"rope_type": "default", "rope_theta": [1.0]}
        path.write_text(json.dumps(json.loads(path.read_text()) | {"rope_parameters": odd}))
    planned = prepare(read_study(study), tmp_path / "r.nc")
    with pytest.raises(InputError, match="cannot be loaded as a model"):
        estimate(planned)


def test_a_bad_example_is_named(study_file, tmp_path):
    folder = write_study(tmp_path / "bad", examples=2).parent
    line = json.loads((folder / "titles.jsonl").read_text().splitlines()[0])
    line["chosen"] = "long " * 600
    (folder / "titles.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(InputError, match="example e0: a response fills the model's context"):
        run_study(prepare(read_study(folder / "study.toml"), tmp_path / "r.nc"))


def test_cut_prompts_are_counted_in_the_file_and_in_a_note(study_file, tmp_path):
    folder = write_study(tmp_path / "long", examples=2).parent
    lines = [json.loads(line) for line in (folder / "titles.jsonl").read_text().splitlines()]
    lines[1]["prompt"] = "The cat " * 200
    (folder / "titles.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    notes = run_study(prepare(read_study(folder / "study.toml"), tmp_path / "r.nc"))
    assert "titles: 1 of 2 prompts were cut to fit the model's context" in notes
    with open_results(tmp_path / "r.nc") as tree:
        flags = tree["titles"]["prompt_overlong"].values
    np.testing.assert_array_equal(flags, [[False, True]])


def test_generations_that_were_cut_are_counted_among_those_written(tmp_path):
    folder = write_study(tmp_path / "few", examples=2).parent
    lines = [json.loads(line) for line in (folder / "titles.jsonl").read_text().splitlines()]
    lines[1]["prompt"] = "The cat " * 200
    (folder / "titles.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = (folder / "study.toml").read_text() + '\n[methods.base]\nkind = "length"\n'
    (folder / "study.toml").write_text(text)
    notes = run_study(prepare(read_study(folder / "study.toml"), tmp_path / "r.nc"))
    with open_results(tmp_path / "r.nc") as tree:
        ds = tree["titles"].to_dataset().load()
    written = int(ds.generation.count())
    assert 0 < written < ds.generation.size
    assert written == 6
    for method in ("bt", "rm"):
        said = f"titles: {method}: 1 of 2 prompts were cut to leave room for a generation"
        assert said in notes


SHOTS = """
[data.titles]
path = "titles.jsonl"
[models.small]
path = "small"
[methods.rm]
kind = "classifier"
path = "rm"
shots = 3
strategy = "best-of-n"
n = 3
temperature = 1.0
[methods.icl]
kind = "in-context"
shots = 3
order = "recency"
shot = "{input} | {output}; "
[prompt]
template = "Answer.\\n{prompt}"
[decoding]
max_new_tokens = 5
"""


def test_a_prompt_loses_whole_shots_and_both_the_file_and_a_note_say_so(tmp_path):
    folder = write_study(tmp_path / "shots", text=SHOTS, examples=2).parent
    lines = [json.loads(line) for line in (folder / "titles.jsonl").read_text().splitlines()]
    for item in lines[1]["history"]:
        item["input"] = "abstract of cats " * 15
    (folder / "titles.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    planned = prepare(read_study(folder / "study.toml"), tmp_path / "r.nc")
    notes = run_study(planned)
    with open_results(tmp_path / "r.nc") as tree:
        ds = tree["titles"].to_dataset().load().squeeze("model")
    shown = ds.generation_shots.sel({"method": "icl"}).values.tolist()
    assert shown[0] == 3
    assert 0 < shown[1] < 3
    assert ds.generation_overlong.sel({"method": "icl"}).values.tolist() == [0, 1]
    assert ds.generation_overlong.sel({"method": "rm"}).values.tolist() == [0, 1]
    assert ds.reward_overlong.sel({"method": "rm"}).values.tolist() == [0, 1]
    said = "titles: icl: 1 of 2 prompts were cut to leave room for a generation; "
    assert f"{said}{np.mean(shown):.1f} of 3 shots are shown on average" in notes
    assert "titles: rm: 1 of 2 prompts were cut to fit the reward model's context" in notes
    # What the model reads are whole shots, and the question.
    study, row = planned.study, planned.examples["titles"][1]
    tokenizer = load_tokenizer(study.models["small"])
    read, count = prompt_of(study, study.methods["icl"], tokenizer, 256, row, 0)
    shot = f"{row.history[0].input} | "
    text = tokenizer.decode(read.prompt)
    assert text.startswith("Answer.\nabstract of cats")
    assert text.count(shot) == text.count(" | ") == count == shown[1]
    assert text.endswith(row.prompt)


def test_an_estimate_counts_shots_samples_and_the_chat_template(tmp_path):
    folder = write_study(tmp_path / "dry", text=SHOTS, examples=3).parent

    def tokens(text):
        (folder / "study.toml").write_text(text)
        planned = prepare(read_study(folder / "study.toml"), tmp_path / "r.nc")
        return {(row.method, row.kind): row.tokens for row in estimate(planned)}, planned

    found, planned = tokens(SHOTS)
    study, rows = planned.study, planned.examples["titles"]
    tokenizer = load_tokenizer(study.models["small"])
    prompts = {
        name: sum(
            len(prompt_of(study, study.methods[name], tokenizer, 256, row, 0)[0].prompt)
            for row in rows
        )
        for name in ("rm", "icl")
    }
    assert found["icl", "generate"] == prompts["icl"] + 3 * 5
    # Both models read the prompt, the reward model its own with shots, and the three samples.
    assert found["rm", "generate"] > prompts["rm"] + 2 * 3 * 3 * 5 + 60
    fewer, _ = tokens(SHOTS.replace("shots = 3", "shots = 1"))
    assert fewer["icl", "generate"] < found["icl", "generate"]
    chat, _ = tokens(SHOTS.replace("[prompt]", "[prompt]\nchat = true"))
    for key in found:
        assert chat[key] > found[key]


def test_a_preference_that_is_not_there_is_refused(tmp_path):
    folder = write_study(tmp_path / "silent", text=STUDY, examples=2).parent
    lines = [json.loads(line) for line in (folder / "titles.jsonl").read_text().splitlines()]
    del lines[1]["preference"]
    (folder / "titles.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(InputError, match="example e1: has no preference"):
        prepare(read_study(folder / "study.toml"), tmp_path / "r.nc")


def test_keys_change_with_weights_options_and_examples(full_file, tmp_path):
    def keys(file):
        return {s.key for s in prepare(read_study(file), tmp_path / "r.nc").shards}

    before = keys(full_file)
    changed = full_file.with_name("changed.toml")
    changed.write_text(STUDY.replace("top_k = 4", "top_k = 5"))
    assert not keys(changed) & before
    copy = write_study(tmp_path / "copy", text=STUDY)
    assert keys(copy) == before
    head = copy.parent / "heads" / "small" / "bt.safetensors"
    head.write_bytes(head.read_bytes()[:-1] + b"\x01")
    assert 0 < len(before - keys(copy)) < len(before)


def test_greedy_generations_of_all_seeds_are_computed_once(full_file, tmp_path):
    planned = prepare(read_study(full_file), tmp_path / "r.nc")
    of_zero = {s.key for s in planned.shards if s.method == "zero" and s.model == "small"}
    of_rm = {
        s.key for s in planned.shards if (s.method, s.kind, s.model) == ("rm", "generate", "small")
    }
    assert (len(of_zero), len(of_rm)) == (2, 4)


SEEDED = """
[data.titles]
path = "titles.jsonl"
[models.small]
path = "small"
[models.other]
path = "other"
[methods.bt]
kind = "head"
path = "heads/{model}/bt.safetensors"
[methods.lore]
kind = "head"
path = "heads/{model}/seeded-{seed}.safetensors"
weight = {small = 0.5, other = 3.0}
[methods.genarm]
kind = "autoregressive"
path = "arm-{seed}"
decode = false
[scoring]
weights = [1.0]
top_k = 3
[decoding]
max_new_tokens = 4
[run]
seeds = [0, 5]
shard_size = 4
"""


def test_reward_models_of_several_training_seeds_stand_side_by_side(tmp_path):
    file = write_study(tmp_path, examples=5, text=SEEDED)
    for seed in (0, 5):
        save_model(tmp_path / f"arm-{seed}", "llama", seed=20 + seed)
        for model in ("small", "other"):
            generator = torch.Generator().manual_seed(seed)
            head = LinearHead.of(torch.randn(1, 32, generator=generator), torch.zeros(1))
            save_head(tmp_path / "heads" / model / f"seeded-{seed}.safetensors", head)
    run_study(prepare(read_study(file), tmp_path / "all.nc"))
    with open_results(tmp_path / "all.nc") as tree:
        together = tree["titles"].to_dataset().load()
    assert set(together.reward.dims) == {"method", "seed", "model", "example", "candidate"}
    assert {"seed", "weight"} <= set(together.policy_score.dims)
    assert "seed" in together.reward_trace.dims
    assert "seed" not in together.logprob.dims
    bt, lore, genarm = (together.reward.sel({"method": name}) for name in ("bt", "lore", "genarm"))
    np.testing.assert_array_equal(bt.sel(seed=0), bt.sel(seed=5))
    for seeded in (lore, genarm):
        assert not (seeded.sel(seed=0) == seeded.sel(seed=5)).any()
    for seed in (0, 5):
        for model, weight in (("small", "0.5"), ("other", "3.0")):
            text = SEEDED.replace("{seed}", str(seed)).replace("{small = 0.5, other = 3.0}", weight)
            apart = tmp_path / "apart.toml"
            apart.write_text(text.replace("seeds = [0, 5]", f"seeds = [{seed}]"))
            run_study(prepare(read_study(apart), tmp_path / "one.nc"))
            with open_results(tmp_path / "one.nc") as tree:
                alone = tree["titles"].to_dataset().load()
            here = together.sel(seed=seed, model=model)
            for name in ("reward", "reward_trace", "policy_score"):
                assert "seed" not in alone[name].dims
                expected = alone[name].sel(model=model)
                np.testing.assert_allclose(
                    here[name].transpose(*expected.dims), expected, atol=1e-5
                )
            assert (here.generation == alone.generation.sel(model=model)).all()
    planned = prepare(read_study(file), tmp_path / "all.nc")
    assert not planned.pending()
    assert len(estimate(planned)) == 8


JOINT = """
[data.titles]
path = "titles.jsonl"
[models.small]
path = "small"
[methods.rm]
kind = "classifier"
path = "rm"
decode = false
[methods.pad]
kind = "pad"
path = "small"
decode = false
[prompt]
boundary = "joint"
[scoring]
weights = [1.0]
top_k = 3
"""


def test_a_joint_boundary_serves_reward_models_that_read_the_same_prompt(tmp_path):
    file = write_study(tmp_path, examples=3, text=JOINT)
    lines = [json.loads(line) for line in (tmp_path / "titles.jsonl").read_text().splitlines()]
    for line in lines:
        # A prompt that ends in a space is where joint and split tokens differ most.
        line["prompt"] += " "
    (tmp_path / "titles.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run_study(prepare(read_study(file), tmp_path / "r.nc"))
    with open_results(tmp_path / "r.nc") as tree:
        ds = tree["titles"].to_dataset().load()
    assert ds.boundary_differs.any()
    # The base model against itself: log π − log π over the same tokens.
    themselves = ds.reward_trace.sel({"method": "pad"})
    np.testing.assert_allclose(themselves.where(ds.token_logprob.notnull(), 0), 0, atol=1e-5)
    assert ds.reward.sel({"method": "rm", "candidate": "chosen"}).notnull().all()
    theirs = 'kind = "pad"\ntemplate = "x {prompt}"'
    file.write_text(JOINT.replace('kind = "pad"', theirs))
    with pytest.raises(InputError, match="is joint, but 'pad' reads a prompt of its own"):
        run_study(prepare(read_study(file), tmp_path / "r.nc"))


def test_the_precision_is_recorded(study_file, tmp_path):
    file = study_file.with_name("low.toml")
    file.write_text(LIGHT.replace('path = "small"\n', 'path = "small"\ndtype = "bfloat16"\n'))
    run_study(prepare(read_study(file), tmp_path / "r.nc"))
    with open_results(tmp_path / "r.nc") as tree:
        recorded = json.loads(tree.attrs["backend"])
        assert np.isfinite(tree["titles"].logprob.sel(candidate="chosen")).all()
    assert recorded["models"]["small"]["dtype"] == "bfloat16"
    assert recorded["identities"]["small"]["dtype"] == "bfloat16"

from __future__ import annotations

import json

import pytest
from preflamp_backend.data.examples import read_examples
from preflamp_backend.study.study import read_study

from preflamp_stats.errors import InputError

GOOD = """
[data.d]
path = "d.jsonl"
[models.m]
path = "hub/model"
dtype = "bfloat16"
[methods.bt]
kind = "head"
path = "{model}.safetensors"
weight = 2.0
[methods.rm]
kind = "classifier"
path = "hub/rm"
suffix = "turn"
[methods.pad]
kind = "pad"
path = "hub/m2"
template = "{preference} {prompt}"
[methods.zero]
kind = "zero-shot"
[prompt]
chat = true
[decoding]
max_new_tokens = 9
"""


@pytest.fixture
def read(tmp_path):
    (tmp_path / "d.jsonl").write_text('{"user": "u", "prompt": "p"}\n')
    (tmp_path / "m.safetensors").write_bytes(b"")

    return lambda text: read_study(write(tmp_path, text))


def write(folder, text):
    (folder / "study.toml").write_text(text)
    return folder / "study.toml"


def test_a_study_is_read(read):
    study = read(GOOD)
    assert study.models["m"].dtype == "bfloat16"
    bt, rm, pad, zero = (study.methods[name] for name in ("bt", "rm", "pad", "zero"))
    assert (bt.decoding.strategy, bt.decoding.weight, bt.decoding.top_k) == ("guided", 2.0, 10)
    assert {m.decoding.max_new_tokens for m in study.methods.values()} == {9}
    assert (rm.form.chat, rm.form.suffix, study.prompt.suffix) == (True, "turn", "none")
    assert (pad.prompt.template, pad.form.template) == ("{preference} {prompt}", "{prompt}")
    assert (zero.family, bt.family, zero.decoding.strategy) == (
        "zero-shot",
        "reward-guided",
        "plain",
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[data.d]", "[dat.d]", r"variable dat: is not known here; did you mean data\?"),
        ('path = "d.jsonl"', 'path = "e.jsonl"', "names e.jsonl, which is no file"),
        ('path = "d.jsonl"', f'path = "{"x" * 300}"', "names x+, which is no file"),
        ("weight = 2.0", "wieght = 2.0", r"methods.bt.wieght: .*did you mean weight\?"),
        ("weight = 2.0", 'weight = "2"', "methods.bt.weight: is '2'; give a float"),
        ("weight = 2.0", "weight = -2.0", "methods.bt.weight: is -2.0; take at least 0"),
        ('"bfloat16"', '"int8"', "models.m.dtype: is 'int8'"),
        ('kind = "pad"', 'kind = "dpo"', "methods.pad.kind: is 'dpo'; choose one of"),
        ("chat = true", "chat = 1", "prompt.chat: is 1; give a bool"),
        ("{model}.safe", "x{model}.safe", "names xm.safetensors, which is no file"),
        ('path = "hub/model"', 'path = "./here"', "names ./here, which is no folder"),
        ("max_new_tokens = 9", "max_new_tokens = 9.5", "give a int"),
        ("max_new_tokens = 9", f"max_new_tokens = {10**400}", r"give a int of at most 2\*\*53"),
        ("weight = 2.0", f"weight = {10**400}", r"give a float of at most 2\*\*53"),
        ("[prompt]", "[prompt", "cannot be read as TOML"),
        ('[models.m]\npath = "hub/model"', "[models.m]", "models.m.path: is missing"),
        (
            "weight = 2.0",
            "weight = {n = 1.0}",
            r"methods.bt.weight.n: is not known here",
        ),
        ("weight = 2.0", "weight = {}", "methods.bt.weight.m: is missing"),
        ("weight = 2.0", "weight = {m = -1.0}", "methods.bt.weight.m.weight: is -1.0"),
        ('"{model}.safe', '"{model}-{seed}.safe', "names m-0.safetensors, which is no file"),
        ('"hub/rm"', '"./rms/{model}-{seed}"', "names ./rms/m-0, which is no folder"),
    ],
)
def test_faults_are_named(read, old, new, message):
    with pytest.raises(InputError, match=message):
        read(GOOD.replace(old, new))


def test_a_weight_for_each_model_is_kept_by_model(read):
    text = GOOD.replace("weight = 2.0", "weight = {m = 0.25}")
    study = read(text.replace("[decoding]", "[decoding]\nweight = {m = 4.0}"))
    assert study.methods["bt"].decoding_for("m").weight == 0.25
    assert study.methods["rm"].decoding_for("m").weight == 4.0
    text = GOOD.replace("[decoding]", "[decoding]\nweight = {m = 4.0}")
    assert read(text).methods["bt"].decoding_for("m").weight == 2.0


def test_a_base_model_stops_where_the_study_s_shots_end(read):
    plain = GOOD.replace("chat = true", "")
    shot = '[methods.icl]\nkind = "in-context"\nshots = 2\nshot = "{input}: {output}|\\n"\n'
    given = {"none": plain, "chat": GOOD + shot, "base": plain + shot}
    given["other"] = plain + shot + shot.replace("icl", "two").replace("|", "#")
    given["own"] = (plain + shot).replace("max_new", 'stop = ["\\n"]\nmax_new')
    given["off"] = (plain + shot).replace("max_new", "stop = []\nmax_new")
    given["method"] = plain + shot + 'stop = ["END"]\n'
    found = {
        name: {each: method.decoding.stop for each, method in read(text).methods.items()}
        for name, text in given.items()
    }
    for method in ("bt", "rm", "pad", "zero"):
        stops = {name: each[method] for name, each in found.items()}
        assert stops == {
            "none": (),
            "chat": (),
            "base": ("|\n",),
            "other": ("|\n", "#\n"),
            "own": ("\n",),
            "off": (),
            "method": ("|\n",),
        }
    assert found["method"]["icl"] == ("END",)
    with pytest.raises(InputError, match=r"decoding.stop: is \(''"):
        read(plain.replace("max_new", 'stop = [""]\nmax_new'))


def test_a_study_can_be_read_before_its_reward_models_are_trained(read, tmp_path):
    text = GOOD.replace('"{model}.safe', '"heads/{model}-{seed}.safe')
    study = read_study(write(tmp_path, text), trained=False)
    head = study.head_path(study.methods["bt"], "m", 3)
    assert head == str(tmp_path / "heads" / "m-3.safetensors")
    assert (study.reward_seeds, study.methods["bt"].seeded) == ((0,), True)


def test_all_faults_come_at_once(read):
    with pytest.raises(InputError) as found:
        read(GOOD.replace("chat", "chatt").replace('kind = "pad"', 'kind = "x"'))
    assert len(found.value.problems) == 2


def test_examples_are_read(tmp_path):
    path = tmp_path / "d.jsonl"
    record = {"user": 7, "prompt": "p", "chosen": "a", "rejected": "b", "candidates": {"c": "d"}}
    path.write_text(json.dumps(record) + "\n\n" + json.dumps(record) + "\n")
    first, second = read_examples(path)
    assert (first.id, first.user, dict(first.candidates)) == (
        "1",
        "7",
        {"chosen": "a", "rejected": "b", "c": "d"},
    )
    assert second.id == "3"
    assert len(read_examples(path, limit=1)) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1]", "line 1: is not a JSON object"),
        ("{", "line 1: is not a JSON object"),
        ('{"prompt": "p"}', "variable user: is missing"),
        ('{"user": "u", "prompt": "p", "chosen": "a"}', "comes without the other"),
        ('{"user": "u", "prompt": "p", "chosen": "", "rejected": "b"}', "chosen: is empty"),
        ('{"user": "u", "prompt": 3}', "prompt: is int"),
        ('{"user": "u", "prompt": "p", "responses": []}', "responses: is not known"),
        ('{"user": "u", "prompt": "p", "history": [{"input": "a"}]}', "history: is not a list"),
        ('{"user": "u", "prompt": "p", "candidates": {"x": ""}}', "candidates: is not a mapping"),
        ('{"user": "u", "prompt": "p\\u0000"}', "NUL"),
        ("", "holds no example"),
        (
            '{"user": "u", "prompt": "p", "id": "x"}\n{"user": "u", "prompt": "q", "id": "x"}',
            "twice",
        ),
    ],
)
def test_bad_examples_are_named(tmp_path, line, message):
    (tmp_path / "d.jsonl").write_text(line)
    with pytest.raises(InputError, match=message):
        read_examples(tmp_path / "d.jsonl")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_examples(tmp_path / "none.jsonl")

from __future__ import annotations

import email.utils
import json
import math
import time
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from fake_server import served
from preflamp_backend.cli.run import run_command
from preflamp_backend.decoding.decode import decode as decode_here
from preflamp_backend.decoding.options import DecodingOptions, Request
from preflamp_backend.engines import guided
from preflamp_backend.engines.client import Client
from preflamp_backend.engines.completions import Engine, score
from preflamp_backend.engines.source import EngineSource
from preflamp_backend.models.loading import ModelSource, identify, load_language_model
from preflamp_backend.models.model import AutoregressiveReward
from preflamp_backend.prompts.encoding import PromptFormat, encode, encode_prompt
from preflamp_backend.runs.estimate import estimate
from preflamp_backend.runs.run import prepare, run_study
from preflamp_backend.scoring.score import ScoreOptions
from preflamp_backend.scoring.score import score as score_here
from preflamp_backend.study.study import read_study
from study_files import write_study
from tiny_models import DEVICE

from preflamp_stats.errors import InputError
from preflamp_stats.io.files import open_results

KEY = "sk-a-secret-of-mine"


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """No proxy stands between the tests and their own server."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("PREFLAMP_API_KEY", raising=False)


@pytest.fixture(scope="module")
def llama(models):
    return models["llama"]


def engine_of(server, folder, **options):
    kinds = {"vllm": "vllm", "llama.cpp": "llama.cpp", "llama-cpp-python": "llama.cpp"}
    given = {"server": kinds.get(server.dialect, "openai"), "tokenizer": str(folder), **options}
    source = EngineSource(server.url, **given)
    waits = []
    engine = Engine(source, Client(source, waits.append))
    engine.waits = waits
    return engine


def encodings(model, **form):
    prompts = ("A survey of methods", "The cat sat on the mat and", "Towards a")
    said = [" for graph matching.", " theory", ", which was full of users and cats!"]
    form = PromptFormat(**form)
    return [encode(model.tokenizer, each, said, form, context=256) for each in prompts]


@pytest.mark.parametrize(
    ("dialect", "sends", "name"),
    [
        ("vllm", "ids", "qwen2"),
        ("vllm", "ids", "llama"),
        ("llama-cpp-python", "text", "llama"),
        ("llama-cpp-python", "ids", "qwen2"),
    ],
)
@pytest.mark.parametrize("top", [0, 4])
def test_scores_of_a_server_are_those_of_the_model(
    dialect, sends, name, top, models, model_folders
):
    model = models[name]
    rows = encodings(model, boundary="joint")
    options = ScoreOptions(weights=(1.0,) if top else (), top_k=top or 1)
    expected = score_here(model, rows, options=options)
    with served(model, dialect) as server:
        engine = engine_of(server, model_folders[name], sends=sends)
        if top and dialect != "vllm":
            # A random model thinks of halves of characters, which have no text to tell them by.
            with pytest.raises(InputError, match="names an alternative '', which"):
                score(engine, rows, options=options)
            return
        found = score(engine, rows, options=options)
    for one, other in zip(found, expected, strict=True):
        for (ours, _), (theirs, _) in zip(one, other, strict=True):
            np.testing.assert_allclose(ours.token_logprob, theirs.token_logprob, atol=1e-5)
            np.testing.assert_array_equal(ours.top_ids, theirs.top_ids)
            np.testing.assert_allclose(ours.top_logprob, theirs.top_logprob, atol=1e-5)


def requests_for(model, reward=None):
    texts = ("A survey of", "The cat sat on the mat and looked", "Towards a theory of reward")
    made = []
    for i, text in enumerate(texts):
        limits = {"room": 6, "context": 256}
        prompt = encode_prompt(model.tokenizer, text, PromptFormat(), **limits)
        theirs = None
        if reward is not None:
            tokenizer = reward.backbone.tokenizer
            theirs = encode_prompt(tokenizer, text, PromptFormat(), **limits)
        made.append(Request(f"e{i}\0m", prompt, "a", text, theirs))
    return made


@pytest.mark.parametrize("dialect", ["vllm", "llama.cpp", "llama-cpp-python", "openai"])
def test_what_a_server_writes_is_what_the_model_writes(dialect, llama, model_folders):
    options = DecodingOptions(max_new_tokens=6)
    requests = requests_for(llama)
    expected = decode_here(llama, requests, options)
    sends = "text" if dialect in ("openai", "llama-cpp-python") else "ids"
    with served(llama, dialect) as server:
        engine = engine_of(server, model_folders["llama"], sends=sends)
        found = guided.decode(engine, requests, options)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.text, ours.stop) == (theirs.text, theirs.stop)
        assert ours.ids == (theirs.ids if sends == "ids" else ())
        assert ours.logprob == pytest.approx(theirs.logprob, abs=1e-4)


@pytest.mark.parametrize("dialect", ["vllm", "llama.cpp", "llama-cpp-python"])
@pytest.mark.parametrize("counted", [False, True])
def test_the_end_token_is_no_part_of_a_text_and_counts_where_it_should(
    dialect, counted, qwen, model_folders
):
    requests, options = requests_for(qwen)[:1], DecodingOptions(max_new_tokens=6)
    whole = decode_here(qwen, requests, options).pop()
    at = next(i for i in range(1, 6) if whole.ids[i] not in whole.ids[:i])
    short, form = replace(qwen, eos=(whole.ids[at],)), PromptFormat(count_eos=counted)
    (expected,) = decode_here(short, requests, options, form=form)
    with served(short, dialect) as server:
        engine = engine_of(server, model_folders["qwen2"])
        engine.eos = short.eos
        (found,) = guided.decode(engine, requests, options, form=form)
    assert found.stop == expected.stop == "eos"
    if dialect == "llama-cpp-python":
        # It tells neither ids nor how likely the end token was.
        assert found.ids == ()
        assert math.isnan(found.logprob) == counted
    else:
        assert (found.ids, found.text) == (expected.ids, expected.text)
    if not math.isnan(found.logprob):
        assert found.logprob == pytest.approx(expected.logprob, abs=1e-4)


@pytest.mark.parametrize("kind", ["classifier", "genarm", "pad"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("dialect", ["vllm", "llama.cpp"])
def test_guided_decoding_over_a_server_writes_what_it_writes_here(
    kind, temperature, dialect, qwen, models, classifier, model_folders
):
    reward = classifier
    if kind != "classifier":
        reward = AutoregressiveReward(kind, models["arm"], relative=kind == "pad")
    options = DecodingOptions("guided", 2.0, 5, temperature, max_new_tokens=6, batch_rows=2)
    requests = requests_for(qwen, reward)
    form = PromptFormat(suffix="eos" if kind == "classifier" else "none")
    expected = decode_here(qwen, requests, options, seed=3, reward=reward, form=form)
    with served(qwen, dialect) as server:
        engine = engine_of(server, model_folders["qwen2"])
        found = guided.decode(engine, requests, options, seed=3, reward=reward, form=form)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.ids, ours.text, ours.stop) == (theirs.ids, theirs.text, theirs.stop)
        assert ours.logprob == pytest.approx(theirs.logprob, abs=1e-4)
        assert ours.reward == pytest.approx(theirs.reward, abs=1e-4)


def test_best_of_n_keeps_the_highest_reward(qwen, classifier, model_folders):
    options = DecodingOptions("best-of-n", temperature=1.0, n=4, max_new_tokens=4)
    requests = requests_for(qwen, classifier)
    with served(qwen, "vllm") as server:
        engine = engine_of(server, model_folders["qwen2"])
        found = guided.decode(engine, requests, options, seed=1, reward=classifier)
        again = guided.decode(engine, requests, options, seed=1, reward=classifier)
        other = guided.decode(engine, requests, options, seed=2, reward=classifier)
        seeds = [body["seed"] for body in server.bodies]
    assert found == again
    assert [each.ids for each in found] != [each.ids for each in other]
    assert len(set(seeds)) == 24
    rewards = [each.reward for each in found]
    plain = DecodingOptions(temperature=1.0, max_new_tokens=4)
    with served(qwen, "vllm") as server:
        engine = engine_of(server, model_folders["qwen2"])
        first = guided.decode(engine, requests, plain, seed=1, reward=classifier)
    assert all(best >= one.reward for best, one in zip(rewards, first, strict=True))


@pytest.mark.parametrize("dialect", ["vllm", "llama.cpp", "llama-cpp-python", "openai", "guided"])
def test_a_stop_string_ends_a_text_before_it_on_a_server_too(dialect, qwen, models, model_folders):
    reward, requests, options = None, requests_for(qwen), DecodingOptions(max_new_tokens=8)
    if dialect == "guided":
        reward = AutoregressiveReward("pad", models["arm"], relative=True)
        options, requests = replace(options, strategy="guided", top_k=5), requests_for(qwen, reward)
    uncut = decode_here(qwen, requests, options, reward=reward)
    known = 0
    with served(qwen, dialect.replace("guided", "vllm")) as server:
        engine = engine_of(server, model_folders["qwen2"])
        for text in (each.text for each in uncut):
            # Every other place, so that some stop strings begin inside a token.
            for stop in dict.fromkeys(text[i : i + 2] for i in range(0, len(text) - 1, 2)):
                if not stop.isascii():
                    continue
                asked = replace(options, stop=(stop, "never written"))
                found = guided.decode(engine, requests, asked, reward=reward)
                expected = decode_here(qwen, requests, asked, reward=reward)
                for ours, theirs in zip(found, expected, strict=True):
                    assert (ours.text, ours.stop) == (theirs.text, theirs.stop)
                    if dialect not in ("llama-cpp-python", "openai"):
                        assert ours.ids == theirs.ids
                    if not math.isnan(ours.logprob):
                        known += ours.stop == "stop"
                        assert ours.logprob == pytest.approx(theirs.logprob, abs=1e-4)
                        assert ours.reward == pytest.approx(theirs.reward, abs=1e-4, nan_ok=True)
    assert known


def test_the_reward_model_reads_a_form_of_its_own(qwen, classifier, model_folders):
    options = DecodingOptions("guided", 2.0, 5, max_new_tokens=6)
    requests, plain = requests_for(qwen, classifier), PromptFormat()
    how = {"reward": classifier, "form": plain, "judged": PromptFormat(suffix="eos")}
    expected = decode_here(qwen, requests, options, **how)
    assert expected != decode_here(qwen, requests, options, reward=classifier, form=plain)
    with served(qwen, "vllm") as server:
        engine = engine_of(server, model_folders["qwen2"])
        found = guided.decode(engine, requests, options, **how)
        best = replace(options, strategy="best-of-n", temperature=0.0)
        (one, *_), (other, *_) = (
            guided.decode(engine, requests, best, **{**how, "judged": form})
            for form in (how["judged"], plain)
        )
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.ids, ours.text) == (theirs.ids, theirs.text)
        assert ours.reward == pytest.approx(theirs.reward, abs=1e-4)
    assert one.ids == other.ids
    assert one.reward != other.reward


PASSING = [429, 500, 503, (429, "2"), (503, email.utils.formatdate(time.time() + 1e4)), "cut"]


@pytest.mark.parametrize("fault", [*PASSING, "slow"])
def test_what_may_pass_is_tried_again(fault, qwen, model_folders):
    rows = encodings(qwen)[:1]
    expected = score_here(qwen, rows, options=ScoreOptions())
    with served(qwen, "vllm") as server:
        engine = engine_of(server, model_folders["qwen2"], concurrency=1, timeout=0.2)
        engine.trial([rows[0].prompt])
        server.faults += [fault]
        if isinstance(fault, tuple) and fault[0] == 503:
            # A server that wants hours of rest is given up on.
            with pytest.raises(InputError, match=r"answers 503 .* it wants \d+ s of rest"):
                score(engine, rows, options=ScoreOptions())
            return
        found = score(engine, rows, options=ScoreOptions())
    np.testing.assert_allclose(
        found[0][0][0].token_logprob, expected[0][0][0].token_logprob, atol=1e-5
    )
    assert len(engine.waits) == 1
    assert engine.waits[0] == 2 if isinstance(fault, tuple) else 1 <= engine.waits[0] <= 2


def test_a_server_that_keeps_failing_is_given_up_on(qwen, model_folders):
    with served(qwen, "vllm") as server:
        engine = engine_of(server, model_folders["qwen2"], attempts=3)
        server.faults += [500] * 9
        with pytest.raises(InputError, match=r"answers 500 .*asked 3 times"):
            engine.write([5, 6], 1)
        assert len(server.bodies) == 3
        assert engine.waits[0] < engine.waits[1]
    server.dialect = "openai"
    gone = engine_of(server, model_folders["qwen2"], attempts=2, served="tiny")
    with pytest.raises(InputError, match="cannot be reached"):
        gone.write([5, 6], 1)


@pytest.mark.parametrize(
    ("fault", "mend"), [(401, "PREFLAMP_API_KEY"), (400, "check 'server'"), (302, "not sent on")]
)
def test_a_refusal_is_told_at_once_and_without_the_key(
    fault, mend, qwen, model_folders, monkeypatch
):
    monkeypatch.setenv("PREFLAMP_API_KEY", KEY)
    with served(qwen, "vllm") as server:
        engine = engine_of(server, model_folders["qwen2"])
        server.faults += [fault]
        with pytest.raises(InputError, match=mend) as error:
            engine.write([5, 6], 1)
        assert len(server.bodies) == 1
        assert server.keys == [f"Bearer {KEY}"]
    assert KEY not in str(error.value)
    assert "(the key)" in str(error.value)


def test_a_key_that_cannot_be_sent_is_not_shown(monkeypatch):
    monkeypatch.setenv("PREFLAMP_API_KEY", f"{KEY}\nX: y")
    with pytest.raises(InputError, match="holds no key that can be sent") as error:
        Client(EngineSource("http://localhost/v1", tokenizer="t"))
    assert KEY not in str(error.value)


@pytest.mark.parametrize(
    ("dialect", "why"),
    [("vllm", "log-probabilities of 6 tokens, asked for 7"), ("llama-cpp-python", "of 7 tokens")],
)
def test_a_wrong_count_of_tokens_is_refused(dialect, why, qwen, model_folders):
    with served(qwen, dialect) as server:
        engine = engine_of(server, model_folders["qwen2"])
        server.listed, _ = ["tiny"], engine.name
        server.faults += ["short"]
        with pytest.raises(InputError, match=why):
            engine.score_one([5, 6, 7], [8, 9, 10, 11], 0)


def test_text_that_the_server_reads_otherwise_is_refused(llama, models, model_folders):
    with served(models["qwen2"], "openai") as server:
        # The server's model puts no begin token before a text, the named tokenizer does.
        engine = engine_of(server, model_folders["llama"], sends="text")
        with pytest.raises(InputError, match="reads a prompt of 3 tokens as 2"):
            engine.write([3, *llama.tokenizer.encode("The cat", add_special_tokens=False)][:3], 1)
    broken = llama.tokenizer.encode("The c", add_special_tokens=False)
    rest = llama.tokenizer.encode("at", add_special_tokens=False)
    with served(llama, "openai") as server:
        engine = engine_of(server, model_folders["llama"], sends="text")
        with pytest.raises(InputError, match="read as other tokens"):
            engine.score_one([3, *broken], rest, 0)


@pytest.mark.parametrize("dialect", ["vllm", "llama-cpp-python"])
def test_scores_that_are_shifted_by_a_token_are_refused(dialect, qwen, model_folders):
    with served(qwen, dialect) as server:
        engine = engine_of(server, model_folders["qwen2"])
        server.shift = 1
        with pytest.raises(InputError, match="scores a text otherwise than it wrote it"):
            score(engine, encodings(qwen), options=ScoreOptions())


@pytest.mark.parametrize("dialect", ["vllm", "llama-cpp-python"])
def test_a_missing_log_probability_is_nan(dialect, qwen, model_folders):
    with served(qwen, dialect) as server:
        engine = engine_of(server, model_folders["qwen2"])
        assert engine.name
        server.faults += ["gap"]
        found = engine.score_one([5, 6], [7, 8], 0)
    np.testing.assert_array_equal(np.isnan(found.token_logprob), [False, True])
    assert math.isnan(found.logprob)


def test_fewer_alternatives_than_asked_for_are_refused(qwen, model_folders, monkeypatch):
    with served(qwen, "llama.cpp") as server:
        engine = engine_of(server, model_folders["qwen2"])
        options = DecodingOptions("guided", top_k=10**6)
        reward = AutoregressiveReward("r", qwen)
        monkeypatch.setattr(type(engine.tokenizer), "__len__", lambda self: 500)
        with pytest.raises(InputError, match="gives 400 of 500 alternatives"):
            guided.decode(engine, requests_for(qwen, reward), options, reward=reward)


def test_a_server_of_several_models_or_less_context_is_named(qwen, model_folders):
    with served(qwen, "vllm") as server:
        server.listed = ["one", "two"]
        with pytest.raises(InputError, match="serves 2 models: one, two; name one as 'served'"):
            engine_of(server, model_folders["qwen2"]).write([5], 1)
        server.most = 100
        with pytest.raises(InputError, match="takes 100 tokens, not 256; set context = 100"):
            engine_of(server, model_folders["qwen2"], served="two").write([5], 1)
        engine_of(server, model_folders["qwen2"], served="two", context=100).write([5], 1)
        assert server.bodies[-1]["model"] == "two"


def test_requests_keep_to_a_rate(qwen, model_folders):
    with served(qwen, "vllm") as server:
        engine = engine_of(server, model_folders["qwen2"], per_minute=60, concurrency=1)
        for _ in range(3):
            engine.write([5], 1)
    # The list of models and three requests, a second apart each; nobody slept.
    assert len(engine.waits) == 3
    assert 2.5 < max(engine.waits) <= 3


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"path": "http://me:secret@host/v1"}, "path"),
        ({"path": "http://host/v1?key=secret"}, "path"),
        ({"tokenizer": ""}, "tokenizer"),
        ({"dtype": "bfloat16"}, "dtype"),
        ({"price_read": -1.0}, "price_read"),
    ],
)
def test_sources_that_make_no_sense_are_refused(given, why):
    with pytest.raises(InputError, match=why):
        EngineSource(**{"path": "http://host/v1", "tokenizer": "t", **given})


def test_a_server_has_no_weights_to_train(model_folders):
    source = EngineSource("http://127.0.0.1:9/v1", tokenizer=str(model_folders["qwen2"]))
    with pytest.raises(InputError, match="is a server, and its weights are needed here"):
        load_language_model(source)
    known = identify(source)
    assert "127.0.0.1" in known["weights"]
    assert known["tokenizer"] == identify(ModelSource(str(model_folders["qwen2"])))["tokenizer"]


STUDY = """
[data.titles]
path = "titles.jsonl"
[models.m]
MODEL
[methods.rm]
kind = "classifier"
path = "rm"
[methods.genarm]
kind = "autoregressive"
path = "arm"
[methods.likely]
kind = "likelihood"
[methods.zero]
kind = "zero-shot"
[methods.icl]
kind = "in-context"
shots = 1
[scoring]
weights = [1.0]
top_k = 4
[decoding]
max_new_tokens = 5
[run]
shard_size = 4
"""


def test_a_study_over_a_server_gives_the_numbers_of_one_here(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFLAMP_API_KEY", KEY)
    file = write_study(tmp_path, text=STUDY.replace("MODEL", 'path = "small"'), examples=5)
    run_study(prepare(read_study(file), tmp_path / "here.nc"))
    model = load_language_model(ModelSource(str(tmp_path / "small"), device=DEVICE))
    with served(model, "vllm") as server:
        lines = (f'path = "{server.url}"', 'tokenizer = "small"', 'server = "vllm"')
        prices = ("price_read = 1.0", "price_written = 2.0", "attempts = 1", "concurrency = 2")
        far = file.with_name("far.toml")
        far.write_text(STUDY.replace("MODEL", "\n".join([*lines, *prices])))
        out = tmp_path / "far.nc"
        shown = CliRunner().invoke(run_command, [str(far), "-o", str(out), "--dry-run"])
        assert not server.bodies
        assert "to pay" in shown.output
        planned = prepare(read_study(far), out)
        rows = {(row.method, row.kind): row for row in estimate(planned)}
        # Of 5 examples, each with 2 or 3 candidates, a token is written for each of them.
        base = rows["", "score"]
        assert base.price == pytest.approx((base.tokens - 12 + 2 * 12) / 1e6)
        assert rows["rm", "generate"].price > 3 * rows["zero", "generate"].price
        # The server goes away in the middle, and comes back.
        server.faults += [None] * 30 + [500]
        with pytest.raises(InputError, match="answers 500"):
            run_study(planned)
        done, asked = len(planned.shards) - len(planned.pending()), len(server.bodies)
        assert 0 < done < len(planned.shards)
        notes = run_study(prepare(read_study(far), out))
        assert len(server.bodies) > asked
        assert not prepare(read_study(far), out).pending()
    assert not any("log-probability" in note for note in notes)
    with open_results(tmp_path / "here.nc") as one, open_results(out) as other:
        here, far_ = (tree["titles"].to_dataset().load() for tree in (one, other))
        recorded = json.loads(other.attrs["backend"])
    for name in ("logprob", "token_logprob", "reward", "reward_trace", "policy_score"):
        assert here[name].notnull().any()
        np.testing.assert_allclose(far_[name], here[name], atol=1e-4, err_msg=name)
    for name in ("generation", "generation_stop", "generation_ids"):
        np.testing.assert_array_equal(far_[name], here[name], err_msg=name)
    np.testing.assert_allclose(far_.generation_logprob, here.generation_logprob, atol=1e-4)
    assert far_.logprob_missing.sum() == 0
    assert far_.attrs["computed_on"] == "a server"
    assert recorded["identities"]["m"]["dtype"] == "the server's"
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.suffix in (".nc", ".json"):
            assert KEY.encode() not in path.read_bytes()


def test_what_a_server_cannot_do_is_refused_before_anything_runs(tmp_path):
    text = STUDY.replace("MODEL", 'path = "http://127.0.0.1:9/v1"\ntokenizer = "nowhere/at/all"')
    text += '[methods.bt]\nkind = "head"\npath = "h"\n'
    text += '[methods.lm]\nkind = "autoregressive"\npath = "lm"\ntrain = {model = "genarm"}\n'
    file = write_study(tmp_path, text=text.replace('path = "rm"', 'path = "http://x/v1"'))
    with pytest.raises(InputError) as error:
        read_study(file)
    said = str(error.value)
    assert "methods.lm.kind: is trained on what the server of 'm' keeps" in said
    assert "models.m.tokenizer" in said
    assert "is head, which reads what the server of 'm' keeps" in said
    assert "methods.rm.path: is a server" in said

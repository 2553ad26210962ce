from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from preflamp_backend.models.heads.head import save_head
from preflamp_backend.models.heads.linear import LinearHead
from preflamp_backend.models.loading import (
    ModelSource,
    context_length,
    identify,
    load_heads,
    load_language_model,
    load_sequence_classifier,
    load_tokenizer,
    reading,
    remote_code_allowed,
)
from preflamp_backend.models.model import Backbone
from preflamp_backend.models.trees import SlotCache
from tiny_models import DEVICE, make_config, make_tokenizer, save_model
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BertForSequenceClassification,
    DeepseekV32Config,
    MistralConfig,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging

from preflamp_stats.errors import InputError


def source(path, **changes):
    return ModelSource(str(path), **{"device": "cpu", **changes})


def test_an_unknown_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be loaded as a model"):
        load_language_model(source(tmp_path / "nowhere"))


def test_pickled_weights_are_not_read(tmp_path, model_folders):
    folder = tmp_path / "pickled"
    save_model(folder, "llama", seed=0)
    weights = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="cannot be loaded as a model"):
        load_language_model(source(folder))


@pytest.mark.parametrize(
    ("name", "key", "value", "why"),
    [
        ("config.json", "model_type", -1, "model type `-1`"),
        ("config.json", "model_type", None, "model type `None`"),
        ("config.json", "rope_parameters", {"rope_type": ["x"]}, "unhashable"),
        ("tokenizer_config.json", "model_max_length", [512], "'>' not supported"),
    ],
)
def test_settings_that_make_no_sense_are_one_problem(tmp_path, capfd, name, key, value, why):
    folder = tmp_path / "odd"
    save_model(folder, "llama", seed=0)
    settings = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(settings | {key: value}))
    with pytest.raises(InputError, match=f"cannot be loaded as a model .*{why}"):
        load_language_model(source(folder))
    out, err = capfd.readouterr()
    assert "[transformers]" not in out + err


def test_reading_gives_back_the_library_s_log_and_our_own_errors():
    before, during = logging.get_verbosity(), []

    def read(error):
        with reading(source("m")):
            during.append(logging.get_verbosity())
            raise error

    with pytest.raises(InputError, match="our own"):
        read(InputError("our own"))
    with pytest.raises(InputError, match=r"m: cannot be loaded as a model \(why\)"):
        read(TypeError("why\nand how"))
    assert during == [logging.CRITICAL] * 2
    assert logging.get_verbosity() == before


def test_an_encoder_is_no_reward_model(tmp_path):
    config = BertConfig(
        vocab_size=400, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, num_labels=1
    )
    BertForSequenceClassification(config).save_pretrained(tmp_path)
    make_tokenizer(bos=False).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="no linear head named 'score' over a causal backbone"):
        load_sequence_classifier(source(tmp_path), "rm")


def test_a_reward_model_has_one_label(tmp_path):
    save_model(tmp_path, "qwen2", seed=0, classifier=True)
    from transformers import AutoModelForSequenceClassification

    config = make_config("qwen2", num_labels=3)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="gives 3 numbers"):
        load_sequence_classifier(source(tmp_path), "rm")


def test_the_context_is_where_a_text_s_numbers_are_its_own():
    assert context_length(MistralConfig(max_position_embeddings=4096, sliding_window=512)) == 4096
    assert context_length(make_config("llama", context=77)) == 77
    assert context_length(DeepseekV32Config(index_topk=33)) == 33
    blocks = {"index_block_size": 4, "index_topk_blocks": 5}
    assert context_length(MistralConfig(**blocks)) == 20


def test_heads_are_loaded_for_a_backbone(tmp_path, qwen):
    weight, bias = torch.randn(2, 32), torch.randn(2)
    save_head(tmp_path / "h.safetensors", LinearHead.of(weight, bias, ["a", ""]))
    heads = load_heads(qwen.backbone, {"h": tmp_path / "h.safetensors"})
    hidden = torch.randn(2, 3, 32)
    reward = heads.for_users(["a", "somebody"], torch.zeros(2, 32, device=DEVICE))
    found = reward(hidden.to(DEVICE)).cpu()
    expected = (hidden * weight[:, None]).sum(-1) + bias[:, None]
    torch.testing.assert_close(found[..., 0], expected)


def test_heads_of_another_width_are_refused(tmp_path, qwen):
    save_head(tmp_path / "h.safetensors", LinearHead(("",), 8))
    with pytest.raises(InputError, match="width 8"):
        load_heads(qwen.backbone, {"h": tmp_path / "h.safetensors"})


def test_a_head_whose_shapes_do_not_fit_is_refused():
    with pytest.raises(InputError, match=r"weight \(2, 32\), bias \(1,\), 2 users"):
        LinearHead.of(torch.ones(2, 32), torch.ones(1), ["a", ""])


def test_identity_follows_weights_dtype_and_tokenizer_not_place(tmp_path):
    one, two = (
        save_model(tmp_path / "1", "llama", seed=0),
        save_model(tmp_path / "2", "llama", seed=0),
    )
    assert identify(source(one)) == identify(source(two))
    assert identify(source(one)) != identify(source(one, dtype="bfloat16"))
    other = save_model(tmp_path / "3", "llama", seed=1)
    assert identify(source(one))["weights"] != identify(source(other))["weights"]


def test_sources_outside_their_choices_are_refused():
    with pytest.raises(InputError, match="dtype"):
        ModelSource("x", dtype="int4")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="torch sees none"):
            ModelSource("x", device="cuda:0").resolved_device()


def test_a_name_of_the_hub_is_read_from_its_cache_and_known_by_its_commit(model_folders, tmp_path):
    commit = "0123456789abcdef0123456789abcdef01234567"
    home = tmp_path / "models--somebody--tiny"
    shutil.copytree(model_folders["qwen2"], home / "snapshots" / commit)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(commit)
    script = (
        "import sys; from preflamp_backend.models.loading import load_language_model\n"
        "from preflamp_backend.models.loading import ModelSource, identify\n"
        "source = ModelSource('somebody/tiny', revision='main', device='cpu')\n"
        "print(load_language_model(source).parameters, identify(source)['weights'])"
    )
    found = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ
        | {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path)}
        | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split(maxsplit=1)
    local = load_language_model(ModelSource(str(model_folders["qwen2"]), device="cpu"))
    assert found == [str(local.parameters), f"commit {commit}\n"]


@pytest.mark.parametrize(
    ("value", "allowed"), [(None, False), ("", False), ("0", False), ("1", True)]
)
def test_code_of_a_model_is_run_only_when_the_environment_asks(monkeypatch, value, allowed):
    monkeypatch.delenv("PREFLAMP_TRUST_REMOTE_CODE", raising=False)
    if value is not None:
        monkeypatch.setenv("PREFLAMP_TRUST_REMOTE_CODE", value)
    assert remote_code_allowed() is allowed


def words_in(folder):
    """A folder of model type qwen2 whose tokenizer knows whole words only."""
    save_model(folder, "qwen2", seed=1)
    words = ["<|end|>", "[UNK]", *["a", "graph", "theory", "of", "rewards", "and", "cats"]]
    raw = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    raw.pre_tokenizer = Whitespace()
    saved = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|end|>", unk_token="[UNK]")
    saved.save_pretrained(folder)
    return ModelSource(str(folder), device=DEVICE)


def test_the_saved_tokenizer_decides_not_the_class_of_the_models_type(tmp_path):
    source = words_in(tmp_path / "words")
    found = load_tokenizer(source)
    assert found.encode("a theory of cats", add_special_tokens=False) == [2, 4, 5, 8]
    assert found.encode("a dog", add_special_tokens=False) == [2, 1]
    assert found.eos_token_id == 0
    assert load_language_model(source).tokenizer is found


def test_a_tokenizer_that_reads_otherwise_than_its_file_is_refused(tmp_path, monkeypatch):
    source = words_in(tmp_path / "words")
    other = load_tokenizer(ModelSource(str(save_model(tmp_path / "other", "qwen2", seed=1))))
    monkeypatch.setattr(PreTrainedTokenizerFast, "from_pretrained", lambda *_, **__: other)
    with pytest.raises(InputError, match=r"otherwise than its tokenizer\.json"):
        load_tokenizer(source)


@pytest.mark.parametrize("name", ["cache", "past_key_values"])
def test_the_cache_is_given_under_the_name_that_the_library_knows(name):
    given = {}

    class Network:
        device = torch.device("cpu")

        def call(self, **arguments):
            given.update(arguments)
            return SimpleNamespace(last_hidden_state=torch.zeros(1, 1, 2))

        __call__ = call

        if name == "cache":

            def forward(self, input_ids, cache=None, **others): ...

        else:

            def forward(self, input_ids, past_key_values=None, **others): ...

    ids, cache = torch.zeros(1, 1, dtype=torch.int64), SlotCache(2)
    Backbone(Network(), None, 10).hidden(ids, ids, torch.ones(1, 1, 1).bool(), cache)
    assert given[name] is cache
    assert not ({"cache", "past_key_values"} - {name}) & set(given)

"""GGUF files and adapters: the plain folders made of them say what their files say."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import tiny_models
import torch
import transformers
from preflamp_backend.models.loading import ModelSource, load_language_model, load_tokenizer
from preflamp_backend.models.sources import origin, plain_folder

from preflamp_stats import InputError

PAIRS = (("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("1", "2"), ("12", "3"))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFLAMP_CACHE", str(tmp_path / "cache"))


def write_gguf(path, *, named="smollm", tokens=None):
    """A llama of random weights as llama.cpp's converter writes one, float32."""
    gguf = pytest.importorskip("gguf")
    pytest.importorskip("accelerate")
    letters = sorted(tiny_models.pre_tokenizers.ByteLevel.alphabet())
    tokens = tokens or ["<end>", "<s>", *letters, *("".join(each) for each in PAIRS)]
    rng, width, layers = np.random.default_rng(0), 32, 2
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(layers)
    writer.add_context_length(128)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(48)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(8)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(named)
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, *[1] * (len(tokens) - 2)])
    writer.add_token_merges([" ".join(each) for each in PAIRS])
    writer.add_eos_token_id(0)
    writer.add_eot_token_id(1)
    writer.add_bos_token_id(1)
    writer.add_add_bos_token(True)
    shapes = {"token_embd": (len(tokens), width), "output_norm": (width,)}
    for layer in range(layers):
        block = {"attn_norm": (width,), "ffn_norm": (width,), "attn_q": (width, width)}
        block |= {"attn_k": (16, width), "attn_v": (16, width), "attn_output": (width, width)}
        block |= {"ffn_gate": (48, width), "ffn_up": (48, width), "ffn_down": (width, 48)}
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in block.items()}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", rng.normal(0, 0.3, shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_gguf_file_becomes_the_model_that_its_library_reads(tmp_path):
    file = write_gguf(tmp_path / "m.gguf")
    folder = plain_folder(str(file))
    assert plain_folder(str(tmp_path)) == folder
    model = load_language_model(ModelSource(folder))
    own = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file=file.name, dtype=torch.float32
    )
    ids = torch.tensor([[1, 40, 50, 60]])
    with torch.inference_mode():
        ours = transformers.AutoModelForCausalLM.from_pretrained(folder)(ids).logits
        torch.testing.assert_close(ours, own(ids).logits, rtol=0, atol=0)
    assert set(model.eos) == {0, 1}
    assert origin(folder)["gguf"] == _sha256(file)
    assert origin(folder)["tensors"] == {"F32": 20}


def _sha256(path):
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("named", "cut"),
    [("gpt-2", ["123"]), ("smollm", ["1", "2", "3"]), ("llama-bpe", ["123"]), ("qwen2", [*"123"])],
)
def test_digits_are_cut_as_the_named_rule_cuts_them(tmp_path, named, cut):
    file = write_gguf(tmp_path / "m.gguf", named=named)
    tokenizer = load_tokenizer(ModelSource(plain_folder(str(file))))
    assert tokenizer.tokenize("123") == cut
    assert tokenizer("123").input_ids[0] == tokenizer.bos_token_id


def test_rules_that_are_not_known_are_refused_and_a_tokenizer_beside_the_file_decides(tmp_path):
    file = write_gguf(tmp_path / "m.gguf", named="minerva-7b")
    with pytest.raises(InputError, match=r"minerva-7b.*tokenizer\.json"):
        plain_folder(str(file))
    known = plain_folder(str(write_gguf(tmp_path / "k.gguf", named="qwen2")))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(f"{known}/{name}", tmp_path / name)
    found = plain_folder(str(file))
    assert load_tokenizer(ModelSource(found)).tokenize("123") == [*"123"]
    said = json.loads((tmp_path / "tokenizer.json").read_text())
    said["model"]["vocab"]["a"], said["model"]["vocab"]["b"] = (
        said["model"]["vocab"][name] for name in ("b", "a")
    )
    other = tmp_path / "other"
    other.mkdir()
    (other / "tokenizer.json").write_text(json.dumps(said))
    shutil.copy(tmp_path / "tokenizer_config.json", other)
    with pytest.raises(InputError, match="take the two from one model"):
        plain_folder(str(shutil.copy(file, other)))


def test_a_damaged_or_absent_gguf_file_is_refused(tmp_path):
    file = write_gguf(tmp_path / "m.gguf")
    file.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(InputError, match="plain weights"):
        plain_folder(str(file))
    assert not list((tmp_path / "cache" / "models").glob("*"))
    with pytest.raises(InputError, match="is not there"):
        plain_folder(str(tmp_path / "none.gguf"))


def adapter(tmp_path, task="CAUSAL_LM"):
    peft = pytest.importorskip("peft")
    base = tmp_path / "base"
    kind = "AutoModelForCausalLM" if task == "CAUSAL_LM" else "AutoModelForSequenceClassification"
    torch.manual_seed(0)
    config = tiny_models.make_config("llama", num_labels=1)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(base)
    tiny_models.make_tokenizer(bos=True).save_pretrained(base)
    network = getattr(transformers, kind).from_pretrained(base, num_labels=1)
    options = peft.LoraConfig(task_type=task, r=4, target_modules=["q_proj", "v_proj"])
    adapted = peft.get_peft_model(network, options)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    adapted.save_pretrained(tmp_path / "adapter")
    return adapted.eval(), tmp_path / "adapter"


@pytest.mark.parametrize("task", ["CAUSAL_LM", "SEQ_CLS"])
def test_an_adapter_is_its_base_with_the_changes_in(tmp_path, task):
    adapted, place = adapter(tmp_path, task)
    folder = plain_folder(str(place))
    kind = type(adapted.get_base_model())
    ids = torch.tensor([[3, 40, 50, 60]])
    with torch.inference_mode():
        ours = kind.from_pretrained(folder)(ids).logits
        bare = kind.from_pretrained(tmp_path / "base", num_labels=1)(ids).logits
        torch.testing.assert_close(ours, adapted(input_ids=ids).logits, rtol=1e-4, atol=1e-5)
    assert (ours - bare).abs().max() > 1e-3
    assert load_tokenizer(ModelSource(folder)).encode("cat")
    assert {"adapter", "base"} <= set(origin(folder))


def test_an_adapter_as_a_pickle_is_refused(tmp_path):
    _, place = adapter(tmp_path)
    (place / "adapter_model.safetensors").rename(place / "adapter_model.bin")
    with pytest.raises(InputError, match="safetensors"):
        plain_folder(str(place))


@pytest.mark.parametrize("bits", ["8", "4"])
def test_few_bits_are_near_and_do_not_depend_on_neighbours(tmp_path, bits):
    pytest.importorskip("bitsandbytes")
    pytest.importorskip("accelerate")
    torch.manual_seed(0)
    config = tiny_models.make_config("llama")
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    tiny_models.make_tokenizer(bos=True).save_pretrained(tmp_path)
    ids = torch.tensor([[3, 40, 50, 60]])

    def logits(source, rows):
        model = load_language_model(source)
        with torch.inference_mode():
            positions = torch.arange(4).expand(len(rows), 4)
            mask = torch.ones(4, 4).tril().bool().expand(len(rows), 1, 4, 4)
            return model.head(model.backbone.hidden(rows, positions, mask))[0]

    whole, few = ModelSource(str(tmp_path)), ModelSource(str(tmp_path), bits=bits)
    alone, beside = logits(few, ids), logits(few, torch.cat([ids, ids.flip(1)]))
    torch.testing.assert_close(alone, beside, rtol=0, atol=1e-5)
    gap = (alone - logits(whole, ids)).abs().max()
    assert 1e-6 < gap < 0.5 * alone.abs().max()


def test_a_missing_library_names_its_extra(tmp_path, monkeypatch):
    from preflamp_backend.models import sources

    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr(sources, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"preflamp-stats\[gguf\]"):
        plain_folder(str(tmp_path / "m.gguf"))

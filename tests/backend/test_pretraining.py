"""Language models from scratch: what is trained on, the shape, resuming to the same bytes."""

from __future__ import annotations

import json
import unicodedata

import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from preflamp_backend.models.loading import (
    ModelSource,
    load_language_model,
    load_tokenizer,
    same_vocabulary,
)
from preflamp_backend.pretraining.documents import (
    Document,
    encode_documents,
    read_documents,
    split_documents,
)
from preflamp_backend.pretraining.train_lm import (
    END,
    TrainingOptions,
    batches,
    evaluate,
    model_config,
    parse_size,
    train_lm,
    train_tokenizer,
)
from tiny_models import DEVICE

from preflamp_stats.cli import main
from preflamp_stats.errors import InputError

WORDS = ("graphs", "trees", "speech", "ethics", "verbs", "tags", "users", "words")
OPTIONS = TrainingOptions(epochs=3, batch_tokens=256, learning_rate=0.01, save_every=4)


def documents(n: int = 40) -> list[Document]:
    return [
        Document(
            tuple(
                (
                    f"Write of {WORDS[(at + k) % 8]} and {WORDS[at % 7]}:\n",
                    f"On {WORDS[(at + k) % 8]}",
                )
                for k in range(1 + at % 3)
            )
        )
        for at in range(n)
    ]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([each.text for each in documents()], 300)


@pytest.fixture(scope="module")
def text_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "pairs.jsonl"
    lines = [json.dumps({"pairs": each.pairs, "at": at}) for at, each in enumerate(documents(56))]
    path.write_text("\n".join(lines))
    return path


def trained(text_file, out, **more):
    options = {"size": "40K", "vocabulary": 300, "context": 64, "options": OPTIONS, "device": "cpu"}
    return train_lm([text_file], out, **{**options, **more})


@pytest.fixture(scope="module")
def first(text_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("first") / "model"
    return out, trained(text_file, out)


def test_learns_the_form_of_the_texts(first):
    _, found = first
    assert found.steps > 8
    assert found.held_out.responses < 3 < 5.7  # ln 300 = 5.7 is what knowing nothing costs
    assert found.held_out_tokens > 0


def test_the_same_seed_gives_the_same_bytes(first, text_file, tmp_path):
    out, found = first
    again = trained(text_file, tmp_path / "again")
    assert again == found
    for name in ("model.safetensors", "tokenizer.json", "training.json"):
        assert (out / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_stopped_and_resumed_gives_the_same_bytes(first, text_file, tmp_path):
    out, found = first
    steps = []

    def stop(step, total, loss):
        steps.append(step)
        if step == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(text_file, tmp_path / "resumed", report=stop)
    assert (tmp_path / "resumed" / "checkpoint.safetensors").exists()
    resumed = trained(text_file, tmp_path / "resumed", report=lambda step, *_: steps.append(step))
    assert resumed == found
    assert steps == [1, 2, 3, 4, 5, 6, *range(5, found.steps + 1)]
    theirs = (tmp_path / "resumed" / "model.safetensors").read_bytes()
    assert theirs == (out / "model.safetensors").read_bytes()
    assert not (tmp_path / "resumed" / "checkpoint.safetensors").exists()


def test_a_finished_model_is_not_trained_again(first, text_file):
    out, found = first
    steps = []
    assert trained(text_file, out, report=lambda *each: steps.append(each)) == found
    assert steps == []


def test_a_checkpoint_of_another_training_is_refused(text_file, tmp_path):
    def stop(step, total, loss):
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(text_file, tmp_path, report=stop)
    with pytest.raises(InputError, match="is a checkpoint of another training"):
        trained(text_file, tmp_path, size="80K")


def test_the_backend_loads_it_and_sizes_share_a_tokenizer(first, text_file, tmp_path):
    out, found = first
    other = trained(
        text_file, tmp_path / "other", size="80K", tokenizer=str(out),
        options=TrainingOptions(epochs=1, batch_tokens=2048),
    )  # fmt: skip
    model = load_language_model(ModelSource(str(out), device=DEVICE))
    assert model.parameters == found.parameters != other.parameters
    assert model.eos == (0,)
    small, large = (load_tokenizer(ModelSource(str(each))) for each in (out, tmp_path / "other"))
    assert same_vocabulary(small, large)


def test_the_saved_tokenizer_cuts_words_as_in_training(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    model_config(40_000, vocabulary=300, context=64, end=0).save_pretrained(tmp_path)
    loaded = load_tokenizer(ModelSource(str(tmp_path)))
    for text in ("On 2017 graphs:\nOn  trees!\n\n don't", " lead", "é\n\n\nb", "3.5%\tx"):
        assert loaded.encode(text) == tokenizer.encode(text)


@given(st.text(max_size=40))
def test_any_text_survives_the_tokenizer(text):
    tokenizer = train_tokenizer(["a b"], 257)
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.decode(ids) == unicodedata.normalize("NFC", text)


def test_prompts_and_responses_are_tokenised_apart_and_packed(tokenizer):
    (document,) = [each for each in documents(3) if len(each.pairs) == 3]
    (row,) = encode_documents([document], tokenizer, 500)
    assert tokenizer.decode(row.ids) == "".join(p + r + END for p, r in document.pairs)
    assert tokenizer.decode(row.ids[row.in_response]) == "".join(r + END for _, r in document.pairs)
    longest = max(len(each) for each in encode_documents([document], tokenizer, 20))
    assert longest <= 20
    one_pair = len(encode_documents([Document(document.pairs[:1])], tokenizer, 500)[0])
    rows = encode_documents([document], tokenizer, 2 * one_pair + 4)
    assert len(rows) == 2  # two pairs fit in a row, and no pair is broken
    assert [row.in_response[-1] for row in rows] == [True, True]


def test_loss_is_the_mean_over_tokens(tokenizer):
    config = model_config(40_000, vocabulary=len(tokenizer), context=64, end=0)
    torch.manual_seed(0)
    model = load_random(config)
    rows = encode_documents(documents(5), tokenizer, 64)
    nll, count, said, said_count = 0.0, 0, 0.0, 0
    for row in rows:
        ids = torch.from_numpy(row.ids)[None]
        logp = model(input_ids=ids).logits.log_softmax(-1)[0, :-1]
        losses = -logp.gather(1, ids[0, 1:, None])[:, 0].detach().numpy()
        nll, count = nll + losses.sum(), count + len(losses)
        answers = row.in_response[1:]
        said, said_count = said + losses[answers].sum(), said_count + answers.sum()
    for batch_tokens in (16, 4096):
        found = evaluate(model, rows, batch_tokens)
        assert found.all == pytest.approx(nll / count, rel=1e-5)
        assert found.responses == pytest.approx(said / said_count, rel=1e-5)


def test_every_epoch_sees_each_row_once_in_an_order_of_its_own(tokenizer):
    rows = encode_documents(documents(), tokenizer, 64)
    first, again, second = ([*batches(rows, OPTIONS, epoch)] for epoch in (0, 0, 1))
    assert first == again != second
    for found in (first, second):
        assert sorted(row for batch in found for row in batch) == list(range(len(rows)))
        assert all(len(batch) * max(len(rows[i]) for i in batch) <= 256 for batch in found)


def load_random(config):
    from transformers import Qwen2ForCausalLM

    return Qwen2ForCausalLM(config).eval()


@pytest.mark.parametrize("size", ["0.3M", "1M", "3M", "8M"])
def test_sizes_are_met(size):
    config = model_config(parse_size(size), vocabulary=4096, context=512, end=0)
    with torch.device("meta"):
        got = load_random(config).num_parameters()
    assert got == pytest.approx(parse_size(size), rel=0.3)


@pytest.mark.parametrize("size", ["", "big", "0", "-1M", "1T"])
def test_other_sizes_are_refused(size):
    with pytest.raises(InputError, match="write a size such as"):
        parse_size(size)


def test_a_size_below_the_embeddings_is_refused():
    with pytest.raises(InputError, match="no shape near it"):
        model_config(10_000, vocabulary=4096, context=512, end=0)


def test_text_files_are_parted_by_blank_lines(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\n\n\nthree\n")
    assert [each.text for each in read_documents([path])] == ["one\ntwo", "three"]


def test_equal_documents_stay_on_one_side():
    train, held_out = split_documents(documents(5) * 8, 0.4, 0)
    assert not {each.pairs for each in train} & {each.pairs for each in held_out}
    assert len(held_out) == 2


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", '{"text": 3}\n', "line 1 holds no text"),
        ("a.jsonl", '{"pairs": [["a"]]}\n', "line 1 holds no text"),
        ("a.jsonl", "{\n", "line 1 holds no text"),
        ("a.txt", "\n\n", "holds no text"),
        ("a.txt", "one", "leaves one side empty"),
        ("a.jsonl.gz", "x", "cannot be read"),
    ],
)
def test_bad_texts_are_one_line_and_exit_2(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    out = tmp_path / "out"
    result = CliRunner().invoke(main, ["train-lm", str(tmp_path / name), "--out", str(out)])
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not out.exists()


def test_an_interrupted_training_says_in_a_line_that_it_can_go_on(text_file, tmp_path, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("preflamp_backend.pretraining.train_lm.train_lm", interrupted)
    result = CliRunner().invoke(main, ["train-lm", str(text_file), "--out", str(tmp_path / "m")])
    assert result.exit_code == 130
    assert result.stderr == (
        "preflamp-stats: stopped; run again to go on from the last checkpoint\n"
    )


def test_options_out_of_range_are_all_named():
    with pytest.raises(InputError) as caught:
        TrainingOptions(epochs=0, prompt_weight=2.0, seed=-1)
    assert len(caught.value.problems) == 3


def test_the_command_prints_the_held_out_loss(text_file, tmp_path):
    arguments = ["train-lm", str(text_file), "--out", str(tmp_path / "m"), "--size", "40K"]
    arguments += ["--vocabulary", "300", "--context", "64", "--epochs", "1", "--threads", "1"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "held-out loss:" in result.stdout
    assert json.loads((tmp_path / "m" / "training.json").read_text())["steps"] >= 1

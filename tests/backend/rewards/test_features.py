from dataclasses import replace

import pytest
import torch
from preflamp_backend.data.examples import Example
from preflamp_backend.models.loading import ModelSource, load_language_model
from preflamp_backend.prompts.encoding import PromptFormat, encode, suffix_ids
from preflamp_backend.training import features
from preflamp_backend.training.features import FeatureStore, pair_features, usable_pairs
from tiny_models import DEVICE

from preflamp_stats.errors import InputError

torch.set_num_threads(1)


def example(number: int, **changes) -> Example:
    pair = {"chosen": "A theory of rewards" + "!" * (number % 4), "rejected": "cats" + "," * number}
    made = Example(str(number), f"u{number % 3}", f"Title for paper {number}:", pair)
    return replace(made, **changes)


EXAMPLES = [example(number) for number in range(7)]


def alone(model, one: Example, text: str, form: PromptFormat) -> torch.Tensor:
    """Hidden state at the end of one response, by the model's own forward."""
    tokenizer = model.tokenizer
    whole = encode(tokenizer, one.prompt, [text], form, context=256)
    ids = [*whole.prompt, *whole.continuations[0], *suffix_ids(tokenizer, form)]
    network = model.backbone.network
    positions = torch.arange(len(ids), device=DEVICE)[None]
    mask = torch.ones(1, len(ids), len(ids), dtype=torch.bool, device=DEVICE).tril()
    with torch.no_grad():
        hidden = model.backbone.hidden(torch.tensor([ids], device=DEVICE), positions, mask)
    assert network.training is False
    return hidden[0, [len(whole.prompt) - 1, -1]].cpu()


@pytest.mark.parametrize("form", [PromptFormat(), PromptFormat(suffix="turn", count_eos=True)])
def test_a_batch_of_pairs_is_each_response_alone(model, form):
    found = pair_features(model.backbone, EXAMPLES, form, batch_tokens=200)
    assert found.users == tuple(each.user for each in EXAMPLES)
    for row, each in enumerate(EXAMPLES):
        prompt, chosen = alone(model, each, each.candidates["chosen"], form)
        _, rejected = alone(model, each, each.candidates["rejected"], form)
        for ours, theirs in (
            (found.chosen, chosen),
            (found.rejected, rejected),
            (found.prompt, prompt),
        ):
            torch.testing.assert_close(ours[row], theirs, atol=2e-4, rtol=1e-4)


def test_prefixes_are_pairs_of_the_same_length(qwen):
    form = PromptFormat()
    found = pair_features(qwen.backbone, EXAMPLES[3:5], form, prefixes=2)
    whole = pair_features(qwen.backbone, EXAMPLES[3:5], form)
    # Not to the bit: products of other sizes add in another order.
    torch.testing.assert_close(found.chosen[:2], whole.chosen, atol=2e-4, rtol=1e-4)
    texts = EXAMPLES[3].candidates
    ids = [
        encode(qwen.tokenizer, EXAMPLES[3].prompt, [text], form, context=256).continuations[0]
        for text in (texts["chosen"], texts["rejected"])
    ]
    third = min(map(len, ids)) // 3
    assert third > 0
    prefix = qwen.tokenizer.decode(ids[0][:third])
    _, expected = alone(qwen, EXAMPLES[3], prefix, form)
    torch.testing.assert_close(found.chosen[2], expected, atol=2e-4, rtol=1e-4)
    assert found.users == ("u0", "u1", *("u0",) * 2, *("u1",) * 2)


def test_features_do_not_carry_gradients(qwen):
    found = pair_features(qwen.backbone, EXAMPLES, PromptFormat())
    assert not found.chosen.requires_grad
    weight = torch.ones(found.width, requires_grad=True)
    (found.chosen @ weight).sum().backward()
    assert weight.grad is not None


@pytest.fixture
def source(model_folders):
    return ModelSource(str(model_folders["qwen2"]), device=DEVICE)


def test_read_once_and_kept(source, qwen, tmp_path):
    store = FeatureStore(tmp_path)
    counts = []
    first = store.read(source, EXAMPLES, PromptFormat(), lambda: qwen.backbone, counts.append)
    again = store.read(source, EXAMPLES, PromptFormat(), lambda: pytest.fail("loads the model"))
    assert torch.equal(first.chosen, again.chosen)
    assert first.users == again.users
    assert sum(counts) == len(EXAMPLES)
    assert len(list(tmp_path.iterdir())) == 1


def test_key_holds_all_that_makes_features(source, model_folders, tmp_path):
    store = FeatureStore(tmp_path)
    key = store.key(source, EXAMPLES, PromptFormat())
    other = ModelSource(str(model_folders["arm"]), device=DEVICE)
    assert key == replace(store, folder=tmp_path / "elsewhere").key(
        source, EXAMPLES, PromptFormat()
    )
    assert key != store.key(other, EXAMPLES, PromptFormat())
    assert key != store.key(source, EXAMPLES[1:], PromptFormat())
    assert key != store.key(source, EXAMPLES, PromptFormat(suffix="eos"))
    assert key != replace(store, prefixes=1).key(source, EXAMPLES, PromptFormat())


@pytest.mark.parametrize("prefixes", [0, 2])
def test_stopped_in_between_it_goes_on_to_the_same_bytes(
    source, qwen, tmp_path, monkeypatch, prefixes
):
    monkeypatch.setattr(features, "_PART", 3)

    def read(folder, threads, report=None):
        store = FeatureStore(folder, prefixes=prefixes, threads=threads)
        store.read(source, EXAMPLES, PromptFormat(), lambda: qwen.backbone, report)
        (file,) = folder.iterdir()
        return file.name, file.read_bytes()

    def stop(count):
        if count:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read(tmp_path / "stopped", 1, stop)
    kept = list((tmp_path / "stopped").iterdir())
    assert 1 <= len(kept) <= 3
    counts = []
    whole = read(tmp_path / "whole", 2)
    assert read(tmp_path / "stopped", 1, counts.append) == whole
    assert counts[0] > 0


def test_what_cannot_be_read_names_the_example(source, qwen):
    long = example(99, candidates={"chosen": "cat " * 400, "rejected": "b"})
    with pytest.raises(InputError, match=r"example 99: .*context"):
        pair_features(qwen.backbone, [*EXAMPLES, long], PromptFormat())


def test_texts_of_any_script(qwen):
    texts = {"chosen": "Обучение наград 强化学习", "rejected": "मॉडल 🐈"}
    found = pair_features(qwen.backbone, [example(1, candidates=texts)], PromptFormat())
    assert torch.isfinite(found.chosen).all()


def test_pairs_that_teach_nothing_are_left_out_and_counted():
    same = {"chosen": "a", "rejected": "a"}
    turned = dict(
        zip(("chosen", "rejected"), reversed(EXAMPLES[0].candidates.values()), strict=True)
    )
    rows = [
        *EXAMPLES,
        example(0, id="repeated"),
        example(0, id="turned", candidates=turned),
        example(0, id="another user", user="u9"),
        example(1, id="same", candidates=same),
        example(2, id="bare", candidates={}),
        example(3, id="bare too", candidates={}),
    ]
    kept, notes = usable_pairs(rows)
    assert [each.id for each in kept[7:]] == ["turned", "another user"]
    assert notes == [
        "2 examples without a pair left out",
        "1 pair with two equal responses left out",
        "1 repeated pair left out",
    ]


def test_backbone_is_the_frozen_one(source):
    model = load_language_model(source)
    assert not any(each.requires_grad for each in model.backbone.network.parameters())

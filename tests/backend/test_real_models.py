"""On two real models, where ``PREFLAMP_REAL_MODELS`` names the folder that holds theirs."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from preflamp_backend.data.examples import Example, HistoryItem
from preflamp_backend.decoding.decode import decode
from preflamp_backend.decoding.options import DecodingOptions, Request
from preflamp_backend.models.loading import ModelSource, load_language_model
from preflamp_backend.models.model import AutoregressiveReward
from preflamp_backend.prompts.encoding import (
    PromptFormat,
    counter_of,
    encode,
    encode_prompt,
    end_id,
    fitting,
)
from preflamp_backend.prompts.in_context import PromptOptions, build_prompt
from preflamp_backend.scoring.score import score
from tiny_models import DEVICE

FOLDER = os.environ.get("PREFLAMP_REAL_MODELS", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER, reason="PREFLAMP_REAL_MODELS names no folder of real models"),
]
ABSTRACT = (
    "Abstract: We train small language models on abstracts of papers and ask whether a reward "
    "model that ranks titles well also helps to write them.\nTitle:"
)


def loaded(name):
    if not (Path(FOLDER) / name).is_dir():
        pytest.skip(f"{name} is not among the real models")
    return load_language_model(ModelSource(str(Path(FOLDER) / name), device=DEVICE))


@pytest.fixture(scope="module")
def smollm():
    return loaded("smollm2-135m-instruct")


@pytest.fixture(scope="module")
def gemma():
    return loaded("gemma-3-270m")


def logprob(model, prompt, text, form):
    context = model.backbone.context
    [[(found, _)]] = score(model, [encode(model.tokenizer, prompt, [text], form, context=context)])
    return found.logprob


def test_what_is_written_scores_as_a_candidate_though_there_are_two_ends(smollm):
    # As the hub's own configuration has it; the converted one knows one end.
    model = replace(smollm, eos=(0, 2))
    form = PromptFormat(chat=True, count_eos=True)
    asked = "What is the capital of France?"
    limits = {"room": 24, "context": model.backbone.context}
    request = Request("0", encode_prompt(model.tokenizer, asked, form, **limits))
    [found] = decode(model, [request], DecodingOptions(max_new_tokens=24), form=form)
    assert (found.text, found.stop) == ("The capital of France is Paris.", "eos")
    assert found.logprob == pytest.approx(logprob(model, asked, found.text, form), abs=1e-3)
    assert found.logprob > -5


def test_a_chat_that_is_written_out_keeps_its_first_token(smollm):
    tokenizer = smollm.tokenizer
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        tokenize=False,
        add_generation_prompt=True,
    )
    asked = {"room": 0, "context": 999}
    written = encode_prompt(tokenizer, text, PromptFormat(), **asked)
    assert list(written.prompt) == tokenizer(text).input_ids
    turn = encode_prompt(
        tokenizer, "What is the capital of France?", PromptFormat(chat=True), **asked
    )
    assert written.prompt == turn.prompt


def test_a_base_model_stops_before_a_new_line_whoever_writes(gemma):
    context = gemma.backbone.context
    prompt = encode_prompt(gemma.tokenizer, ABSTRACT, PromptFormat(), room=40, context=context)
    free = DecodingOptions(max_new_tokens=40)
    guided = replace(free, strategy="guided", weight=0.5, top_k=5)
    # Itself as its guide: the same texts by the other way.
    for options, reward in (
        (free, None),
        (guided, AutoregressiveReward("itself", gemma)),
    ):
        requests = [Request("0", prompt)]
        [run_on] = decode(gemma, requests, options, reward=reward)
        assert "\n" in run_on.text.strip()
        [cut] = decode(gemma, requests, replace(options, stop=("\n",)), reward=reward)
        assert (cut.text, cut.stop) == (run_on.text.partition("\n")[0], "stop")
        again = logprob(gemma, ABSTRACT, cut.text, PromptFormat())
        assert cut.logprob == pytest.approx(again, abs=1e-2)


def test_gemma_ends_a_turn_as_its_chat_template_does(gemma):
    tokenizer = gemma.tokenizer
    before = tokenizer.chat_template
    # The base model has none; its instruction-tuned sisters write this.
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ m['role'] }}\n"
        "{{ m['content'] }}<end_of_turn>\n{% endfor %}"
    )
    try:
        found = end_id(tokenizer, PromptFormat(chat=True))
    finally:
        tokenizer.chat_template = before
    assert tokenizer.convert_ids_to_tokens(found) == "<end_of_turn>"
    assert tokenizer.convert_ids_to_tokens(end_id(tokenizer, PromptFormat())) == "<eos>"


def test_real_tokens_leave_whole_shots(gemma):
    tokenizer, form = gemma.tokenizer, PromptFormat()
    history = tuple(HistoryItem(ABSTRACT[:-7] * 2, f"Title number {i}") for i in range(8))
    example = Example("e", "u", ABSTRACT, {}, history=history)
    fits = fitting(tokenizer, form, context=512, room=24)
    options = PromptOptions(8, "recency", budget=5000)
    found = build_prompt(example, options, count=counter_of(tokenizer), fits=fits)
    assert 0 < found.shots < 8
    assert found.shots + found.left_out == 8
    assert found.text.startswith("Abstract: We train")
    assert not encode_prompt(tokenizer, found.text, form, context=512, room=24).overlong

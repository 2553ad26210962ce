from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from preflamp_backend.models.loading import same_vocabulary, tokenizer_hash
from preflamp_backend.prompts.encoding import (
    PromptFormat,
    encode,
    encode_prompt,
    end_id,
    suffix_ids,
)
from tiny_models import TEXT, make_tokenizer

from preflamp_stats.errors import InputError

PLAIN, BOS = make_tokenizer(bos=False), make_tokenizer(bos=True)
words = st.text(alphabet=sorted(set(TEXT)), min_size=1, max_size=30)
quick = settings(max_examples=60, deadline=None)


@quick
@given(prompt=words, responses=st.lists(words, min_size=1, max_size=3))
def test_split_ids_are_those_of_the_two_texts(prompt, responses):
    found = encode(BOS, prompt, responses, PromptFormat(), context=500)
    assert BOS.decode(found.prompt[1:]) == prompt
    assert [BOS.decode(ids) for ids in found.continuations] == responses


@quick
@given(prompt=words, responses=st.lists(words, min_size=1, max_size=3))
def test_joint_ids_are_those_of_the_whole_text_for_every_candidate(prompt, responses):
    found = encode(BOS, prompt, responses, PromptFormat(boundary="joint"), context=500)
    split = encode(BOS, prompt, responses, PromptFormat(), context=500)
    for response, ids in zip(responses, found.continuations, strict=True):
        assert list(found.prompt + ids)[1:] == BOS.encode(
            prompt + response, add_special_tokens=False
        )
        assert len(ids) > 0
    same = (found.prompt, found.continuations) == (split.prompt, split.continuations)
    assert split.boundary_differs != same


def test_a_prompt_that_ends_in_a_space_is_told_apart():
    found = encode(PLAIN, "The cat sat ", ["on the mat"], PromptFormat(), context=100)
    assert found.boundary_differs
    joint = encode(
        PLAIN, "The cat sat ", ["on the mat"], PromptFormat(boundary="joint"), context=100
    )
    assert PLAIN.decode(joint.continuations[0]).startswith(" on")


@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("prompt", ["The cat", "<s>The cat", "<s><s>The cat"])
def test_a_sequence_begins_once(prompt, chat):
    tokenizer = make_tokenizer(bos=True)
    if chat:
        tokenizer.chat_template = "{{ bos_token }}{{ bos_token }}" + tokenizer.chat_template
    found = encode(tokenizer, prompt, ["sat"], PromptFormat(chat=chat), context=100)
    start = found.prompt[:2]
    assert start[0] == tokenizer.bos_token_id
    assert start[1] != tokenizer.bos_token_id


def test_no_bos_is_invented():
    assert encode(PLAIN, "The cat", ["sat"], PromptFormat(), context=100).prompt[0] != 3


def test_the_chat_template_is_the_tokenizers():
    form = PromptFormat(chat=True, system="Be brief.", suffix="turn")
    found = encode_prompt(PLAIN, "The cat", form, room=0, context=100)
    text = PLAIN.decode(found.prompt)
    assert text.startswith("<|im_start|>system\nBe brief.<|im_end|>")
    assert text.endswith("The cat<|im_end|>\n<|im_start|>assistant\n")
    assert PLAIN.decode(suffix_ids(PLAIN, form)) == "<|im_end|>\n"
    assert suffix_ids(PLAIN, PromptFormat(suffix="eos")) == (0,)
    assert suffix_ids(PLAIN, PromptFormat(suffix="eos", count_eos=True)) == ()


def test_a_missing_chat_template_is_refused():
    tokenizer = make_tokenizer(bos=False)
    tokenizer.chat_template = None
    with pytest.raises(InputError, match="no chat template; set chat = false"):
        encode(tokenizer, "The cat", ["sat"], PromptFormat(chat=True), context=100)


def test_an_empty_response_is_refused():
    with pytest.raises(InputError, match="holds no token"):
        encode(PLAIN, "The cat", ["sat", ""], PromptFormat(), context=100)


def test_an_empty_prompt_needs_a_bos():
    assert encode(BOS, "", ["sat"], PromptFormat(), context=100).prompt == (3,)
    with pytest.raises(InputError, match="no token stands before the response"):
        encode(PLAIN, "", ["sat"], PromptFormat(), context=100)


@quick
@given(prompt=words, response=words, context=st.integers(2, 40))
def test_a_prompt_over_the_context_is_cut_from_the_left_and_flagged(prompt, response, context):
    whole = encode(BOS, prompt, [response], PromptFormat(), context=500)
    if len(whole.continuations[0]) + 1 > context:
        with pytest.raises(InputError, match="fills the model's context"):
            encode(BOS, prompt, [response], PromptFormat(), context=context)
        return
    found = encode(BOS, prompt, [response], PromptFormat(), context=context)
    assert len(found) <= context
    assert found.continuations == whole.continuations
    assert found.overlong == (len(whole) > context)
    kept = len(found.prompt) - 1
    assert found.prompt == (3, *whole.prompt[len(whole.prompt) - kept :])


CHATML = "<|im_start|>user\nThe cat<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize("adds", [False, True])
@pytest.mark.parametrize("template", ["{prompt}", "{prompt} sat"])
def test_chat_that_is_written_out_reads_as_the_tokenizer_reads_it(adds, template):
    tokenizer = make_tokenizer(bos=adds)
    tokenizer.bos_token = "<s>" if adds else "<|im_start|>"
    found = encode_prompt(tokenizer, CHATML, PromptFormat(template), room=0, context=99)
    assert list(found.prompt) == tokenizer(template.replace("{prompt}", CHATML)).input_ids


@pytest.mark.parametrize(
    ("writes", "end"), [("<|im_end|>\n", "<|im_end|>"), ("<s>", "<s>"), ("\n", "<|end|>")]
)
def test_a_chat_ends_a_response_as_its_template_ends_a_turn(writes, end):
    tokenizer = make_tokenizer(bos=False)
    tokenizer.chat_template = "{{ messages[-1].content }}" + writes
    form = PromptFormat(chat=True, count_eos=True)
    found = encode(tokenizer, "The cat", ["sat"], form, context=99)
    assert tokenizer.decode(found.continuations[0][-1:]) == end
    # Without a chat it is the tokenizer's own.
    assert end_id(tokenizer, PromptFormat()) == tokenizer.eos_token_id
    # What ends the response does not stand there twice.
    turn = suffix_ids(tokenizer, PromptFormat(chat=True, suffix="turn"))
    again = suffix_ids(tokenizer, PromptFormat(chat=True, suffix="turn", count_eos=True))
    assert again == (turn[1:] if end != "<|end|>" else turn)


@pytest.mark.parametrize("responses", [(), ("sat",)])
def test_a_chat_that_is_cut_keeps_its_header(responses):
    form = PromptFormat("Title: {prompt}", chat=True, system="Be brief.")
    long = "The cat sat on the mat. " * 20
    context = len(encode_prompt(PLAIN, "X", form, room=0, context=999).prompt) + 20
    if responses:
        found = encode(PLAIN, long, responses, form, context=context)
        assert len(found) == context
    else:
        found = encode_prompt(PLAIN, long, form, room=3, context=context)
        assert len(found) == context - 3
    text = PLAIN.decode(found.prompt)
    assert found.overlong
    assert text.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nTitle:")
    assert text.endswith("sat on the mat. <|im_end|>\n<|im_start|>assistant\n")
    with pytest.raises(InputError, match="what stands before the prompt leaves it no token"):
        encode_prompt(PLAIN, long, form, room=0, context=12)


def test_a_prompt_over_the_context_can_be_refused():
    form = PromptFormat(overlong="error")
    with pytest.raises(InputError, match="leaves no room for its response"):
        encode(PLAIN, "The cat " * 20, ["sat"], form, context=10)


def test_the_end_counts_only_if_asked():
    assert encode(PLAIN, "The", ["cat"], PromptFormat(), context=99).continuations[0][-1] != 0
    counted = encode(PLAIN, "The", ["cat"], PromptFormat(count_eos=True), context=99)
    assert counted.continuations[0][-1] == 0


def test_tokenizers_are_told_apart():
    assert same_vocabulary(PLAIN, make_tokenizer(bos=False))
    assert tokenizer_hash(PLAIN) != tokenizer_hash(BOS)
    other = make_tokenizer(bos=False)
    before = tokenizer_hash(other)
    other(["a", "b c d"], padding=True)
    assert tokenizer_hash(other) == before == tokenizer_hash(PLAIN)
    other.add_tokens(["new"])
    assert not same_vocabulary(PLAIN, other)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"boundary": "merge"}, "boundary"),
        ({"suffix": "stop"}, "suffix"),
        ({"overlong": "drop"}, "overlong"),
        ({"template": "no place"}, "template"),
    ],
)
def test_formats_outside_their_choices_are_refused(change, name):
    with pytest.raises(InputError, match=name):
        PromptFormat(**change)

"""From text to token ids, once: what is scored and decoded afterwards are ids, never text again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from transformers import PreTrainedTokenizerBase

from preflamp_backend.faults import fault
from preflamp_backend.options import Options, holding

_MARK = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Stands for the assistant's words while we ask the chat template what follows them."""


@dataclass(frozen=True)
class PromptFormat(Options):
    """How a prompt and a response become ids; recorded with every result.

    Parameters
    ----------
    template : str
        Text with ``{prompt}`` in it.
    chat : bool
        Render the prompt as a user's turn by the tokenizer's chat template.
    system : str
        System turn of the chat; none if empty.
    boundary : {"split", "joint"}
        ``split`` tokenises prompt and response apart, as decoding does. ``joint`` tokenises them
        as one text; a token that straddles the boundary then belongs to the response.
    count_eos : bool
        Append the token that ends a response (:func:`end_id`) and count it like any other token.
        A generation counts the one that it wrote.
    suffix : str
        What a reward model reads after the response before it gives its reward: ``none``, ``eos``,
        or ``turn``, what the chat template writes after an assistant's turn. With a suffix
        a trace reads the reward of each prefix *as if it ended there*; without, at the prefix's
        last token.
    overlong : {"truncate", "error"}
        A prompt that leaves no room for its response in the model's context loses its oldest
        tokens and is flagged, or is refused. What a template or a chat's header writes before the
        prompt stays.
    """

    template: str = holding("{prompt}", "{prompt}")
    chat: bool = False
    system: str = ""
    boundary: Literal["split", "joint"] = "split"
    count_eos: bool = False
    suffix: Literal["none", "eos", "turn"] = "none"
    overlong: Literal["truncate", "error"] = "truncate"


@dataclass(frozen=True)
class Encoding:
    """A prompt with its continuations as ids.

    Attributes
    ----------
    prompt : tuple of int
    continuations : tuple of tuple of int
        Ids that are scored, one tuple a candidate.
    overlong : bool
        Whether the prompt was cut to fit the context.
    boundary_differs : bool
        Whether prompt and response tokenised together and apart give different ids.
    """

    prompt: tuple[int, ...]
    continuations: tuple[tuple[int, ...], ...] = ()
    overlong: bool = False
    boundary_differs: bool = False

    def __len__(self) -> int:
        return len(self.prompt) + sum(map(len, self.continuations))


def counter_of(tokenizer: PreTrainedTokenizerBase) -> Callable[[str], int]:
    """Count tokens of a text."""
    return lambda text: len(_raw(tokenizer, text))


def encode_prompt(
    tokenizer: PreTrainedTokenizerBase, prompt: str, form: PromptFormat, *, room: int, context: int
) -> Encoding:
    """Ids of a prompt, cut from the left to leave ``room`` in the context, and flagged if so.

    Raises
    ------
    InputError
        If the ids are empty, or too many while ``form.overlong`` is ``"error"``.
    """
    begin, head, text = _render(tokenizer, prompt, form)
    ids = _raw(tokenizer, text)
    fixed = _common(_raw(tokenizer, head), ids)
    return _fit(begin, fixed, ids, (), form, room, context, False)


def fitting(
    tokenizer: PreTrainedTokenizerBase,
    form: PromptFormat,
    responses: Sequence[str] = (),
    *,
    context: int,
    room: int,
) -> Callable[[str], bool]:
    """Say of a prompt's text whether it fits the context uncut, before responses if there are."""
    cut = replace(form, overlong="truncate")

    def fits(text: str) -> bool:
        if responses:
            found = encode(tokenizer, text, responses, cut, context=context, room=room)
        else:
            found = encode_prompt(tokenizer, text, cut, context=context, room=room)
        return not found.overlong

    return fits


def encode(
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    responses: Sequence[str],
    form: PromptFormat,
    *,
    context: int,
    room: int = 0,
) -> Encoding:
    """Ids of a prompt and of each response to it.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
    prompt : str
    responses : sequence of str
        None may be empty.
    form : PromptFormat
    context : int
        Tokens that the model can see.
    room : int
        Tokens to leave free besides the longest response (a reward suffix).

    Returns
    -------
    Encoding

    Raises
    ------
    InputError
        For an empty response, one that alone exceeds the context, an empty prompt in a model
        without a beginning-of-sequence token, or a prompt too long while ``form.overlong`` is
        ``"error"``.
    """
    begin, head, text = _render(tokenizer, prompt, form)
    apart = _raw(tokenizer, text)
    split = [_raw(tokenizer, response) for response in responses]
    for response, ids in zip(responses, split, strict=True):
        if not ids:
            mend = "leave the example out or give its text"
            raise fault(f"the response {response!r} holds no token", mend)
    joint = [_raw(tokenizer, text + response) for response in responses]
    differs = any(together != apart + ids for together, ids in zip(joint, split, strict=True))
    ids, continuations = apart, split
    if form.boundary == "joint":
        # Cut where every candidate's ids still agree with the prompt's, so that all of them are
        # scored over the same characters and share one prompt.
        cut = min(_agreement(apart, together) for together in joint)
        ids, continuations = apart[:cut], [together[cut:] for together in joint]
    if form.count_eos:
        end = end_id(tokenizer, form)
        continuations = [[*each, end] for each in continuations]
    fixed = _common(_raw(tokenizer, head), ids)
    return _fit(begin, fixed, ids, continuations, form, room, context, differs)


def turn_end(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Token that the chat template ends an assistant's turn with, such as ``<end_of_turn>``.

    None where there is no template, or it writes no token of its own there.
    """
    if not getattr(tokenizer, "chat_template", None):
        return None
    first = _turn(tokenizer)[:1]
    own = {*tokenizer.added_tokens_decoder, *tokenizer.all_special_ids}
    return first[0] if own.issuperset(first) and first else None


def end_id(tokenizer: PreTrainedTokenizerBase, form: PromptFormat) -> int:
    """Token that ends a response: of a chat the turn's, else the tokenizer's end of sequence.

    Raises
    ------
    InputError
        If the tokenizer has neither.
    """
    of_turn = turn_end(tokenizer) if form.chat else None
    return _eos(tokenizer) if of_turn is None else of_turn


def suffix_ids(tokenizer: PreTrainedTokenizerBase, form: PromptFormat) -> tuple[int, ...]:
    """Ids that a reward model reads after a response, by ``form.suffix``."""
    if form.suffix == "none":
        return ()
    ids = [_eos(tokenizer)] if form.suffix == "eos" else _turn(tokenizer)
    # What a response ends with already does not stand there twice.
    counted = form.count_eos and ids[:1] == [end_id(tokenizer, form)]
    return tuple(ids[counted:])


def _turn(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Ids that the chat template writes after an assistant's words."""
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _MARK}]
    return _raw(tokenizer, _chat(tokenizer, turns, opening=False).split(_MARK)[-1])


def begins(tokenizer: PreTrainedTokenizerBase, form: PromptFormat) -> str:
    """Beginning-of-sequence token that every prompt is given; empty where none is."""
    return str(tokenizer.bos_token) if _render(tokenizer, "?", form)[0] else ""


def _render(
    tokenizer: PreTrainedTokenizerBase, prompt: str, form: PromptFormat
) -> tuple[list[int], str, str]:
    """Beginning-of-sequence id, at most one, what stands before the prompt, and the whole text."""
    begin, begin_id = tokenizer.bos_token, tokenizer.bos_token_id
    adds = begin_id is not None and _adds_bos(tokenizer)
    # Where nothing puts the token there, a prompt that has it means it: ChatML written out.
    own = _without(prompt, begin) if adds or form.chat else prompt
    head, text = form.template.partition("{prompt}")[0], form.template.replace("{prompt}", own)
    if form.chat:
        text = _without(text, begin)
        turns = [{"role": "system", "content": form.system}] if form.system else []
        head, text = (
            _chat(tokenizer, [*turns, {"role": "user", "content": each}], opening=True)
            for each in (_without(head, begin) + _MARK, text)
        )
        head = head.partition(_MARK)[0]
    starts = bool(begin) and (text.startswith(str(begin)) or (adds and not form.chat))
    return [int(begin_id)] if starts else [], _without(head, begin), _without(text, begin)


def _without(text: str, begin: str | None) -> str:
    """Return a text without the beginning-of-sequence tokens that it starts with."""
    while begin and text.startswith(begin):
        text = text[len(begin) :]
    return text


def _adds_bos(tokenizer: PreTrainedTokenizerBase) -> bool:
    ids = tokenizer.encode("a", add_special_tokens=True)
    return len(ids) > 0 and ids[0] == tokenizer.bos_token_id


def _chat(tokenizer: PreTrainedTokenizerBase, turns: list[dict[str, str]], *, opening: bool) -> str:
    if not getattr(tokenizer, "chat_template", None):
        raise fault(
            f"the tokenizer of {tokenizer.name_or_path} has no chat template",
            "set chat = false, or take a model that has one",
            variable="chat",
        )
    return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=opening))


def _raw(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False, truncation=False))


def _eos(tokenizer: PreTrainedTokenizerBase) -> int:
    if tokenizer.eos_token_id is None:
        raise fault(
            f"the tokenizer of {tokenizer.name_or_path} has no end-of-sequence token",
            "set count_eos = false and suffix = 'none'",
        )
    return int(tokenizer.eos_token_id)


def _agreement(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the common prefix, leaving the other at least one token."""
    return min(_common(one, other), len(other) - 1)


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the common prefix."""
    limit = min(len(one), len(other))
    return next((i for i in range(limit) if one[i] != other[i]), limit)


def _fit(
    begin: list[int],
    fixed: int,
    text: list[int],
    continuations: Sequence[list[int]],
    form: PromptFormat,
    room: int,
    context: int,
    differs: bool,
) -> Encoding:
    if not begin and not text:
        what = "no token stands before the response, so nothing predicts its first token"
        raise fault(what, "give the prompt a text, for instance by the template", variable="prompt")
    space = context - room - len(begin) - max(map(len, continuations), default=0)
    if space < 1 - len(begin):
        what = f"a response fills the model's context of {context} tokens by itself"
        raise fault(what, "leave the example out, or take a model with a longer context")
    overlong = len(text) > space
    if overlong and form.overlong == "error":
        what = f"a prompt of {len(text)} tokens leaves no room for its response in a context of"
        mend = "shorten it, or set overlong = 'truncate'"
        raise fault(f"{what} {context}", mend, variable="prompt")
    if overlong and 0 < fixed >= space:
        what = f"what stands before the prompt leaves it no token in a context of {context}"
        raise fault(what, "shorten the template or the system turn", variable="template")
    kept = [*text[:fixed], *text[len(text) - space + fixed :]] if overlong else text
    return Encoding((*begin, *kept), tuple(map(tuple, continuations)), overlong, differs)

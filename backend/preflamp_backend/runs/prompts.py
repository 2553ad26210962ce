"""Prompts and responses of examples as the models of a study read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from preflamp_backend.data import Example
from preflamp_backend.models.model import AutoregressiveReward, RewardModel
from preflamp_backend.prompts.encoding import Encoding, encode, encode_prompt
from preflamp_backend.prompts.in_context import build_prompt
from preflamp_backend.study.study import Method, Study
from preflamp_stats.errors import InputError, Problem


def encodings_of(
    tokenizer: Any, context: int, study: Study, rows: Sequence[Example], room: int
) -> list[Encoding]:
    """Ids of each example's prompt and candidates as a base model reads them."""
    encodings = []
    for row in rows:
        with naming(row):
            responses = list(row.candidates.values())
            form = study.prompt
            encodings.append(
                encode(tokenizer, row.prompt, responses, form, context=context, room=room)
            )
    return encodings


def reward_text(method: Method, row: Example, tokenizer: Any) -> str:
    """Text of a prompt for a method's own reward model."""
    return build_prompt(row, method.prompt, count=counter_of(tokenizer)).text


def reward_prompt(
    reward: RewardModel, method: Method, text: str, row: Example, room: int
) -> Encoding:
    """Ids of a prompt as its reward model reads it, the user's soft tokens before all."""
    prefix, backbone = _prefix(reward, row), reward.backbone
    prompt = encode_prompt(
        backbone.tokenizer, text, method.form, room=room + len(prefix), context=backbone.context
    )
    return replace(prompt, prompt=(*prefix, *prompt.prompt))


def joint_prompt(
    reward: RewardModel, method: Method, row: Example, responses: Sequence[str], suffix: int
) -> Encoding:
    """As :func:`reward_prompt`, of the study's own prompt, cut where all responses agree on it."""
    prefix, backbone = _prefix(reward, row), reward.backbone
    found = encode(
        backbone.tokenizer,
        row.prompt,
        responses,
        method.form,
        context=backbone.context,
        room=suffix + len(prefix),
    )
    return replace(found, prompt=(*prefix, *found.prompt))


def _prefix(reward: RewardModel, row: Example) -> tuple[int, ...]:
    return reward.prefix(row.user) if isinstance(reward, AutoregressiveReward) else ()


def counter_of(tokenizer: Any) -> Callable[[str], int]:
    """Count tokens of a text."""
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False))


@contextmanager
def naming(row: Example) -> Iterator[None]:
    """Name the example in whatever is wrong with it."""
    try:
        yield
    except InputError as error:
        raise InputError(
            [
                Problem(p.what, p.mend, p.file, p.group, f"example {row.id}")
                for p in error.problems
                if isinstance(p, Problem)
            ]
        ) from error

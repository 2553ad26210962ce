"""A language model as judge of pairs, told who the user is by a persona that it wrote itself.

From what a user chose or wrote before, the model writes a description of their taste. It is then
shown a prompt and two responses, and says which of them this user prefers: the preference is the
log-odds of its two answers,

    d(y, y′) = log p("A" given y as A, y′ as B) − log p("B" given y as A, y′ as B),

in both orders, so that a liking for the first place cancels:

    preference(y⁺, y⁻) = ½ [d(y⁺, y⁻) − d(y⁻, y⁺)].

A judge compares; it has no reward of one text, so it cannot guide tokens. Its preference is stored
as ± half of it on the chosen and the rejected response, of which only the difference means
anything.

Source: Ryan et al. 2025, "SynthesizeMe! Inducing Persona-Guided Prompts for Personalized Reward
Models in LLMs", arXiv 2506.05598, whose personas come from 5 to 15 of the user's pairs. Their
search over reasoning traces and demonstrations is not part of this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from preflamp_backend.data.examples import Example
from preflamp_backend.decoding.decode import decode
from preflamp_backend.decoding.options import DecodingOptions, Request
from preflamp_backend.models.model import LanguageModel
from preflamp_backend.prompts.encoding import (
    Encoding,
    PromptFormat,
    counter_of,
    encode,
    encode_prompt,
)
from preflamp_backend.prompts.in_context import fill, gives_away, within_budget
from preflamp_backend.scoring.score import ScoreOptions, score, unsound_reward
from preflamp_backend.study.study import UNKNOWN, JudgeOptions


@dataclass(frozen=True)
class Judgement:
    """What a judge says of a pair.

    Attributes
    ----------
    preference : float
        Log-odds that the chosen response is the better one, the places' effect cancelled.
    place : float
        Log-odds by which it favours the first place.
    overlong : bool
        Whether the question was cut to fit the model's context.
    """

    preference: float
    place: float
    overlong: bool


def evidence_of(
    model: LanguageModel,
    row: Example,
    pairs: Mapping[str, Sequence[Example]],
    options: JudgeOptions,
) -> str:
    """Text of what a user has shown, from which a persona is written.

    What asks for the same as the example, or gives its reference away, is left out.

    Parameters
    ----------
    model : LanguageModel
        Counts tokens.
    row : Example
    pairs : mapping of str to sequence of Example
        Earlier pairs by user; the history is taken where ``options.pairs`` is empty.
    options : JudgeOptions

    Returns
    -------
    str
        Empty for a user who has shown nothing.
    """
    if options.pairs:
        texts = [
            fill(options.pair, prompt=each.prompt, **each.candidates)
            for each in pairs.get(row.user, ())
            if each.prompt != row.prompt
        ]
    else:
        texts = [
            fill(options.text, input=item.input, output=item.output)
            for item in reversed(row.history)
            if not gives_away(item, row)
        ]
    count = counter_of(model.tokenizer)
    return "".join(within_budget(texts, count, options.shown, options.budget))


def write_personas(
    model: LanguageModel, evidence: Sequence[str], options: JudgeOptions, form: PromptFormat
) -> dict[str, str]:
    """Write a persona for each distinct evidence, greedily.

    Returns
    -------
    dict of str to str
        By evidence.
    """
    distinct = sorted({*evidence} - {""})
    limits = {"room": options.persona_tokens, "context": model.backbone.context}
    asked = (fill(options.ask_persona, evidence=text) for text in distinct)
    prompts = (encode_prompt(model.tokenizer, each, form, **limits) for each in asked)
    requests = [Request(*each) for each in zip(distinct, prompts, strict=True)]
    written = decode(model, requests, DecodingOptions(max_new_tokens=options.persona_tokens))
    personas = {text: each.text.strip() for text, each in zip(distinct, written, strict=True)}
    return {"": UNKNOWN, **{text: persona or UNKNOWN for text, persona in personas.items()}}


def ask(
    model: LanguageModel, row: Example, persona: str, options: JudgeOptions, form: PromptFormat
) -> list[Encoding]:
    """Ids of the question with chosen in the first place, and with rejected in it.

    Each has the two answers as continuations.
    """
    pair = row.candidates["chosen"], row.candidates["rejected"]
    context = model.backbone.context
    questions = [
        fill(options.question, persona=persona, prompt=row.prompt, a=first, b=second)
        for first, second in (pair, pair[::-1])
    ]
    return [
        encode(model.tokenizer, question, options.answers, form, context=context)
        for question in questions
    ]


def judge(
    model: LanguageModel,
    questions: Sequence[Sequence[Encoding]],
    scoring: ScoreOptions | None = None,
) -> list[Judgement]:
    """Judge pairs.

    Parameters
    ----------
    model : LanguageModel
    questions : sequence of (Encoding, Encoding)
        As :func:`ask` makes them.
    scoring : ScoreOptions, optional
        Batch size.

    Returns
    -------
    list of Judgement

    Raises
    ------
    InputError
        If a log-probability is not a finite number.
    """
    batch_tokens = (scoring or ScoreOptions()).batch_tokens
    every = [each for pair in questions for each in pair]
    found = score(model, every, options=ScoreOptions(trace=False, batch_tokens=batch_tokens))
    odds = np.array([first[0].logprob - second[0].logprob for first, second in found])
    if not np.isfinite(odds).all():
        raise unsound_reward("judge")
    return [
        Judgement(float(one - two) / 2, float(one + two) / 2, any(each.overlong for each in pair))
        for (one, two), pair in zip(odds.reshape(-1, 2), questions, strict=True)
    ]

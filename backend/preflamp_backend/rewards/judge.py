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

from preflamp_backend.data import Example
from preflamp_backend.decoding.decode import Request, decode
from preflamp_backend.decoding.options import DecodingOptions
from preflamp_backend.models import LanguageModel
from preflamp_backend.prompting import fill, gives_away
from preflamp_backend.scores import ScoreOptions, unsound_reward
from preflamp_backend.scoring import score
from preflamp_backend.text import Encoding, PromptFormat, encode, encode_prompt
from preflamp_stats.errors import InputError, Problem

__all__ = ["JudgeOptions", "Judgement", "ask", "evidence_of", "judge", "write_personas"]

UNKNOWN = "Nothing is known about this user."
"""Persona of a user who has shown nothing."""


@dataclass(frozen=True)
class JudgeOptions:
    """How a judge is asked.

    Parameters
    ----------
    pairs : str
        JSONL file of the users' earlier pairs; empty takes what they wrote, their history.
    shown : int
        Pairs or texts from which a persona is written, at most; the source takes 5 to 15.
    budget : int
        Tokens for all of them together; what does not fit is left out.
    persona_tokens : int
        Longest persona.
    pair, text : str
        How a pair (``{prompt}``, ``{chosen}``, ``{rejected}``) and a text (``{input}``,
        ``{output}``) are shown.
    ask_persona : str
        Prompt for a persona, with ``{evidence}``.
    question : str
        Prompt for a judgement, with ``{persona}``, ``{prompt}``, ``{a}`` and ``{b}``.
    answers : (str, str)
        What the model would say for the first and for the second response.
    """

    pairs: str = ""
    shown: int = 10
    budget: int = 1024
    persona_tokens: int = 128
    pair: str = "Request: {prompt}\nPreferred: {chosen}\nNot preferred: {rejected}\n\n"
    text: str = "Request: {input}\nWrote: {output}\n\n"
    ask_persona: str = (
        "Here is what a user chose or wrote.\n\n{evidence}"
        "Describe in a few sentences what this user prefers.\nDescription:"
    )
    question: str = (
        "A user is described so: {persona}\n\nRequest: {prompt}\n\nResponse A: {a}\n\n"
        "Response B: {b}\n\nWhich response would this user prefer, A or B?\nAnswer:"
    )
    answers: tuple[str, ...] = (" A", " B")

    def __post_init__(self) -> None:
        checks = [
            ("shown", self.shown >= 0, "take 0 or more"),
            ("budget", self.budget >= 1, "take at least 1 token"),
            ("persona_tokens", self.persona_tokens >= 1, "take at least 1"),
            ("ask_persona", "{evidence}" in self.ask_persona, "put {evidence} where it goes"),
            (
                "question",
                all(part in self.question for part in ("{prompt}", "{a}", "{b}")),
                "put {persona}, {prompt}, {a} and {b} where they go",
            ),
            (
                "answers",
                len(self.answers) == 2 and self.answers[0] != self.answers[1] and all(self.answers),
                "give two different texts",
            ),
        ]
        problems = [
            Problem(f"is {getattr(self, name)!r}", mend, variable=name)
            for name, good, mend in checks
            if not good
        ]
        if problems:
            raise InputError(problems)


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
    kept: list[str] = []
    spent = 0
    for text in texts:
        cost = len(model.tokenizer.encode(text, add_special_tokens=False))
        if len(kept) < options.shown and spent + cost <= options.budget:
            kept.append(text)
            spent += cost
    return "".join(kept)


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
    requests = [
        Request(
            text,
            encode_prompt(
                model.tokenizer,
                fill(options.ask_persona, evidence=text),
                form,
                room=options.persona_tokens,
                context=model.backbone.context,
            ),
        )
        for text in distinct
    ]
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

"""In-context prompts from what the user wrote before."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

import numpy as np

from preflamp_backend.data.examples import Example, HistoryItem
from preflamp_backend.faults import fault
from preflamp_backend.options import Options, at_least, holding

Order = Literal["random", "recency", "bm25"]


@dataclass(frozen=True)
class PromptOptions(Options):
    """What goes into an in-context prompt.

    Parameters
    ----------
    shots : int
        Items of the user's history, at most; 0 is zero-shot.
    order : {"bm25", "recency", "random"}
        Which of them: nearest to the prompt, the latest, or drawn.
    budget : int
        Tokens for all shots together; those that do not fit are left out, the best ranked go first.
    shot : str
        Text of a shot, with ``{input}`` and ``{output}``.
    template : str
        Text after the shots, with ``{prompt}``; ``{preference}`` is the user's preference in words.
    """

    shots: int = at_least(0, 0)
    order: Order = "bm25"
    budget: int = at_least(1, 1024)
    shot: str = holding("{input}\n{output}\n\n", "{output}")
    template: str = holding("{prompt}", "{prompt}")


@dataclass(frozen=True)
class Prompt:
    """A prompt, how many shots of the user's history it holds, and how many did not fit."""

    text: str
    shots: int = 0
    left_out: int = 0


def build_prompt(
    example: Example,
    options: PromptOptions,
    *,
    count: Callable[[str], int],
    seed: int = 0,
    fits: Callable[[str], bool] | None = None,
) -> Prompt:
    """Build the prompt of an example.

    Shots stand in ascending rank, so that the best one is next to the question. An item that holds
    the example's own reference is never shown. What does not fit the model's context loses whole
    shots, those of lowest rank first.

    Parameters
    ----------
    example : Example
    options : PromptOptions
    count : callable
        Tokens of a text.
    seed : int
        Of the random order, together with the example's id.
    fits : callable, optional
        Whether a text fits; :func:`preflamp_backend.prompts.encoding.fitting` makes one.

    Returns
    -------
    Prompt

    Raises
    ------
    InputError
        If the template states a preference and the example has none.
    """
    check_preference(example, options)
    question = fill(options.template, prompt=example.prompt, preference=example.preference)
    items = _ranked(example, options, seed) if options.shots else []
    texts = (fill(options.shot, input=item.input, output=item.output) for item in items)
    shots = within_budget(texts, count, options.shots, options.budget)
    chosen = len(shots)
    while shots and fits and not fits("".join(reversed(shots)) + question):
        shots.pop()
    return Prompt("".join(reversed(shots)) + question, len(shots), chosen - len(shots))


def within_budget(
    texts: Iterable[str], count: Callable[[str], int], most: int, budget: int
) -> list[str]:
    """The first texts, at most so many, that a budget of tokens has room for."""
    kept: list[str] = []
    for text in texts:
        if len(kept) == most:
            break
        if (cost := count(text)) <= budget:
            kept.append(text)
            budget -= cost
    return kept


def check_preference(example: Example, options: PromptOptions) -> None:
    """Refuse an example without a preference where the template states one."""
    if "{preference}" in options.template and not example.preference.strip():
        mend = "give it, leave the example out, or take a template without {preference}"
        raise fault("has no preference, which the template states", mend, variable="preference")


def bm25_scores(
    query: str, documents: Sequence[str], *, saturation: float = 1.5, length_weight: float = 0.75
) -> list[float]:
    """Okapi BM25 of documents for a query, over lower-case words.

    Parameters
    ----------
    query : str
    documents : sequence of str
    saturation : float
        k1: how soon further occurrences of a word stop to count.
    length_weight : float
        b: 1 discounts long documents fully, 0 not at all.

    Returns
    -------
    list of float

    Notes
    -----
    Inverse document frequency is ln(1 + (N − n + ½)/(n + ½)), which is never negative [1]_.

    .. [1] S. Robertson, H. Zaragoza (2009). The Probabilistic Relevance Framework: BM25 and Beyond.

    Examples
    --------
    >>> bm25_scores("graph", ["graph matching", "a cat"])
    [0.6931..., 0.0]
    """
    counts = [Counter(_words(document)) for document in documents]
    lengths = [sum(each.values()) for each in counts]
    mean_length = sum(lengths) / max(1, len(lengths)) or 1.0
    scores = [0.0] * len(documents)
    for word in set(_words(query)):
        holding = sum(word in each for each in counts)
        rarity = math.log1p((len(documents) - holding + 0.5) / (holding + 0.5))
        for i, each in enumerate(counts):
            norm = saturation * (1 - length_weight + length_weight * lengths[i] / mean_length)
            scores[i] += rarity * each[word] * (saturation + 1) / (each[word] + norm)
    return scores


def _ranked(example: Example, options: PromptOptions, seed: int) -> list[HistoryItem]:
    """History items, the best first."""
    items = [item for item in example.history if not gives_away(item, example)]
    if options.order == "random":
        words = np.frombuffer(sha256(example.id.encode()).digest(), np.uint32).tolist()
        order = np.random.default_rng([seed, *words]).permutation(len(items)).tolist()
        return [items[i] for i in order]
    latest_first = list(reversed(items))
    if all(item.date for item in items):
        latest_first.sort(key=lambda item: item.date, reverse=True)
    if options.order == "recency":
        return latest_first
    texts = [f"{item.input} {item.output}" for item in latest_first]
    scores = bm25_scores(example.prompt, texts)
    # Of equal scores the later item goes first.
    return [latest_first[i] for i in sorted(range(len(texts)), key=lambda i: -scores[i])]


def gives_away(item: HistoryItem, example: Example) -> bool:
    """Whether an item holds the example's own reference."""
    return bool(example.reference) and item.output.strip() == example.reference.strip()


def fill(template: str, **texts: str) -> str:
    """Put texts in, in one pass, so that braces inside a text stay as they are."""
    return re.sub(r"\{(\w+)\}", lambda found: texts.get(found[1], found[0]), template)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())

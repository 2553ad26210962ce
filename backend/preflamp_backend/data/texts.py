"""Which texts count as the same, and what a text is written in."""

from __future__ import annotations

import unicodedata
from collections import Counter
from functools import cache

from preflamp_backend.data.examples import Example


def normalise(text: str) -> str:
    """Return what two texts share when they differ in case, spacing or Unicode form only.

    Examples
    --------
    >>> normalise("A  Title ") == normalise("a title")
    True
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def example_texts(example: Example) -> frozenset[str]:
    """Normalised prompt, candidates and reference of an example: what must not leak."""
    texts = (example.prompt, example.reference, *example.candidates.values())
    return frozenset(normalise(text) for text in texts if text)


def scripts(text: str) -> Counter[str]:
    """Letters of each script, by the first word of their Unicode names.

    Examples
    --------
    >>> scripts("Да, yes")
    Counter({'LATIN': 3, 'CYRILLIC': 2})
    """
    return Counter(_script(each) for each in text if each.isalpha())


@cache
def _script(letter: str) -> str:
    return unicodedata.name(letter, "UNKNOWN").split()[0]

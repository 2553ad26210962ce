"""Which texts count as the same, what is wrong with examples, and what leaks between files."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from preflamp_backend.data.examples import Example
from preflamp_backend.data.rows import Faults


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


def note_faults(examples: Sequence[Example], faults: Faults) -> list[Example]:
    """Note the pairs that say nothing: chosen equal to rejected, or the same pair again.

    Parameters
    ----------
    examples : sequence of Example
    faults : Faults

    Returns
    -------
    list of Example
        Those that can be used.
    """
    seen: dict[tuple[str, ...], str] = {}
    good: list[Example] = []
    for example in examples:
        texts = (example.candidates.get("chosen", ""), example.candidates.get("rejected", ""))
        key = (example.user, *map(normalise, (example.prompt, *texts)))
        if key[2] and key[2] == key[3]:
            mend = "leave it out: it prefers a text to itself"
            faults.note(f"example {example.id}", "has chosen and rejected alike", mend)
        elif key[2] and key in seen:
            what, mend = f"repeats example {seen[key]} of the same user", "give each pair once"
            faults.note(f"example {example.id}", what, mend)
        else:
            good.append(example)
            seen[key] = example.id
    return good


def usable(examples: Sequence[Example], faults: Faults) -> list[Example]:
    """Return the examples that can be used.

    Raises
    ------
    InputError
        For those that cannot, unless ``faults`` drops them.
    """
    good = note_faults(examples, faults)
    faults.check()
    return good


def leaks(seen: Sequence[Example], tested: Sequence[Example]) -> list[str]:
    """Ids of tested examples of which a text was seen: in a pair, a prompt, or a history.

    Parameters
    ----------
    seen : sequence of Example
        Trained on.
    tested : sequence of Example

    Returns
    -------
    list of str
    """
    known = {text for example in seen for text in example_texts(example)}
    past = {
        normalise(text)
        for example in seen
        for item in example.history
        for text in (item.input, item.output)
        if text
    }
    return [
        example.id for example in tested if example_texts(example) & known or _told(example, past)
    ]


def without_texts(example: Example, texts: frozenset[str]) -> Example:
    """Return an example whose history holds none of some normalised texts."""
    kept = tuple(
        item
        for item in example.history
        if not texts & {normalise(item.input), normalise(item.output)}
    )
    return example if len(kept) == len(example.history) else replace(example, history=kept)


def _told(example: Example, past: set[str]) -> bool:
    """Whether a history tells the user's own text of an example."""
    own = (example.reference, example.candidates.get("chosen", ""))
    return any(text and normalise(text) in past for text in own)

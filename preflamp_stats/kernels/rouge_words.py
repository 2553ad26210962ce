"""From texts to numbered words, for ROUGE."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["NonAsciiTextWarning", "TextEncoder", "Tokenizer", "unicode_words"]

Tokenizer = Literal["rouge-score", "unicode"] | Callable[[str], list[str]]
"""A named tokenizer, or a function from a text to its tokens."""

Integers = NDArray[np.int64]

# Any letter but a to z: what is left of a lower-cased text once ASCII letters are set aside.
_DROPPED_LETTER = re.compile(r"[^\W\d_a-z]")
_ASCII_WORDS = bytes(
    code if chr(code).isascii() and chr(code).isalnum() else ord(" ") for code in range(256)
)
_UNSPACED_SCRIPTS = ("CJK ", "HIRAGANA", "KATAKANA", "IDEOGRAPHIC ITERATION MARK")


class NonAsciiTextWarning(UserWarning):
    """Texts have letters that the tokenizer drops, so their ROUGE is too low or 0."""


def unicode_words(text: str) -> list[str]:
    """Split a text of any language into case-folded words.

    Letters, their marks and digits (Unicode categories L, M and N) make words, and all else
    parts them; characters of Chinese and Japanese, which are written without spaces, are words
    of their own. On ASCII text this is what rouge-score does, stems aside.

    Parameters
    ----------
    text : str
        Composed and decomposed accents are alike (NFKC).

    Returns
    -------
    list of str

    Examples
    --------
    >>> unicode_words("Le café d’Élise : 3 € — 猫が好き!")
    ['le', 'café', 'd', 'élise', '3', '猫', 'が', '好', 'き']
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", folded).translate(_SPACING).split()


class _Spacing(dict[int, int | str]):
    """Translation table, filled as characters are met: what parts words becomes a space."""

    def __missing__(self, code: int) -> int | str:
        character = chr(code)
        if unicodedata.category(character)[0] not in "LMN":
            self[code] = " "
        elif unicodedata.name(character, "").startswith(_UNSPACED_SCRIPTS):
            self[code] = f" {character} "
        else:
            self[code] = code
        return self[code]


_SPACING = _Spacing()


@cache
def _porter_stemmer() -> Any:
    # Importing nltk takes longer than importing this whole package.
    from nltk.stem.porter import PorterStemmer

    return PorterStemmer()


@lru_cache(maxsize=2**18)
def _stem(word: str) -> str:
    """Porter stem of an ASCII word longer than three letters; other words as they are."""
    return str(_porter_stemmer().stem(word)) if len(word) > 3 and word.isascii() else word


class _Vocabulary(dict[Any, int]):
    """Number of each word; words with one stem share a number."""

    def __init__(self, *, stem: bool) -> None:
        super().__init__()
        self._stemmed = stem
        self._numbers: dict[str, int] = {}

    def __missing__(self, word: str | bytes) -> int:
        text = word.decode() if isinstance(word, bytes) else word
        token = _stem(text) if self._stemmed else text
        self[word] = number = self._numbers.setdefault(token, len(self._numbers))
        return number


class TextEncoder:
    """From texts to arrays of word numbers, counting the texts whose letters are dropped.

    Parameters
    ----------
    tokenizer : {"rouge-score", "unicode"} or callable
        How a text is split.
    stem : bool
        Whether words with one Porter stem share a number; not with a callable.

    Attributes
    ----------
    n_texts, n_dropping : int
        Texts encoded so far, and those with letters that the tokenizer drops.
    """

    def __init__(self, tokenizer: Tokenizer, *, stem: bool) -> None:
        self._ascii_only = tokenizer == "rouge-score"
        self._tokenize = tokenizer if callable(tokenizer) else unicode_words
        self._vocabulary = _Vocabulary(stem=stem and not callable(tokenizer))
        # References recur once a method.
        self._references: dict[str, tuple[Integers, bool]] = {}
        self.n_texts = 0
        self.n_dropping = 0

    def reference(self, text: str) -> Integers:
        """Encode a reference, or recall it."""
        if text not in self._references:
            self._references[text] = self._encode(text)
        return self._counted(self._references[text])

    def prediction(self, text: str) -> Integers:
        """Encode a prediction."""
        return self._counted(self._encode(text))

    def _counted(self, encoded: tuple[Integers, bool]) -> Integers:
        numbers, dropping = encoded
        self.n_texts += 1
        self.n_dropping += dropping
        return numbers

    def _encode(self, text: str) -> tuple[Integers, bool]:
        words: Sequence[str | bytes]
        dropping = False
        if self._ascii_only:
            lower = text.lower()
            words = lower.encode("ascii", "replace").translate(_ASCII_WORDS).split()
            dropping = not lower.isascii() and _DROPPED_LETTER.search(lower) is not None
        else:
            words = self._tokenize(text)
        number = self._vocabulary.__getitem__
        return np.fromiter(map(number, words), np.int64, len(words)), dropping

"""Toy texts whose ROUGE-1 has a planted mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["REFERENCE_LENGTH", "join_words", "write_generations", "write_references"]

REFERENCE_LENGTH = 20
"""Words of every toy text."""

Strings = NDArray[np.str_]

# Words of the reference and words that never occur in one; no two share a stem.
_OWN_WORDS, _OTHER_WORDS = (
    np.array(text.split())
    for text in (
        """
        river stone garden winter letter bridge candle forest harbour market mirror ocean paper
        pencil planet pocket rabbit saddle silver spider summer table thunder ticket tower valley
        violin window yellow basket butter castle cotton desert dragon engine falcon feather finger
        flower
        """,
        """
        anchor apple barrel beacon blanket bottle button cabin camel carpet cellar cherry circle
        cloud copper corner cousin curtain dinner doctor eagle elbow fabric farmer fiddle fossil
        guitar hammer helmet island jacket kettle ladder lemon magnet marble needle onion orange
        parrot
        """,
    )
)


def join_words(words: Strings) -> Strings:
    """Texts of words joined by spaces, shape (..., word) to (...)."""
    flat = words.reshape(-1, words.shape[-1]).tolist()
    return np.array([" ".join(row) for row in flat]).reshape(words.shape[:-1])


def write_references(
    stream: np.random.SeedSequence, n_examples: int
) -> tuple[Strings, Strings, Strings]:
    """Words of the references, and texts of prompts and rejected responses.

    Returns
    -------
    words : array (example, word)
        Words of each reference.
    prompts, rejected : array (example,)
        Texts of other words.
    """
    rng = np.random.default_rng(stream)
    words = _OWN_WORDS[rng.integers(0, _OWN_WORDS.size, (n_examples, REFERENCE_LENGTH))]
    others = _OTHER_WORDS[rng.integers(0, _OTHER_WORDS.size, (n_examples, REFERENCE_LENGTH))]
    topics = _OWN_WORDS[rng.integers(0, _OWN_WORDS.size, n_examples)]
    prompts = np.char.add("Write about the ", topics)
    return words, prompts, join_words(others)


def write_generations(
    stream: np.random.SeedSequence, references: Strings, quality: NDArray[np.floating]
) -> Strings:
    """Texts that keep each word of the reference with the given probability.

    Every other word is replaced by one that no reference has, so ROUGE-1 is the share of kept
    words, whose mean is `quality`. The words then start from a random place, which lowers
    ROUGE-L and leaves ROUGE-1.

    Parameters
    ----------
    stream : numpy.random.SeedSequence
        Source of the random numbers.
    references : array (example, word)
        Words of each reference.
    quality : array (..., example)
        Probability of keeping a word; NaN gives an empty text.

    Returns
    -------
    array (..., example)
    """
    rng = np.random.default_rng(stream)
    shape = (*quality.shape, references.shape[-1])
    kept = rng.random(shape) < quality[..., None]
    words = np.where(kept, references, _OTHER_WORDS[rng.integers(0, _OTHER_WORDS.size, shape)])
    start = rng.integers(0, shape[-1], (*quality.shape, 1))
    order = (np.arange(shape[-1]) + start) % shape[-1]
    texts = join_words(np.take_along_axis(words, order, axis=-1))
    return np.where(np.isnan(quality), "", texts)

"""ROUGE-1, ROUGE-2 and ROUGE-L of many pairs of texts at once."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.kernels.rouge_words import (
    NonAsciiTextWarning,
    TextEncoder,
    Tokenizer,
    unicode_words,
)

__all__ = ["ROUGE_METRICS", "NonAsciiTextWarning", "Tokenizer", "rouge_scores", "unicode_words"]

ROUGE_METRICS = ("rouge1", "rouge2", "rougeL")
"""Names of the metrics."""

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

# A block holds few enough tokens that each kind of token or bigram in it can be one character.
_BLOCK_TOKENS = 2**19


def rouge_scores(
    references: Sequence[Any] | NDArray[Any],
    predictions: Sequence[Any] | NDArray[Any],
    *,
    metrics: Sequence[str] = ROUGE_METRICS,
    tokenizer: Tokenizer = "rouge-score",
    stem: bool = True,
) -> dict[str, Floats]:
    """F1 of each prediction against its reference.

    With the default tokenizer every value equals that of ``rouge_score.RougeScorer`` with
    ``use_stemmer=stem``, to the last bit.

    Parameters
    ----------
    references, predictions : sequence of (str or None), length n
        Texts. None (or NaN) stands for a missing text; an empty text is a text.
    metrics : sequence of {"rouge1", "rouge2", "rougeL"}
        Overlap of words, overlap of word pairs, longest common subsequence of words.
    tokenizer : {"rouge-score", "unicode"} or callable
        "rouge-score" knows the letters a to z and digits and drops all else, as the package of
        that name does; "unicode" takes the letters of every script, see :func:`unicode_words`. A
        function from a text to its tokens is taken as it is.
    stem : bool
        Reduce ASCII words of more than three letters to their Porter stem. Tokens of a function
        are never stemmed.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        F1 in [0, 1] by metric: 0.0 for an empty text, NaN where a text is missing.

    Raises
    ------
    InputError
        For an unknown metric or tokenizer, texts that are not str, or unequal lengths.

    Warns
    -----
    NonAsciiTextWarning
        Once, if texts have letters that the default tokenizer drops, with their number.

    Examples
    --------
    Of four and five words, three are shared and two stand in the same order.

    >>> scores = rouge_scores(["the cat sat down"], ["down sat the old cat"])
    >>> {name: round(float(values[0]), 4) for name, values in scores.items()}
    {'rouge1': 0.8889, 'rouge2': 0.0, 'rougeL': 0.4444}

    References
    ----------
    Lin, C.-Y. (2004). ROUGE: A Package for Automatic Evaluation of Summaries. Text Summarization
    Branches Out, 74-81. https://aclanthology.org/W04-1013
    """
    _check_options(references, predictions, metrics, tokenizer)
    encode = TextEncoder(tokenizer, stem=stem)
    scores = {name: np.full(len(references), np.nan) for name in metrics}
    for rows, reference, prediction in _blocks(references, predictions, encode):
        for name, f1 in _block_scores(reference, prediction, metrics).items():
            scores[name][rows] = f1
    if encode.n_dropping:
        warnings.warn(
            f"{encode.n_dropping} of {encode.n_texts} texts have letters other than a to z, which "
            'the tokenizer "rouge-score" drops, so their ROUGE is too low or 0; '
            'pass tokenizer="unicode" to count them',
            NonAsciiTextWarning,
            stacklevel=2,
        )
    return scores


def _is_missing(text: object) -> bool:
    return text is None or (isinstance(text, float) and math.isnan(text))


def _blocks(
    references: Sequence[Any] | NDArray[Any],
    predictions: Sequence[Any] | NDArray[Any],
    encode: TextEncoder,
) -> Iterator[tuple[list[int], list[Integers], list[Integers]]]:
    """Rows of complete pairs with their encoded texts, a bounded number of tokens at a time."""
    rows: list[int] = []
    encoded: tuple[list[Integers], list[Integers]] = ([], [])
    n_tokens = 0
    for row, pair in enumerate(zip(references, predictions, strict=True)):
        if any(map(_is_missing, pair)):
            continue
        for text, side in zip(pair, ("references", "predictions"), strict=True):
            if not isinstance(text, str):
                what = f"holds {type(text).__name__} at position {row}"
                raise InputError(Problem(what, "pass texts, None where missing", variable=side))
        rows.append(row)
        encoded[0].append(encode.reference(pair[0]))
        encoded[1].append(encode.prediction(pair[1]))
        n_tokens += encoded[0][-1].size + encoded[1][-1].size
        if n_tokens >= _BLOCK_TOKENS:
            yield rows, *encoded
            rows, encoded, n_tokens = [], ([], []), 0
    if rows:
        yield rows, *encoded


def _block_scores(
    references: list[Integers], predictions: list[Integers], metrics: Sequence[str]
) -> dict[str, Floats]:
    """F1 of every pair of a block by metric, from its texts as word numbers."""
    words = np.concatenate([*references, *predictions])
    lengths = np.array([text.size for text in (*references, *predictions)])
    text = np.repeat(np.arange(lengths.size), lengths)
    found = {}
    for name in metrics:
        if name == "rougeL":
            units, sizes = words, lengths
        elif name == "rouge1":
            units, sizes = _sorted_within(text, words), lengths
        else:
            inside = text[1:] == text[:-1]
            pairs = (words[:-1] * (words.max(initial=0) + 1) + words[1:])[inside]
            bigrams = np.unique(pairs, return_inverse=True)[1]
            units, sizes = _sorted_within(text[1:][inside], bigrams), np.maximum(lengths - 1, 0)
        # The longest common subsequence of sorted lists is what they have in common.
        common = _longest_common_subsequences(units, sizes)
        found[name] = _f1(common, *np.split(sizes, 2))
    return found


def _sorted_within(text: Integers, numbers: Integers) -> Integers:
    """Sort the numbers of each text; the numbers of one text stand together."""
    base = numbers.max(initial=0) + 1
    return np.asarray(np.sort(text * base + numbers) % base)


def _longest_common_subsequences(units: Integers, sizes: Integers) -> Integers:
    """Length of the longest common subsequence of texts i and n + i, for each i below n.

    Parameters
    ----------
    units : array
        Numbers of the 2n texts, one after the other.
    sizes : array (2n,)
        How many belong to each text.
    """
    from rapidfuzz.distance import LCSseq
    from rapidfuzz.process import cpdist

    ends = np.cumsum(sizes).tolist()
    # rapidfuzz reads a str several times as fast as a list, so that a number becomes a character.
    as_characters = units.max(initial=0) <= sys.maxunicode
    joined = (
        units.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
        if as_characters
        else units.tolist()
    )
    texts = [joined[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    half = len(texts) // 2
    lengths = cpdist(texts[:half], texts[half:], scorer=LCSseq.similarity, dtype=np.int64)
    return np.asarray(lengths, dtype=np.int64)


def _f1(common: Integers, reference_size: Integers, prediction_size: Integers) -> Floats:
    """F1 in the order of operations of rouge-score, which makes it equal to the last bit."""
    precision = common / np.maximum(prediction_size, 1)
    recall = common / np.maximum(reference_size, 1)
    total = precision + recall
    return np.divide(2 * precision * recall, total, out=np.zeros(total.shape), where=total > 0)


def _check_options(
    references: Sequence[Any] | NDArray[Any],
    predictions: Sequence[Any] | NDArray[Any],
    metrics: Sequence[str],
    tokenizer: Tokenizer,
) -> None:
    problems = []
    if isinstance(metrics, str) or not set(metrics) <= set(ROUGE_METRICS):
        mend = f"give a sequence of {', '.join(ROUGE_METRICS)}"
        problems.append(Problem(f"is {metrics!r}", mend, variable="metrics"))
    if not callable(tokenizer) and tokenizer not in ("rouge-score", "unicode"):
        mend = "choose rouge-score, unicode or a function from a text to its tokens"
        problems.append(Problem(f"is {tokenizer!r}", mend, variable="tokenizer"))
    single = [
        Problem("is a single text", "wrap it in a list", variable=side)
        for side, texts in (("references", references), ("predictions", predictions))
        if isinstance(texts, str)
    ]
    if not single and len(references) != len(predictions):
        what = f"there are {len(references)} references and {len(predictions)} predictions"
        problems.append(Problem(what, "give one reference for each prediction"))
    if problems or single:
        raise InputError([*problems, *single])
